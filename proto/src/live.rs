//! Open connections: each is cut when its peer is denied or when the proof of its peer's identity ends.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Buf, Bytes};
use mesh_core::id::Principal;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep},
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::verify::Verified;

/// What a certificate that may only be renewed gets for doing so.
const LATE_CONNECTION: Duration = Duration::from_secs(30);

#[derive(Debug, Default)]
struct Entries {
    next: u64,
    open: BTreeMap<u64, (Principal, CancellationToken)>,
}

/// The open connections of one identity, in both directions.
#[derive(Debug, Clone, Default)]
pub(crate) struct Registry(Arc<Mutex<Entries>>);

impl Registry {
    fn entries(&self) -> MutexGuard<'_, Entries> {
        // The map is whole whenever the lock is free: nothing panics between two of its changes.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, peer: Principal) -> Entry {
        let cut = CancellationToken::new();
        let mut entries = self.entries();
        entries.next += 1;
        let id = entries.next;
        entries.open.insert(id, (peer, cut.clone()));
        Entry { registry: self.clone(), id, cut }
    }

    /// Cuts the connections of these peers.
    pub(crate) fn cut(&self, denied: &BTreeSet<Principal>) {
        let entries = self.entries();
        for (_, cut) in entries.open.values().filter(|(peer, _)| denied.contains(peer)) {
            cut.cancel();
        }
    }
}

#[derive(Debug)]
struct Entry {
    registry: Registry,
    id: u64,
    cut: CancellationToken,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.registry.entries().open.remove(&self.id);
    }
}

/// A connection that ends when its peer is denied or when the peer's certificate ends.
#[derive(Debug)]
pub(crate) struct Guarded<IO> {
    io: IO,
    /// What was read before the connection was handed over.
    head: Bytes,
    /// Absent for an anonymous peer.
    guard: Option<Guard>,
}

#[derive(Debug)]
struct Guard {
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    end: Pin<Box<Sleep>>,
    peer: Principal,
    _entry: Entry,
}

impl<IO> Guarded<IO> {
    pub(crate) fn new(io: IO, head: Bytes, peer: Option<&Verified>, registry: &Registry) -> Self {
        let guard = peer.map(|it| {
            let entry = registry.enter(it.leaf.id.clone());
            let left = Duration::from_millis(it.leaf.not_after.0.saturating_sub(crate::tls::now().0));
            let end = if it.late { LATE_CONNECTION } else { left };
            Guard {
                cut: Box::pin(entry.cut.clone().cancelled_owned()),
                end: Box::pin(tokio::time::sleep_until(Instant::now() + end)),
                peer: it.leaf.id.clone(),
                _entry: entry,
            }
        });
        Self { io, head, guard }
    }

    fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let Some(guard) = &mut self.guard else {
            return Ok(());
        };
        let reason = if guard.cut.as_mut().poll(cx).is_ready() {
            format!("revoked: `{}` is refused in this mesh", guard.peer)
        } else if guard.end.as_mut().poll(cx).is_ready() {
            format!("expired: the certificate of `{}` with which this connection was made has ended", guard.peer)
        } else {
            return Ok(());
        };
        Err(io::Error::new(io::ErrorKind::PermissionDenied, reason))
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Guarded<IO> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.check(cx)?;
        if self.head.has_remaining() {
            let len = self.head.len().min(buf.remaining());
            buf.put_slice(&self.head.split_to(len));
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Guarded<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        Pin::new(&mut self.io).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
