//! How often a program may go two ways.
//!
//! A branch that depends on an address is guessed wrong half of the time, and behind
//! a load from memory that costs more than all the rest. The compiler makes one of
//! any arithmetic in which it recognises a comparison; a count says so by name.

use anyhow::{Context as _, Result};
use aya_obj::Object;

/// The conditional jumps of a program as the compiler wrote it, those of functions
/// that it calls apart.
///
/// # Errors
///
/// The object cannot be read or has no such program.
pub fn of(object: &[u8], program: &str) -> Result<u32> {
    let object = Object::parse(object).context("reading the BPF object")?;
    let key = object.programs.get(program).map(aya_obj::Program::function_key);
    let function = key.and_then(|key| object.functions.get(&key));
    let function = function.with_context(|| format!("no program {program} in the BPF object"))?;
    let jumps = function.instructions.iter().filter(|instruction| is_conditional(instruction.code));
    u32::try_from(jumps.count()).context("a program of that many jumps")
}

/// Of an instruction's first byte; RFC 9669, section 4.3.
fn is_conditional(opcode: u8) -> bool {
    const JMP: u8 = 0x05;
    const JMP32: u8 = 0x06;
    const JA: u8 = 0x00;
    const CALL: u8 = 0x80;
    const EXIT: u8 = 0x90;
    let (class, code) = (opcode & 0x07, opcode & 0xf0);
    matches!(class, JMP | JMP32) && !matches!(code, JA | CALL | EXIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_conditional_jumps_count() {
        // if r1 == imm, if r1 s> r2, if w1 != imm; goto, call, exit, gotol, r1 += imm.
        let conditional = [0x15, 0x6d, 0x56];
        let other = [0x05, 0x85, 0x95, 0x06, 0x07];
        assert!(conditional.into_iter().all(is_conditional));
        assert!(!other.into_iter().any(is_conditional));
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let error = of(overlay_user::dataplane::object(), "xdp_nothing").unwrap_err();
        assert!(error.to_string().contains("xdp_nothing"), "{error:#}");
    }
}
