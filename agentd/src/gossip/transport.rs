//! chitchat's transport over sealed datagrams.
//!
//! chitchat hands over decoded envelopes and keeps its codec private, so one of its own UDP sockets on loopback, the
//! codec, encodes into and decodes from a socket of ours, the shim. Each codec answer is matched by its sender's
//! address, so that a stray local datagram shifts nothing, and waited for with a limit, since the codec swallows what
//! it cannot decode.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::Context;
use chitchat::{
    ChitchatEnvelope,
    transport::{RecvOutcome, SendOutcome, Socket, Transport, UdpSocket as Codec},
};
use ring::rand::{SecureRandom, SystemRandom};
use tokio::{
    net::UdpSocket,
    time::{Instant, timeout, timeout_at},
};
use tonic::async_trait;

use super::{
    keys::KeyRing,
    metrics::GossipMetrics,
    sealed::{OVERHEAD_BYTES, Opener, Sealer},
};

/// The largest message that goes into one datagram: a path of 1,400 bytes less IP, UDP and our seal.
pub(super) const PLAIN_BYTES_MAX: usize = 1400 - 28 - OVERHEAD_BYTES;
/// The largest datagram there is.
const DATAGRAM_BYTES_MAX: usize = 65_536;
/// How long the codec may take: it is a hop through the kernel of this host.
const HOP: Duration = Duration::from_millis(250);
/// Sessions remembered by one receiver: four times the members of a cell.
const SESSIONS_MAX: usize = 4 * 64;

/// The sealed transport of one node; every ring of this process opens its socket from it.
#[derive(Debug, Clone)]
pub(crate) struct Sealed {
    net: Arc<UdpSocket>,
    keys: Arc<KeyRing>,
    cluster: Arc<str>,
    metrics: GossipMetrics,
}

impl Sealed {
    /// Binds the node's gossip socket; it outlives a ring, so that a restart cannot lose the port.
    pub(crate) async fn bind(
        listen: SocketAddr,
        keys: Arc<KeyRing>,
        cluster: Arc<str>,
        metrics: GossipMetrics,
    ) -> io::Result<Self> {
        let net = UdpSocket::bind(listen).await?;
        if listen.is_ipv4() {
            // A datagram too large for the path is then an error that is counted, not a lost fragment.
            rustix::net::sockopt::set_ip_mtu_discover(&net, rustix::net::sockopt::Ipv4PathMtuDiscovery::DO)?;
        }
        Ok(Self { net: Arc::new(net), keys, cluster, metrics })
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.net.local_addr()
    }
}

#[async_trait]
impl Transport for Sealed {
    async fn open(&self, _listen: SocketAddr) -> anyhow::Result<Box<dyn Socket>> {
        let mut session = [0; 16];
        SystemRandom::new().fill(&mut session).ok().context("the system gives no random numbers")?;
        let codec = Codec::open((Ipv4Addr::LOCALHOST, 0).into()).await?;
        let shim = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.context("cannot bind the codec's shim")?;
        let codec_addr = codec.local_addr()?;
        // Connected: the kernel drops what others send to the shim.
        shim.connect(codec_addr).await.context("cannot connect the codec's shim")?;
        let shim_addr = shim.local_addr()?;
        Ok(Box::new(SealedSocket {
            net: Arc::clone(&self.net),
            codec,
            shim,
            shim_addr,
            sealer: Sealer::new(self.keys.primary(), session, Arc::clone(&self.cluster)),
            opener: Opener::new(Arc::clone(&self.keys), session, Arc::clone(&self.cluster), SESSIONS_MAX),
            decoding: None,
            buffer: vec![0; DATAGRAM_BYTES_MAX].into_boxed_slice(),
            metrics: self.metrics.clone(),
        }))
    }
}

/// A message that was opened and waits for the codec; kept in the socket, since `recv` may be cancelled anywhere.
struct Decoding {
    from: SocketAddr,
    plain: Vec<u8>,
    handed: bool,
    until: Instant,
}

struct SealedSocket {
    net: Arc<UdpSocket>,
    codec: Codec,
    shim: UdpSocket,
    shim_addr: SocketAddr,
    sealer: Sealer,
    opener: Opener,
    decoding: Option<Decoding>,
    buffer: Box<[u8]>,
    metrics: GossipMetrics,
}

