//! The ring of gossip keys: shared secrets of one mesh, kept in a file that only the agent may read.
//!
//! One key a line, `ID HEX [primary]`: an id from 1 to 65535 and 64 hex digits; `#` begins a comment.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use mesh_proto::{files, v1};

/// The most keys a ring holds: the one in use and those of a rotation.
const KEYS_MAX: usize = 16;

/// Why a key ring is refused.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read, or others than its owner can read it.
    #[error("cannot read the gossip keys {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file cannot be written.
    #[error("cannot write the gossip keys {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A line or an entry is not a key.
    #[error("gossip key, entry {entry}: {reason}")]
    Entry {
        /// Its line in the file, or its place in the message, from 1.
        entry: usize,
        /// What is wrong and what would be right.
        reason: &'static str,
    },
    /// The ring as a whole is not one.
    #[error("gossip keys: {0}")]
    Ring(&'static str),
}

/// One shared secret.
#[derive(Clone, PartialEq, Eq)]
pub struct GossipKey {
    /// Its number, in the header of every datagram.
    pub id: u16,
    bytes: [u8; 32],
}

impl GossipKey {
    /// Takes a key of 32 bytes under a number.
    #[must_use]
    pub fn new(id: u16, bytes: [u8; 32]) -> Self {
        Self { id, bytes }
    }

    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.bytes
    }
}

impl fmt::Debug for GossipKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GossipKey({}, secret)", self.id)
    }
}

/// All keys that open a datagram; the first seals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRing {
    keys: Vec<GossipKey>,
}

impl KeyRing {
    /// Takes keys of which the first seals.
    ///
    /// # Errors
    /// [`KeyError::Ring`] when there is none, there are too many, or one number is there twice or 0.
    pub fn new(keys: Vec<GossipKey>) -> Result<Self, KeyError> {
        if keys.is_empty() {
            return Err(KeyError::Ring("there is no key; write one as `1 HEX primary`"));
        }
        if keys.len() > KEYS_MAX {
            return Err(KeyError::Ring("at most 16 keys"));
        }
        let mut ids: Vec<u16> = keys.iter().map(|key| key.id).collect();
        ids.sort_unstable();
        if ids.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(KeyError::Ring("two keys have one number"));
        }
        if ids.contains(&0) {
            return Err(KeyError::Ring("the number of a key is 1 to 65535"));
        }
        Ok(Self { keys })
    }

    /// Reads the key file of a node.
    ///
    /// # Errors
    /// [`KeyError`] when the file is absent, open to others, or holds something else.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        let text = files::read_private(path).map_err(|source| KeyError::Read { path: path.to_owned(), source })?;
        Self::parse(&text)
    }

    /// Writes the key file of a node: mode 0600, on disk before it takes the old one's place.
    ///
    /// # Errors
    /// [`KeyError::Write`] when the directory cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), KeyError> {
        let write = |source| KeyError::Write { path: path.to_owned(), source };
        files::write_private(path, self.to_text().as_bytes()).map_err(write)
    }

    fn parse(text: &str) -> Result<Self, KeyError> {
        let mut keys: Vec<(bool, GossipKey)> = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if !line.is_empty() {
                keys.push(parse_line(line).map_err(|reason| KeyError::Entry { entry: index + 1, reason })?);
            }
        }
        Self::of_marked(keys)
    }

    fn of_marked(mut keys: Vec<(bool, GossipKey)>) -> Result<Self, KeyError> {
        match (keys.len(), keys.iter().filter(|(primary, _)| *primary).count()) {
            (0 | 1, _) | (_, 1) => {}
            (_, 0) => return Err(KeyError::Ring("none of the keys is primary")),
            _ => return Err(KeyError::Ring("only one key may be primary")),
        }
        keys.sort_by_key(|(primary, _)| !primary);
        Self::new(keys.into_iter().map(|(_, key)| key).collect())
    }

    fn to_text(&self) -> String {
        let line = |(index, key): (usize, &GossipKey)| {
            let hex: String = key.bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{} {hex}{}\n", key.id, if index == 0 { " primary" } else { "" })
        };
        self.keys.iter().enumerate().map(line).collect()
    }

    /// The ring as it travels to a member over mutual TLS.
    #[must_use]
    pub fn to_wire(&self) -> Vec<v1::GossipKey> {
        let key = |(index, key): (usize, &GossipKey)| v1::GossipKey {
            id: u32::from(key.id),
            key: key.bytes.to_vec().into(),
            primary: index == 0,
        };
        self.keys.iter().enumerate().map(key).collect()
    }

    /// Reads a ring that a coordinator sent.
    ///
    /// # Errors
    /// [`KeyError`] when an entry is no key or the ring is none.
    pub fn from_wire(keys: &[v1::GossipKey]) -> Result<Self, KeyError> {
        let key = |(index, key): (usize, &v1::GossipKey)| {
            let entry = |reason| KeyError::Entry { entry: index + 1, reason };
            let id = u16::try_from(key.id).map_err(|_| entry("its number must be 1 to 65535"))?;
            let bytes = <[u8; 32]>::try_from(&key.key[..]).map_err(|_| entry("a key has 32 bytes"))?;
            Ok((key.primary, GossipKey::new(id, bytes)))
        };
        Self::of_marked(keys.iter().take(KEYS_MAX + 1).enumerate().map(key).collect::<Result<_, KeyError>>()?)
    }

    /// The key that seals.
    #[must_use]
    pub fn primary(&self) -> &GossipKey {
        &self.keys[0]
    }

    /// The key of a number.
    #[must_use]
    pub fn find(&self, id: u16) -> Option<&GossipKey> {
        self.keys.iter().find(|key| key.id == id)
    }
}

