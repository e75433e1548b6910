//! Loading and attaching the benchmark's own BPF programs.

use anyhow::{Context, Result};
use aya::maps::{Array, DevMap};
use aya::programs::{SchedClassifier, TcAttachType, Xdp, XdpMode};
use aya::{Ebpf, EbpfLoader, Pod};
use overlay_testbed::Netns;

static OBJECT: &[u8] = aya::include_bytes_aligned!(env!("OVERLAY_BENCH_EBPF_OBJECT"));

/// The benchmark's BPF object, loaded once: its maps, and the programs that are
/// asked for. Dropping it detaches them.
pub struct Object {
    ebpf: Ebpf,
}

impl Object {
    /// Makes the maps. `constants` are read by the programs.
    pub fn new(constants: &[(&str, u32)]) -> Result<Self> {
        let mut loader = EbpfLoader::new();
        for (name, value) in constants {
            loader.override_global(name, value, true);
        }
        let ebpf = loader.load(OBJECT).context("loading the benchmark's BPF object")?;
        Ok(Self { ebpf })
    }

    /// The object's programs and maps.
    pub fn ebpf(&self) -> &Ebpf {
        &self.ebpf
    }

    /// Writes a map that is an array.
    pub fn set<T: Pod>(&mut self, map: &str, index: u32, value: T) -> Result<()> {
        let found = self.ebpf.map_mut(map).with_context(|| format!("no map {map}"))?;
        Array::try_from(found)?.set(index, value, 0).with_context(|| format!("writing {map}"))
    }

    /// Reads a map that is an array.
    pub fn get<T: Pod>(&self, map: &str, index: u32) -> Result<T> {
        let found = self.ebpf.map(map).with_context(|| format!("no map {map}"))?;
        Array::try_from(found)?.get(&index, 0).with_context(|| format!("reading {map}"))
    }

    /// Puts a device into a device map, which takes those of the caller's
    /// namespace.
    pub fn set_device(
        &mut self,
        map: &str,
        index: u32,
        netns: &Netns,
        interface: &str,
    ) -> Result<()> {
        let device = netns.ifindex(interface)?;
        let found = self.ebpf.map_mut(map).with_context(|| format!("no map {map}"))?;
        let mut devices = DevMap::try_from(found)?;
        netns
            .enter(|| devices.set(index, device, None, 0))?
            .with_context(|| format!("putting {interface} into {map}"))
    }

    /// Has the kernel verify an XDP program.
    pub fn load_xdp(&mut self, program: &str) -> Result<&mut Xdp> {
        let found = self.ebpf.program_mut(program);
        let xdp: &mut Xdp = found.with_context(|| format!("no program {program}"))?.try_into()?;
        xdp.load().with_context(|| format!("loading {program}"))?;
        Ok(xdp)
    }

    /// Attaches an XDP program, in the driver.
    pub fn attach_xdp(&mut self, program: &str, netns: &Netns, interface: &str) -> Result<()> {
        let index = netns.ifindex(interface)?;
        let xdp = self.load_xdp(program)?;
        netns
            .enter(|| xdp.attach_to_if_index(index, XdpMode::Driver))?
            .with_context(|| format!("attaching {program} to {interface}"))?;
        Ok(())
    }

    /// Attaches a program on tc ingress.
    pub fn attach_tc(&mut self, program: &str, netns: &Netns, interface: &str) -> Result<()> {
        let found = self.ebpf.program_mut(program);
        let tc: &mut SchedClassifier =
            found.with_context(|| format!("no program {program}"))?.try_into()?;
        tc.load().with_context(|| format!("loading {program}"))?;
        netns
            .enter(|| tc.attach(interface, TcAttachType::Ingress))?
            .with_context(|| format!("attaching {program} to {interface}"))?;
        Ok(())
    }
}
