//! Which programs a device gets, and loading them: each when it is first asked for, since the
//! verifier of an old kernel takes seconds for some.

use std::os::fd::{AsFd as _, AsRawFd as _};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use aya::Ebpf;
use aya::maps::{Map, MapData, ProgramArray};
use aya::programs::{Program, ProgramError, ProgramFd};
use overlay_common::abi::{maps, programs, sides};
use overlay_control::controller::Role;

use super::features::{Feature, Features};
use super::hook::Hook;

/// How much of a program's name the kernel keeps, in bytes.
const NAME: usize = 15;

/// Whether a program's name, as far as the kernel keeps it, is that of one that devices have.
pub fn is_name(name: &str) -> bool {
    let cut = |full: &'static str| &full[..full.len().min(NAME)];
    XDP_NAMES.iter().chain(&programs::TC).any(|full| cut(full) == name)
}

const XDP_NAMES: &[&str] = &[
    programs::XDP_UPLINK,
    programs::XDP_ACCESS,
    programs::XDP_ONE_ARMED,
    programs::XDP_UPLINK_SINGLE,
    programs::XDP_ACCESS_SINGLE,
    programs::XDP_ONE_ARMED_SINGLE,
    programs::XDP_USER_UPLINK,
    programs::XDP_USER_ACCESS,
    programs::XDP_USER_ONE_ARMED,
];

/// The programs of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OfDevice {
    /// At tc ingress.
    pub tc: &'static str,
    /// At XDP, where the hook is one.
    pub xdp: Option<&'static str>,
}

impl OfDevice {
    /// Those of a role at a hook.
    pub fn new(features: Features, role: Role, hook: Hook) -> Self {
        let [tc_uplink, tc_access, _] = tc_programs(features);
        let tc = match (role, hook) {
            (Role::Uplink, Hook::User | Hook::UserXdp) => programs::TC_GUARD_UPLINK,
            (Role::Access, Hook::User | Hook::UserXdp) => programs::TC_GUARD_ACCESS,
            (Role::OneArmed, Hook::User | Hook::UserXdp) => programs::TC_GUARD_ONE_ARMED,
            (Role::Uplink, _) => tc_uplink,
            (Role::Access, _) => tc_access,
            (Role::OneArmed, _) => programs::TC_ONE_ARMED,
        };
        let xdp = match hook {
            Hook::Tc | Hook::User => None,
            Hook::UserXdp => features.has(Feature::XdpSockets).then_some(USER_XDP_PROGRAMS),
            Hook::Xdp | Hook::XdpGeneric => Some(xdp_programs(features, hook == Hook::Xdp)),
        };
        let xdp = xdp.map(|[uplink, access, one_armed]| match role {
            Role::Uplink => uplink,
            Role::Access => access,
            Role::OneArmed => one_armed,
        });
        Self { tc, xdp }
    }

    /// Loads them.
    ///
    /// # Errors
    ///
    /// As for [`require`].
    pub fn require(self, ebpf: &mut Ebpf, features: Features) -> Result<()> {
        let names = [Some(self.tc), self.xdp].into_iter().flatten();
        names.into_iter().try_for_each(|name| require(ebpf, features, name))
    }
}

