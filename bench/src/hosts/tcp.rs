//! Connections between the hosts, and what the kernel knows of them.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd as _;
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::errno::Errno;
use nix::libc;
use overlay_testbed::{Netns, TwoGateways};

/// After this long without progress a connection is given up.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// The first host's end of a connection, and the second's.
pub type Connection = (TcpStream, TcpStream);

/// A listener on the second host, and its address.
pub fn listen(host: &Netns) -> Result<(TcpListener, SocketAddr)> {
    let listener = host.enter(|| TcpListener::bind((TwoGateways::HOST2, 0)))?;
    let listener = listener.context("listening on the second host")?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// Opens connections from the first host to the second.
pub fn connections(testbed: &TwoGateways, count: usize) -> Result<Vec<Connection>> {
    let (listener, address) = listen(&testbed.host2)?;
    let connect = || TcpStream::connect_timeout(&address, PATIENCE);
    let open = || {
        let client = testbed.host1.enter(connect)?.context("connecting the hosts")?;
        let (server, _) = listener.accept().context("accepting on the second host")?;
        for end in [&client, &server] {
            end.set_read_timeout(Some(PATIENCE))?;
            end.set_write_timeout(Some(PATIENCE))?;
        }
        Ok((client, server))
    };
    (0..count).map(|_| open()).collect()
}

/// Segments that a connection has sent again.
pub fn retransmits(stream: &TcpStream) -> Result<u64> {
    // SAFETY: all zeroes are a valid `tcp_info`: it holds integers only.
    let mut info: libc::tcp_info = unsafe { std::mem::zeroed() };
    let mut length = size_of::<libc::tcp_info>() as libc::socklen_t;
    // SAFETY: the buffer is as long as `length` says, and outlives the call.
    let result = unsafe {
        libc::getsockopt(
            stream.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            (&raw mut info).cast(),
            &raw mut length,
        )
    };
    Errno::result(result).context("asking for TCP_INFO")?;
    Ok(u64::from(info.tcpi_total_retrans))
}
