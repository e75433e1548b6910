//! Ways out: who gets a frame, and what stands in its way.

use overlay_common::abi::Hook;
use overlay_common::verdict::DropReason;
use overlay_common::wire::Mac;
use overlay_control::controller::Role;
use overlay_control::explain::Capture;

use crate::gateway::{
    AT_ETH2, AT_GW2, ETH0, ETH1, Gateway, HOP, HOST, ROUTER_MAC, USUAL, ethernet, packet, seal,
    step, tells, tunnel, udp,
};

const GW2: [u8; 4] = [192, 0, 2, 2];

#[test]
fn a_frame_to_a_peer_is_told_stage_by_stage() {
    let gateway = Gateway::new(USUAL);
    let told = gateway.at_eth1(&udp(AT_GW2, 53));
    tells(&told, "transmit", None, &["sent to peer gw2 out of eth0"]);
    assert_eq!(told.fix, None);
    let stages: Vec<&str> = told.steps.iter().map(|step| step.stage.name()).collect();
    assert_eq!(stages, ["classify", "resolve", "encap", "learn", "transmit"]);
    step(&told, "classify", "eth1, untagged → segment blue, VNI 100");
    step(&told, "resolve", "02:00:00:00:00:77 in blue → peer gw2 (192.0.2.2), static");
    step(&told, "encap", "ready, takes IP packets of 1450 bytes");
    step(&told, "learn", "new: is learnt");
    let [output] = &told.outputs[..] else { panic!("{told:#?}") };
    assert_eq!((&*output.interface, output.peer.as_deref()), ("eth0", Some("gw2")));
    assert!(output.line.contains("192.0.2.1 → 192.0.2.2, UDP"), "{output:?}");
    assert!(output.inner.as_ref().is_some_and(|inner| inner.contains("vxlan VNI 100")));
    assert_eq!(output.bytes[50..], udp(AT_GW2, 53), "the frame itself is in the tunnel");
}

#[test]
fn a_tunnel_is_told_stage_by_stage() {
    let gateway = Gateway::new(USUAL);
    let told = gateway.at_eth0(&tunnel(GW2, 100, &udp(AT_ETH2, 53)));
    tells(&told, "deliver", None, &["delivered out of eth2"]);
    let stages: Vec<&str> = told.steps.iter().map(|step| step.stage.name()).collect();
    let whole = ["classify", "admit", "admit", "resolve", "decap", "deliver", "learn", "deliver"];
    assert_eq!(stages, whole, "{told:#?}");
    step(&told, "classify", "tunnel from 192.0.2.2, UDP port 4789 → peer gw2, vxlan");
    step(
        &told,
        "deliver",
        "port eth2 vlan 10 → up, takes IP packets of 1500 bytes, tagged with VLAN 10",
    );
    assert_eq!(told.outputs[0].bytes[12..16], [0x81, 0, 0, 10]);
    let foreign = gateway.at_eth0(&udp(AT_ETH2, 53));
    tells(&foreign, "pass", None, &["192.0.2.1"]);
}

#[test]
fn a_flood_says_who_gets_a_copy_and_who_not() {
    let mut gateway = Gateway::new(USUAL);
    gateway.next_hop([192, 0, 2, 3].into(), None);
    let told = gateway.at_eth1(&udp(Mac::BROADCAST, 53));
    tells(&told, "flood", None, &["2 copies"]);
    step(&told, "resolve", "ff:ff:ff:ff:ff:ff in blue → broadcast");
    step(&told, "flood", "port eth2 vlan 10 → a copy");
    step(&told, "flood", "peer gw2 (192.0.2.2) → a copy");
    step(&told, "flood", "port eth1 → none: it came from there");
    let [missed] = &told.missed[..] else { panic!("{told:#?}") };
    assert_eq!(missed.reason, DropReason::PeerUnresolved);
    assert!(
        missed.advice.cause.contains("next hop 192.0.2.3 does not answer on eth0"),
        "{missed:?}"
    );
    assert!(missed.advice.fix.contains("ip neigh replace 192.0.2.3 lladdr MAC dev eth0"));
    assert_eq!(told.fix.as_ref(), Some(&missed.advice.fix));
}