/// The tc programs for a kernel with these features: on uplinks, on access ports, and for what the
/// latter flood.
pub fn tc_programs(features: Features) -> [&'static str; 3] {
    if features.has(Feature::Loop) {
        [programs::TC_UPLINK, programs::TC_ACCESS, programs::TC_FLOOD]
    } else {
        [programs::TC_UPLINK_BOUNDED, programs::TC_ACCESS_BOUNDED, programs::TC_FLOOD_BOUNDED]
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

/// The XDP programs that hand frames to user space: on uplinks, on access ports, on devices
/// that are both.
const USER_XDP_PROGRAMS: [&str; 3] =
    [programs::XDP_USER_UPLINK, programs::XDP_USER_ACCESS, programs::XDP_USER_ONE_ARMED];

/// Every program that may be loaded on a kernel with these features.
pub fn program_names(features: Features) -> Vec<&'static str> {
    let mut names = vec![programs::XDP_PROBE];
    names.extend(tc_programs(features));
    names.extend([
        programs::TC_ONE_ARMED,
        programs::TC_GUARD_UPLINK,
        programs::TC_GUARD_ACCESS,
        programs::TC_GUARD_ONE_ARMED,
        programs::TC_APART_UPLINK,
        programs::TC_APART_ACCESS,
        programs::TC_ROUTE,
    ]);
    if features.has(Feature::XdpSockets) {
        names.extend(USER_XDP_PROGRAMS);
    }
    for is_native in [true, false] {
        names.extend(xdp_programs(features, is_native));
    }
    names.sort_unstable();
    names.dedup();
    names
}

/// The maps as programs name them that are loaded later: by their descriptors, which have to
/// stay what they are.
pub struct Kept(Vec<(String, i32, u32)>);

impl Kept {
    /// Those of an object of which none was taken yet.
    pub fn of(ebpf: &Ebpf) -> Result<Self> {
        let maps = ebpf.maps().map(|(name, map)| {
            let data = data(map).with_context(|| format!("the map {name} is of another type"))?;
            let id = data.info().with_context(|| format!("cannot ask about the map {name}"))?.id();
            Ok((name.to_owned(), data.fd().as_fd().as_raw_fd(), id))
        });
        Ok(Self(maps.collect::<Result<_>>()?))
    }

    /// Sees that nobody has closed one.
    ///
    /// # Errors
    ///
    /// Somebody has. A program would be loaded with no map, or with another one.
    pub fn check(&self) -> Result<()> {
        for (name, fd, id) in &self.0 {
            let about = std::fs::read_to_string(format!("/proc/self/fdinfo/{fd}"));
            let line = format!("map_id:\t{id}");
            let is_there = about.is_ok_and(|about| about.lines().any(|told| told == line));
            ensure!(is_there, "the map {name} was closed before its programs were loaded");
        }
        Ok(())
    }
}

fn data(map: &Map) -> Option<&MapData> {
    match map {
        Map::Array(data)
        | Map::DevMapHash(data)
        | Map::HashMap(data)
        | Map::LpmTrie(data)
        | Map::PerCpuArray(data)
        | Map::PerCpuHashMap(data)
        | Map::PerfEventArray(data)
        | Map::ProgramArray(data)
        | Map::RingBuf(data)
        | Map::XskMap(data) => Some(data),
        _ => None,
    }
}

/// Whether a program is loaded.
pub fn is_loaded(ebpf: &Ebpf, name: &str) -> bool {
    fd(ebpf, name).is_ok()
}

/// Loads a program, unless it is loaded, and those that it goes on with.
///
/// # Errors
///
/// The kernel refuses a program; the error holds the verifier's last words.
pub fn require(ebpf: &mut Ebpf, features: Features, name: &str) -> Result<()> {
    if is_loaded(ebpf, name) {
        return Ok(());
    }
    load_program(ebpf, name)?;
    for (map, index, program) in further(features, name) {
        require(ebpf, features, program)?;
        put(ebpf, map, index, program)?;
    }
    Ok(())
}

/// What a program may go on with, by map and index; those lead back to it, in turn.
fn further(features: Features, name: &str) -> Vec<(&'static str, u32, &'static str)> {
    let [tc_uplink, tc_access, tc_flood] = tc_programs(features);
    let xdp = |is_native| {
        let [uplink, access, _] = xdp_programs(features, is_native);
        let map =
            if uplink == programs::XDP_UPLINK { maps::XDP_SIDES } else { maps::XDP_SIDES_ONE };
        vec![(map, sides::UPLINK, uplink), (map, sides::ACCESS, access)]
    };
    let tc = |index, program| (maps::TC_SIDES, index, program);
    let route = tc(sides::ROUTE, programs::TC_ROUTE);
    match name {
        programs::TC_ONE_ARMED => vec![tc(sides::UPLINK, tc_uplink), tc(sides::ACCESS, tc_access)],
        programs::XDP_ONE_ARMED => xdp(true),
        programs::XDP_ONE_ARMED_SINGLE => xdp(false),
        _ if name == tc_uplink => {
            let apart = tc(sides::APART_UPLINK, programs::TC_APART_UPLINK);
            vec![apart, route, tc(sides::UPLINK, tc_uplink)]
        }
        _ if name == tc_access => {
            let apart = tc(sides::APART_ACCESS, programs::TC_APART_ACCESS);
            let flood = tc(sides::FLOOD, tc_flood);
            vec![apart, route, flood, tc(sides::ACCESS, tc_access)]
        }
        _ => Vec::new(),
    }
}

/// Has a tail call with this index lead to a program.
fn put(ebpf: &mut Ebpf, map: &str, index: u32, program: &str) -> Result<()> {
    let to = fd(ebpf, program)?.try_clone()?;
    let map = ebpf.map_mut(map).with_context(|| format!("the BPF object has no map {map}"))?;
    let put = ProgramArray::try_from(map)?.set(index, &to, 0);
    put.with_context(|| format!("cannot have a tail call lead to the program {program}"))
}

/// The descriptor of a program that is loaded.
fn fd<'a>(ebpf: &'a Ebpf, name: &str) -> Result<&'a ProgramFd> {
    match ebpf.program(name) {
        Some(Program::Xdp(program)) => Ok(program.fd()?),
        Some(Program::SchedClassifier(program)) => Ok(program.fd()?),
        _ => bail!("the BPF object has no program {name}"),
    }
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
            Err(refusal(name, &io_error, &verifier_log.to_string()))
        }
        Err(error) => Err(error).with_context(|| format!("cannot load the program {name}")),
    }
}