fn parse_line(line: &str) -> Result<(bool, GossipKey), &'static str> {
    let mut words = line.split_whitespace();
    let id = words.next().and_then(|word| word.parse().ok()).ok_or("must begin with a number from 1 to 65535")?;
    let hex = words.next().filter(|hex| hex.len() == 64 && hex.bytes().all(|c| c.is_ascii_hexdigit()));
    let hex = hex.ok_or("the key must be 64 hex digits")?;
    let mut bytes = [0_u8; 32];
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&hex[2 * index..2 * index + 2], 16).map_err(|_| "the key must be 64 hex digits")?;
    }
    let primary = match (words.next(), words.next()) {
        (None, _) => false,
        (Some("primary"), None) => true,
        _ => return Err("after the key only the word `primary` may stand"),
    };
    Ok((primary, GossipKey::new(id, bytes)))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    #[test]
    fn key_files_are_checked_by_line() {
        let hex = "ab".repeat(32);
        let check = |text: String, expected: Result<Vec<u16>, &str>| match (KeyRing::parse(&text), expected) {
            (Ok(ring), Ok(ids)) => assert_eq!(ring.keys.iter().map(|key| key.id).collect::<Vec<_>>(), ids, "{text}"),
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error} lacks {part}"),
            (found, expected) => panic!("{text}: {found:?} instead of {expected:?}"),
        };
        check(format!("1 {hex} primary\n"), Ok(vec![1]));
        check(format!("# made today\n1 {hex}\n"), Ok(vec![1]));
        check(format!("1 {hex}\n2 {hex} primary\n"), Ok(vec![2, 1]));
        check(String::new(), Err("there is no key"));
        check(format!("1 {hex}\n2 {hex}\n"), Err("none of the keys is primary"));
        check(format!("1 {hex} primary\n2 {hex} primary\n"), Err("only one key"));
        check(format!("1 {hex} primary\n1 {hex}\n"), Err("two keys have one number"));
        check(format!("0 {hex}\n"), Err("1 to 65535"));
        check(format!("\n70000 {hex}\n"), Err("entry 2: must begin with a number"));
        check("1 abcd\n".into(), Err("64 hex digits"));
        check(format!("1 {hex} first\n"), Err("`primary`"));
    }

    #[test]
    fn key_files_are_for_the_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("gossip.keys");
        let ring = KeyRing::new(vec![GossipKey::new(1, [7; 32]), GossipKey::new(2, [8; 32])]).unwrap();
        ring.save(&path).unwrap();
        ring.save(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(KeyRing::load(&path).unwrap(), ring);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = format!("{:#}", anyhow::Error::new(KeyRing::load(&path).unwrap_err()));
        assert!(error.contains("gossip.keys") && error.contains("chmod 600"), "{error}");
    }

    #[test]
    fn rings_survive_the_wire_and_secrets_stay_out_of_logs() {
        let ring = KeyRing::new(vec![GossipKey::new(3, [7; 32]), GossipKey::new(2, [8; 32])]).unwrap();
        assert_eq!(KeyRing::from_wire(&ring.to_wire()).unwrap(), ring);
        let mut wire = ring.to_wire();
        wire[1].key = vec![8; 31].into();
        assert!(KeyRing::from_wire(&wire).unwrap_err().to_string().contains("entry 2"));
        assert!(!format!("{ring:?}").contains("7, 7"));
    }
}
