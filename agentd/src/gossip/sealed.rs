//! One gossip datagram on the wire: sealed with AES-256-GCM, opened once, refused when anything about it is wrong.
//!
//! `version 1 | flags 1 | key id 2 | sent_at 4 (unix s) | session 16 | seq 8 | ciphertext | tag 16`, network byte order.
//! Each process start draws a session; the key of a session is derived from the ring key, so that a counter is a
//! sound nonce and gives the replay window for free. The header and `MESH/CELL` are authenticated too. No clock here.

use std::{collections::BTreeMap, sync::Arc};

use ring::{aead, hkdf};

use super::keys::{GossipKey, KeyRing};

/// The version of this frame.
const VERSION: u8 = 1;
/// Bytes in front of the ciphertext.
pub(super) const HEADER_BYTES: usize = 32;
/// Bytes that sealing adds to a message.
pub(super) const OVERHEAD_BYTES: usize = HEADER_BYTES + 16;
/// How far apart two clocks may be when a session is heard for the first time, in seconds.
pub(super) const FRESH_S: u32 = 600;
/// How many numbers below the highest seen are still told apart.
const WINDOW: u64 = 128;

/// The random id of one start of one process.
pub(super) type Session = [u8; 16];

/// Why a datagram is dropped; the names are the label values of the metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Dropped {
    /// Shorter than a header and a tag.
    Short,
    /// Another version or an unknown flag.
    Version,
    /// No such key in the ring.
    UnknownKey,
    /// Our own, sent back to us.
    Echo,
    /// The tag does not verify: another key, another cell, or changed on the way.
    Tag,
    /// The first word of a session, and too old or from the future.
    Stale,
    /// Seen before, or too far behind to tell.
    Replay,
}

impl Dropped {
    /// Its name in metrics.
    #[must_use]
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Short => "short",
            Self::Version => "version",
            Self::UnknownKey => "unknown_key",
            Self::Echo => "echo",
            Self::Tag => "tag",
            Self::Stale => "stale",
            Self::Replay => "replay",
        }
    }
}

/// Seals what one process start sends.
#[derive(Debug)]
pub(super) struct Sealer {
    key: aead::LessSafeKey,
    key_id: u16,
    session: Session,
    cluster: Arc<str>,
    seq: u64,
}

impl Sealer {
    /// Makes the sealer of a session; `cluster` is `MESH/CELL`. A session must never be used for a second sealer.
    #[must_use]
    pub(super) fn new(key: &GossipKey, session: Session, cluster: Arc<str>) -> Self {
        Self { key: subkey(key, &session, &cluster), key_id: key.id, session, cluster, seq: 0 }
    }

    /// Seals one message at `now_s` (unix seconds).
    #[must_use]
    pub(super) fn seal(&mut self, plain: &[u8], now_s: u32) -> Vec<u8> {
        self.seq += 1;
        let mut frame = Vec::with_capacity(plain.len() + OVERHEAD_BYTES);
        frame.extend_from_slice(&[VERSION, 0]);
        frame.extend_from_slice(&self.key_id.to_be_bytes());
        frame.extend_from_slice(&now_s.to_be_bytes());
        frame.extend_from_slice(&self.session);
        frame.extend_from_slice(&self.seq.to_be_bytes());
        let aad = authenticated(&frame, &self.cluster);
        frame.extend_from_slice(plain);
        let tag =
            self.key.seal_in_place_separate_tag(nonce(self.seq), aead::Aad::from(aad), &mut frame[HEADER_BYTES..]);
        let tag = tag.expect("AES-GCM refuses only messages beyond 64 GiB");
        frame.extend_from_slice(tag.as_ref());
        frame
    }
}

/// What is remembered of one session that was heard.
#[derive(Debug)]
struct Heard {
    key: aead::LessSafeKey,
    window: Window,
    used: u64,
}

/// Opens what others send.
#[derive(Debug)]
pub(super) struct Opener {
    ring: Arc<KeyRing>,
    cluster: Arc<str>,
    own: Session,
    heard: BTreeMap<(Session, u16), Heard>,
    capacity: usize,
    clock: u64,
}

impl Opener {
    /// Makes an opener that remembers at most `capacity` sessions, the least recently heard out.
    #[must_use]
    pub(super) fn new(ring: Arc<KeyRing>, own: Session, cluster: Arc<str>, capacity: usize) -> Self {
        Self { ring, cluster, own, heard: BTreeMap::new(), capacity: capacity.max(1), clock: 0 }
    }

