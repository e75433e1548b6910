//! Changes of the configuration, by file and by command, good ones and others.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use overlay_testbed::wait_until;

use super::super::bed::Bed;

const SOON: Duration = Duration::from_secs(10);

/// Peers that nobody is, added and removed while it runs.
pub fn peers_by_command(bed: &mut Bed<'_>) -> Result<()> {
    let side = bed.side();
    let number = bed.next();
    let ours = &bed.gateways[side];
    let names: Vec<String> = (0..3).map(|one| format!("peer/p{number}-{one}")).collect();
    for (one, name) in names.iter().enumerate() {
        let vtep = format!("vtep=192.0.2.{}", 100 + (number as usize * 3 + one) % 100);
        ours.run(&["set", name, &vtep, "segments=[blue]"])?;
    }
    ours.run(&["set", &names[0], "limit={packets=1000}", "mtu=1400"])?;
    for name in &names {
        ours.run(&["unset", name])?;
    }
    Ok(())
}

/// The same by reloads; they are gone with the file that has them no more.
pub fn peers_by_reload(bed: &mut Bed<'_>) -> Result<()> {
    let side = bed.side();
    for _ in 0..2 {
        let number = bed.next();
        let peer = |one: u32| {
            let host = 100 + (number * 3 + one) % 100;
            let encap = ["vxlan", "geneve"][one as usize % 2];
            format!(
                "[[peer]]\nname = \"r{number}-{one}\"\nvtep = \"198.51.100.{host}\"\n\
                 encap = \"{encap}\"\nsegments = [\"blue\"]\n\n"
            )
        };
        let peers: String = (0..5).map(peer).collect();
        bed.gateways[side].reload(&bed.config(side, "tc", "", &peers))?;
    }
    bed.restore(side)
}

/// Segments, access lists, routers and routes that come, change and go.
pub fn segments(bed: &mut Bed<'_>) -> Result<()> {
    let side = bed.side();
    segments_of(bed, side)
}

/// The same of one gateway.
pub fn segments_of(bed: &mut Bed<'_>, side: usize) -> Result<()> {
    let number = bed.next();
    for (action, vni, length) in [("deny", 1000, 24), ("permit", 2000, 25)] {
        let inside = format!(
            "[[segment.fdb]]\nmac = \"02:00:00:00:09:09\"\npeer = \"other\"\n\n\
             [[segment.neighbour]]\nip = \"10.0.0.99\"\nmac = \"02:00:00:00:09:09\"\n\n\
             [[segment.acl]]\ndirection = \"in\"\naction = \"{action}\"\nprotocol = \"tcp\"\n\
             destination_port = {}\n\n\
             [[segment.acl]]\ndirection = \"in\"\naction = \"permit\"\n\n\
             [segment.limit]\nfloods = 100000\n\n",
            1 + number % 60_000
        );
        let behind = format!(
            "[[vrf]]\nname = \"v{number}\"\nvni = {}\n\
             [[vrf.route]]\nprefix = \"10.99.0.0/{length}\"\nkind = \"blackhole\"\n\
             [[segment]]\nname = \"s{number}\"\nvni = {}\nvrf = \"v{number}\"\n\
             router = [\"10.98.0.1/{length}\"]\n",
            vni + 5000 + number % 500,
            vni + number % 500
        );
        bed.gateways[side].reload(&bed.config(side, "tc", &inside, &behind))?;
    }
    bed.restore(side)
}

/// Files and changes with errors, of which nothing is to remain.
pub fn refused(bed: &mut Bed<'_>) -> Result<()> {
    let side = bed.side();
    let number = bed.next();
    let ours = &bed.gateways[side];
    let before = ours.run(&["show", "configuration"])?;
    let good = bed.config(side, "tc", "", "");
    for bad in [
        good.replace("vni = 100", &format!("vni = {}", (1 << 24) + number)),
        good.replace("[[peer]]", "[[pear]]"),
        format!("{good}\n[[peer]]\nname = \"x\"\nvtep = \"192.0.2.7\"\nsegments = [\"bleu\"]\n"),
        good.replace("interface = \"eth3\"", "interface = \"nonesuch\""),
        format!("{good}\n[metrics]\nlisten = \"198.51.100.1:1\"\nallow_remote = true\n"),
        "\u{0}".to_owned(),
    ] {
        ensure!(ours.reload(&bad).is_err() || bad.contains("[metrics]"), "it was taken:\n{bad}");
        let _ = ours.run(&["set", "segment/blue", &format!("vni={}", 1 << 24)]).err();
    }
    ensure!(ours.run(&["unset", "peer/nobody"]).is_err(), "nobody was removed");
    bed.restore(side)?;
    let after = bed.gateways[side].run(&["show", "configuration"])?;
    ensure!(before == after, "{before}\nbecame\n{after}");
    Ok(())
}

/// Static addresses that are loaded, unloaded and flushed.
pub fn addresses(bed: &mut Bed<'_>) -> Result<()> {
    let side = bed.side();
    let number = bed.next();
    let ours = &bed.gateways[side];
    let line = |one: u32| {
        let [a, b, c, d] = (number * 300 + one).to_be_bytes();
        format!("blue 02:08:{a:02x}:{b:02x}:{c:02x}:{d:02x} peer other\n")
    };
    let list: String = (0..300).map(line).collect();
    let file = ours.config().with_file_name("stations");
    std::fs::write(&file, &list)?;
    let path = file.to_string_lossy().into_owned();
    ours.run(&["fdb", "load", &path])?;
    if number.is_multiple_of(2) {
        ours.run(&["fdb", "unload", &path])?;
    }
    ours.run(&["fdb", "flush"])?;
    std::fs::write(&file, list + "blue 02:00 peer nobody\n")?;
    ensure!(ours.run(&["fdb", "load", &path]).is_err(), "a list with errors was taken");
    Ok(())
}

/// Listeners over TCP that come, move and go.
pub fn listeners(bed: &mut Bed<'_>) -> Result<()> {
    let side = bed.side();
    let netns = &bed.around.gateway(side).netns;
    for port in [9477, 9478] {
        let web = port + 100;
        let behind = format!(
            "[metrics]\nlisten = \"127.0.0.1:{port}\"\n[web]\nlisten = \"127.0.0.1:{web}\"\n"
        );
        bed.gateways[side].reload(&bed.config(side, "tc", "", &behind))?;
        for (port, path) in [(port, "/metrics"), (web, "/")] {
            let ask = || -> Result<String> {
                let mut stream = netns.enter(|| TcpStream::connect(("127.0.0.1", port)))??;
                stream.set_read_timeout(Some(SOON))?;
                let head = format!(
                    "GET {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nconnection: close\r\n\r\n"
                );
                stream.write_all(head.as_bytes())?;
                let mut text = String::new();
                stream.read_to_string(&mut text)?;
                ensure!(text.starts_with("HTTP/1.1 200"), "{text}");
                Ok(text)
            };
            wait_until(&format!("{path} at {port}"), SOON, || ask().ok())
                .with_context(|| format!("{:?}", ask().err()))?;
        }
    }
    bed.restore(side)
}
