//! A daemon that has no descriptors left, because of others or because it may have few: it says who
//! gets no connection and what cannot be done, and makes it good once there are some.

use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use overlay_testbed::{require_root, wait_until};

use crate::api::Authority;
use crate::harness::{Overlay, TwoPorts};

const SOON: Duration = Duration::from_secs(10);
const API: &str = "127.0.0.1:8443";
const WEB: &str = "127.0.0.1:8080";

/// Lets a daemon have so many descriptors more than it has, and returns how many it might have.
pub fn leave(ours: &Overlay<'_>, more: usize) -> Result<u64> {
    let pid = ours.pid().context("no daemon")?;
    let taken: Vec<u64> = std::fs::read_dir(format!("/proc/{pid}/fd"))?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    let mut free = (0..).filter(|number| !taken.contains(number));
    let limit = free.nth(more).context("a number")?;
    allow(pid, limit)
}

/// Lets a process have so many, and returns how many it might have.
pub fn allow(pid: u32, limit: u64) -> Result<u64> {
    let mut before = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    let (pid, resource) = (pid.cast_signed(), libc::RLIMIT_NOFILE);
    // SAFETY: it writes to the structure alone.
    let asked = unsafe { libc::prlimit(pid, resource, std::ptr::null(), &raw mut before) };
    ensure!(asked == 0, "asking: {}", std::io::Error::last_os_error());
    let now = libc::rlimit { rlim_cur: limit, ..before };
    // SAFETY: it reads the structure alone.
    let set = unsafe { libc::prlimit(pid, resource, &raw const now, std::ptr::null_mut()) };
    ensure!(set == 0, "setting: {}", std::io::Error::last_os_error());
    Ok(before.rlim_cur)
}

fn says(ours: &Overlay<'_>, words: &str) -> Result<()> {
    wait_until(words, SOON, || ours.log().contains(words).then_some(())).with_context(|| ours.log())
}

#[test]
fn who_gets_no_connection_is_told_and_served_later() -> Result<()> {
    if !require_root("who_gets_no_connection_is_told_and_served_later") {
        return Ok(());
    }
    let ports = TwoPorts::new()?;
    ports.gateway.exec("ip link set lo up")?;
    let plain = ports.config("", "", "", "");
    let ours = ports.run(&plain)?;
    let directory = ours.config().parent().context("a folder")?.to_owned();
    Authority::new(&directory, "ca")?.sign(&directory, "gw1")?;
    ours.reload(&format!(
        "{plain}\n[web]\nlisten = \"{WEB}\"\n\n[api]\nlisten = \"{API}\"\n\
         certificate = \"gw1.pem\"\nkey = \"gw1.key\"\nclient_ca = \"ca.pem\"\n"
    ))?;
    let pid = ours.pid().context("no daemon")?;

    // One for the connection, and few for programs and their maps.
    let before = leave(&ours, 3)?;
    let refused = ours.run(&["trace", "--count", "1"]).err().context("there are enough")?;
    let refused = format!("{refused:#}");
    ensure!(refused.contains("frames cannot be watched: "), "{refused}");
    allow(pid, before)?;

    leave(&ours, 0)?;
    let socket = format!("/run/overlay/{}.sock", ports.gateway.name());
    let _socket = UnixStream::connect(socket)?;
    says(&ours, "the control socket takes no connection: Too many open files")?;
    let connect = |address: &str| -> Result<TcpStream> {
        let address: SocketAddr = address.parse()?;
        ports.gateway.enter(|| TcpStream::connect_timeout(&address, SOON))?.context("connecting")
    };
    let _api = connect(API)?;
    says(&ours, "[api] takes no connection: Too many open files")?;
    let _web = connect(WEB)?;
    says(&ours, "the web page takes no connection: Too many open files")?;

    allow(pid, before)?;
    ensure!(ours.run(&["status"])?.contains(ports.gateway.name()), "{}", ours.log());
    ours.run(&["show", "ports"])?;
    Ok(())
}