#[test]
fn a_flood_that_nobody_gets_is_a_drop() {
    let alone = "[[segment]]\nname = \"blue\"\nvni = 100\n[[segment.port]]\ninterface = \"eth1\"\n";
    let told = Gateway::new(alone).at_eth1(&udp(Mac::BROADCAST, 53));
    tells(&told, "drop", Some(DropReason::NoReceiver), &["segment blue", "[[segment.port]]"]);
    let down = format!("{alone}[[segment.port]]\ninterface = \"eth2\"\n");
    let mut gateway = Gateway::new(&down);
    gateway.link("eth2", ETH1 + 1, false);
    let told = gateway.at_eth1(&udp(Mac::BROADCAST, 53));
    let mend = ["eth2 is down", "`ip link set eth2 up`", "other end"];
    tells(&told, "drop", Some(DropReason::NoReceiver), &mend);
}

#[test]
fn more_peers_than_the_kernel_sends_to_get_theirs_from_user_space() {
    let peers = (2..=80).map(|i| {
        format!("[[peer]]\nname = \"p{i}\"\nvtep = \"192.0.2.{i}\"\nsegments = [\"blue\"]\n")
    });
    let blue = "[[segment]]\nname = \"blue\"\nvni = 100\n[[segment.port]]\ninterface = \"eth1\"\n";
    let gateway = Gateway::new(&(blue.to_owned() + &peers.collect::<String>()));
    let told = gateway.at_eth1(&udp(Mac::BROADCAST, 53));
    tells(&told, "flood", None, &["79 copies"]);
    let mut peers: Vec<_> = told.outputs.iter().filter_map(|output| output.peer.clone()).collect();
    peers.sort_unstable();
    peers.dedup();
    assert_eq!(peers.len(), 79, "each peer has one");
    step(&told, "punt", "user space sends");
}

#[test]
fn a_flood_to_very_many_is_followed_to_some_of_them() {
    let peers = (0..400).map(|i| {
        let (third, fourth) = (i / 200, i % 200 + 2);
        format!(
            "[[peer]]\nname = \"p{i}\"\nvtep = \"192.0.{third}.{fourth}\"\nsegments = [\"blue\"]\n"
        )
    });
    let blue = "[[segment]]\nname = \"blue\"\nvni = 100\n[[segment.port]]\ninterface = \"eth1\"\n";
    let gateway = Gateway::new(&(blue.to_owned() + &peers.collect::<String>()));
    let told = gateway.at_eth1(&udp(Mac::BROADCAST, 53));
    tells(&told, "flood", None, &["320 copies"]);
    assert!(told.notes[0].contains("336 receivers, of which the first 256"), "{told:#?}");
}

#[test]
fn a_peer_without_a_way_says_what_is_missing() {
    let mut gateway = Gateway::new(USUAL);
    gateway.next_hop(GW2.into(), None);
    let told = gateway.at_eth1(&udp(AT_GW2, 53));
    let words =
        ["peer gw2 (192.0.2.2): next hop 192.0.2.2 does not answer on eth0", "ip neigh replace"];
    tells(&told, "wait", Some(DropReason::PeerUnresolved), &words);
    gateway.next_hop(GW2.into(), Some(HOP));
    tells(&gateway.at_eth1(&udp(AT_GW2, 53)), "transmit", None, &[]);
    gateway.link("eth0", ETH0, false);
    let told = gateway.at_eth1(&udp(AT_GW2, 53));
    let words = ["uplink eth0 is down", "ip link set eth0 up"];
    tells(&told, "wait", Some(DropReason::PeerUnresolved), &words);
    gateway.link("eth0", ETH0, true);
    gateway.controller.handle_next_hops(GW2.into(), Vec::new(), gateway.now);
    gateway.link("eth0", ETH0, true);
    let told = gateway.at_eth1(&udp(AT_GW2, 53));
    tells(
        &told,
        "wait",
        Some(DropReason::PeerUnresolved),
        &["no route to 192.0.2.2", "ip route get"],
    );
}

