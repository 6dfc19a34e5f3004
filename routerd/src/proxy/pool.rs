//! The idle connections of one worker, and how a new one is made.

use std::{
    cell::{Cell, RefCell},
    io,
    net::SocketAddr,
    rc::Rc,
};

use http::HeaderValue;
use tokio::net::TcpStream;

use crate::proxy::link::Link;

/// Idle connections are closed after this, below the 5 s of uvicorn: a reused one is then rarely half dead.
pub(crate) const IDLE_US_MAX: u64 = 4_000_000;
/// Idle connections of one worker; each holds about 16 KiB.
const IDLE_COUNT_MAX: usize = 512;

struct Idle {
    link: Link,
    since_us: u64,
}

/// Where an engine answers, and this worker's idle connections to it.
pub(crate) struct Endpoint {
    address: String,
    resolved: Option<SocketAddr>,
    /// The value of `Host`.
    pub(crate) authority: HeaderValue,
    idle: RefCell<Vec<Idle>>,
    count: Rc<Cell<usize>>,
}

impl Endpoint {
    /// Takes the connection that was used last, if it is still alive.
    pub(crate) async fn take(&self, now_us: u64) -> Option<Link> {
        loop {
            let idle = self.idle.borrow_mut().pop()?;
            self.count.set(self.count.get() - 1);
            let mut link = idle.link;
            if idle.since_us + IDLE_US_MAX > now_us && link.is_alive().await {
                link.reused = true;
                return Some(link);
            }
        }
    }

    /// Makes a new connection; the caller bounds the time.
    pub(crate) async fn connect(&self) -> io::Result<Link> {
        let stream = match self.resolved {
            Some(address) => TcpStream::connect(address).await?,
            None => TcpStream::connect(&self.address).await?,
        };
        stream.set_nodelay(true)?;
        Link::open(stream).await.map_err(io::Error::other)
    }

    /// Keeps a connection for the next request.
    pub(crate) fn give_back(&self, link: Link, now_us: u64) {
        if link.is_reusable() && self.count.get() < IDLE_COUNT_MAX {
            self.count.set(self.count.get() + 1);
            self.idle.borrow_mut().push(Idle { link, since_us: now_us });
        }
    }
}

/// The endpoints of one worker by address.
#[derive(Default)]
pub(crate) struct Pool {
    endpoints: RefCell<std::collections::BTreeMap<String, Rc<Endpoint>>>,
    count: Rc<Cell<usize>>,
}

impl Pool {
    /// The endpoint of an address `HOST:PORT`.
    pub(crate) fn endpoint(&self, address: &str) -> Rc<Endpoint> {
        if let Some(endpoint) = self.endpoints.borrow().get(address) {
            return endpoint.clone();
        }
        let endpoint = Rc::new(Endpoint {
            address: address.to_owned(),
            resolved: address.parse().ok(),
            authority: HeaderValue::from_str(address).unwrap_or(HeaderValue::from_static("engine")),
            idle: RefCell::default(),
            count: self.count.clone(),
        });
        self.endpoints.borrow_mut().insert(address.to_owned(), endpoint.clone());
        endpoint
    }

    /// Closes connections that idled too long and forgets endpoints that nobody uses; returns how many stay idle.
    pub(crate) fn sweep(&self, now_us: u64) -> usize {
        self.endpoints.borrow_mut().retain(|_, endpoint| {
            let mut idle = endpoint.idle.borrow_mut();
            let before = idle.len();
            idle.retain(|it| it.since_us + IDLE_US_MAX > now_us);
            self.count.set(self.count.get() - (before - idle.len()));
            !idle.is_empty() || Rc::strong_count(endpoint) > 1
        });
        self.count.get()
    }
}
