//! The kernel's own types (BTF), for programs that read its structures.
//!
//! As far as they are asked for: by name, functions, members and enumerators. aya reads the same
//! and tells ids alone.

use std::io::ErrorKind;
use std::ops::Range;

use anyhow::{Context as _, Result, bail, ensure};

/// Where a kernel with `CONFIG_DEBUG_INFO_BTF` has them.
const PATH: &str = "/sys/kernel/btf/vmlinux";

const MAGIC: u32 = 0xeb9f;
const HEADER: usize = 24;
/// The bytes of a type, what follows some kinds apart, and of a member.
const TYPE: usize = 12;

const STRUCT: u32 = 4;
const UNION: u32 = 5;
const ENUM: u32 = 6;
const FUNC: u32 = 12;

/// All types of a kernel.
#[derive(Debug)]
pub struct Btf {
    bytes: Vec<u8>,
    /// Where each type is, from number 1 on.
    types: Vec<usize>,
    strings: Range<usize>,
}

impl Btf {
    /// Those of the running kernel; `None` where it was built without.
    ///
    /// # Errors
    ///
    /// They cannot be read, or are of a kind that is not known here.
    pub fn of_kernel() -> Result<Option<Self>> {
        match std::fs::read(PATH) {
            Ok(bytes) => Self::parse(bytes).with_context(|| format!("in {PATH}")).map(Some),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read {PATH}")),
        }
    }

    /// Reads the kernel's format (Documentation/bpf/btf.rst), in this machine's byte order.
    ///
    /// # Errors
    ///
    /// The bytes end early, or there is a type of an unknown kind.
    pub fn parse(bytes: Vec<u8>) -> Result<Self> {
        ensure!(read(&bytes, 0)? & 0xffff == MAGIC, "no BTF: it begins with another number");
        let header = read(&bytes, 4)? as usize;
        let part = |at: usize| -> Result<Range<usize>> {
            let start = header.checked_add(read(&bytes, at)? as usize);
            let len = read(&bytes, at + 4)? as usize;
            let end = start.and_then(|start| start.checked_add(len));
            let part = start.zip(end).filter(|(_, end)| header >= HEADER && *end <= bytes.len());
            part.map(|(start, end)| start..end).context("BTF ends early")
        };
        let (all, strings) = (part(8)?, part(16)?);
        let (mut types, mut at) = (Vec::new(), all.start);
        while at < all.end {
            types.push(at);
            at += TYPE + more(read(&bytes, at + 4)?)?;
        }
        ensure!(at == all.end, "a type of BTF ends early");
        Ok(Self { bytes, types, strings })
    }

    /// The id of a function.
    pub fn function(&self, name: &str) -> Option<u32> {
        self.find(FUNC, name)
    }

    /// Where a member of a structure begins, in bytes; it may stand in a nameless part. How long it
    /// is, nobody looks.
    pub fn member(&self, structure: &str, name: &str) -> Option<u32> {
        let bits = self.member_of(self.find(STRUCT, structure)?, name, DEPTH)?;
        (bits % 8 == 0).then_some(bits / 8)
    }

    /// The value of an enumerator of an enumeration.
    pub fn enumerator(&self, enumeration: &str, name: &str) -> Option<u32> {
        const ENUMERATOR: usize = 8;
        let at = self.at(self.find(ENUM, enumeration)?)?;
        let all = (0..self.count(at)?).map(|number| at + TYPE + number * ENUMERATOR);
        let mut named = all.filter(|at| self.is_named(*at, name));
        self.word(named.next()? + 4)
    }

    fn member_of(&self, id: u32, name: &str, depth: u32) -> Option<u32> {
        let at = self.at(id)?;
        let is_record = matches!(self.kind(at)?, STRUCT | UNION);
        let members = if is_record && depth > 0 { self.count(at)? } else { 0 };
        // With bit fields, their sizes stand above (`kind_flag`).
        let mask = if self.word(at + 4)? >> 31 == 0 { u32::MAX } else { 0x00ff_ffff };
        (0..members).find_map(|number| {
            let member = at + TYPE + number * TYPE;
            let start = self.word(member + 8)? & mask;
            if self.is_named(member, name) {
                return Some(start);
            }
            let is_nameless = self.word(member)? == 0;
            let within =
                is_nameless.then(|| self.member_of(self.word(member + 4)?, name, depth - 1));
            start.checked_add(within??)
        })
    }

    fn find(&self, kind: u32, name: &str) -> Option<u32> {
        let is_it = |at: &usize| self.kind(*at) == Some(kind) && self.is_named(*at, name);
        self.types.iter().position(is_it).map(|index| index as u32 + 1)
    }

