//! Connections to the page: how many, and for how long. What one may do beside is bounded where
//! those of the control API are.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use overlay_control::config::Access;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::api::connection;
use crate::api::server::PAUSE;

/// A browser uses six.
const CONNECTIONS: usize = 64;
/// A connection that lasts longer is closed after an answer; a browser opens another.
const LIFE: Duration = Duration::from_secs(3600);

/// Listens. What a former process had open there does not stand against it.
pub fn open(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = StdListener::bind(address)?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

/// Serves until it is aborted, with its connections.
pub async fn serve(listener: TcpListener, router: Router) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let accepted = listener.accept().await;
        while connections.try_join_next().is_some() {}
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!("the web page takes no connection: {error}");
                sleep(PAUSE).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            connection::turn_away(stream).await;
            continue;
        };
        let router = router.clone();
        connections.spawn(async move {
            connection::serve(stream, router, Access::Read, sleep(LIFE)).await;
            drop(place);
        });
    }
}
