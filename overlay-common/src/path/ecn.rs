//! Explicit congestion notification across a tunnel (RFC 6040).

use crate::verdict::DropReason;

/// Not ECN-capable transport.
pub const NOT_ECT: u8 = 0;
/// ECN-capable transport (1).
pub const ECT_1: u8 = 1;
/// ECN-capable transport (0).
pub const ECT_0: u8 = 2;
/// Congestion experienced.
pub const CE: u8 = 3;

/// The outer header's ECN field on the way in: normal mode copies the inner one
/// (RFC 6040, 4.1).
#[inline(always)]
pub const fn encapsulate(inner: u8) -> u8 {
    inner & 3
}

/// The inner header's ECN field on the way out (RFC 6040, 4.2, figure 4).
///
/// # Errors
///
/// [`DropReason::EcnNotCapable`] where the outer header says congestion and the
/// inner transport does not understand ECN.
#[inline(always)]
pub const fn decapsulate(outer: u8, inner: u8) -> Result<u8, DropReason> {
    match (inner & 3, outer & 3) {
        (NOT_ECT, CE) => Err(DropReason::EcnNotCapable),
        (NOT_ECT, _) => Ok(NOT_ECT),
        (CE, _) | (_, CE) => Ok(CE),
        (ECT_0, ECT_1) => Ok(ECT_1),
        (inner, _) => Ok(inner),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6040, figure 4, row by row: inner, then the result for outer Not-ECT,
    /// ECT(0), ECT(1), CE.
    const FIGURE_4: [(u8, [Option<u8>; 4]); 4] = [
        (NOT_ECT, [Some(NOT_ECT), Some(NOT_ECT), Some(NOT_ECT), None]),
        (ECT_0, [Some(ECT_0), Some(ECT_0), Some(ECT_1), Some(CE)]),
        (ECT_1, [Some(ECT_1), Some(ECT_1), Some(ECT_1), Some(CE)]),
        (CE, [Some(CE), Some(CE), Some(CE), Some(CE)]),
    ];

    #[test]
    fn decapsulation_follows_figure_4() {
        for (inner, results) in FIGURE_4 {
            for (outer, expected) in [NOT_ECT, ECT_0, ECT_1, CE].into_iter().zip(results) {
                assert_eq!(decapsulate(outer, inner).ok(), expected, "{inner} in {outer}");
            }
        }
    }

    #[test]
    fn encapsulation_copies() {
        for ecn in 0..4 {
            assert_eq!(encapsulate(ecn), ecn);
        }
    }
}
