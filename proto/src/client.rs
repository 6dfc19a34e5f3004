//! gRPC channels over mutual TLS: lazy, reconnecting, and with errors that say what is wrong.

use std::{error::Error, fmt::Write as _, io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use hyper_util::rt::TokioIo;
use mesh_core::{
    id::{Digest, Principal},
    time::Timestamp,
};
use rustls::{AlertDescription, ClientConfig};
use rustls_pki_types::ServerName;
use tokio::{io::AsyncReadExt as _, net::TcpStream, time::timeout};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tonic::transport::{Channel, Endpoint, Uri};
use tower::service_fn;

use crate::{
    live::{Guarded, Registry},
    refusal::Refusal,
    tls::{Identity, client_config, now},
    verify::{Accept, Verdict},
};

/// How long dialling may take.
const DIAL_LIMIT: Duration = Duration::from_secs(3);
/// How long the handshake may take, up to the server's first bytes.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(5);
/// How often a connection is asked for a sign of life, and how long it may take to give one: a dead peer is noticed within 4 s.
const KEEPALIVE: Duration = Duration::from_secs(2);
/// The HTTP/2 window of one stream and of one connection, in bytes.
const WINDOWS: (u32, u32) = (1 << 20, 4 << 20);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nobody answers at the address.
    #[error("cannot reach {whom} at {api}: {source}")]
    Dial {
        /// Who was asked for.
        whom: String,
        /// The address.
        api: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// Somebody listens, but says nothing.
    #[error("{whom} at {api} does not answer within {limit:?}")]
    Silent {
        /// Who was asked for.
        whom: String,
        /// The address.
        api: SocketAddr,
        /// How long it was waited for.
        limit: Duration,
    },
    /// This side refuses the other's certificate.
    #[error("{refusal} (at {api})")]
    Refused {
        /// Why.
        refusal: Refusal,
        /// The address.
        api: SocketAddr,
    },
    /// The other side refuses this side's certificate.
    #[error("{sentence} (at {api})")]
    RefusedUs {
        /// What it says and what that means.
        sentence: String,
        /// Whether it means that the two sides belong to different meshes.
        foreign: bool,
        /// The address.
        api: SocketAddr,
    },
    /// TLS fails in another way.
    #[error("no secure connection to {whom} at {api}: {source}")]
    Tls {
        /// Who was asked for.
        whom: String,
        /// The address.
        api: SocketAddr,
        /// What TLS says.
        source: io::Error,
    },
}

impl ConnectError {
    /// Whether identity is the cause, not reachability.
    #[must_use]
    pub fn is_identity(&self) -> bool {
        matches!(self, Self::Refused { .. } | Self::RefusedUs { .. })
    }

    /// Whether the two sides belong to different meshes.
    #[must_use]
    pub fn is_foreign(&self) -> bool {
        match self {
            Self::Refused { refusal, .. } => refusal.is_foreign(),
            Self::RefusedUs { foreign, .. } => *foreign,
            Self::Dial { .. } | Self::Silent { .. } | Self::Tls { .. } => false,
        }
    }

    /// Finds the cause in the status of a call that never reached the other side.
    #[must_use]
    pub fn of(status: &tonic::Status) -> Option<&Self> {
        let mut cause: Option<&(dyn Error + 'static)> = Error::source(status);
        while let Some(error) = cause {
            if let Some(found) = error.downcast_ref::<Self>() {
                return Some(found);
            }
            cause = error.source();
        }
        None
    }
}

/// A channel to the part `expect` at an address: it connects with the first call, again after every loss, and each time
/// with the identity's current certificate.
#[must_use]
pub fn channel(identity: &Identity, api: SocketAddr, expect: Principal) -> Channel {
    let identity = identity.clone();
    let connector = service_fn(move |_: Uri| {
        let (identity, expect) = (identity.clone(), expect.clone());
        async move { Box::pin(connect(&identity, api, &expect)).await.map(TokioIo::new) }
    });
    endpoint(api).connect_with_connector_lazy(connector)
}

/// An anonymous channel to any node of the mesh whose root has this fingerprint: what a host uses that only has a token.
#[must_use]
pub fn enroll_channel(api: SocketAddr, root: Digest) -> Channel {
    let connector = service_fn(move |_: Uri| async move {
        let accept = Accept::Pinned { root };
        let dial = Dial { whom: "a coordinator".to_owned(), api, me: None };
        let (config, verdict) = client_config(accept, None).map_err(|error| dial.tls(io::Error::other(error)))?;
        let (stream, head) = Box::pin(dial.secure(config, &verdict)).await?;
        Ok::<_, ConnectError>(TokioIo::new(Guarded::new(stream, head, verdict.verified(), &Registry::default())))
    });
    endpoint(api).connect_with_connector_lazy(connector)
}

fn endpoint(api: SocketAddr) -> Endpoint {
    let uri: Uri = format!("http://{api}").parse().expect("a socket address is an authority");
    Endpoint::from(uri)
        .http2_keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(WINDOWS.0)
        .initial_connection_window_size(WINDOWS.1)
}

async fn connect(
    identity: &Identity,
    api: SocketAddr,
    expect: &Principal,
) -> Result<Guarded<TlsStream<TcpStream>>, ConnectError> {
    let me = Own { id: identity.me(), time: (identity.not_before(), identity.not_after()) };
    let dial = Dial { whom: format!("`{expect}`"), api, me: Some(me) };
    let (config, verdict) = identity.client(expect).map_err(|error| dial.tls(io::Error::other(error)))?;
    let (stream, head) = dial.secure(config, &verdict).await?;
    Ok(identity.guard(stream, head, verdict.verified()))
}

struct Own {
    id: Principal,
    time: (Timestamp, Timestamp),
}

struct Dial {
    whom: String,
    api: SocketAddr,
    /// Absent for an anonymous caller.
    me: Option<Own>,
}

impl Dial {
    /// Connects, and waits for the server's first bytes: in TLS 1.3 a refused client sees its own handshake succeed, and
    /// only the first read tells.
    async fn secure(
        &self,
        config: ClientConfig,
        verdict: &Verdict,
    ) -> Result<(TlsStream<TcpStream>, Bytes), ConnectError> {
        let dial = |source| ConnectError::Dial { whom: self.whom.clone(), api: self.api, source };
        let silent = |limit| ConnectError::Silent { whom: self.whom.clone(), api: self.api, limit };
        let stream =
            timeout(DIAL_LIMIT, TcpStream::connect(self.api)).await.map_err(|_| silent(DIAL_LIMIT))?.map_err(dial)?;
        stream.set_nodelay(true).map_err(dial)?;
        let shake = async {
            // The name is not looked at: the verifier compares SPIFFE ids.
            let name = ServerName::IpAddress(self.api.ip().into());
            let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
            let mut head = bytes::BytesMut::with_capacity(1024);
            if stream.read_buf(&mut head).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            Ok((stream, head.freeze()))
        };
        match timeout(HANDSHAKE_LIMIT, shake).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => Err(self.explain(error, verdict)),
            Err(_) => Err(silent(HANDSHAKE_LIMIT)),
        }
    }

    fn tls(&self, source: io::Error) -> ConnectError {
        ConnectError::Tls { whom: self.whom.clone(), api: self.api, source }
    }

    fn explain(&self, error: io::Error, verdict: &Verdict) -> ConnectError {
        if let Some(refusal) = verdict.refusal() {
            return ConnectError::Refused { refusal: refusal.clone(), api: self.api };
        }
        let tls = error.get_ref().and_then(|it| it.downcast_ref::<rustls::Error>());
        match (tls, &self.me) {
            (Some(rustls::Error::AlertReceived(alert)), Some(me)) => match explain_alert(*alert, &self.whom, me, now())
            {
                Some((sentence, foreign)) => ConnectError::RefusedUs { sentence, foreign, api: self.api },
                None => self.tls(error),
            },
            _ => self.tls(error),
        }
    }
}

/// What an alert of the server means for the caller, and whether the two are of different meshes.
fn explain_alert(alert: AlertDescription, whom: &str, me: &Own, now: Timestamp) -> Option<(String, bool)> {
    let (id, (begin, end)) = (&me.id, me.time);
    #[expect(clippy::wildcard_enum_match_arm, reason = "the other alerts say nothing about certificates")]
    let sentence = match alert {
        AlertDescription::CertificateRevoked => format!("revoked: {whom} refuses `{id}`"),
        AlertDescription::CertificateExpired if end < now => {
            format!("expired: the certificate of `{id}` ended at {end}; {whom} refuses it")
        }
        AlertDescription::CertificateExpired => {
            format!(
                "not valid at the time of {whom}: the certificate of `{id}` is valid from {begin} to {end} and it is {now} here: is the clock of `{id}` or of {whom} wrong?"
            )
        }
        AlertDescription::UnknownCA => {
            format!("certificate of another mesh: {whom} does not trust the issuer of `{id}`")
        }
        AlertDescription::UnsupportedCertificate => {
            format!("{whom} refuses the certificate of `{id}`: it is not made for this use")
        }
        AlertDescription::AccessDenied | AlertDescription::BadCertificate | AlertDescription::CertificateUnknown => {
            format!("{whom} refuses the certificate of `{id}` ({alert:?}); its log says why")
        }
        _ => return None,
    };
    Some((sentence, alert == AlertDescription::UnknownCA))
}

/// An error with all of its causes in one line.
#[must_use]
pub fn sentence(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            let _ = write!(text, ": {next}");
        }
        cause = error.source();
    }
    text
}