    /// Opens one datagram at `now_s` (unix seconds).
    ///
    /// # Errors
    /// [`Dropped`] saying why nothing of it may be used.
    pub(super) fn open(&mut self, frame: &[u8], now_s: u32) -> Result<Vec<u8>, Dropped> {
        let header = Header::read(frame)?;
        if header.session == self.own {
            return Err(Dropped::Echo);
        }
        let id = (header.session, header.key_id);
        let aad = authenticated(&frame[..HEADER_BYTES], &self.cluster);
        self.clock += 1;
        if let Some(heard) = self.heard.get_mut(&id) {
            let plain = decrypt(&heard.key, header.seq, aad, frame)?;
            if !heard.window.take(header.seq) {
                return Err(Dropped::Replay);
            }
            heard.used = self.clock;
            return Ok(plain);
        }
        let key = subkey(self.ring.find(header.key_id).ok_or(Dropped::UnknownKey)?, &header.session, &self.cluster);
        let plain = decrypt(&key, header.seq, aad, frame)?;
        if header.sent_at_s.abs_diff(now_s) > FRESH_S {
            return Err(Dropped::Stale);
        }
        let mut window = Window::default();
        if !window.take(header.seq) {
            return Err(Dropped::Replay);
        }
        self.forget_down_to(self.capacity - 1);
        self.heard.insert(id, Heard { key, window, used: self.clock });
        Ok(plain)
    }

    /// Only a holder of the key reaches this, so a scan is cheap enough.
    fn forget_down_to(&mut self, len: usize) {
        while self.heard.len() > len {
            let Some(oldest) = self.heard.iter().min_by_key(|(_, heard)| heard.used).map(|(id, _)| *id) else {
                return;
            };
            self.heard.remove(&oldest);
        }
    }
}

struct Header {
    key_id: u16,
    sent_at_s: u32,
    session: Session,
    seq: u64,
}

impl Header {
    fn read(frame: &[u8]) -> Result<Self, Dropped> {
        if frame.len() < OVERHEAD_BYTES {
            return Err(Dropped::Short);
        }
        // Flags announce things this release does not know: nothing about such a frame can be relied on.
        if frame[0] != VERSION || frame[1] != 0 {
            return Err(Dropped::Version);
        }
        let mut session = [0; 16];
        session.copy_from_slice(&frame[8..24]);
        let mut seq = [0; 8];
        seq.copy_from_slice(&frame[24..HEADER_BYTES]);
        Ok(Self {
            key_id: u16::from_be_bytes([frame[2], frame[3]]),
            sent_at_s: u32::from_be_bytes([frame[4], frame[5], frame[6], frame[7]]),
            session,
            seq: u64::from_be_bytes(seq),
        })
    }
}

/// The highest number seen and which of the 128 up to it were.
#[derive(Debug, Default)]
struct Window {
    top: u64,
    seen: u128,
}

impl Window {
    /// Takes a number once; call it only after the tag has verified.
    fn take(&mut self, seq: u64) -> bool {
        if seq == 0 {
            return false;
        }
        if seq > self.top {
            let ahead = seq - self.top;
            self.seen = if ahead >= WINDOW { 0 } else { self.seen << ahead };
            self.seen |= 1;
            self.top = seq;
            return true;
        }
        let behind = self.top - seq;
        if behind >= WINDOW || self.seen & (1 << behind) != 0 {
            return false;
        }
        self.seen |= 1 << behind;
        true
    }
}

fn decrypt(key: &aead::LessSafeKey, seq: u64, aad: Vec<u8>, frame: &[u8]) -> Result<Vec<u8>, Dropped> {
    let mut plain = frame[HEADER_BYTES..].to_vec();
    let len = key.open_in_place(nonce(seq), aead::Aad::from(aad), &mut plain).map_err(|_| Dropped::Tag)?.len();
    plain.truncate(len);
    Ok(plain)
}

fn nonce(seq: u64) -> aead::Nonce {
    let mut bytes = [0; aead::NONCE_LEN];
    bytes[4..].copy_from_slice(&seq.to_be_bytes());
    aead::Nonce::assume_unique_for_key(bytes)
}

fn authenticated(header: &[u8], cluster: &str) -> Vec<u8> {
    [header, cluster.as_bytes()].concat()
}

