//! The socket that the kernel is asked over. Where it fails, which takes a kernel without memory or
//! a datagram that cannot be sent, all that waits for an answer is told that there is no more to
//! come: what was read may be cut short, and what was asked for not done.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, Result};
use rtnetlink::Handle;

/// A socket, as one operation uses it.
#[derive(Clone)]
pub struct Socket {
    pub(super) handle: Handle,
    is_lost: Arc<AtomicBool>,
}

/// The socket has failed.
#[derive(Debug)]
pub struct Lost;

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the netlink socket failed; another is opened")
    }
}

impl std::error::Error for Lost {}

impl Socket {
    /// Opens one; it is served by a task of its own.
    pub fn open() -> Result<Self> {
        let (connection, handle, _) =
            rtnetlink::new_connection().context("cannot open a netlink socket")?;
        Ok(Self::served(connection, handle))
    }

    fn served(connection: impl Future<Output = ()> + Send + 'static, handle: Handle) -> Self {
        let is_lost = Arc::new(AtomicBool::new(false));
        let ended = Ended(Arc::clone(&is_lost));
        tokio::spawn(async move {
            let mut connection = std::pin::pin!(connection);
            // Dropped before the connection, also where that panics: those who wait hear that there
            // is no more when the connection is dropped.
            let _ended = ended;
            connection.as_mut().await;
        });
        Self { handle, is_lost }
    }

    /// Whether it has failed, or its task has ended.
    pub fn is_lost(&self) -> bool {
        self.is_lost.load(Ordering::Acquire)
    }

    /// That what came over it is everything.
    ///
    /// # Errors
    ///
    /// [`Lost`].
    pub fn is_whole(&self) -> Result<(), Lost> {
        if self.is_lost() { Err(Lost) } else { Ok(()) }
    }
}

/// Says so when the task ends, in whichever way.
struct Ended(Arc<AtomicBool>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::os::fd::AsRawFd as _;

    use rtnetlink::sys::AsyncSocket as _;

    use super::*;
    use crate::netlink::{Netlink, Prod};

    /// One whose first datagram cannot be sent.
    pub(in crate::netlink) async fn broken() -> Socket {
        let (mut connection, handle, _) = rtnetlink::new_connection().unwrap();
        // It is known to be ready to send, which something else never becomes.
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        let null = std::fs::File::open("/dev/null").unwrap();
        let open = connection.socket_mut().socket_mut().as_raw_fd();
        // SAFETY: both descriptors are open, and the connection goes on to own the second.
        assert_eq!(unsafe { libc::dup2(null.as_raw_fd(), open) }, open);
        Socket::served(connection, handle)
    }

    #[tokio::test]
    async fn whoever_was_not_asked_for_is_named_and_another_socket_is_opened() {
        let address = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));
        let loopback = nix::net::if_::if_nametoindex("lo").unwrap();
        let netlink = Netlink::over(broken().await);
        let error = netlink.prod(loopback, address, Prod::Resolve).await.unwrap_err();
        assert!(error.is::<Lost>(), "{error:?}");
        assert_eq!(
            format!("{error:#}"),
            "cannot resolve 192.0.2.2 on interface lo: the netlink socket failed; another is opened"
        );
        assert!(netlink.links().await.unwrap().iter().any(|link| link.name == "lo"));
    }

    /// A library that panics takes what was asked with it.
    #[tokio::test]
    async fn a_connection_that_panics_is_lost() {
        let (connection, handle, _) = rtnetlink::new_connection().unwrap();
        let panics = std::future::poll_fn(move |_| {
            let _connection = &connection;
            panic!("a message that nobody thought of")
        });
        let netlink = Netlink::over(Socket::served(panics, handle));
        let error = netlink.links().await.unwrap_err();
        assert!(error.is::<Lost>(), "{error:?}");
        assert!(netlink.links().await.unwrap().iter().any(|link| link.name == "lo"));
    }

    #[tokio::test]
    async fn a_list_that_was_cut_short_is_none() {
        let said = |error: anyhow::Error| format!("{error:#}");
        let lost = "the netlink socket failed; another is opened";
        let links = Netlink::over(broken().await).links().await.map_err(said);
        assert_eq!(links, Err(format!("cannot list interfaces: {lost}")));
        let neighbours = Netlink::over(broken().await).neighbours().await.map_err(said);
        assert_eq!(neighbours, Err(format!("cannot list neighbours: {lost}")));
        let addresses = Netlink::over(broken().await).addresses().await.map_err(said);
        assert_eq!(addresses, Err(format!("cannot list addresses: {lost}")));
    }
}
