//! Each reason for which a frame is dropped.

use overlay_common::abi::Hook;
use overlay_common::verdict::DropReason;
use overlay_common::wire::Mac;
use overlay_control::controller::Role;
use overlay_control::explain::Capture;

use crate::gateway::{
    AT_ETH2, AT_GW2, ETH0, ETH1, Gateway, HOST, ROUTER_MAC, USUAL, ethernet, packet, seal, step,
    tells, tunnel, udp,
};

const GW2: [u8; 4] = [192, 0, 2, 2];
const GW3: [u8; 4] = [192, 0, 2, 3];

/// Whatever the reason, its words are about this frame and these tables.
#[test]
fn every_reason_has_a_fix_that_names_something() {
    let gateway = Gateway::new(USUAL);
    let (access, underlay) = (udp(AT_GW2, 53), tunnel(GW2, 100, &udp(AT_ETH2, 53)));
    let concrete =
        ["eth0", "eth1", "02:00:00:00:00", "192.0.2.", "10.1.0.", "gw2", "blue", "62", "112"];
    for reason in DropReason::ALL {
        for (frame, ifindex) in [(&access, ETH1), (&underlay, ETH0)] {
            let told = gateway.said(frame, ifindex, Err(*reason));
            let fix = told.fix.as_deref().unwrap_or_default();
            assert_eq!(told.reason, Some(*reason));
            assert!(told.cause.len() > 20 && fix.len() > 20, "{}: {told:#?}", reason.name());
            let text = format!("{} {fix}", told.cause);
            assert!(concrete.iter().any(|word| text.contains(word)), "{}: {text}", reason.name());
            assert!(!text.contains("  "), "{}: {text}", reason.name());
            let ends = told.cause.ends_with('.') || fix.ends_with('.');
            assert!(!ends, "{}: one style: {text}", reason.name());
        }
    }
}

#[test]
fn who_may_not_tunnel_here() {
    let gateway = Gateway::new(USUAL);
    let inner = udp(AT_ETH2, 53);
    let told = gateway.at_eth0(&tunnel([192, 0, 2, 9], 100, &inner));
    let words = ["vtep = \"192.0.2.9\"", "[[peer]]", "192.0.2.2 (gw2)", "segments = [\"blue\"]"];
    tells(&told, "drop", Some(DropReason::UnknownVtep), &words);
    let told = gateway.at_eth0(&tunnel(GW2, 300, &inner));
    let words = ["peer gw2 (192.0.2.2) sends VNI 300", "100 (blue)", "vni = 300"];
    tells(&told, "drop", Some(DropReason::UnknownVni), &words);
    let told = gateway.at_eth0(&tunnel(GW3, 200, &inner));
    let words = ["VNI 200 is segment red", "segments = [\"blue\"]", "add \"red\"", "peer gw3"];
    tells(&told, "drop", Some(DropReason::VniNotPermitted), &words);
    step(&told, "admit", "may peer gw3 use red? → no");
    let told = gateway.at_eth0(&tunnel(
        GW2,
        100,
        &ethernet(Mac([2, 0, 0, 0, 0, 0x33]), AT_GW2, 0x88b5, &[0; 46]),
    ));
    tells(&told, "drop", Some(DropReason::SplitHorizon), &["gw2", "gw3", "split horizon"]);
}

#[test]
fn what_is_wrong_with_a_tunnel() {
    let gateway = Gateway::new(USUAL);
    let right = tunnel(GW2, 100, &udp(AT_ETH2, 53));
    let sum = u16::from_be_bytes([right[24], right[25]]);
    let mut frame = right.clone();
    frame[24] ^= 0xff;
    let told = gateway.at_eth0(&frame);
    let words = [&*format!("0x{sum:04x} would be right"), &format!("0x{:04x}", sum ^ 0xff00)];
    tells(&told, "drop", Some(DropReason::BadChecksum), &words);
    let mut frame = right.clone();
    frame[42] = 0;
    tells(&gateway.at_eth0(&frame), "drop", Some(DropReason::NoVniFlag), &["0x00", "gw2"]);
    let mut frame = right.clone();
    frame[38..40].copy_from_slice(&50_u16.to_be_bytes());
    tells(&gateway.at_eth0(&frame), "drop", Some(DropReason::BadLength), &["UDP 50", "gw2"]);
    let cut = &right[..right.len() - 5];
    let words = [&*format!("announces {} bytes", right.len()), &format!("has {}", cut.len())];
    tells(&gateway.at_eth0(cut), "drop", Some(DropReason::Truncated), &words);
    let short = tunnel(GW2, 100, &[2; 10]);
    let words = ["carries 10 bytes", "gw2"];
    tells(&gateway.at_eth0(&short), "drop", Some(DropReason::InnerTruncated), &words);
    let mut marked = right.clone();
    marked[15] |= 3;
    seal(&mut marked);
    let words = ["(CE)", "gw2", "10.1.0.10"];
    tells(&gateway.at_eth0(&marked), "drop", Some(DropReason::EcnNotCapable), &words);
    let mut tagged = udp(AT_ETH2, 53);
    tagged.splice(12..12, [0x81, 0, 0, 7]);
    let told = gateway.at_eth0(&tunnel(GW2, 100, &tagged));
    tells(&told, "drop", Some(DropReason::InnerVlan), &["gw2", "(7)"]);
}

