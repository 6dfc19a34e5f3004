//! What is recorded of the keys of hosts: `known_hosts` files, read by the rules of OpenSSH.

mod krl;
mod learn;
mod names;

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use russh::keys::{Algorithm, PublicKey, ssh_key::public::KeyData};

use self::names::Names;
pub(crate) use self::{krl::Revocations, learn::learn, names::HostName};

/// The most that is read of one file: a line is about 200 bytes, so this is some 80 000 hosts.
const FILE_MAX: u64 = 16 * 1024 * 1024;
/// The longest line that is read; the key of the largest RSA in use has 3 kB.
const LINE_MAX: usize = 64 * 1024;

/// Everything that is recorded, file after file.
#[derive(Debug, Clone, Default)]
pub(crate) struct KnownHosts {
    lines: Vec<Line>,
    revoked: Option<(PathBuf, Revocations)>,
    damaged: Vec<Damage>,
}

/// A line that records a key.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    /// Where it is.
    pub(crate) place: Place,
    /// What its key is for.
    pub(crate) marker: Marker,
    names: Names,
    /// The key.
    pub(crate) key: KeyData,
}

/// What the key of a line is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Marker {
    /// It is the key of the host.
    None,
    /// It signs the certificates of the host: `@cert-authority`.
    Authority,
    /// It must never be accepted: `@revoked`.
    Revoked,
}

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// The file.
    pub(crate) file: PathBuf,
    /// The line, from 1.
    pub(crate) line: usize,
}

/// A line, or with line 0 a whole file, that could not be used; the rest is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Damage {
    /// Where.
    pub(crate) place: Place,
    /// What is wrong with it.
    pub(crate) why: String,
}

impl KnownHosts {
    /// Reads the files in their order, and the list of revoked keys; a file that does not exist records nothing.
    pub(crate) fn read<'a>(files: impl IntoIterator<Item = &'a PathBuf>, revoked: Option<&Path>) -> Self {
        let mut known = Self::default();
        for file in files {
            match read_bounded(file) {
                Ok(text) => known.add(file, &text),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => known.damage(file, 0, error.to_string()),
            }
        }
        if let Some(file) = revoked {
            known.revoke(file, &read_bounded(file));
        }
        known
    }

    /// Adds what a file holds.
    pub(crate) fn add(&mut self, file: &Path, text: &[u8]) {
        for (line, bytes) in (1..).zip(text.split(|byte| *byte == b'\n')) {
            let place = Place { file: file.to_owned(), line };
            match parse(place, bytes) {
                Ok(Some(line)) => self.lines.push(line),
                Ok(None) => {}
                Err(why) => self.damage(file, line, why),
            }
        }
    }

    /// Takes a list of revoked keys: a KRL, or keys line by line. One that cannot be read revokes everything, since
    /// nobody can say what it would have revoked.
    pub(crate) fn revoke(&mut self, file: &Path, read: &io::Result<Vec<u8>>) {
        let revocations = match read {
            Ok(bytes) => Revocations::parse(bytes),
            Err(error) => Err(error.to_string()),
        };
        let revocations = revocations.unwrap_or_else(|why| {
            self.damage(file, 0, why.clone());
            Revocations::Unreadable(why)
        });
        self.revoked = Some((file.to_owned(), revocations));
    }

    /// What could not be used.
    pub(crate) fn damaged(&self) -> &[Damage] {
        &self.damaged
    }

    /// The lines that speak of a name, of every marker.
    pub(crate) fn of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Line> {
        self.lines.iter().filter(move |line| line.names.matches(name))
    }

    /// The list of revoked keys, with its file.
    pub(crate) fn revocations(&self) -> Option<(&Path, &Revocations)> {
        self.revoked.as_ref().map(|(file, revocations)| (file.as_path(), revocations))
    }

    fn damage(&mut self, file: &Path, line: usize, why: String) {
        self.damaged.push(Damage { place: Place { file: file.to_owned(), line }, why });
    }
}

impl Line {
    /// Whether `ssh-keygen -R` takes it out; it leaves patterns and marked lines alone.
    pub(crate) fn is_removable(&self) -> bool {
        self.marker == Marker::None && !self.names.is_pattern()
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}", self.file.display()),
            line => write!(f, "{}:{line}", self.file.display()),
        }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.why)
    }
}