    /// Whether the name of what begins there is this one.
    fn is_named(&self, at: usize, name: &str) -> bool {
        let strings = &self.bytes[self.strings.clone()];
        let told = self.word(at).and_then(|offset| strings.get(offset as usize..));
        told.is_some_and(|told| {
            told.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.first() == Some(&0))
        })
    }

    fn at(&self, id: u32) -> Option<usize> {
        self.types.get((id as usize).checked_sub(1)?).copied()
    }

    fn kind(&self, at: usize) -> Option<u32> {
        self.word(at + 4).map(kind)
    }

    fn count(&self, at: usize) -> Option<usize> {
        self.word(at + 4).map(count)
    }

    fn word(&self, at: usize) -> Option<u32> {
        read(&self.bytes, at).ok()
    }
}

/// Nameless parts within each other.
const DEPTH: u32 = 4;

const fn kind(info: u32) -> u32 {
    info >> 24 & 0x1f
}

const fn count(info: u32) -> usize {
    (info & 0xffff) as usize
}

/// The bytes that follow a type.
fn more(info: u32) -> Result<usize> {
    let each = match kind(info) {
        // Pointers, forward declarations, type definitions, qualifiers, functions, floats, tags
        // of types.
        2 | 7..=11 | FUNC | 16 | 18 => return Ok(0),
        // Integers, variables, tags of declarations.
        1 | 14 | 17 => return Ok(4),
        // Arrays.
        3 => return Ok(12),
        // Enumerations, and prototypes.
        ENUM | 13 => 8,
        // Records, sections, enumerations of 64 bits.
        STRUCT | UNION | 15 | 19 => 12,
        unknown => bail!("a type of the unknown kind {unknown}"),
    };
    Ok(count(info) * each)
}

fn read(bytes: &[u8], at: usize) -> Result<u32> {
    let word = bytes.get(at..).and_then(|rest| rest.first_chunk());
    word.map(|word| u32::from_ne_bytes(*word)).context("BTF ends early")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: &str = "\0outer\0inner\0far\0function\0side\0LEFT\0";

    fn name(wanted: &str) -> u32 {
        NAMES.find(&format!("\0{wanted}\0")).unwrap() as u32 + 1
    }

    fn btf(types: &[u32]) -> Vec<u8> {
        let len = types.len() as u32 * 4;
        let header = [MAGIC | 1 << 16, HEADER as u32, 0, len, len, NAMES.len() as u32];
        let words = header.iter().chain(types).flat_map(|word| word.to_ne_bytes());
        words.chain(NAMES.bytes()).collect()
    }

    /// A structure with a nameless one at byte 8, whose member is at its byte 4; a function; an
    /// enumeration.
    fn sample() -> Vec<u32> {
        let record = |members| STRUCT << 24 | members;
        let outer = [name("outer"), record(2), 16, name("inner"), 0, 0, 0, 2, 64];
        let nameless = [0, record(1), 8, name("far"), 0, 32];
        let function = [name("function"), FUNC << 24, 0];
        let side = [name("side"), ENUM << 24 | 1, 4, name("LEFT"), 7];
        [&outer[..], &nameless, &function, &side].concat()
    }

    #[test]
    fn what_is_asked_for_is_found_by_name() {
        let btf = Btf::parse(btf(&sample())).unwrap();
        assert_eq!(btf.function("function"), Some(3));
        assert_eq!(btf.function("outer"), None, "it is a structure");
        assert_eq!(btf.function("functio"), None);
        assert_eq!(btf.member("outer", "inner"), Some(0));
        assert_eq!(btf.member("outer", "far"), Some(12));
        assert_eq!(btf.member("outer", "near"), None);
        assert_eq!(btf.enumerator("side", "LEFT"), Some(7));
        assert_eq!(btf.enumerator("side", "RIGHT"), None);
    }

    #[test]
    fn what_is_cut_off_or_unknown_is_refused() {
        let whole = btf(&sample());
        for len in 0..whole.len() {
            Btf::parse(whole[..len].to_vec()).unwrap_err();
        }
        let error = Btf::parse(btf(&[0, 31 << 24, 0])).unwrap_err();
        assert!(error.to_string().contains("kind 31"), "{error:#}");
        Btf::parse(btf(&[0, STRUCT << 24 | 9, 0])).unwrap_err();
    }

    #[test]
    fn places_beyond_every_structure_are_none() {
        let far = u32::MAX - 7;
        let outer = [name("outer"), STRUCT << 24 | 1, 16, 0, 2, far];
        let nameless = [0, STRUCT << 24 | 1, 8, name("far"), 0, far];
        let btf = Btf::parse(btf(&[outer, nameless].concat())).unwrap();
        assert_eq!(btf.member("outer", "far"), None);
    }

    /// A nameless structure in itself, which no kernel has, ends all the same.
    #[test]
    fn a_structure_within_itself_ends() {
        let own = [name("outer"), STRUCT << 24 | 1, 16, 0, 1, 0];
        assert_eq!(Btf::parse(btf(&own)).unwrap().member("outer", "far"), None);
    }
}
