//! The loader without a daemon: what the running gateway does not show on a
//! kernel that has everything.

mod verifier;

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use overlay_common::abi::{
    ABI_VERSION, FdbEntry, FdbKey, Neighbour, NeighbourKey, Node, Port, Segment, Target,
};
use overlay_common::id::{PortId, SegmentId};
use overlay_common::wire::Mac;
use overlay_control::action::Action;
use overlay_control::config::Mode;
use overlay_control::controller::{RestoredPlace, Role};
use overlay_testbed::{Netns, require_root};
use overlay_user::dataplane::attach::{Attached, Device, FormerFilter, Inherited};
use overlay_user::dataplane::features::{self, Feature, Features};
use overlay_user::dataplane::filter::Filter;
use overlay_user::dataplane::pins::Pins;
use overlay_user::dataplane::programs::program_names;
use overlay_user::dataplane::{Dataplane, bpffs, hook};
use overlay_user::learnt::restore::restore;
use overlay_user::learnt::{read, write};
use overlay_user::netlink::Netlink;
use overlay_user::netlink::link::Kind;

const FDB_ENTRIES: u32 = 200_000;

/// Pins of a test, removed however it ends.
struct Pinned(Pins);

impl Pinned {
    fn new(bpffs: &Path, label: &str) -> Self {
        Self(Pins::new(bpffs, &format!("test-{}-{label}", std::process::id())))
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        let _ = self.0.remove();
    }
}

/// Runs `test` in a namespace with a veth pair, `eth0` and `far0`.
fn with_device(label: &str, test: impl FnOnce(&Netns, &Pinned) -> Result<()> + Send) -> Result<()> {
    if !require_root(label) {
        return Ok(());
    }
    let netns = Netns::new("dataplane")?;
    netns.exec("ip link add name eth0 type veth peer name far0")?;
    let pinned = Pinned::new(&bpffs::locate()?, label);
    netns.enter(|| {
        let runtime = tokio::runtime::Runtime::new()?;
        let _guard = runtime.enter();
        test(&netns, &pinned)
    })?
}

fn attach(
    dataplane: &mut Dataplane,
    netns: &Netns,
    mode: Mode,
    former: Option<&Attached>,
) -> Result<Attached> {
    dataplane.attach(&device(netns, mode, former)?)
}

/// The device as an access port.
fn device(netns: &Netns, mode: Mode, former: Option<&Attached>) -> Result<Device<'static>> {
    Ok(Device {
        name: "eth0",
        ifindex: netns.ifindex("eth0")?,
        role: Role::Access,
        choice: hook::choose(mode, Kind::Veth { far_end_elsewhere: false }),
        inherited: former.map(|former| Inherited { hook: former.hook, filter: former.filter }),
    })
}

fn filters(netns: &Netns) -> Result<usize> {
    let text = netns.exec("tc filter show dev eth0 ingress")?;
    Ok(text.lines().filter(|line| line.contains("tc_access")).count())
}

/// The verifier's work on each program, in both forms: it ends at a million
/// instructions, and is to stay well below on every kernel.
#[test]
fn every_program_loads_with_the_verifier_far_from_its_limit() -> Result<()> {
    const LIMIT: u32 = 1_000_000 / 2;
    with_device("every_program_loads_with_the_verifier_far_from_its_limit", |_, _| {
        let features = pretended(Features::probe()?)?;
        let older = [Feature::Loop, Feature::EncapL2Eth, Feature::DecapL3, Feature::XdpFrags]
            .into_iter()
            .fold(features, Features::without);
        println!(
            "LACKS {}",
            features.missing().map(|about| about.name).collect::<Vec<_>>().join(" ")
        );
        let forms = if older == features { vec![features] } else { vec![features, older] };
        for features in forms {
            let mut dataplane = Dataplane::load_for(features, 64, None)?;
            for name in program_names(features) {
                let verified = verified(&mut dataplane, name)?;
                println!("FIGURE verified {name} {verified}");
                ensure!(verified < LIMIT, "{name}: {verified} instructions");
            }
            let mut watched = Dataplane::load_watched_for(features, 64)?;
            for name in program_names(features) {
                let verified = verified(&mut watched, name)?;
                println!("watched, {name}: {verified} instructions");
                ensure!(verified < LIMIT, "{name}, watched: {verified} instructions");
            }
        }
        Ok(())
    })
}

