//! The kernel's side: loading the programs, attaching them, and their tables.
//! Nothing outside of this module knows aya.
//!
//! - [`hook`]: which hook a port gets, and why.
//! - [`attach`]: programs on devices.
//! - [`tables`]: the maps, as the controller's actions see them.
//! - [`filter`]: tc programs on kernels without tcx.
//! - [`features`]: what the running kernel can do, and what is done instead.
//! - [`punts`]: what the programs hand to user space.
//! - [`counts`]: what the programs counted for ports and peers.
//! - [`former`]: what an earlier run left in the maps.
//! - [`probe`]: whether a device takes redirected frames.
//! - [`pins`], [`bpffs`]: what outlives the process, and where.
//! - [`log`]: the programs' log records.
//! - [`shared`]: maps in memory shared with the programs.
//! - [`wire`]: records as bytes.
//! - `xdp_features`: what drivers say of their XDP.

pub mod attach;
pub mod bpffs;
pub mod counts;
pub mod features;
pub mod filter;
pub mod former;
pub mod hook;
mod link;
pub mod log;
pub mod pins;
pub mod probe;
pub mod punts;
pub mod shared;
pub mod sys;
pub mod tables;
pub mod wire;
mod xdp_features;

use anyhow::{Context as _, Result, bail};
use aya::maps::{PerfEventArray, ProgramArray};
use aya::programs::{Program, ProgramError};
use aya::{Ebpf, EbpfLoader};
use overlay_common::abi::{
    MAX_PEERS, MAX_PORTS, constants, maps, neighbours_beside, programs, sides,
};
use overlay_common::hash::Spread;

use attach::{Attached, Attachments, Device};
use features::{Feature, Features};
use pins::Pins;
use punts::{Punted, Readers};
use tables::KernelTables;

use crate::netlink::Link;

/// The programs, built with this binary.
static OBJECT: &[u8] = aya::include_bytes_aligned!(env!("OVERLAY_EBPF_OBJECT"));

/// The BPF object as it was built, for tests and benchmarks.
pub fn object() -> &'static [u8] {
    OBJECT
}

/// The programs, loaded but not attached, with empty tables.
pub struct Dataplane {
    ebpf: Ebpf,
    /// The tables.
    pub tables: KernelTables,
    attachments: Option<Attachments>,
    pins: Option<Pins>,
    features: Features,
}

impl Dataplane {
    /// Loads the programs with room for `fdb_entries` addresses. Must be called
    /// within a tokio runtime.
    ///
    /// # Errors
    ///
    /// The kernel is too old, or refuses a map or a program; the error holds the
    /// verifier's last words.
    pub fn load(fdb_entries: u32) -> Result<Self> {
        Self::load_for(Features::probe()?, fdb_entries, None)
    }

    /// The same, with the maps pinned as the instance's new ones.
    pub fn load_pinned(fdb_entries: u32, pins: Pins) -> Result<Self> {
        Self::load_for(Features::probe()?, fdb_entries, Some(pins))
    }

    /// The same for a kernel of which nothing but these features is used.
    pub fn load_for(features: Features, fdb_entries: u32, pins: Option<Pins>) -> Result<Self> {
        features.suffice()?;
        let abilities = features.abilities();
        let seed = shared::seed()?;
        let mut ebpf = EbpfLoader::new()
            .map_max_entries(maps::PORT_COUNTERS, counts::entries(MAX_PORTS)?)
            .map_max_entries(maps::PEER_COUNTERS, counts::entries(MAX_PEERS)?)
            .map_max_entries(maps::FDB, Spread::buckets_for(fdb_entries))
            .map_max_entries(maps::NEIGHBOURS, neighbours_beside(fdb_entries))
            .override_global(constants::HASH_SEED, &seed, true)
            .override_global(constants::ABILITIES, &abilities, true)
            .load(OBJECT)
            .context("cannot load the BPF object")?;
        log::follow(&mut ebpf)?;
        for name in program_names(features) {
            load_program(&mut ebpf, name)?;
        }
        fill_sides(&mut ebpf, features)?;
        if let Some(pins) = &pins {
            pins.discard_new_maps()?;
            pins.create()?;
            KernelTables::pin(&ebpf, &pins.new_maps())?;
        }
        let tables = KernelTables::take(&mut ebpf, seed)?;
        let attachments = pins.clone().map(|pins| Attachments::new(pins, features));
        Ok(Self { ebpf, tables, attachments, pins, features })
    }

