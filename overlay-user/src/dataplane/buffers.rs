//! Whether an XDP frame goes on in further buffers: read from the kernel's own structure, where a
//! program may, rather than asked of a helper: that takes 20 ns, where a frame that is not the overlay's
//! takes 80 in all.
//!
//! Programs leave two instructions open for it ([`FURTHER_BUFFERS`]). As built, they have each
//! frame asked about. aya resolves no kernel functions, so they are written here.

use std::sync::OnceLock;

use anyhow::{Context as _, Result, ensure};
use overlay_common::abi::FURTHER_BUFFERS;

use super::btf::Btf;
use super::sys::{instruction, instruction_at};

/// Two instructions: with the context in `r1`, they leave a number in `r0` that is odd where there
/// may be further buffers.
pub type Look = [u64; 2];

/// As programs are built: the number is odd.
pub const ASK: Look = [instruction(MOV_IMM, 0, FURTHER_BUFFERS), instruction(MOV, 0, 0)];

const MOV_IMM: u8 = 0xb7;
const MOV: u8 = 0xbf;
const CALL: u8 = 0x85;
const LOAD_WORD: u8 = 0x61;
/// A call's source register where it is of a kernel function.
const KERNEL_FUNCTION: u8 = 2 << 4;

/// What reads `flags` of the kernel's `struct xdp_buff`, which a context can be cast to (Linux 6.2,
/// commit fd264ca02094). `None` where this kernel's types do not have that, or it tells none.
///
/// # Errors
///
/// Its types cannot be read.
pub fn look() -> Result<Option<Look>> {
    // Several megabytes of them, which stay what they are.
    static LOOK: OnceLock<Option<Look>> = OnceLock::new();
    if let Some(look) = LOOK.get() {
        return Ok(*look);
    }
    let look = Btf::of_kernel()?.as_ref().and_then(look_by);
    Ok(*LOOK.get_or_init(|| look))
}

fn look_by(btf: &Btf) -> Option<Look> {
    let cast = btf.function("bpf_cast_to_kern_ctx")?;
    let flags = btf.member("xdp_buff", "flags")?;
    if btf.enumerator("xdp_buff_flags", "XDP_FLAGS_HAS_FRAGS") != Some(1) {
        return None;
    }
    let cast = instruction(CALL, KERNEL_FUNCTION, cast.cast_signed());
    Some([cast, instruction_at(LOAD_WORD, 0, i16::try_from(flags).ok()?)])
}

/// The BPF object with this look in each of its programs for several buffers.
///
/// # Errors
///
/// The object does not have the open instructions.
pub fn with(object: &[u8], look: Look) -> Result<Vec<u8>> {
    let mut object = object.to_vec();
    let [ask, look] = [ASK, look].map(|pair| pair.map(u64::to_le_bytes).concat());
    let places: Vec<_> = places(&object, &ask).collect();
    ensure!(!places.is_empty(), "the BPF object asks nowhere for further buffers");
    for at in places {
        let place = object.get_mut(at..at + ask.len()).context("beyond the BPF object")?;
        place.copy_from_slice(&look);
    }
    Ok(object)
}

fn places(object: &[u8], wanted: &[u8]) -> impl Iterator<Item = usize> {
    let windows = object.chunks_exact(8).zip(object.chunks_exact(8).skip(1));
    let is_there = move |(first, second): (&[u8], &[u8])| [first, second].concat() == wanted;
    windows.enumerate().filter(move |(_, pair)| is_there(*pair)).map(|(index, _)| index * 8)
}

#[cfg(test)]
mod tests {
    use super::super::object;
    use super::*;

    #[test]
    fn each_program_for_several_buffers_has_one_place() {
        const PROGRAMS: usize = 3;
        let ask = ASK.map(u64::to_le_bytes).concat();
        assert_eq!(places(object(), &ask).count(), PROGRAMS);
        let look = [instruction(CALL, KERNEL_FUNCTION, 7), instruction_at(LOAD_WORD, 0, 52)];
        let looking = with(object(), look).unwrap();
        assert_eq!(looking.len(), object().len());
        assert_eq!(places(&looking, &ask).count(), 0);
        let changed = looking.iter().zip(object()).filter(|(new, old)| new != old).count();
        assert!(changed <= PROGRAMS * 16, "{changed} bytes");
    }

    #[test]
    fn an_object_without_a_place_is_refused() {
        let error = with(&[0; 64], ASK).unwrap_err();
        assert!(error.to_string().contains("further buffers"), "{error}");
    }
}