#[test]
fn every_program_attaches_in_each_mode() -> Result<()> {
    with_device("every_program_attaches_in_each_mode", |netns, pinned| {
        let mut dataplane = Dataplane::load_pinned(64, pinned.0.clone())?;
        for role in [Role::Uplink, Role::Access, Role::OneArmed] {
            for mode in [Mode::Xdp, Mode::XdpGeneric, Mode::Tc, Mode::User, Mode::UserXdp] {
                let device = Device { role, ..device(netns, mode, None)? };
                let attached = dataplane.attach(&device);
                if mode == Mode::XdpGeneric && !dataplane.features().has(Feature::GenericRedirect) {
                    let refusal = format!("{:#}", attached.err().context("attached")?);
                    ensure!(refusal.contains("generic-redirect"), "{refusal}");
                    continue;
                }
                let attached = attached?;
                let wanted = if mode == Mode::UserXdp { "user" } else { mode.name() };
                ensure!(attached.hook.name() == wanted, "{role:?}: {attached:?}");
                let xdp = netns.exec("ip -d link show dev eth0")?;
                let is_there = xdp.contains("xdp");
                let is_wanted = !matches!(mode, Mode::Tc | Mode::User);
                ensure!(is_there == is_wanted, "{role:?} {mode:?}: {xdp}");
                dataplane.detach(device.ifindex);
            }
        }
        ensure!(pinned.0.pinned_links().is_empty(), "{:?}", pinned.0.pinned_links());
        Ok(())
    })
}

/// The kernel's count, or what its verifier says where it keeps none. Where it keeps one,
/// both must agree; that is tried with what is verified fast. Programs that go on with others
/// are left out: the array of those takes none that was loaded otherwise.
fn verified(dataplane: &mut Dataplane, name: &str) -> Result<u32> {
    let kept = dataplane.verified_instructions(name)?;
    if kept > 0 && (!name.starts_with("xdp_") || name.contains("one_armed")) {
        return Ok(kept);
    }
    let said = verifier::instructions_by_log(dataplane, name)?;
    ensure!(kept == 0 || kept == said, "{name}: {kept} kept, and {said} said");
    Ok(said)
}

/// With features that the environment pretends the kernel to have, to see what comes of
/// programs that it then refuses.
fn pretended(features: Features) -> Result<Features> {
    let names = std::env::var("OVERLAY_PRETEND").unwrap_or_default();
    names.split_whitespace().try_fold(features, |features, name| {
        let about = features::ALL.iter().find(|about| about.name == name);
        Ok(features.with(about.with_context(|| format!("no feature {name}"))?.feature))
    })
}

#[test]
fn without_tcx_a_filter_is_added_taken_over_and_removed() -> Result<()> {
    with_device("without_tcx_a_filter_is_added_taken_over_and_removed", |netns, pinned| {
        let load = || {
            Dataplane::load_for(
                Features::probe()?.without(Feature::Tcx),
                64,
                Some(pinned.0.clone()),
            )
        };
        let mut first = load()?;
        let attached = attach(&mut first, netns, Mode::Tc, None)?;
        first.commit()?;
        let filter = attached.filter.context("no classic filter")?;
        ensure!(filter.made_clsact, "there was no clsact qdisc before");
        ensure!(filters(netns)? == 1);
        // As after SIGKILL: nothing of the first process runs its destructors.
        std::mem::forget(first);

        let mut second = load()?;
        let adopted = attach(&mut second, netns, Mode::Tc, Some(&attached))?;
        second.commit()?;
        ensure!(filters(netns)? == 1, "{}", netns.exec("tc filter show dev eth0 ingress")?);
        ensure!(adopted.filter.is_some_and(|filter| filter.made_clsact), "{adopted:?}");
        second.remove()?;
        ensure!(filters(netns)? == 0);
        let removed = async { Netlink::open()?.remove_idle_clsact(netns.ifindex("eth0")?).await };
        tokio::runtime::Handle::current().block_on(removed)?;
        let qdiscs = netns.exec("tc qdisc show dev eth0")?;
        ensure!(!qdiscs.contains("clsact"), "{qdiscs}");
        Ok(())
    })
}