#[test]
fn geneve_has_reasons_of_its_own() {
    let gateway = Gateway::new(&USUAL.replacen(
        "vtep = \"192.0.2.3\"",
        "vtep = \"192.0.2.3\"\nencap = \"geneve\"",
        1,
    ));
    let told = gateway.at_eth0(&tunnel(GW3, 100, &udp(AT_ETH2, 53)));
    let words = ["sent vxlan", "encap here is \"geneve\"", "set encap = \"vxlan\"", "gw3"];
    tells(&told, "drop", Some(DropReason::EncapMismatch), &words);
    let geneve = |header: [u8; 4]| {
        let mut frame = tunnel(GW3, 100, &udp(AT_ETH2, 53));
        frame[36..38].copy_from_slice(&6081_u16.to_be_bytes());
        frame[42..46].copy_from_slice(&header);
        gateway.at_eth0(&frame)
    };
    tells(&geneve([0x40, 0, 0x65, 0x58]), "drop", Some(DropReason::GeneveVersion), &["version 1"]);
    tells(&geneve([0, 0x40, 0x65, 0x58]), "drop", Some(DropReason::GeneveCritical), &["0x40"]);
    tells(&geneve([0, 0, 0x08, 0]), "drop", Some(DropReason::GeneveProtocol), &["0x0800", "gw3"]);
    tells(&geneve([0, 0x80, 0x65, 0x58]), "absorb", None, &[]);
    tells(&geneve([0, 0, 0x65, 0x58]), "deliver", None, &["eth2"]);
}

#[test]
fn what_access_ports_refuse() {
    let gateway = Gateway::new(USUAL);
    let group = Mac([1, 0, 0, 0, 0, 1]);
    let told = gateway.at_eth1(&ethernet(AT_GW2, group, 0x88b5, &[0; 46]));
    tells(&told, "drop", Some(DropReason::InvalidSource), &["01:00:00:00:00:01", "eth1"]);
    let bpdu = Mac([1, 0x80, 0xc2, 0, 0, 0]);
    let told = gateway.at_eth1(&ethernet(bpdu, HOST, 0x88b5, &[0; 46]));
    tells(&told, "drop", Some(DropReason::LinkLocalGroup), &["01:80:c2:00:00:00", "eth1"]);
    let mut tagged = udp(AT_GW2, 53);
    tagged.splice(12..12, [0x81, 0, 0, 30]);
    let words = ["VLAN 30 frames of eth1", "untagged (blue)", "interface = \"eth1\", vlan = 30"];
    tells(&gateway.at_eth1(&tagged), "drop", Some(DropReason::UnknownVlan), &words);
    let mut gateway = gateway;
    let port = gateway.port("eth1");
    gateway.learn(1, Mac([2, 0, 0, 0, 0, 9]), port.0);
    let told = gateway.at_eth1(&udp(Mac([2, 0, 0, 0, 0, 9]), 53));
    tells(&told, "drop", Some(DropReason::SamePort), &["02:00:00:00:00:09", "eth1"]);
    tells(&gateway.at_eth1(&[2; 9]), "drop", Some(DropReason::Truncated), &["9 bytes", "eth1"]);
}

#[test]
fn access_lists_name_the_rule() {
    let rule = "[[segment.acl]]\ndirection = \"in\"\n";
    let denied = format!("{rule}action = \"deny\"\nprotocol = \"udp\"\ndestination_port = 53\n");
    let with = |rules: &str| {
        Gateway::new(&USUAL.replacen("[[segment.fdb]]", &format!("{rules}[[segment.fdb]]"), 1))
    };
    let first = format!("{rule}action = \"permit\"\nprotocol = \"tcp\"\n");
    let gateway = with(&format!("{first}{denied}"));
    let told = gateway.at_eth1(&udp(AT_GW2, 53));
    let words = [
        "rule 2 of the access list of segment blue, direction in",
        "deny udp destination_port 53",
        "protocol = \"udp\", source = \"10.1.0.10/32\", destination = \"10.1.0.20/32\"",
        "destination_port = 53",
    ];
    tells(&told, "drop", Some(DropReason::AclDenied), &words);
    step(&told, "police", "access list of blue, in → rule 2: deny udp");
    let told = gateway.at_eth1(&udp(AT_GW2, 54));
    let words = ["no rule of the access list of segment blue", "its default is to deny", "= 54"];
    tells(&told, "drop", Some(DropReason::AclDenied), &words);
    // What is said to do does it.
    let permit = format!(
        "{rule}action = \"permit\"\nprotocol = \"udp\"\nsource = \
                          \"10.1.0.10/32\"\ndestination = \"10.1.0.20/32\"\ndestination_port = 53\n"
    );
    let told = with(&format!("{first}{permit}{denied}")).at_eth1(&udp(AT_GW2, 53));
    tells(&told, "transmit", None, &["gw2"]);
}

