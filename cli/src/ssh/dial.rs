//! One TCP connection to a name: all of its addresses, the first that answers.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::{FutureExt, future};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, lookup_host},
    time::Instant,
};

/// How long bytes may go unheard before the connection counts as lost, in milliseconds.
const UNHEARD_MAX_MS: u32 = 20_000;
/// How long an address may keep the next one waiting.
const HEAD_START: Duration = Duration::from_millis(250);
/// How many addresses of a name are tried.
const ADDRESSES_MAX: usize = 16;
/// How many times is heard before the first script runs, at most: the handshake, a few keys, a session.
const PROMPT_READS: u32 = 64;

/// A connection that acknowledges at once what it hears at its beginning.
///
/// OpenSSH's sshd has Nagle's algorithm on until a session runs: it keeps a small message until the one before it is
/// acknowledged, and Linux does that up to 40 ms later when it has nothing to say. Every first script came so much later.
pub(super) struct Prompt {
    stream: TcpStream,
    reads_left: u32,
}

impl Prompt {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream, reads_left: PROMPT_READS }
    }
}

impl AsyncRead for Prompt {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if read.is_ready() && self.reads_left > 0 {
            self.reads_left -= 1;
            // The kernel goes back to its own ways soon. Where it cannot be told, all is only slower.
            let _ = rustix::net::sockopt::set_tcp_quickack(&self.stream, true);
        }
        read
    }
}

impl AsyncWrite for Prompt {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// Connects to whichever address of a name answers first, each later one being given less time; says how long its
/// answer took: one round trip, or a little more on a busy machine.
pub(super) async fn tcp(host: &str, port: u16) -> io::Result<(TcpStream, Duration)> {
    let addresses: Vec<SocketAddr> = lookup_host((host, port)).await?.take(ADDRESSES_MAX).collect();
    if addresses.is_empty() {
        return Err(io::Error::other("the name has no address"));
    }
    let alone = addresses.len() == 1;
    let attempts = addresses.into_iter().zip(0..).map(|(address, at)| {
        async move {
            tokio::time::sleep(HEAD_START * at).await;
            let asked = Instant::now();
            let connected = TcpStream::connect(address).await;
            connected.map(|stream| (stream, asked.elapsed())).map_err(|error| {
                if alone { error } else { io::Error::new(error.kind(), format!("{address}: {error}")) }
            })
        }
        .boxed()
    });
    let ((stream, round_trip), _) = future::select_ok(attempts).await?;
    stream.set_nodelay(true)?;
    // A host that vanishes while it is sent a binary would else be waited for as long as the kernel repeats itself.
    rustix::net::sockopt::set_tcp_user_timeout(&stream, UNHEARD_MAX_MS)?;
    Ok((stream, round_trip))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn one_dead_address_does_not_matter() {
        // `localhost` is ::1 and 127.0.0.1 where both exist; only one of them is listened on.
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(tcp("localhost", port).await.unwrap().0.nodelay().unwrap());
        drop(listener);
        assert_eq!(tcp("127.0.0.1", port).await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }

    #[tokio::test]
    async fn what_is_heard_at_the_beginning_is_acknowledged_at_once() {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut other, _) = listener.accept().await.unwrap();
        let mut prompt = Prompt::new(stream);
        let mut acknowledges = Vec::new();
        for _ in 0..PROMPT_READS + 16 {
            other.write_u8(1).await.unwrap();
            prompt.read_u8().await.unwrap();
            acknowledges.push(rustix::net::sockopt::tcp_quickack(&prompt.stream).unwrap());
            prompt.write_u8(2).await.unwrap();
            other.read_u8().await.unwrap();
        }
        let (beginning, rest) = acknowledges.split_at(usize::try_from(PROMPT_READS).unwrap());
        assert!(beginning.iter().all(|it| *it), "{beginning:?}");
        assert!(rest.iter().any(|it| !it), "a conversation waits for what there is to say: {rest:?}");
    }
}
