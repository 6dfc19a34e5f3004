//! Keys that are revoked everywhere (`RevokedHostKeys`): a list of keys, or a KRL as `ssh-keygen -k` writes it.

use std::collections::BTreeSet;

use ring::digest;
use russh::keys::{Certificate, ssh_encoding::Encode, ssh_key::public::KeyData};

/// The first bytes of a KRL.
const MAGIC: &[u8] = b"SSHKRL\n\0";
/// The only version of the format there is.
const VERSION: u32 = 1;

/// What is revoked.
#[derive(Debug, Clone)]
pub(crate) enum Revocations {
    /// What a readable file says.
    Listed(Box<Listed>),
    /// Nobody can say, and why.
    Unreadable(String),
}

/// What a readable file says.
#[derive(Debug, Clone, Default)]
pub(crate) struct Listed {
    keys: BTreeSet<Vec<u8>>,
    sha1: BTreeSet<Vec<u8>>,
    sha256: BTreeSet<Vec<u8>>,
    certificates: Vec<Certificates>,
}

/// The revoked certificates of one authority.
#[derive(Debug, Clone, Default)]
struct Certificates {
    /// The key of the authority; none stands for every one.
    authority: Option<Vec<u8>>,
    /// Ranges of serial numbers, both ends included.
    serials: Vec<(u64, u64)>,
    ids: BTreeSet<String>,
}

impl Revocations {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let listed = if bytes.starts_with(MAGIC) { Listed::krl(bytes) } else { Listed::lines(bytes) };
        listed.map(|listed| Self::Listed(Box::new(listed)))
    }

    /// Why nobody can say what is revoked.
    pub(crate) fn unreadable(&self) -> Option<&str> {
        match self {
            Self::Unreadable(why) => Some(why),
            Self::Listed(_) => None,
        }
    }

    /// Whether a key is revoked, and with it every certificate it signs or is in.
    pub(crate) fn revokes(&self, key: &KeyData, certificate: Option<&Certificate>) -> bool {
        let Self::Listed(listed) = self else { return true };
        let Ok(blob) = key.encode_vec() else { return true };
        listed.has(&blob) || certificate.is_some_and(|certificate| listed.has_certificate(certificate))
    }
}

impl Listed {
    /// Keys line by line, as in `authorized_keys` without options. As in OpenSSH, a line that cannot be read makes the
    /// whole list unreadable.
    fn lines(bytes: &[u8]) -> Result<Self, String> {
        let mut listed = Self::default();
        for (number, line) in (1..).zip(String::from_utf8_lossy(bytes).lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let key = super::key(line).map_err(|why| format!("line {number}: {why}"))?;
            listed.keys.insert(key.encode_vec().map_err(|error| format!("line {number}: {error}"))?);
        }
        Ok(listed)
    }

    fn krl(bytes: &[u8]) -> Result<Self, String> {
        let mut listed = Self::default();
        listed.read_krl(&bytes[MAGIC.len()..]).ok_or_else(|| "the KRL is damaged or of another version".to_owned())?;
        Ok(listed)
    }

    fn read_krl(&mut self, mut at: &[u8]) -> Option<()> {
        if u32::from_be_bytes(take(&mut at)?) != VERSION {
            return None;
        }
        // Its version, its date, its flags; then a reserved field and a comment.
        let _: [u8; 24] = take(&mut at)?;
        for _ in 0..2 {
            string(&mut at)?;
        }
        while !at.is_empty() {
            let [section] = take(&mut at)?;
            let mut body = string(&mut at)?;
            let into = match section {
                1 => {
                    self.certificates.push(Certificates::read(body)?);
                    continue;
                }
                2 => &mut self.keys,
                3 => &mut self.sha1,
                5 => &mut self.sha256,
                // Signatures come last, and over bytes we already trust as much as the file system.
                4 => return Some(()),
                // An extension says whether it may be ignored; unknown sections may not.
                255 => {
                    string(&mut body)?;
                    let [critical] = take(&mut body)?;
                    if critical == 0 {
                        continue;
                    }
                    return None;
                }
                _ => return None,
            };
            while !body.is_empty() {
                into.insert(string(&mut body)?.to_vec());
            }
        }
        Some(())
    }

    fn has(&self, blob: &[u8]) -> bool {
        let hash = |algorithm| digest::digest(algorithm, blob).as_ref().to_vec();
        self.keys.contains(blob)
            || (!self.sha1.is_empty() && self.sha1.contains(&hash(&digest::SHA1_FOR_LEGACY_USE_ONLY)))
            || (!self.sha256.is_empty() && self.sha256.contains(&hash(&digest::SHA256)))
    }

    fn has_certificate(&self, certificate: &Certificate) -> bool {
        let Ok(authority) = certificate.signature_key().encode_vec() else { return true };
        let serial = certificate.serial();
        self.has(&authority)
            || self.certificates.iter().any(|of| {
                of.authority.as_ref().is_none_or(|it| *it == authority)
                    && (of.ids.contains(certificate.key_id())
                        // Serial 0 means: this authority does not number its certificates.
                        || (serial != 0 && of.serials.iter().any(|(low, high)| (*low..=*high).contains(&serial))))
            })
    }
}