fn read_bounded(file: &Path) -> io::Result<Vec<u8>> {
    use io::Read;
    let mut bytes = Vec::new();
    std::fs::File::open(file)?.take(FILE_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_MAX {
        return Err(io::Error::other(format!("larger than {} MiB", FILE_MAX >> 20)));
    }
    Ok(bytes)
}

/// Reads one line; none is a comment or nothing.
fn parse(place: Place, bytes: &[u8]) -> Result<Option<Line>, String> {
    if bytes.len() > LINE_MAX {
        return Err(format!("longer than {} KiB", LINE_MAX >> 10));
    }
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_ascii_end().trim_start_matches(blank);
    if text.is_empty() || text.starts_with('#') {
        return Ok(None);
    }
    let (marker, rest) = marker(text)?;
    let (names, rest) = rest.split_once(blank).ok_or("it ends after the host names")?;
    let names = Names::parse(names)?;
    let key = key(rest)?;
    Ok(Some(Line { place, marker, names, key }))
}

fn blank(it: char) -> bool {
    it == ' ' || it == '\t'
}

/// Takes the marker off a line.
fn marker(text: &str) -> Result<(Marker, &str), String> {
    if !text.starts_with('@') {
        return Ok((Marker::None, text));
    }
    // OpenSSH ends a marker at the first space of the line, and only without any at a tab: what it does not read as an
    // authority is none here either. A revocation counts however it is set.
    let end = text.find(' ').or_else(|| text.find('\t')).unwrap_or(text.len());
    let (marker, at) = match &text[..end] {
        "@cert-authority" => (Marker::Authority, end),
        "@revoked" => (Marker::Revoked, end),
        other if other.starts_with("@revoked\t") => (Marker::Revoked, "@revoked".len()),
        other if other.starts_with("@cert-authority\t") => return Err("a tab after @cert-authority".to_owned()),
        other => return Err(format!("marker `{}` is not known", shown(other))),
    };
    let rest = text[at..].trim_start_matches(blank);
    if rest.starts_with('@') {
        return Err("two markers".to_owned());
    }
    Ok((marker, rest))
}

/// Reads `TYPE BASE64 [COMMENT]`.
fn key(text: &str) -> Result<KeyData, String> {
    let mut words = text.split(blank).filter(|word| !word.is_empty());
    let (Some(kind), Some(blob)) = (words.next(), words.next()) else {
        return Err("it ends before the key".to_owned());
    };
    if kind.starts_with('#') {
        return Err("it ends before the key".to_owned());
    }
    let bytes = STANDARD.decode(blob).map_err(|_| "the key is not base64".to_owned())?;
    let key = PublicKey::from_bytes(&bytes).map_err(|_| format!("not a key of type `{}`", shown(kind)))?;
    let algorithm = key.algorithm();
    let named = kind == algorithm.as_str() || (algorithm.is_rsa() && matches!(kind, "rsa-sha2-256" | "rsa-sha2-512"));
    let key = KeyData::from(key);
    if !named {
        Err(format!("it says `{}` but the key is another type", shown(kind)))
    } else if key.is_other() {
        Err(format!("key type `{}` is not known", shown(kind)))
    } else {
        Ok(key)
    }
}

/// A word of a file as it may be printed: short, and without control characters.
fn shown(word: &str) -> String {
    word.chars().take(40).map(|it| if it.is_control() { '?' } else { it }).collect()
}

/// The name of a key's type as OpenSSH prints it: `ED25519`.
pub(crate) fn type_name(algorithm: &Algorithm) -> &'static str {
    if algorithm.clone().is_rsa() {
        "RSA"
    } else if algorithm.clone().is_ecdsa() {
        "ECDSA"
    } else if algorithm.clone().is_dsa() {
        "DSA"
    } else {
        match algorithm.as_str() {
            "ssh-ed25519" => "ED25519",
            "sk-ssh-ed25519@openssh.com" => "ED25519-SK",
            "sk-ecdsa-sha2-nistp256@openssh.com" => "ECDSA-SK",
            _ => "unknown",
        }
    }
}