fn subkey(key: &GossipKey, session: &Session, cluster: &str) -> aead::LessSafeKey {
    let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, b"mesh gossip v1");
    let info = [cluster.as_bytes(), session];
    let secret = salt.extract(key.bytes());
    let okm = secret.expand(&info, &aead::AES_256_GCM).expect("32 bytes are less than HKDF can give");
    aead::LessSafeKey::new(aead::UnboundKey::from(okm))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: u32 = 1_763_718_723;

    fn ring(byte: u8) -> Arc<KeyRing> {
        Arc::new(KeyRing::new(vec![GossipKey::new(1, [byte; 32])]).unwrap())
    }

    fn sealer(session: u8) -> Sealer {
        Sealer::new(ring(7).primary(), [session; 16], "lab/main".into())
    }

    fn opener(capacity: usize) -> Opener {
        Opener::new(ring(7), [0; 16], "lab/main".into(), capacity)
    }

    #[test]
    fn frames_are_opened_or_dropped_with_the_reason() {
        let check = |name: &str, mut opener: Opener, frame: Vec<u8>, expected: Result<&[u8], Dropped>| {
            assert_eq!(opener.open(&frame, NOW).as_deref(), expected.as_deref(), "{name}");
        };
        let frame = |at: u32| sealer(1).seal(b"hello", at);
        check("whole", opener(4), frame(NOW), Ok(b"hello"));
        check("empty message", opener(4), sealer(1).seal(b"", NOW), Ok(b""));
        check("nothing", opener(4), Vec::new(), Err(Dropped::Short));
        check("cut in the tag", opener(4), frame(NOW)[..OVERHEAD_BYTES - 1].to_vec(), Err(Dropped::Short));
        check("cut", opener(4), frame(NOW)[..OVERHEAD_BYTES + 2].to_vec(), Err(Dropped::Tag));
        check("plain text", opener(4), vec![b'{'; 200], Err(Dropped::Version));
        let other = Opener::new(ring(8), [0; 16], "lab/main".into(), 4);
        check("another key", other, frame(NOW), Err(Dropped::Tag));
        let cell = Opener::new(ring(7), [0; 16], "lab/other".into(), 4);
        check("another cell", cell, frame(NOW), Err(Dropped::Tag));
        let unknown = Arc::new(KeyRing::new(vec![GossipKey::new(2, [7; 32])]).unwrap());
        let unknown = Opener::new(unknown, [0; 16], "lab/main".into(), 4);
        check("unknown key id", unknown, frame(NOW), Err(Dropped::UnknownKey));
        let own = Opener::new(ring(7), [1; 16], "lab/main".into(), 4);
        check("our own", own, frame(NOW), Err(Dropped::Echo));
        check("600 s old", opener(4), frame(NOW - FRESH_S), Ok(b"hello"));
        check("601 s old", opener(4), frame(NOW - FRESH_S - 1), Err(Dropped::Stale));
        check("601 s ahead", opener(4), frame(NOW + FRESH_S + 1), Err(Dropped::Stale));
    }

    #[test]
    fn a_replay_is_refused_and_a_clock_step_silences_nobody() {
        let (mut sealer, mut opener) = (sealer(1), opener(4));
        let frames: Vec<_> = (0..200).map(|_| sealer.seal(b"x", NOW)).collect();
        assert!(opener.open(&frames[150], NOW).is_ok());
        assert_eq!(opener.open(&frames[150], NOW), Err(Dropped::Replay), "the same again");
        assert!(opener.open(&frames[149], NOW).is_ok(), "late, within the window");
        assert_eq!(opener.open(&frames[149], NOW), Err(Dropped::Replay));
        assert!(opener.open(&frames[23], NOW).is_ok(), "127 behind");
        assert_eq!(opener.open(&frames[22], NOW), Err(Dropped::Replay), "128 behind");
        assert!(opener.open(&frames[199], NOW + 100_000).is_ok(), "later packets go by the window, not by the clock");
        assert_eq!(opener.open(&frames[150], NOW), Err(Dropped::Replay));
    }

    #[test]
    fn a_forged_number_does_not_move_the_window() {
        let (mut sealer, mut opener) = (sealer(1), opener(4));
        assert!(opener.open(&sealer.seal(b"1", NOW), NOW).is_ok());
        let mut forged = sealer.seal(b"2", NOW);
        forged[24] = 0xff;
        assert_eq!(opener.open(&forged, NOW), Err(Dropped::Tag));
        assert!(opener.open(&sealer.seal(b"3", NOW), NOW).is_ok());
    }

    #[test]
    fn only_so_many_sessions_are_remembered() {
        let mut opener = opener(2);
        let mut sealers: Vec<_> = (1..=3).map(sealer).collect();
        let first: Vec<_> = sealers.iter_mut().map(|it| it.seal(b"x", NOW)).collect();
        for frame in &first {
            assert!(opener.open(frame, NOW).is_ok());
        }
        assert_eq!(opener.heard.len(), 2);
        assert_eq!(opener.open(&first[2], NOW), Err(Dropped::Replay), "the youngest is remembered");
        assert_eq!(
            opener.open(&first[0], NOW + FRESH_S + 1),
            Err(Dropped::Stale),
            "a forgotten one must be fresh again"
        );
    }

    proptest! {
        #[test]
        fn what_is_sealed_opens_again(plain in proptest::collection::vec(any::<u8>(), 0..1500), at in any::<u32>()) {
            prop_assert_eq!(opener(4).open(&sealer(1).seal(&plain, at), at), Ok(plain));
        }

        #[test]
        fn a_bit_flip_anywhere_is_refused(plain in proptest::collection::vec(any::<u8>(), 0..200), flip in 1..=255_u8) {
            let frame = sealer(1).seal(&plain, NOW);
            for index in 0..frame.len() {
                let mut bent = frame.clone();
                bent[index] ^= flip;
                prop_assert!(opener(4).open(&bent, NOW).is_err(), "byte {} of {}", index, frame.len());
            }
        }

        #[test]
        fn noise_is_refused_without_a_panic(noise in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(opener(4).open(&noise, NOW).is_err());
        }

        #[test]
        fn each_number_is_taken_once(seqs in proptest::collection::vec(0..400_u64, 1..300)) {
            let mut window = Window::default();
            let mut taken = std::collections::BTreeSet::new();
            for seq in seqs {
                if window.take(seq) {
                    prop_assert!(taken.insert(seq), "{} was taken twice", seq);
                }
            }
        }
    }
}