impl SealedSocket {
    /// The envelope in chitchat's own encoding; `None` when it is too large for any datagram.
    async fn encode(&mut self, envelope: ChitchatEnvelope) -> Option<usize> {
        // An answer that came after its limit would be taken for the next one.
        while self.shim.try_recv(&mut self.buffer).is_ok() {}
        self.codec.send(self.shim_addr, envelope).await.ok()?;
        timeout(HOP, self.shim.recv(&mut self.buffer)).await.ok()?.ok()
    }

    /// Waits for the next datagram that opens.
    async fn opened(&mut self) -> anyhow::Result<Decoding> {
        loop {
            let (len, from) = match self.net.recv_from(&mut self.buffer).await {
                Ok(it) => it,
                Err(error) if is_transient(&error) => continue,
                Err(error) => return Err(error).context("the gossip socket is gone"),
            };
            match self.opener.open(&self.buffer[..len], unix_s()) {
                Ok(plain) => {
                    self.metrics.received.inc();
                    return Ok(Decoding { from, plain, handed: false, until: Instant::now() + HOP });
                }
                Err(reason) => {
                    self.metrics.dropped.with_label_values(&[reason.as_str()]).inc();
                    tracing::debug!(%from, reason = reason.as_str(), "gossip datagram dropped");
                }
            }
        }
    }

    /// Lets the codec decode what `decoding` holds; `None` when it cannot.
    async fn decode(&mut self) -> Option<RecvOutcome> {
        let decoding = self.decoding.as_mut()?;
        if !decoding.handed {
            self.shim.send(&decoding.plain).await.ok()?;
            decoding.handed = true;
        }
        loop {
            let outcome = timeout_at(decoding.until, self.codec.recv()).await.ok()?.ok()?;
            if outcome.from_addr == self.shim_addr {
                return Some(RecvOutcome { from_addr: decoding.from, ..outcome });
            }
            self.metrics.dropped.with_label_values(&["stray"]).inc();
        }
    }
}

#[async_trait]
impl Socket for SealedSocket {
    fn local_addr(&self) -> anyhow::Result<SocketAddr> {
        self.net.local_addr().context("the gossip socket is gone")
    }

    async fn send(&mut self, to: SocketAddr, envelope: ChitchatEnvelope) -> anyhow::Result<SendOutcome> {
        let Some(len) = self.encode(envelope).await else {
            self.metrics.dropped.with_label_values(&["unencodable"]).inc();
            return Ok(SendOutcome { num_bytes_sent: 0 });
        };
        if len > PLAIN_BYTES_MAX {
            self.metrics.oversize.inc();
            tracing::warn!(%to, bytes = len, limit = PLAIN_BYTES_MAX, "gossip message is too large for one datagram");
            return Ok(SendOutcome { num_bytes_sent: 0 });
        }
        let frame = self.sealer.seal(&self.buffer[..len], unix_s());
        // One unreachable peer is no reason to end the ring.
        match self.net.send_to(&frame, to).await {
            Ok(_) => self.metrics.sent.inc(),
            Err(error) => {
                self.metrics.dropped.with_label_values(&["unsendable"]).inc();
                tracing::debug!(%to, %error, "gossip datagram not sent");
            }
        }
        Ok(SendOutcome { num_bytes_sent: len })
    }

    async fn recv(&mut self) -> anyhow::Result<RecvOutcome> {
        loop {
            if self.decoding.is_none() {
                self.decoding = Some(self.opened().await?);
            }
            let outcome = self.decode().await;
            self.decoding = None;
            match outcome {
                Some(outcome) => return Ok(outcome),
                None => self.metrics.dropped.with_label_values(&["malformed"]).inc(),
            }
        }
    }
}

fn is_transient(error: &io::Error) -> bool {
    use io::ErrorKind::{
        ConnectionRefused, ConnectionReset, HostUnreachable, Interrupted, NetworkUnreachable, OutOfMemory,
    };
    let kind = error.kind();
    [ConnectionRefused, ConnectionReset, HostUnreachable, Interrupted, NetworkUnreachable, OutOfMemory].contains(&kind)
}