impl Certificates {
    fn read(mut at: &[u8]) -> Option<Self> {
        let authority = string(&mut at)?;
        string(&mut at)?;
        let mut of = Self { authority: (!authority.is_empty()).then(|| authority.to_vec()), ..Self::default() };
        while !at.is_empty() {
            let [section] = take(&mut at)?;
            let mut body = string(&mut at)?;
            match section {
                0x20 => {
                    while !body.is_empty() {
                        let serial = u64::from_be_bytes(take(&mut body)?);
                        of.serials.push((serial, serial));
                    }
                }
                0x21 => {
                    let (low, high) = (take(&mut body)?, take(&mut body)?);
                    of.serials.push((u64::from_be_bytes(low), u64::from_be_bytes(high)));
                }
                0x22 => {
                    let first = u64::from_be_bytes(take(&mut body)?);
                    of.bitmap(first, string(&mut body)?)?;
                }
                0x23 => {
                    while !body.is_empty() {
                        of.ids.insert(String::from_utf8(string(&mut body)?.to_vec()).ok()?);
                    }
                }
                0x39 => {
                    string(&mut body)?;
                    let [critical] = take(&mut body)?;
                    if critical != 0 {
                        return None;
                    }
                }
                _ => return None,
            }
        }
        Some(of)
    }

    /// A number whose bit N stands for the serial `first + N`; the last byte holds the lowest bits.
    fn bitmap(&mut self, first: u64, number: &[u8]) -> Option<()> {
        for (byte, base) in number.iter().rev().zip((0u64..).step_by(8)) {
            for bit in (0..8).filter(|bit| byte & (1 << bit) != 0) {
                let serial = first.checked_add(base + bit)?;
                self.serials.push((serial, serial));
            }
        }
        Some(())
    }
}

/// Takes so many bytes off the front.
fn take<const N: usize>(at: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = at.split_first_chunk::<N>()?;
    *at = rest;
    Some(*taken)
}

/// Takes a string with its length off the front.
fn string<'a>(at: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = u32::from_be_bytes(take(at)?);
    let (taken, rest) = at.split_at_checked(usize::try_from(length).ok()?)?;
    *at = rest;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ssh::openssh::OpenSsh;

    /// Lists as `ssh-keygen -k` writes them, beside what `ssh-keygen -Q` finds in them.
    #[test]
    fn what_is_revoked_is_what_ssh_keygen_finds() {
        let openssh = OpenSsh::new();
        let [a, _, _] = ["a", "b", "ca"].map(|name| openssh.key(name, "ed25519"));
        openssh.key("ca2", "ed25519");
        for (name, by, serial) in [("c0", "ca", "0"), ("c7", "ca", "7"), ("c70", "ca", "70"), ("d7", "ca2", "7")] {
            openssh.certify(name, "b", by, &["-h", "-z", serial]);
        }
        let blobs = ["a.pub", "b.pub", "c0-cert.pub", "c7-cert.pub", "c70-cert.pub", "d7-cert.pub"];
        let specs = [
            ("", ""),
            ("", &format!("key: {a}")),
            ("", &format!("sha1: {a}")),
            ("", &format!("sha256: {a}\n")),
            ("ca.pub", "serial: 7"),
            ("ca.pub", "serial: 1-9"),
            // Many serials close together become a bitmap, a wide range stays one.
            ("ca.pub", "serial: 3\nserial: 5\nserial: 7\nserial: 9\nserial: 64-66\nserial: 70"),
            ("ca.pub", "serial: 50-5000000000"),
            ("ca.pub", "id: c0\nid: d7"),
            ("none", "serial: 7"),
        ];
        for (at, (authority, spec)) in specs.iter().enumerate() {
            let (list, text) = (format!("list-{at}"), format!("spec-{at}"));
            openssh.write(&text, &format!("{spec}\n"));
            let authority: &[&str] = if authority.is_empty() { &[] } else { &["-s", authority] };
            let made = openssh.keygen(&[&["-q", "-k", "-f", &list], authority, &[text.as_str()]].concat());
            assert!(made.status.success(), "{spec}: {made:?}");
            let ours = Revocations::parse(&std::fs::read(openssh.path(&list)).unwrap()).unwrap();
            for blob in blobs {
                let theirs = !openssh.keygen(&["-Q", "-f", &list, blob]).status.success();
                let text = std::fs::read_to_string(openssh.path(blob)).unwrap();
                let certificate: Option<Certificate> = text.parse().ok();
                let key = match &certificate {
                    Some(certificate) => certificate.public_key().clone(),
                    None => text.parse::<russh::keys::PublicKey>().unwrap().into(),
                };
                assert_eq!(ours.revokes(&key, certificate.as_ref()), theirs, "{blob} by {spec:?}");
            }
        }
    }

    #[test]
    fn a_list_cut_short_is_refused() {
        let openssh = OpenSsh::new();
        let (key, _) = (openssh.key("a", "ed25519"), openssh.key("ca", "ed25519"));
        openssh.write("spec", &format!("serial: 1-9\nid: x\nsha256: {key}\n"));
        assert!(openssh.keygen(&["-q", "-k", "-f", "list", "-s", "ca.pub", "spec"]).status.success());
        let whole = std::fs::read(openssh.path("list")).unwrap();
        assert!(Revocations::parse(&whole).is_ok());
        let read: Vec<usize> = (9..whole.len()).filter(|end| Revocations::parse(&whole[..*end]).is_ok()).collect();
        // Only where a section ends can it be cut without a trace: the format has no length of the whole.
        assert!(read.len() <= 2, "{read:?} of {}", whole.len());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let mut krl = [MAGIC, &VERSION.to_be_bytes()].concat();
            krl.extend_from_slice(&bytes);
            let _ = Revocations::parse(&krl);
            let _ = Revocations::parse(&bytes);
        }
    }
}