#[test]
fn a_refused_hook_leaves_nothing_and_a_refused_change_leaves_all() -> Result<()> {
    refused_hooks("a_refused_hook_leaves_nothing_and_a_refused_change_leaves_all", |own| own)
}

#[test]
fn so_does_a_refused_hook_without_tcx() -> Result<()> {
    refused_hooks("so_does_a_refused_hook_without_tcx", |own| own.without(Feature::Tcx))
}

fn refused_hooks(name: &str, of: impl FnOnce(Features) -> Features + Send) -> Result<()> {
    with_device(name, |netns, pinned| {
        // A veth's driver refuses XDP for one buffer where frames do not fit into a page.
        netns.exec("ip link set dev far0 mtu 9000")?;
        // The programs are linked once, or there is one filter in a clsact qdisc.
        let count = || Ok::<_, anyhow::Error>(pinned.0.pinned_links().len() + filters(netns)?);
        let features = of(Features::probe()?.without(Feature::XdpFrags));
        let mut dataplane = Dataplane::load_for(features, 64, Some(pinned.0.clone()))?;
        ensure!(attach(&mut dataplane, netns, Mode::Xdp, None).is_err());
        ensure!(count()? == 0, "{} attached after a refused hook", count()?);
        let attached = attach(&mut dataplane, netns, Mode::Tc, None)?;
        // A daemon goes back to what it had; what it knows of that is from before.
        for mode in [Mode::Xdp, Mode::Tc, Mode::Xdp, Mode::Tc] {
            let refused = attach(&mut dataplane, netns, mode, Some(&attached)).is_err();
            ensure!(refused == (mode == Mode::Xdp));
            ensure!(count()? == 1, "{} attached after a change to {mode:?}", count()?);
        }
        dataplane.remove()?;
        ensure!(!pinned.0.exist());
        ensure!(count()? == 0, "{} attached after removal", count()?);
        Ok(())
    })
}

#[test]
fn a_full_fdb_is_read_as_a_whole_and_found_by_the_next_process() -> Result<()> {
    let name = "a_full_fdb_is_read_as_a_whole_and_found_by_the_next_process";
    with_device(name, |netns, pinned| {
        let mut dataplane = Dataplane::load_pinned(FDB_ENTRIES, pinned.0.clone())?;
        let node = Node { abi_version: ABI_VERSION, epoch: 100, ..Node::default() };
        let mut port = Port { vlan: 7, ..Port::default() };
        port.egress.ifindex = netns.ifindex("eth0")?;
        let segment = Segment { vni: 500, ..Segment::default() };
        let tables = &mut dataplane.tables;
        tables.apply(&Action::PutNode(node))?;
        tables.apply(&Action::PutPort(PortId(3), port))?;
        tables.apply(&Action::PutSegment(SegmentId(1), segment))?;
        let key = |index: u32| {
            let [a, b, c, d] = index.to_be_bytes();
            FdbKey { mac: [2, 0, a, b, c, d], segment: 1 }
        };
        let entry = FdbEntry { target: Target::port(3), seen: 90, ..FdbEntry::default() };
        for index in 0..FDB_ENTRIES {
            tables.apply(&Action::PutFdb(key(index), entry))?;
        }
        let more = FDB_ENTRIES..FDB_ENTRIES * 8;
        let mut put = |index: u32| tables.apply(&Action::PutFdb(key(index), entry));
        let full = more.into_iter().find_map(|index| Some((index, put(index).err()?)));
        let (count, refusal) = full.context("the FDB is never full")?;
        let refusal = format!("{refusal:#}");
        let (first, last) = ("FDB: PutFdb(FdbKey { ", "): the table is full");
        ensure!(refusal.starts_with(first) && refusal.ends_with(last), "{refusal}");
        let ip = |ip: &str| NeighbourKey::of(ip.parse().ok()?, 1);
        let router = Neighbour::new(Mac([2, 0, 0, 0, 0, 1])).with_router(true);
        for (ip, neighbour) in [(ip("fe80::5"), router), (ip("10.0.0.5"), router.fixed())] {
            let key = ip.context("an address that a host can have")?;
            tables.apply(&Action::PutNeighbour(key, neighbour))?;
        }
        let mut scanned: Vec<FdbKey> = tables.fdb().map(|(key, _)| key).collect();
        scanned.sort();
        scanned.dedup();
        ensure!(scanned.len() == count as usize, "{} entries, not {count}", scanned.len());
        dataplane.commit()?;
        drop(dataplane);

        let folder = tempfile::tempdir()?;
        let file = folder.path().join("x.learnt");
        let learnt = restore(&pinned.0, &file).former;
        let written = write::write(&pinned.0, &file)?;
        ensure!(written == u64::from(count) + 1, "{written} were written, not {count} and one");
        ensure!(read::file(&file)?.1 == learnt, "the file says something else than the maps");
        let stations = learnt.stations;
        ensure!(stations.len() == count as usize, "{} restored, not {count}", stations.len());
        let place = RestoredPlace::Port { ifindex: netns.ifindex("eth0")?, vlan: 7 };
        let right = |r: &overlay_control::controller::Restored| {
            r.vni == 500 && r.age == 10 && r.place == place
        };
        ensure!(stations.iter().all(right), "{:?}", stations.first());
        let restored: Vec<_> = learnt.neighbours.iter().map(|n| (n.vni, n.address)).collect();
        ensure!(restored == [(500, "fe80::5".parse()?)], "{restored:?}");
        ensure!(learnt.neighbours.iter().all(|n| n.neighbour == router));
        Ok(())
    })
}