#[test]
fn source_guard_names_who_is_bound() {
    let host = "interface = \"eth1\"\n[[segment.port.host]]\nmac = \"02:00:00:00:00:01\"\nip = [\"10.1.0.11\"]\n";
    let gateway = Gateway::new(&USUAL.replacen("interface = \"eth1\"\n", host, 1));
    let told = gateway.at_eth1(&udp(AT_GW2, 53));
    let words = [
        "02:00:00:00:00:01 with 10.1.0.10 may not send from port eth1",
        "bound there: 02:00:00:00:00:01 with 10.1.0.11",
        "ip = [...]",
    ];
    tells(&told, "drop", Some(DropReason::SourceGuard), &words);
    let stranger = ethernet(
        AT_GW2,
        Mac([2, 0, 0, 0, 0, 5]),
        0x0800,
        &packet([10, 1, 0, 5], [10, 1, 0, 9], 7, 9),
    );
    let words =
        ["add [[segment.port.host]] with mac = \"02:00:00:00:00:05\" and ip = [\"10.1.0.5\"]"];
    tells(&gateway.at_eth1(&stranger), "drop", Some(DropReason::SourceGuard), &words);
}

#[test]
fn limits_name_which_one() {
    let limit = "interface = \"eth1\"\n[segment.port.limit]\npackets = 1\nfloods = 1\n";
    let gateway = Gateway::new(&USUAL.replacen("interface = \"eth1\"\n", limit, 1));
    let key = overlay_common::abi::PolicerKey::source(overlay_common::abi::Target::port(
        gateway.port("eth1").0,
    ));
    let second = 1_000_000_000;
    let charge = overlay_common::abi::Charge { packets: 1, bytes: 60, is_flood: true };
    gateway.tables.police_at(&key, charge, second).expect("the first passes");
    let frame = udp(AT_GW2, 53);
    let capture = Capture::new(&frame, ETH1, Role::Access, Hook::Tc);
    let words = ["port eth1 is over limit.packets = 1", "raise limit.packets = 1 of port eth1"];
    tells(&gateway.explain_at(&capture, second), "drop", Some(DropReason::Policed), &words);
    tells(&gateway.explain_at(&capture, 3 * second), "transmit", None, &[]);
    let flood = udp(Mac::BROADCAST, 53);
    let capture = Capture::new(&flood, ETH1, Role::Access, Hook::Tc);
    let words = ["port eth1 is over limit.floods = 1", "flooded packets a second"];
    tells(&gateway.explain_at(&capture, second), "drop", Some(DropReason::Storm), &words);
}

#[test]
fn what_routers_refuse() {
    let mut gateway = Gateway::new(USUAL);
    let port = gateway.port("eth1");
    gateway.learn(1, HOST, port.0);
    let to = |to: [u8; 4], ttl: u8| {
        let mut frame = ethernet(ROUTER_MAC, HOST, 0x0800, &packet([10, 1, 0, 10], to, 7, 20));
        frame[22] = ttl;
        seal(&mut frame);
        frame
    };
    let told = gateway.at_eth1(&to([10, 7, 0, 1], 64));
    let words = ["VRF tenant has no route to 10.7.0.1", "[[vrf.route]]", "vrf tenant"];
    tells(&told, "drop", Some(DropReason::NoRoute), &words);
    assert!(told.outputs.len() == 1, "its sender is told: {told:#?}");
    let told = gateway.at_eth1(&to([10, 9, 0, 1], 64));
    tells(&told, "drop", Some(DropReason::NoRoute), &["10.9.0.0/16", "unreachable"]);
    let told = gateway.at_eth1(&to([10, 2, 0, 9], 1));
    tells(&told, "drop", Some(DropReason::TtlExceeded), &["TTL 1", "10.2.0.9", "traceroute"]);
    let mut broken = to([10, 2, 0, 9], 64);
    broken[24] ^= 1;
    let told = gateway.at_eth1(&broken);
    tells(&told, "drop", Some(DropReason::NotRoutable), &["checksum is 0x", "segment blue"]);
    let told = gateway.at_eth1(&to([10, 2, 0, 9], 64));
    let words =
        ["10.2.0.9 in segment red is not known", "ip = \"10.2.0.9\"", "[[segment.neighbour]]"];
    tells(&told, "wait", Some(DropReason::NeighbourUnresolved), &words);
    let told = gateway.at_eth1(&to([10, 1, 0, 1], 64));
    tells(&told, "answer", None, &[]);
}
