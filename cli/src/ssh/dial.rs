//! One TCP connection to a name: all of its addresses, the first that answers.

use std::{io, net::SocketAddr, time::Duration};

use futures_util::{FutureExt, future};
use tokio::{
    net::{TcpStream, lookup_host},
    time::Instant,
};

/// How long bytes may go unheard before the connection counts as lost, in milliseconds.
const UNHEARD_MAX_MS: u32 = 20_000;
/// How long an address may keep the next one waiting.
const HEAD_START: Duration = Duration::from_millis(250);
/// How many addresses of a name are tried.
const ADDRESSES_MAX: usize = 16;

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
}