#[test]
fn a_port_that_is_down_says_so() {
    let mut gateway = Gateway::new(USUAL);
    gateway.link("eth2", ETH1 + 1, false);
    let told = gateway.at_eth1(&udp(AT_ETH2, 53));
    let words =
        ["02:00:00:00:00:22 is behind port eth2 vlan 10, and eth2 is down", "ip link set eth2 up"];
    tells(&told, "drop", Some(DropReason::PortDown), &words);
    gateway.controller.handle_link_gone("eth2", gateway.now);
    gateway.link("eth1", ETH1, true);
    let told = gateway.at_eth1(&udp(AT_ETH2, 53));
    tells(&told, "drop", Some(DropReason::PortDown), &["eth2 does not exist"]);
}

#[test]
fn what_is_too_big_says_which_mtu_and_how_large() {
    let gateway = Gateway::new(USUAL);
    let long = |to| ethernet(to, HOST, 0x0800, &packet([10, 1, 0, 10], [10, 1, 0, 20], 7, 1472));
    let told = gateway.at_eth1(&long(AT_GW2));
    let words = [
        "the packet has 1500 bytes, and the way to peer gw2 (192.0.2.2) takes 1450",
        "uplink eth0 has MTU 1500",
        "ip link set dev eth0 mtu 1550",
    ];
    tells(&told, "answer", Some(DropReason::TooBig), &words);
    step(&told, "answer", "its sender is told what fits");
    assert_eq!(told.outputs[0].interface, "eth1", "the PTB goes back: {told:#?}");
    // That may be cut up, and is.
    let mut may_be_cut = long(AT_GW2);
    may_be_cut[20] = 0;
    seal(&mut may_be_cut);
    let told = gateway.at_eth1(&may_be_cut);
    tells(&told, "transmit", None, &["gw2"]);
    assert_eq!(told.outputs.len(), 2, "two fragments: {told:#?}");
    assert!(told.outputs.iter().all(|output| output.bytes.len() <= 1514), "{told:#?}");
    step(&told, "punt", "part 1 of 2");
    // Nobody is told of what is not IP.
    let told = gateway.at_eth1(&ethernet(AT_GW2, HOST, 0x88b5, &[0; 1500]));
    tells(&told, "drop", Some(DropReason::TooBig), &["1500 bytes", "takes 1450", "eth0"]);
    let told = gateway.at_eth1(&ethernet(AT_ETH2, HOST, 0x88b5, &[0; 1600]));
    tells(&told, "drop", Some(DropReason::TooBig), &["port eth2 vlan 10 takes 1500", "mtu 1600"]);
    let narrow = USUAL.replacen("vtep = \"192.0.2.2\"", "vtep = \"192.0.2.2\"\nmtu = 1400", 1);
    let told = Gateway::new(&narrow).at_eth1(&long(AT_GW2));
    let words = ["takes 1350", "mtu = 1400 of peer gw2 in the configuration", "1550 or more"];
    tells(&told, "answer", Some(DropReason::TooBig), &words);
}

#[test]
fn a_full_fdb_says_so_where_a_station_is_unknown() {
    let node = crate::gateway::NODE.replace("vtep =", "fdb_entries = 8\nvtep =");
    assert!(node.contains("fdb_entries"));
    let text = USUAL.replacen(
        "interface = \"eth1\"\n",
        "interface = \"eth1\"\n[segment.port.limit]\nmacs = 1\n",
        1,
    );
    let mut gateway = Gateway::new(&text);
    let port = gateway.port("eth1");
    gateway.learn(1, Mac([2, 0, 0, 0, 0, 9]), port.0);
    let told = gateway.at_eth1(&udp(Mac([2, 0, 0, 0, 0, 0x99]), 53));
    tells(
        &told,
        "flood",
        None,
        &[
            "02:00:00:00:00:99 is not in the FDB of blue and cannot be learnt",
            "port eth1 has 1 learnt addresses, and its limit.macs is 1",
            "raise limit.macs = 1 of port eth1",
        ],
    );
    step(&told, "learn", "not learnt: port eth1 has 1 learnt addresses");
}