fn unix_s() -> u32 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    // Freshness compares distances, and 2106 is far.
    u32::try_from(since.as_secs()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use chitchat::{ChitchatMessage, ProtocolVersion};

    use super::*;
    use crate::gossip::keys::GossipKey;

    const SOON: Duration = Duration::from_secs(5);

    async fn socket(key: u8, cluster: &str) -> (Box<dyn Socket>, SocketAddr, GossipMetrics) {
        let keys = KeyRing::new(vec![GossipKey::new(1, [key; 32])]).unwrap();
        let metrics = GossipMetrics::register(&prometheus::Registry::new()).unwrap();
        let listen = (Ipv4Addr::LOCALHOST, 0).into();
        let sealed = Sealed::bind(listen, Arc::new(keys), cluster.into(), metrics.clone()).await.unwrap();
        let addr = sealed.local_addr().unwrap();
        (sealed.open(addr).await.unwrap(), addr, metrics)
    }

    fn bad_cluster() -> ChitchatEnvelope {
        ChitchatEnvelope { version: ProtocolVersion::V1, message: ChitchatMessage::BadCluster }
    }

    #[tokio::test]
    async fn an_envelope_arrives_with_its_senders_address() {
        let (mut one, one_addr, _) = socket(7, "lab/main").await;
        let (mut two, two_addr, _) = socket(7, "lab/main").await;
        for _ in 0..3 {
            one.send(two_addr, bad_cluster()).await.unwrap();
            let outcome = timeout(SOON, two.recv()).await.unwrap().unwrap();
            assert_eq!((outcome.from_addr, outcome.envelope), (one_addr, bad_cluster()));
        }
    }

    #[tokio::test]
    async fn what_does_not_open_is_dropped_and_counted() {
        let (mut stranger, _, _) = socket(8, "lab/main").await;
        let (mut other_cell, _, _) = socket(7, "lab/other").await;
        let (mut friend, friend_addr, _) = socket(7, "lab/main").await;
        let (mut two, two_addr, metrics) = socket(7, "lab/main").await;
        let plain = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        plain.send_to(b"not sealed at all", two_addr).await.unwrap();
        stranger.send(two_addr, bad_cluster()).await.unwrap();
        other_cell.send(two_addr, bad_cluster()).await.unwrap();
        friend.send(two_addr, bad_cluster()).await.unwrap();
        let outcome = timeout(SOON, two.recv()).await.unwrap().unwrap();
        assert_eq!(outcome.from_addr, friend_addr);
        let dropped = |reason| metrics.dropped.with_label_values(&[reason]).get();
        assert_eq!((dropped("short"), dropped("tag")), (1, 2));
    }

    #[tokio::test]
    async fn a_sealed_message_that_is_none_costs_only_itself() {
        let (mut two, two_addr, metrics) = socket(7, "lab/main").await;
        let (mut friend, friend_addr, _) = socket(7, "lab/main").await;
        let plain = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let mut sealer = Sealer::new(&GossipKey::new(1, [7; 32]), [9; 16], "lab/main".into());
        plain.send_to(&sealer.seal(b"no chitchat", unix_s()), two_addr).await.unwrap();
        friend.send(two_addr, bad_cluster()).await.unwrap();
        let outcome = timeout(SOON, two.recv()).await.unwrap().unwrap();
        assert_eq!(outcome.from_addr, friend_addr);
        assert_eq!(metrics.dropped.with_label_values(&["malformed"]).get(), 1);
    }

    #[tokio::test]
    async fn a_cancelled_recv_loses_nothing() {
        let (mut one, _, _) = socket(7, "lab/main").await;
        let (mut two, two_addr, _) = socket(7, "lab/main").await;
        for _ in 0..20 {
            one.send(two_addr, bad_cluster()).await.unwrap();
        }
        let mut got = 0;
        let deadline = Instant::now() + SOON;
        while got < 20 {
            assert!(Instant::now() < deadline, "only {got} of 20 arrived");
            // Polled once and dropped, again and again: whatever was half done must be there the next time.
            if let Some(outcome) = futures_util::FutureExt::now_or_never(two.recv()) {
                assert_eq!(outcome.unwrap().envelope, bad_cluster());
                got += 1;
            }
            tokio::task::yield_now().await;
        }
    }
}