    /// What is used of the kernel.
    pub fn features(&self) -> Features {
        self.features
    }

    /// The loaded object, to run programs on test frames.
    pub fn ebpf_mut(&mut self) -> &mut Ebpf {
        &mut self.ebpf
    }

    /// How many instructions the verifier went through for a program. Kernels before
    /// 5.16 (commit aba64c7da983) keep no such count, and 0 stands for it there.
    pub fn verified_instructions(&mut self, name: &str) -> Result<u32> {
        let program = self.ebpf.program_mut(name).with_context(|| format!("no program {name}"))?;
        let info = match program {
            Program::Xdp(program) => program.info(),
            Program::SchedClassifier(program) => program.info(),
            _ => bail!("the program {name} is of another type"),
        };
        let info = info.with_context(|| format!("cannot ask about the program {name}"))?;
        Ok(info.verified_instruction_count().unwrap_or(0))
    }

    /// Starts reading punts; `take` is called from several threads and must not
    /// block.
    pub fn read_punts(
        &mut self,
        take: impl Fn(Punted) + Clone + Send + 'static,
    ) -> Result<Readers> {
        let map = self.ebpf.take_map(maps::PUNTS).context("the BPF object has no map PUNTS")?;
        Readers::start(PerfEventArray::try_from(map)?, take)
    }

    /// Attaches the programs of a device's role.
    pub fn attach(&mut self, device: &Device<'_>) -> Result<Attached> {
        let attachments = self.attachments.as_mut().context("loaded without pins")?;
        attachments.attach(&mut self.ebpf, device)
    }

    /// A device's filter, on kernels without tcx.
    pub fn filter(&self, ifindex: u32) -> Option<filter::Filter> {
        self.attachments.as_ref()?.filter(ifindex)
    }

    /// Detaches everything from a device.
    pub fn detach(&mut self, ifindex: u32) {
        if let Some(attachments) = &mut self.attachments {
            attachments.detach(ifindex);
        }
    }

    /// Forgets a device that is gone.
    pub fn forget(&mut self, ifindex: u32) {
        if let Some(attachments) = &mut self.attachments {
            attachments.forget(ifindex);
        }
    }

    /// Whether a device takes redirected frames; `None` where it does not say.
    pub fn takes_redirected(&self, link: &Link) -> Result<Option<bool>> {
        if !self.features.has(Feature::LiveFrames) {
            return Ok(None);
        }
        probe::takes_redirected(&self.ebpf, link)
    }

    /// Whether redirected frames of several buffers arrive too at a device that takes
    /// redirected frames.
    pub fn takes_several_buffers(&self, link: &Link) -> Result<bool> {
        // Kernels whose drivers tell nothing refuse all such redirects (before Linux 6.3,
        // commit b9d460c92455).
        let told = [Feature::XdpFrags, Feature::XdpFeatures];
        if !told.into_iter().all(|feature| self.features.has(feature)) {
            return Ok(false);
        }
        xdp_features::takes_several_buffers(link.ifindex)
    }

    /// How many redirected frames a device has taken; `None` where it does not
    /// say.
    pub fn redirected(&self, link: &Link) -> Result<Option<u64>> {
        probe::redirected(link)
    }

    /// Makes the new maps the instance's maps, once the programs that use them
    /// are attached, and detaches what a former process left elsewhere.
    pub fn commit(&mut self) -> Result<()> {
        let (Some(pins), Some(attachments)) = (&self.pins, &mut self.attachments) else {
            return Ok(());
        };
        for (_, ifindex, path) in pins.pinned_links() {
            if !attachments.contains(ifindex) {
                link::remove(&path);
            }
        }
        pins.commit_maps()
    }

    /// Detaches and unpins everything.
    pub fn remove(mut self) -> Result<()> {
        if let Some(attachments) = &mut self.attachments {
            for ifindex in attachments.devices() {
                attachments.detach(ifindex);
            }
        }
        self.pins.take().map_or(Ok(()), |pins| pins.remove())
    }
}

/// The tc programs for a kernel with these features: on uplinks, on access ports.
pub fn tc_programs(features: Features) -> [&'static str; 2] {
    if features.has(Feature::Loop) {
        [programs::TC_UPLINK, programs::TC_ACCESS]
    } else {
        [programs::TC_UPLINK_BOUNDED, programs::TC_ACCESS_BOUNDED]
    }
}

