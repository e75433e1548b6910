//! Configurations that do not fit the tables.

use crate::marked::{BLUE, GW2, NODE, UPLINK, refused};

#[test]
fn tables_have_an_end() {
    let mut text = format!("{NODE}fdb_entries = ¦2\n{UPLINK}{BLUE}");
    for i in 1..=3 {
        text += &format!("[[segment.fdb]]\nmac = \"02:00:00:00:00:0{i}\"\npeer = \"gw2\"\n");
    }
    let message = "the file has 3 static addresses, and this node takes 2";
    refused(&format!("{text}{GW2}"), &[(message, "make node.fdb_entries larger")]);

    let mut text = format!("{NODE}fdb_entries = ¦1\n{UPLINK}{BLUE}");
    for i in 1..=3 {
        text +=
            &format!("[[segment.neighbour]]\nip = \"10.0.0.{i}\"\nmac = \"02:00:00:00:00:01\"\n");
    }
    let message = "the file has 3 static neighbours, and this node takes 2";
    refused(&text, &[(message, "make node.fdb_entries larger")]);

    let mut text = format!("¦{NODE}{UPLINK}{BLUE}");
    let ports = overlay_common::abi::MAX_PORTS - 1;
    for i in 0..ports {
        text +=
            &format!("[[segment.port]]\ninterface = \"e{}\"\nvlan = {}\n", i / 4094, i % 4094 + 1);
    }
    let message =
        format!("the file has {} ports, uplinks included, and this node takes {ports}", ports + 1);
    refused(&text, &[(&message, "several gateways")]);
}

#[test]
fn floods_and_permissions_have_an_end() {
    let segments = 1200;
    let file = |peers: usize, lists: &dyn Fn(usize) -> Vec<usize>| {
        let mut text = format!("¦{NODE}{UPLINK}");
        for i in 0..segments {
            text += &format!("[[segment]]\nname = \"s{i}\"\nvni = {}\n", i + 1);
        }
        for i in 0..peers {
            let names: Vec<String> = lists(i).iter().map(|s| format!("\"s{s}\"")).collect();
            let vtep = format!("10.0.{}.{}", i / 250, i % 250 + 1);
            text += &format!("[[peer]]\nname = \"p{i}\"\nvtep = \"{vtep}\"\n");
            text += &format!("segments = [{}]\n", names.join(", "));
        }
        text
    };
    let all = |_| (0..segments).collect();
    refused(
        &file(437, &all),
        &[(
            "the file has 524400 receivers of floods (ports and peers of all segments), \
             and this node takes 524288",
            "several gateways",
        )],
    );
    // Every set is another one, so every permission is an entry of its own.
    let all_but_one = |i| (0..segments).filter(|s| *s != i).collect();
    refused(
        &file(437, &all_but_one).replace("10.0.", "10.1."),
        &[(
            "the file has 525163 permissions (segments of peers, equal sets counted once), \
             and this node takes 491520",
            "the same segments",
        )],
    );
}

#[test]
fn every_limit_says_what_there_is_too_much_of() {
    use overlay_common::abi::{MAX_GUARDS, MAX_ROUTES, MAX_SEGMENTS};
    let file = |rest: &str| format!("¦{NODE}{UPLINK}{rest}");
    let spread = "spread them over several gateways";
    let most = MAX_SEGMENTS as usize - 1;
    let name = |i: usize| format!("[[segment]]\nname = \"s{i}\"\nvni = {}\n", i + 1);
    let segments: String = (0..=most).map(name).collect();
    let message = format!("{} segments and VRFs with a VNI, and this node takes {most}", most + 1);
    refused(&file(&segments), &[(&format!("the file has {message}"), spread)]);

    let most = MAX_GUARDS as usize / 2;
    let ips: Vec<String> =
        (0..most).map(|i| format!("\"10.{}.{}.{}\"", i >> 16, i >> 8 & 255, i & 255)).collect();
    let host = format!("mac = \"02:00:00:00:00:01\"\nip = [{}]\n", ips.join(", "));
    let port = format!("[[segment.port]]\ninterface = \"eth1\"\n[[segment.port.host]]\n{host}");
    let message =
        format!("{} addresses of hosts behind ports, and this node takes {most}", most + 2);
    refused(&file(&format!("{BLUE}{port}")), &[(&format!("the file has {message}"), spread)]);

    let most = MAX_ROUTES as usize / 4;
    let route = |i: usize| {
        format!(
            "{{ prefix = \"10.{}.{}.{}/32\", kind = \"blackhole\" }}",
            i >> 16,
            i >> 8 & 255,
            i & 255
        )
    };
    let routes: Vec<String> = (0..=most).map(route).collect();
    let vrf = format!("[[vrf]]\nname = \"red\"\nroute = [{}]\n", routes.join(", "));
    let message = format!("{} routes, and this node takes {most}", most + 1);
    let help = "use shorter prefixes for several of them";
    refused(&file(&vrf), &[(&format!("the file has {message}"), help)]);
}
