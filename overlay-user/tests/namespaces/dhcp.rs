//! Hosts that get their addresses across a segment, from a server behind another gateway.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use overlay_testbed::{
    Netns, Process, Scratch, TwoGateways, mac_of, require_root, require_tools, wait_until,
};

use crate::harness::{EVERY_HOOK, both_ours, ping};

const TOOLS: &[&str] = &["dnsmasq", "dhclient", "ping"];
/// A client that lost its first question asks again after some seconds.
const LIMIT: Duration = Duration::from_secs(20);

/// One family's server, and the addresses that it leases.
struct Family {
    /// Of the client, too.
    option: &'static str,
    server: &'static str,
    range: &'static str,
    /// How leased addresses begin.
    leased: &'static str,
    /// What the server says when a lease is given.
    given: &'static str,
}

const V4: Family = Family {
    option: "-4",
    server: "10.0.0.1",
    range: "10.0.0.100,10.0.0.109,255.255.255.0,120",
    leased: "10.0.0.10",
    given: "DHCPACK(eth0) ",
};
const V6: Family = Family {
    option: "-6",
    server: "2001:db8::1",
    range: "2001:db8::100,2001:db8::109,64,120",
    leased: "2001:db8::10",
    given: "DHCPREPLY(eth0) ",
};

/// What the client does with a lease: no more than to use the address. That other addresses
/// are on the link is DHCP's to say for IPv4, and the router's for IPv6.
const SCRIPT: &str = "#!/bin/sh
case \"$reason\" in
BOUND) ip addr add \"$new_ip_address/$new_subnet_mask\" dev \"$interface\" ;;
BOUND6) ip -6 addr add \"$new_ip6_address/128\" dev \"$interface\" nodad ;;
esac
";

#[test]
fn hosts_get_addresses_from_a_server_behind_another_gateway() -> Result<()> {
    let name = "hosts_get_addresses_from_a_server_behind_another_gateway";
    if !require_root(name) || !require_tools(name, TOOLS) {
        return Ok(());
    }
    for modes in EVERY_HOOK {
        let testbed = TwoGateways::new()?;
        let (server, client) = (&testbed.host1, &testbed.host2);
        let ours = both_ours(&testbed, modes, modes)?;
        client.exec("ip addr flush dev eth0")?;
        let scratch = Scratch::new()?;
        server.sysctl("net.ipv6.conf.eth0.disable_ipv6", "0")?;
        server.exec(&format!("ip addr add {}/64 dev eth0 nodad", V6.server))?;
        let serving = serve(server, &scratch)?;
        // It asks for routers once it has an address of its own.
        client.sysctl("net.ipv6.conf.eth0.disable_ipv6", "0")?;
        let mac = mac_of(client, "eth0")?.map(|byte| format!("{byte:02x}")).join(":");
        wait_until("router", LIMIT, || {
            let routes = client.exec("ip -6 route show proto ra").ok()?;
            routes.contains("default via fe80::").then_some(())
        })
        .with_context(|| format!("{modes:?}: {}", serving.output()))?;
        for family in [&V4, &V6] {
            let asking = ask(client, family, &scratch)?;
            let address = lease(client, family).with_context(|| {
                let drops = ours.each_ref().map(|gateway| gateway.drops().unwrap_or_default());
                let said = (asking.output(), serving.output());
                format!("{modes:?}: {drops:?}\n{}\n{}", said.0, said.1)
            })?;
            let given = format!("{}{address} ", family.given);
            wait_until("words of the server", LIMIT, || {
                serving.output().contains(&given).then_some(())
            })
            .with_context(|| serving.output())?;
            ping(client, family.server).with_context(|| format!("{modes:?}: the server"))?;
            ping(server, &address).with_context(|| format!("{modes:?}: the client"))?;
            println!("{modes:?}: {address} for {mac}");
        }
        for gateway in &ours {
            ensure!(gateway.drops()?.is_empty(), "{modes:?}: {:?}", gateway.show("drops"));
        }
    }
    Ok(())
}

/// A server of both families, which is the IPv6 router, too.
fn serve(server: &Netns, scratch: &Scratch) -> Result<Process> {
    let leases = scratch.path().join("server.leases");
    let mut command = server.command("dnsmasq");
    command.args(["--keep-in-foreground", "--conf-file=/dev/null", "--pid-file=", "--port=0"]);
    command.args(["--user=root", "--group=root", "--interface=eth0", "--bind-interfaces"]);
    command.args(["--log-facility=-", "--log-dhcp", "--enable-ra", "--no-ping"]);
    command.arg(format!("--dhcp-leasefile={}", leases.display()));
    command.args([&V4, &V6].map(|family| format!("--dhcp-range={}", family.range)));
    let process = Process::spawn(&mut command)?;
    wait_until("DHCP server", LIMIT, || process.output().contains("started").then_some(()))
        .with_context(|| process.output())?;
    Ok(process)
}

/// A client of one family, with nothing of the machine's own configuration.
fn ask(client: &Netns, family: &Family, scratch: &Scratch) -> Result<Process> {
    let script = scratch.write("script", SCRIPT)?;
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755))?;
    let empty: PathBuf = scratch.write("client.conf", "")?;
    let leases = scratch.path().join(format!("client{}.leases", family.option));
    let mut command = client.command("dhclient");
    command.args([family.option, "-d", "--no-pid", "-cf"]).arg(empty);
    command.arg("-sf").arg(script).arg("-lf").arg(leases).arg("eth0");
    Process::spawn(&mut command)
}

/// The address that the client has used since it had a lease.
fn lease(client: &Netns, family: &Family) -> Result<String> {
    wait_until("lease", LIMIT, || {
        let shown = client.exec(&format!("ip -o {} addr show dev eth0", family.option)).ok()?;
        let mut words = shown.split_whitespace();
        let address = words.find(|word| word.starts_with(family.leased))?;
        Some(address.split('/').next()?.to_owned())
    })
}
