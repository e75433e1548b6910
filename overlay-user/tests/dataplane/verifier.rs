//! What verifying a program costs, on kernels that keep no count of it: the verifier's
//! own statistics, for the very instructions and maps of a program that is loaded.

use std::collections::{HashMap, HashSet};
use std::os::fd::{AsFd as _, AsRawFd as _, RawFd};

use anyhow::{Context as _, Result, ensure};
use aya::maps::{MapFd, MapInfo};
use aya::programs::{Program, ProgramInfo};
use aya_obj::Object;
use aya_obj::btf::FuncSecInfo;
use overlay_user::dataplane::sys::{Functions, Kind, load_with_statistics};
use overlay_user::dataplane::{Dataplane, object_for};

/// Loads a program once more and returns how many instructions the verifier went through.
/// For programs without callbacks, which need more than instructions.
pub fn instructions_by_log(dataplane: &mut Dataplane, name: &str) -> Result<u32> {
    let program = dataplane.program(name)?;
    let (kind, info) = match program {
        Program::Xdp(program) => (Kind::Xdp, program.info()?),
        Program::SchedClassifier(program) => (Kind::Tc, program.info()?),
        _ => anyhow::bail!("{name} is of another type"),
    };
    // Open until the program is loaded, which names them by their descriptors.
    let maps = maps_of(&info)?;
    let object = object_for(dataplane.features())?;
    let (instructions, records) = linked(&object, name, &maps)?;
    let functions = Functions {
        btf: info.btf_id().context("a program without BTF")?,
        records: &records.func_info_bytes(),
        count: records.func_info.len() as u32,
    };
    let (_program, log) = load_with_statistics(kind, &instructions, functions)
        .with_context(|| format!("loading {name} once more"))?;
    let count = log.lines().find_map(|line| line.strip_prefix("processed "));
    let count = count.and_then(|line| line.split(' ').next()?.parse().ok());
    count.with_context(|| format!("no statistics in the verifier's log: {log}"))
}

/// The maps that a program uses, by name.
fn maps_of(info: &ProgramInfo) -> Result<HashMap<String, MapFd>> {
    let ids = info.map_ids()?.context("the kernel does not tell a program's maps")?;
    ids.into_iter()
        .map(|id| {
            let info = MapInfo::from_id(id)?;
            let name = info.name_as_str().context("a map without a name")?.to_owned();
            Ok((name, info.fd()?))
        })
        .collect()
}

/// A program's instructions, with its functions behind it and its maps filled in, and which
/// functions these are.
fn linked(
    object: &[u8],
    name: &str,
    maps: &HashMap<String, MapFd>,
) -> Result<(Vec<u64>, FuncSecInfo)> {
    let mut object = Object::parse(object)?;
    let known = std::mem::take(&mut object.maps);
    let sections: HashSet<usize> = object.functions.keys().map(|(section, _)| *section).collect();
    // Those that this program does not use are not looked at again.
    let fd = |map: &str| maps.get(map).map_or(-1, |fd| fd.as_fd().as_raw_fd());
    let placed: Vec<(&str, RawFd, &aya_obj::Map)> =
        known.iter().map(|(map, about)| (map.as_str(), fd(map), about)).collect();
    object.relocate_maps(placed.into_iter(), &sections)?;
    object.relocate_calls(&sections)?;
    let key = object.programs.get(name).context("no such program")?.function_key();
    let function = object.functions.get(&key).context("a program without code")?;
    ensure!(!function.instructions.is_empty());
    // SAFETY: an instruction is eight bytes of plain data, and any eight bytes are a number.
    let words = function.instructions.iter().map(|i| unsafe { std::mem::transmute_copy(i) });
    Ok((words.collect(), function.func_info.clone()))
}
