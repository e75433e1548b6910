//! The control API over TCP with mutual TLS.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use axum::Router;
use overlay_control::config::{Access, Api};
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::server::PAUSE;
use super::{connection, tls};

/// The most connections at once.
const CONNECTIONS: usize = 64;

/// How long a client may take to show its certificate.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Whom to let in, and what for.
#[derive(Clone)]
struct Rules {
    tls: Arc<ServerConfig>,
    /// Of the files that it was read from.
    fingerprint: Vec<u8>,
    access: Access,
}

/// What is ready to listen.
pub struct Prepared {
    address: SocketAddr,
    /// `None`: the one that is there goes on.
    listener: Option<TcpListener>,
    rules: Rules,
}

impl Prepared {
    /// Reads certificates, and binds the address unless it is the one that is `open` already.
    pub async fn new(api: &Api, file: &Path, open: Option<SocketAddr>) -> Result<Self> {
        let fingerprint = tls::fingerprint(api, file).context("[api]")?;
        let tls = tls::server(api, file).context("[api]")?;
        let listener = if open == Some(api.listen) {
            None
        } else {
            let bound = TcpListener::bind(api.listen).await;
            Some(bound.with_context(|| format!("[api] cannot listen on {}", api.listen))?)
        };
        Ok(Self {
            address: api.listen,
            listener,
            rules: Rules { tls, fingerprint, access: api.access },
        })
    }
}

/// A listener; dropping it ends it.
pub struct Secure {
    address: SocketAddr,
    rules: watch::Sender<Rules>,
}

impl Secure {
    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Begins to listen, or goes on by other rules.
    pub fn adopt(prepared: Prepared, before: Option<Self>, router: &Router) -> Self {
        let Prepared { address, listener, rules } = prepared;
        match (listener, before) {
            (None, Some(before)) => {
                before.rules.send_if_modified(|current| {
                    let is_new = (&current.fingerprint, current.access)
                        != (&rules.fingerprint, rules.access);
                    if is_new {
                        *current = rules;
                    }
                    is_new
                });
                before
            }
            (listener, _) => {
                let (sender, receiver) = watch::channel(rules);
                if let Some(listener) = listener {
                    tokio::spawn(accept(listener, router.clone(), receiver));
                }
                Self { address, rules: sender }
            }
        }
    }
}

async fn accept(listener: TcpListener, router: Router, mut rules: watch::Receiver<Rules>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            changed = rules.changed() => match changed {
                Ok(()) => continue,
                // Nobody holds the sender any more.
                Err(_) => break,
            },
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!("[api] takes no connection: {error}");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        // Whoever has no place is not worth a handshake.
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        let (router, rules) = (router.clone(), rules.clone());
        tokio::spawn(async move {
            serve(stream, router, rules).await;
            drop(place);
        });
    }
}

async fn serve(stream: TcpStream, router: Router, mut rules: watch::Receiver<Rules>) {
    let Rules { tls, access, .. } = rules.borrow_and_update().clone();
    let from = stream.peer_addr().map(|address| address.to_string()).unwrap_or_default();
    let shaken = timeout(HANDSHAKE, TlsAcceptor::from(tls).accept(stream)).await;
    match shaken {
        Ok(Ok(stream)) => {
            let stop = async move {
                let _ = rules.changed().await;
            };
            connection::serve(stream, router, access, stop).await;
        }
        Ok(Err(error)) => tracing::info!(from, "[api] a client was not let in: {error}"),
        Err(_) => tracing::info!(from, "[api] a client was not let in: it took too long"),
    }
}