/// A layout may be another although no entry has become longer or shorter.
#[test]
fn maps_of_another_layout_are_not_read() -> Result<()> {
    with_device("maps_of_another_layout_are_not_read", |_, pinned| {
        let mut dataplane = Dataplane::load_for(Features::probe()?, 64, Some(pinned.0.clone()))?;
        let node = Node { abi_version: ABI_VERSION + 1, ..Node::default() };
        dataplane.tables.apply(&Action::PutNode(node))?;
        dataplane.commit()?;
        drop(dataplane);
        let folder = tempfile::tempdir()?;
        let refusal = write::write(&pinned.0, &folder.path().join("x.learnt")).err();
        let refusal = format!("{:#}", refusal.context("they were read")?);
        let (theirs, ours) = (ABI_VERSION + 1, ABI_VERSION);
        ensure!(
            refusal == format!("the pinned maps have layout {theirs}, not {ours}"),
            "{refusal}"
        );
        ensure!(folder.path().read_dir()?.next().is_none(), "something was written");
        Ok(())
    })
}

/// What a former process attached may be gone, and its filter name a program of nobody's.
#[test]
fn a_former_program_that_is_gone_is_no_way_back() -> Result<()> {
    with_device("a_former_program_that_is_gone_is_no_way_back", |netns, pinned| {
        let pins = Some(pinned.0.clone());
        let mut dataplane = Dataplane::load_for(Features::probe()?, 64, pins)?;
        let device = ("eth0", netns.ifindex("eth0")?);
        let place = Filter { priority: 4789, handle: 1, made_clsact: true };
        let former = FormerFilter { place, name: "tc_access".to_owned(), program: u32::MAX };
        let refusal = dataplane.remember(device, hook::Hook::Tc, Some(former)).err();
        ensure!(
            format!("{:#}", refusal.context("it was found")?)
                == "interface eth0: cannot get at its programs: the kernel does not hand out its \
                    program 4294967295"
        );
        ensure!(dataplane.go_back().is_empty(), "somewhere it is as it was");
        Ok(())
    })
}

/// A program is loaded when it is first asked for, and finds the maps that others have then.
#[test]
fn maps_stay_open_when_readers_go() -> Result<()> {
    with_device("maps_stay_open_when_readers_go", |_, _| {
        let mut dataplane = Dataplane::load_for(Features::probe()?, 64, None)?;
        drop(dataplane.read_punts(|_| ())?);
        for name in program_names(dataplane.features()) {
            dataplane.program(name).with_context(|| format!("after the readers: {name}"))?;
        }
        Ok(())
    })
}
