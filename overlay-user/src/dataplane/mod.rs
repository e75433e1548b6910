//! The kernel's side: loading the programs, attaching them, and their tables.
//! Nothing outside of this module knows aya.
//!
//! - [`hook`]: which hook a port gets, and why.
//! - [`attach`]: programs on devices.
//! - [`tables`]: the maps, as the controller's actions see them.
//! - [`filter`]: tc programs on kernels without tcx.
//! - [`features`]: what the running kernel can do, and what is done instead.
//! - [`programs`]: which a device gets, and loading them.
//! - [`punts`]: what the programs hand to user space.
//! - [`counts`]: what the programs counted for ports and peers; [`carried`]: counters that go on.
//! - [`former`]: what an earlier run left in the maps.
//! - [`probe`]: whether a device takes redirected frames.
//! - [`buffers`]: how XDP programs know of a frame's further buffers; [`btf`]: the kernel's types.
//! - [`pins`], [`bpffs`]: what outlives the process, and where.
//! - [`log`]: the programs' log records.
//! - [`sockets`]: which AF_XDP socket has the frames of a queue.
//! - [`shared`]: maps in memory shared with the programs.
//! - [`watch`]: programs that tell of the frames that pass.
//! - [`wire`]: records as bytes.
//! - `xdp_features`: what drivers say of their XDP.

pub mod attach;
pub mod bpffs;
pub mod btf;
pub mod buffers;
pub mod carried;
pub mod counts;
pub mod features;
pub mod filter;
pub mod former;
pub mod hook;
mod link;
pub mod log;
pub mod pins;
pub mod probe;
pub mod programs;
pub mod punts;
pub mod shared;
pub mod sockets;
pub mod sys;
pub mod tables;
pub mod watch;
pub mod wire;
mod xdp_features;

use std::borrow::Cow;

use anyhow::{Context as _, Result, bail, ensure};
use aya::maps::{MapData, PerfEventArray};
use aya::programs::{Program, ProgramInfo, SchedClassifier, TcAttachType, Xdp};
use aya::{Ebpf, EbpfLoader};
use overlay_common::abi::programs::XDP_PROBE;
use overlay_common::abi::{MAX_PEERS, MAX_PORTS, constants, maps, neighbours_beside};
use overlay_common::hash::Spread;
use overlay_control::controller::Role;

use attach::{Attached, Attachments, Device, FormerFilter};
use features::{Feature, Features};
use hook::Hook;
use pins::Pins;
use programs::{Kept, OfDevice};
use punts::{Punted, Readers};
use sockets::Sockets;
use tables::KernelTables;
use watch::Watched;

use crate::netlink::Link;

pub use xdp_features::device_xdp;

/// The programs, built with this binary.
static OBJECT: &[u8] = aya::include_bytes_aligned!(env!("OVERLAY_EBPF_OBJECT"));

/// The BPF object as it was built, for tests and benchmarks.
pub fn object() -> &'static [u8] {
    OBJECT
}

/// The object as a kernel with these features runs it.
///
/// # Errors
///
/// The object has no place for what such a feature needs.
pub fn object_for(features: Features) -> Result<Cow<'static, [u8]>> {
    if !features.has(Feature::ContextCast) {
        return Ok(Cow::Borrowed(OBJECT));
    }
    match buffers::look() {
        Ok(Some(look)) => Ok(Cow::Owned(buffers::with(OBJECT, look)?)),
        told => {
            tracing::warn!("doing without context-cast: no xdp_buff to look at, {told:?}");
            Ok(Cow::Borrowed(OBJECT))
        }
    }
}

/// Whether a loaded program, by its number, is one of this project's; one that cannot be looked at
/// is somebody else's.
pub fn is_ours(program: u32) -> bool {
    let info = aya::programs::loaded_programs().flatten().find(|info| info.id() == program);
    info.is_some_and(|info| info.name_as_str().is_some_and(programs::is_name))
}

/// The numbers of somebody else's programs on a device's tc ingress, as far as links attached them
/// (tcx, Linux 6.6).
pub fn others_on_tcx(device: &str) -> Vec<u32> {
    let programs = SchedClassifier::query_tcx(device, TcAttachType::Ingress);
    let (_, programs) = programs.unwrap_or_default();
    let is_theirs = |info: &ProgramInfo| !info.name_as_str().is_some_and(programs::is_name);
    programs.iter().filter(|info| is_theirs(info)).map(ProgramInfo::id).collect()
}

