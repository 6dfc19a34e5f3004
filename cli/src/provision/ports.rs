//! Free ports on loopback: a whole block at once, kept bound until the daemons take them over.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    path::Path,
};

use crate::{Exit, Failure, Result};

/// Below the range from which systems take ports for outgoing connections, so that a stopped node's ports stay free.
const FIRST: u16 = 20_000;
const LAST: u16 = 32_000;
/// One mesh's block: a block in which anything listens is left alone, also where this mesh would not need the port.
const BLOCK: u16 = 64;

/// A block of ports, bound for TCP and UDP.
pub(crate) struct PortBlock {
    next: u16,
    end: u16,
    _held: Vec<(TcpListener, UdpSocket)>,
}

impl PortBlock {
    /// Binds a free block. Where the search begins depends on the directory, so that meshes keep apart.
    pub(crate) fn claim(dir: &Path) -> Result<Self> {
        let blocks = (LAST - FIRST) / BLOCK;
        let mut hasher = DefaultHasher::new();
        dir.hash(&mut hasher);
        let start = u16::try_from(hasher.finish() % u64::from(blocks)).unwrap_or(0);
        for i in 0..blocks {
            let first = FIRST + (start + i) % blocks * BLOCK;
            let held: std::io::Result<Vec<_>> = (first..first + BLOCK).map(bind).collect();
            if let Ok(held) = held {
                return Ok(Self { next: first, end: first + BLOCK, _held: held });
            }
        }
        Err(Failure::new(Exit::Failed, "no free ports")
            .why(format!("every block of {BLOCK} ports between {FIRST} and {LAST} on 127.0.0.1 is in use"))
            .next("mesh down, in the meshes that are no longer needed"))
    }

    /// The next address of the block.
    pub(crate) fn take(&mut self) -> Result<SocketAddr> {
        if self.next >= self.end {
            return Err(Failure::new(Exit::Usage, format!("a local mesh has at most {BLOCK} ports"))
                .next("mesh up with fewer nodes"));
        }
        self.next += 1;
        Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, self.next - 1)))
    }
}

fn bind(port: u16) -> std::io::Result<(TcpListener, UdpSocket)> {
    Ok((TcpListener::bind((Ipv4Addr::LOCALHOST, port))?, UdpSocket::bind((Ipv4Addr::LOCALHOST, port))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_blocks_never_share_a_port() {
        let mut one = PortBlock::claim(Path::new("/a")).unwrap();
        let mut two = PortBlock::claim(Path::new("/a")).unwrap();
        let ports = |block: &mut PortBlock| -> Vec<u16> { (0..BLOCK).map(|_| block.take().unwrap().port()).collect() };
        let (a, b) = (ports(&mut one), ports(&mut two));
        assert!(a.iter().all(|port| !b.contains(port)));
        assert_eq!(one.take().unwrap_err().exit, Exit::Usage);
    }
}
