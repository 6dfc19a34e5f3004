//! The gRPC server of every agent: its own TLS handshake, off the accept loop, and the peer made known to handlers.

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use mesh_core::id::{Digest, Principal};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tower::Service as _;

use crate::{client::sentence, tls::Identity, verify::Verified};

/// How long a handshake may take.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(5);
/// How many handshakes may run at once: beyond it new connections wait in the kernel's queue.
const HANDSHAKES_MAX: usize = 256;
/// How long connections may go on after shutdown has begun; streams that never end are cut then.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(2);
/// How often a connection without traffic is asked for a sign of life.
const KEEPALIVE: Duration = Duration::from_secs(5);
/// How long the accept loop rests when the system has no file handle left.
const ACCEPT_REST: Duration = Duration::from_millis(100);
/// The HTTP/2 window of one stream and of one connection, in bytes.
const WINDOWS: (u32, u32) = (1 << 20, 4 << 20);

/// Who is at the other end of a connection; in the extensions of every request.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Its identity; `None` when it showed no certificate.
    pub id: Option<Principal>,
    /// SHA-256 of the public key in its certificate.
    pub key: Option<Digest>,
    /// Whether its certificate has ended: it may only ask for a new one.
    pub late: bool,
    /// Its address.
    pub addr: SocketAddr,
}

impl Peer {
    fn new(addr: SocketAddr, verified: Option<&Verified>) -> Self {
        let leaf = verified.map(|it| &it.leaf);
        Self {
            id: leaf.map(|it| it.id.clone()),
            key: leaf.map(|it| it.key),
            late: verified.is_some_and(|it| it.late),
            addr,
        }
    }
}

/// Serves until shutdown. A client certificate is optional here: what an anonymous caller may do is decided per call.
///
/// # Errors
/// None today: errors of single connections are logged, and the loop goes on.
pub async fn serve(
    listener: TcpListener,
    identity: Identity,
    routes: Routes,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let (handshakes, routes) = (Arc::new(Semaphore::new(HANDSHAKES_MAX)), routes.prepare());
    let mut connections = JoinSet::new();
    loop {
        let permit = tokio::select! {
            () = shutdown.cancelled() => break,
            permit = Arc::clone(&handshakes).acquire_owned() => permit.map_err(io::Error::other)?,
        };
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, addr)) => {
                let connection =
                    connection((stream, addr), identity.clone(), routes.clone(), (permit, shutdown.clone()));
                connections.spawn(connection);
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                sleep(ACCEPT_REST).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    // Whoever is still there after the limit is cut when the set is dropped.
    let _ = timeout(SHUTDOWN_LIMIT, async { while connections.join_next().await.is_some() {} }).await;
    Ok(())
}

async fn connection(
    (stream, addr): (TcpStream, SocketAddr),
    identity: Identity,
    routes: Routes,
    (permit, shutdown): (OwnedSemaphorePermit, CancellationToken),
) {
    let (stream, verified) = match timeout(HANDSHAKE_LIMIT, handshake(stream, &identity)).await {
        Ok(Ok(done)) => done,
        Ok(Err(reason)) => {
            tracing::warn!(%addr, reason, "connection refused");
            return;
        }
        Err(_) => {
            tracing::debug!(%addr, "no handshake within {HANDSHAKE_LIMIT:?}");
            return;
        }
    };
    drop(permit);
    let peer = Peer::new(addr, verified.as_ref());
    let stream = identity.guard(stream, Bytes::new(), verified.as_ref());
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(peer.clone());
        let mut routes = routes.clone();
        async move { Ok::<_, Infallible>(routes.call(request).await.unwrap_or_else(|never| match never {})) }
    });
    let mut http = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    http.timer(TokioTimer::new())
        .keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE)
        .initial_stream_window_size(WINDOWS.0)
        .initial_connection_window_size(WINDOWS.1);
    let mut serving = std::pin::pin!(http.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = &mut serving => ended,
        () = shutdown.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%addr, error = sentence(&error), "connection ended");
    }
}

type Done = (tokio_rustls::server::TlsStream<TcpStream>, Option<Verified>);

async fn handshake(stream: TcpStream, identity: &Identity) -> Result<Done, String> {
    // Without it a small answer waits for the kernel's delayed acknowledgement.
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    let (config, verdict) = identity.server().map_err(|error| error.to_string())?;
    match TlsAcceptor::from(Arc::new(config)).accept(stream).await {
        Ok(stream) => Ok((stream, verdict.verified().cloned())),
        Err(error) => Err(verdict.refusal().map_or_else(|| error.to_string(), ToString::to_string)),
    }
}