/// The XDP programs for a kernel with these features: on uplinks, on access ports, on devices
/// that are both. `is_native` is about where they run: in the network stack (generic XDP) the
/// kernel puts a frame into one buffer for a program that takes no more. Given one that does,
/// it loses Ethernet headers there (seen on Linux 6.18).
pub fn xdp_programs(features: Features, is_native: bool) -> [&'static str; 3] {
    if features.has(Feature::XdpFrags) && is_native {
        [programs::XDP_UPLINK, programs::XDP_ACCESS, programs::XDP_ONE_ARMED]
    } else {
        [programs::XDP_UPLINK_SINGLE, programs::XDP_ACCESS_SINGLE, programs::XDP_ONE_ARMED_SINGLE]
    }
}

/// Every program that is loaded on a kernel with these features.
pub fn program_names(features: Features) -> Vec<&'static str> {
    let mut names = vec![programs::XDP_PROBE];
    names.extend(tc_programs(features));
    names.push(programs::TC_ONE_ARMED);
    for is_native in [true, false] {
        names.extend(xdp_programs(features, is_native));
    }
    names.sort_unstable();
    names.dedup();
    names
}

/// Tells the programs of devices that are uplink and access port where to go on.
fn fill_sides(ebpf: &mut Ebpf, features: Features) -> Result<()> {
    let [uplink, access, _] = xdp_programs(features, false);
    put_sides(ebpf, maps::XDP_SINGLE_SIDES, [uplink, access])?;
    if features.has(Feature::XdpFrags) {
        let [uplink, access, _] = xdp_programs(features, true);
        put_sides(ebpf, maps::XDP_SIDES, [uplink, access])?;
    }
    put_sides(ebpf, maps::TC_SIDES, tc_programs(features))
}

fn put_sides(ebpf: &mut Ebpf, name: &str, [uplink, access]: [&str; 2]) -> Result<()> {
    for (index, program) in [(sides::UPLINK, uplink), (sides::ACCESS, access)] {
        let fd = match ebpf.program(program) {
            Some(Program::Xdp(program)) => program.fd()?.try_clone()?,
            Some(Program::SchedClassifier(program)) => program.fd()?.try_clone()?,
            _ => bail!("the BPF object has no program {program}"),
        };
        let map =
            ebpf.map_mut(name).with_context(|| format!("the BPF object has no map {name}"))?;
        let put = ProgramArray::try_from(map)?.set(index, &fd, 0);
        put.with_context(|| format!("cannot put the program {program} into the map {name}"))?;
    }
    Ok(())
}

fn load_program(ebpf: &mut Ebpf, name: &str) -> Result<()> {
    let program =
        ebpf.program_mut(name).with_context(|| format!("the BPF object has no program {name}"))?;
    let loaded = match program {
        Program::Xdp(program) => program.load(),
        Program::SchedClassifier(program) => program.load(),
        _ => bail!("the program {name} is of another type"),
    };
    match loaded {
        Ok(()) => Ok(()),
        Err(ProgramError::LoadError { io_error, verifier_log }) => {
            let last = last_words(&verifier_log.to_string());
            bail!("the kernel refuses the program {name}: {io_error}\n{last}")
        }
        Err(error) => Err(error).with_context(|| format!("cannot load the program {name}")),
    }
}

/// The end of a verifier's log: the instructions that led to its refusal, and why.
/// What it notes while it looks back for where a register came from is left out.
fn last_words(log: &str) -> String {
    const LINES: usize = 30;
    const BACKWARDS: [&str; 5] = ["regs=", "last_idx ", "parent ", "mark_precise: ", "from "];
    let is_forward = |line: &&str| !BACKWARDS.iter().any(|start| line.starts_with(start));
    let lines: Vec<&str> = log.lines().filter(is_forward).collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verifiers_reason_is_shown_with_the_instructions_before_it() {
        let steps: String = (0..500).map(|index| format!("{index}: (b7) r1 = {index}\n")).collect();
        let notes = "regs=200 stack=0 before 9: (71) r9 = *(u8 *)(r3 +15)\n".repeat(50);
        let words = last_words(&format!("{steps}last_idx 499 first_idx 0\n{notes}R1 is no good\n"));
        assert!(words.contains("499: (b7) r1 = 499\nR1 is no good"), "{words}");
        assert_eq!(words.lines().count(), 30);
    }
}