/// The programs, neither loaded nor attached, with empty tables.
pub struct Dataplane {
    ebpf: Ebpf,
    maps: Kept,
    punts: PerfEventArray<MapData>,
    /// The tables.
    pub tables: KernelTables,
    /// Where frames for user space go.
    pub sockets: Sockets,
    attachments: Option<Attachments>,
    pins: Option<Pins>,
    features: Features,
    seed: u64,
    /// The programs that tell of frames, while somebody watches.
    watched: Option<Watched>,
}

impl Dataplane {
    /// Makes the tables, with room for `fdb_entries` addresses. Must be called
    /// within a tokio runtime.
    ///
    /// # Errors
    ///
    /// The kernel is too old, or refuses a map.
    pub fn load(fdb_entries: u32) -> Result<Self> {
        Self::load_for(Features::probe()?, fdb_entries, None)
    }

    /// The same, with the maps pinned as the instance's new ones.
    pub fn load_pinned(fdb_entries: u32, pins: Pins) -> Result<Self> {
        Self::load_for(Features::probe()?, fdb_entries, Some(pins))
    }

    /// The same for a kernel of which nothing but these features is used.
    pub fn load_for(features: Features, fdb_entries: u32, pins: Option<Pins>) -> Result<Self> {
        Self::load_form(features, fdb_entries, pins, 0)
    }

    /// The same with the programs that tell of frames, which [`watch`](Self::watch) loads beside
    /// the others; for tests and benchmarks.
    pub fn load_watched_for(features: Features, fdb_entries: u32) -> Result<Self> {
        Self::load_form(features, fdb_entries, None, 1)
    }

    fn load_form(
        features: Features,
        fdb_entries: u32,
        pins: Option<Pins>,
        watched: u32,
    ) -> Result<Self> {
        features.suffice()?;
        let abilities = features.abilities();
        let seed = shared::seed()?;
        // aya asks the kernel once, and takes any refusal for a kernel that has no such maps.
        ensure!(
            aya::features().bpf_global_data(),
            "the kernel refused a BPF map of 32 bytes: it has no memory left for this process, or \
             is older than 5.2"
        );
        let mut loader = EbpfLoader::new();
        if let Some(pins) = &pins {
            pins.keep_new_maps()?;
            pins.create()?;
            if !features.has(Feature::XdpSockets) {
                let path = sockets::stand_in(&pins.maps_to_fill())?;
                loader.map_pin_path(maps::XSKS, path);
            }
        }
        let mut ebpf = loader
            .map_max_entries(maps::PORT_COUNTERS, counts::entries(MAX_PORTS)?)
            .map_max_entries(maps::PEER_COUNTERS, counts::entries(MAX_PEERS)?)
            .map_max_entries(maps::FDB, Spread::buckets_for(fdb_entries))
            .map_max_entries(maps::NEIGHBOURS, neighbours_beside(fdb_entries))
            .override_global(constants::HASH_SEED, &seed, true)
            .override_global(constants::ABILITIES, &abilities, true)
            .override_global(constants::WATCHED, &watched, true)
            .load(&object_for(features)?)
            .context("cannot load the BPF object")?;
        let maps = Kept::of(&ebpf)?;
        log::follow(&mut ebpf)?;
        if let Some(pins) = &pins {
            KernelTables::pin(&ebpf, &pins.maps_to_fill())?;
        }
        let punts = ebpf.take_map(maps::PUNTS).context("the BPF object has no map PUNTS")?;
        let punts = PerfEventArray::try_from(punts)?;
        let tables = KernelTables::take(&mut ebpf, seed)?;
        let sockets = Sockets::take(&mut ebpf)?;
        let attachments = pins.clone().map(|pins| Attachments::new(pins, features));
        Ok(Self {
            ebpf,
            maps,
            punts,
            tables,
            sockets,
            attachments,
            pins,
            features,
            seed,
            watched: None,
        })
    }

    /// What is used of the kernel.
    pub fn features(&self) -> Features {
        self.features
    }

