//! The addresses: as many as are wanted, in no order, each behind one of a few
//! peers.

use std::fmt::Write as _;

/// The segment's name.
pub const SEGMENT: &str = "blue";
/// How many peers there are, numbered from [`FIRST_PEER`].
pub const PEERS: usize = 4;
/// The last byte of the first peer's VTEP.
pub const FIRST_PEER: usize = 2;

/// The network of every VTEP.
pub const NETWORK: &str = "192.0.2";

/// An odd number: multiplying with it reorders the numbers below a power of two.
const ODD: u64 = 0x9e37_79b9_7f4a_7c15;

/// An address, different for each number.
pub fn mac(number: usize) -> String {
    let mixed = (number as u64).wrapping_mul(ODD);
    let [.., a, b, c, d, e] = (mixed & 0xff_ffff_ffff).to_be_bytes();
    format!("02:{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}")
}

/// The number of the peer that an address is behind.
pub fn peer(number: usize) -> usize {
    FIRST_PEER + number % PEERS
}

/// As `overlay fdb load` reads them.
pub fn list(count: usize) -> String {
    lines(count, |text, number| writeln!(text, "{SEGMENT} {} peer gw{}", mac(number), peer(number)))
}

/// As `bridge -batch` reads them.
pub fn batch(count: usize, device: &str) -> String {
    lines(count, |text, number| {
        let (mac, peer) = (mac(number), peer(number));
        writeln!(text, "fdb add {mac} dev {device} self dst {NETWORK}.{peer}")
    })
}

/// A gateway's configuration with this many static addresses. `moved`: the peer of
/// one of them is another.
pub fn config(name: &str, count: usize, moved: bool) -> String {
    let mut text = format!(
        "[node]\nname = \"{name}\"\nvtep = \"{NETWORK}.1\"\n\n[[uplink]]\ninterface = \"eth0\"\n\n\
         [[segment]]\nname = \"{SEGMENT}\"\nvni = 100\n\n[[segment.port]]\ninterface = \"eth1\"\n"
    );
    text += &lines(count, |text, number| {
        let peer = peer(number + usize::from(moved && number == count / 2));
        writeln!(text, "\n[[segment.fdb]]\nmac = \"{}\"\npeer = \"gw{peer}\"", mac(number))
    });
    for peer in FIRST_PEER..FIRST_PEER + PEERS {
        text += &format!(
            "\n[[peer]]\nname = \"gw{peer}\"\nvtep = \"{NETWORK}.{peer}\"\n\
             segments = [\"{SEGMENT}\"]\n"
        );
    }
    text
}

fn lines(count: usize, line: impl Fn(&mut String, usize) -> std::fmt::Result) -> String {
    let mut text = String::new();
    for number in 0..count {
        // A string takes whatever is written to it.
        let _ = line(&mut text, number);
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use overlay_control::config::Config;

    use super::*;

    #[test]
    fn addresses_are_different_and_in_no_order() {
        let all: Vec<String> = (0..10_000).map(mac).collect();
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
        assert!(!all.is_sorted());
    }

    #[test]
    fn two_configurations_differ_in_one_address() {
        let parse = |moved| Config::parse(&config("gw", 100, moved), "bench").expect("valid");
        let (before, after) = (parse(false), parse(true));
        let pairs = before.segments[0].fdb.iter().zip(&after.segments[0].fdb);
        assert_eq!(pairs.filter(|(before, after)| before != after).count(), 1);
    }
}
