//! Stations that appear, move, ask, and are heard of no more.

use anyhow::{Context, Result, ensure};
use overlay_testbed::TwoGateways;
use overlay_testbed::frame::{BROADCAST, arp_request};

use super::super::bed::Bed;
use crate::harness::{marked, octets};

/// How many appear, or move, at once.
const CROWD: u32 = 150;
const NOBODY: [u8; 6] = [2, 0, 0, 0, 0xee, 0xee];

fn station(number: u32) -> [u8; 6] {
    let [a, b, c, d] = number.to_be_bytes();
    [2, 7, a, b, c, d]
}

/// New stations at both gateways, which speak to somebody who is not there, and to everybody.
pub fn appear(bed: &mut Bed<'_>) -> Result<()> {
    for _ in 0..CROWD {
        let (side, number) = (bed.side(), bed.next());
        let to = if number.is_multiple_of(8) { BROADCAST } else { NOBODY };
        bed.crowds[side].send(&marked(to, station(number), "new"))?;
    }
    Ok(())
}

/// The same stations at one gateway, and then at the other.
pub fn move_over(bed: &mut Bed<'_>) -> Result<()> {
    let from = bed.side();
    let to = 1 - from;
    let first = bed.next();
    let all: Vec<u32> = std::iter::once(first).chain((1..CROWD).map(|_| bed.next())).collect();
    for side in [from, to] {
        for number in &all {
            bed.crowds[side].send(&marked(BROADCAST, station(*number), "here"))?;
        }
        let (last, here) = (station(first), &bed.gateways[side]);
        here.wait_for_mac("blue", last, "eth2").context("where it speaks")?;
        bed.gateways[1 - side].wait_for_mac("blue", last, "other").context("from afar")?;
    }
    Ok(())
}

/// Questions for hosts that are known, and for others, by stations with an IP address.
pub fn ask(bed: &mut Bed<'_>) -> Result<()> {
    let side = bed.side();
    for _ in 0..CROWD / 2 {
        let number = bed.next();
        let [_, _, c, d] = number.to_be_bytes();
        let known = number.is_multiple_of(2);
        let wanted = if known { octets(TwoGateways::HOST2) } else { [10, 0, 200, d] };
        let asks = arp_request(station(number), [10, 0, 100 + c % 100, d], wanted);
        bed.crowds[side].send(&asks)?;
    }
    bed.around.host(side).exec("ip neigh flush all")?;
    let other = [TwoGateways::HOST2, TwoGateways::HOST1][side];
    ensure!(crate::harness::answers(bed.around.host(side), other), "{other} does not answer");
    Ok(())
}