    /// A program, loaded, to run it on test frames.
    ///
    /// # Errors
    ///
    /// There is none of that name, or the kernel refuses it; the error holds the verifier's
    /// last words.
    pub fn program(&mut self, name: &str) -> Result<&mut Program> {
        if !programs::is_loaded(&self.ebpf, name) {
            self.maps.check()?;
            programs::require(&mut self.ebpf, self.features, name)?;
        }
        self.ebpf.program_mut(name).with_context(|| format!("no program {name}"))
    }

    /// Loads the programs of devices that are to be attached, before any is.
    ///
    /// # Errors
    ///
    /// As for [`program`](Self::program).
    pub fn prepare(&mut self, devices: impl IntoIterator<Item = (Role, Hook)>) -> Result<()> {
        self.maps.check()?;
        let ebpf = self.watched.as_mut().map_or(&mut self.ebpf, Watched::programs);
        for (role, hook) in devices {
            OfDevice::new(self.features, role, hook).require(ebpf, self.features)?;
        }
        Ok(())
    }

    /// How many instructions the verifier went through for a program. Kernels before
    /// 5.16 (commit aba64c7da983) keep no such count, and 0 stands for it there.
    pub fn verified_instructions(&mut self, name: &str) -> Result<u32> {
        let info = match self.program(name)? {
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
        Readers::start("punts", &mut self.punts, take)
    }

    /// Attaches the programs of a device's role.
    pub fn attach(&mut self, device: &Device<'_>) -> Result<Attached> {
        let attachments = self.attachments.as_mut().context("loaded without pins")?;
        self.maps.check()?;
        self.pins.iter().try_for_each(Pins::use_new_maps)?;
        let ebpf = self.watched.as_mut().map_or(&mut self.ebpf, Watched::programs);
        attachments.attach(ebpf, device)
    }

    /// Takes note of what a former process has attached to a device, before it is changed.
    ///
    /// # Errors
    ///
    /// The kernel does not tell.
    pub fn remember(
        &mut self,
        device: (&str, u32),
        hook: Hook,
        filter: Option<FormerFilter>,
    ) -> Result<()> {
        let attachments = self.attachments.as_mut().context("loaded without pins")?;
        attachments.remember(device, hook, filter)
    }

    /// Puts back what a former process had attached, unless [`commit`](Self::commit) was
    /// before. Returns the devices that are as they were.
    pub fn go_back(&mut self) -> Vec<u32> {
        self.attachments.as_mut().map(Attachments::go_back).unwrap_or_default()
    }

    /// Unpins the new maps, unless a device keeps programs that use them: the kernel empties
    /// the arrays of tail calls when nobody holds them any more.
    ///
    /// # Errors
    ///
    /// They cannot be unpinned.
    pub fn discard_new_maps(&self) -> Result<()> {
        match (&self.pins, &self.attachments) {
            (Some(pins), Some(attachments)) if attachments.devices().is_empty() => {
                pins.discard_new_maps()
            }
            _ => Ok(()),
        }
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
    pub fn takes_redirected(&mut self, link: &Link) -> Result<Option<bool>> {
        if !self.features.has(Feature::LiveFrames) {
            return Ok(None);
        }
        let program: &mut Xdp = self.program(XDP_PROBE)?.try_into()?;
        probe::takes_redirected(program, link)
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

    /// Detaches what a former process left on devices that are no ports.
    pub fn detach_others(&self) {
        let (Some(pins), Some(attachments)) = (&self.pins, &self.attachments) else { return };
        for (_, ifindex, path) in pins.pinned_links() {
            if !attachments.contains(ifindex) {
                link::remove(&path);
            }
        }
    }

    /// What was counted before this process, once none of the former programs is attached.
    pub fn former_counters(&self) -> carried::Former {
        let directories = self.pins.as_ref().map(Pins::maps_before).unwrap_or_default();
        if directories.is_empty() {
            return carried::Former::default();
        }
        // One that was running when its place was taken counts to its end.
        shared::wait_for_programs();
        carried::former(&directories)
    }

    /// Makes the new maps the instance's maps, once the programs that use them
    /// are attached, and no others are.
    pub fn commit(&mut self) -> Result<()> {
        let (Some(pins), Some(attachments)) = (&self.pins, &mut self.attachments) else {
            return Ok(());
        };
        pins.commit_maps()?;
        attachments.settle();
        Ok(())
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
