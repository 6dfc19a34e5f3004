//! The admin pages of a daemon on loopback: /healthz, /readyz with its reasons, /metrics.

use std::{io, sync::Arc};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::get,
};
use prometheus::{Encoder, Registry, TextEncoder};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

type Ready = Arc<dyn Fn() -> Result<(), Vec<String>> + Send + Sync>;

#[derive(Clone)]
struct Pages {
    registry: Registry,
    ready: Ready,
}

/// Serves the admin pages until `stop` is cancelled.
///
/// `/healthz` says that the process runs; `/readyz` is 200 when `ready` is Ok and else 503 with one reason a line.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    registry: Registry,
    ready: impl Fn() -> Result<(), Vec<String>> + Send + Sync + 'static,
    stop: CancellationToken,
) -> io::Result<()> {
    let pages = Pages { registry, ready: Arc::new(ready) };
    let router = Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(pages);
    // A scraper that keeps its connection must not keep the daemon: the future is dropped, not drained.
    tokio::select! {
        served = axum::serve(listener, router).into_future() => served,
        () = stop.cancelled() => Ok(()),
    }
}

async fn readyz(State(pages): State<Pages>) -> Response {
    match (pages.ready)() {
        Ok(()) => "ready\n".into_response(),
        Err(reasons) => {
            let text: String = reasons.iter().map(|reason| format!("{reason}\n")).collect();
            (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
        }
    }
}

async fn metrics(State(pages): State<Pages>) -> Response {
    let encoder = TextEncoder::new();
    let mut text = Vec::new();
    match encoder.encode(&pages.registry.gather(), &mut text) {
        Ok(()) => ([(CONTENT_TYPE, encoder.format_type().to_owned())], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use prometheus::IntCounter;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    async fn get(addr: std::net::SocketAddr, path: &str) -> String {
        let mut stream = tokio::net::TcpStream::connect(addr).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text
    }

    #[tokio::test]
    async fn pages_say_what_the_daemon_says() {
        let registry = Registry::new();
        let counter = IntCounter::new("mesh_test_total", "A test.").unwrap();
        registry.register(Box::new(counter.clone())).unwrap();
        counter.inc_by(7);
        let up = Arc::new(AtomicBool::new(false));
        let ready = {
            let up = Arc::clone(&up);
            move || if up.load(Ordering::Relaxed) { Ok(()) } else { Err(vec!["no leader known".to_owned()]) }
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let server = tokio::spawn(serve(listener, registry, ready, stop.clone()));
        assert!(get(addr, "/healthz").await.starts_with("HTTP/1.1 200"));
        let reply = get(addr, "/readyz").await;
        assert!(reply.starts_with("HTTP/1.1 503") && reply.ends_with("no leader known\n"), "{reply}");
        up.store(true, Ordering::Relaxed);
        assert!(get(addr, "/readyz").await.starts_with("HTTP/1.1 200"));
        assert!(get(addr, "/metrics").await.contains("\nmesh_test_total 7\n"));
        stop.cancel();
        server.await.unwrap().unwrap();
    }
}