/// What the kernel says of a program that it does not take.
fn refusal(name: &str, io_error: &std::io::Error, log: &str) -> anyhow::Error {
    anyhow!("the kernel refuses the program {name}: {io_error}\n{}", last_words(log))
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
    use std::collections::HashSet;

    use aya_obj::Object;

    use super::super::object;
    use super::*;

    /// aya (0.14) takes calls to one section of text for calls to another. The compiler makes a
    /// second one for functions that it holds to be cold.
    #[test]
    fn functions_that_programs_call_are_in_one_section() {
        let object = Object::parse(object()).unwrap();
        let sections = |keys: &mut dyn Iterator<Item = (usize, u64)>| -> HashSet<usize> {
            keys.map(|(section, _)| section).collect()
        };
        let programs = sections(&mut object.programs.values().map(aya_obj::Program::function_key));
        let all = sections(&mut object.functions.keys().copied());
        assert_eq!(all.difference(&programs).count(), 1, "{all:?}, of which {programs:?}");
    }

    #[test]
    fn a_refusal_names_the_program_and_its_reason() {
        let denied = std::io::Error::from_raw_os_error(libc::EACCES);
        let said = refusal("tc_uplink", &denied, "from 1 to 2\n7: (95) exit\nR0 !read_ok\n");
        assert_eq!(
            said.to_string(),
            "the kernel refuses the program tc_uplink: Permission denied (os error 13)\n\
             7: (95) exit\nR0 !read_ok"
        );
    }

    #[test]
    fn the_verifiers_reason_is_shown_with_the_instructions_before_it() {
        let steps: String = (0..500).map(|index| format!("{index}: (b7) r1 = {index}\n")).collect();
        let notes = "regs=200 stack=0 before 9: (71) r9 = *(u8 *)(r3 +15)\n".repeat(50);
        let words = last_words(&format!("{steps}last_idx 499 first_idx 0\n{notes}R1 is no good\n"));
        assert!(words.contains("499: (b7) r1 = 499\nR1 is no good"), "{words}");
        assert_eq!(words.lines().count(), 30);
    }
}