#[test]
fn a_packet_is_followed_from_segment_to_segment() {
    let neighbour = "[[segment.neighbour]]\nip = \"10.2.0.9\"\nmac = \"02:00:00:00:00:88\"\n\
                     [[segment.fdb]]\nmac = \"02:00:00:00:00:88\"\npeer = \"gw2\"\n\n[[peer]]\nname = \"gw2\"";
    let gateway = Gateway::new(&USUAL.replacen("[[peer]]\nname = \"gw2\"", neighbour, 1));
    let frame = ethernet(ROUTER_MAC, HOST, 0x0800, &packet([10, 1, 0, 10], [10, 2, 0, 9], 7, 20));
    let told = gateway.at_eth1(&frame);
    tells(&told, "transmit", None, &["gw2"]);
    step(&told, "resolve", "the segment's router");
    step(&told, "route", "the router of blue → VRF tenant");
    step(&told, "route", "10.2.0.9 in VRF tenant → 10.2.0.0/24: connected, segment red");
    step(&told, "route", "next hop 10.2.0.9 in red → 02:00:00:00:00:88");
    step(&told, "route", "02:00:00:00:00:88 in red → peer gw2 (192.0.2.2), static");
    assert!(told.outputs[0].inner.as_ref().is_some_and(|inner| inner.contains("VNI 200")));
    // From a peer as well.
    let told = gateway.at_eth0(&tunnel(GW2, 100, &frame));
    tells(&told, "transmit", None, &["gw2"]);
}

#[test]
fn what_xdp_leaves_to_tc_is_followed() {
    let gateway = Gateway::new(USUAL);
    let frame = udp(Mac::BROADCAST, 53);
    let told = gateway.explain(&Capture::new(&frame, ETH1, Role::Access, Hook::Xdp));
    tells(&told, "flood", None, &["3 copies"]);
    step(&told, "defer", "left untouched to tc");
    let classified = told.steps.iter().filter(|step| step.stage.name() == "classify").count();
    assert_eq!(classified, 1, "told once: {told:#?}");
}

#[test]
fn arp_is_answered_where_the_answer_is_known() {
    let known =
        "[[segment.neighbour]]\nip = \"10.1.0.22\"\nmac = \"02:00:00:00:00:22\"\n[[segment.fdb]]";
    let gateway = Gateway::new(&USUAL.replacen("[[segment.fdb]]", known, 1));
    let ask = |ip: [u8; 4]| {
        let head = [0, 1, 8, 0, 6, 4, 0, 1];
        let arp = [&head[..], &HOST.0, &[10, 1, 0, 10], &[0; 6], &ip].concat();
        ethernet(Mac::BROADCAST, HOST, 0x0806, &arp)
    };
    // The asker has to be known first: that is news, and the question goes to everybody.
    let told = gateway.at_eth1(&ask([10, 1, 0, 22]));
    tells(&told, "flood", None, &[]);
    step(&told, "learn", "taken into the neighbour table");
    let both = USUAL.replacen(
        "[[segment.fdb]]",
        &format!("[[segment.neighbour]]\nip = \"10.1.0.10\"\nmac = \"02:00:00:00:00:01\"\n{known}"),
        1,
    );
    let told = Gateway::new(&both).at_eth1(&ask([10, 1, 0, 22]));
    tells(&told, "answer", None, &["out of eth1"]);
    step(&told, "answer", "whose is 10.1.0.22 in blue? → 02:00:00:00:00:22");
}
