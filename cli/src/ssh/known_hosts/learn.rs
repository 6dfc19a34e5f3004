//! Writes a key down, in our own file only: people's files stay theirs.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

use ring::rand::{SecureRandom, SystemRandom};
use russh::keys::PublicKey;
use rustix::fs::FlockOperation;

use super::{FILE_MAX, HostName, KnownHosts, Marker, names::Names};

/// Records that a host has a key; what is recorded already is not written again.
///
/// The file is locked meanwhile, of mode 0600 when new, and on disk when this returns.
pub(crate) fn learn(file: &Path, name: &HostName, key: &PublicKey, hashed: bool) -> io::Result<()> {
    let dir = file.parent().filter(|dir| !dir.as_os_str().is_empty());
    if let Some(dir) = dir {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    }
    let mut open = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(file)?;
    rustix::fs::flock(&open, FlockOperation::LockExclusive)?;
    let mut text = Vec::new();
    Read::by_ref(&mut open).take(FILE_MAX).read_to_end(&mut text)?;
    let mut known = KnownHosts::default();
    known.add(file, &text);
    let recorded = name.recorded();
    if known.of(&recorded).any(|line| line.marker == Marker::None && line.key == *key.key_data()) {
        return Ok(());
    }
    // One write: whoever reads meanwhile sees a whole line or none. A last line that somebody cut off stays alone.
    let cut = text.last().is_some_and(|last| *last != b'\n');
    let line = line(&recorded, key, hashed)?;
    let before = open.seek(io::SeekFrom::End(0))?;
    let written = open.write_all(format!("{}{line}\n", if cut { "\n" } else { "" }).as_bytes());
    if let Err(error) = written.and_then(|()| open.sync_all()) {
        // A half line is worse than none; that it cannot be taken back changes nothing about the error.
        let _ = open.set_len(before);
        return Err(error);
    }
    match dir {
        Some(dir) if text.is_empty() => File::open(dir)?.sync_all(),
        _ => Ok(()),
    }
}

fn line(name: &str, key: &PublicKey, hashed: bool) -> io::Result<String> {
    let names = if hashed {
        let mut salt = [0; 20];
        SystemRandom::new().fill(&mut salt).map_err(|_| io::Error::other("no random numbers"))?;
        Names::hashed(name, salt)
    } else {
        Names::Patterns(name.to_owned())
    };
    // A name from elsewhere must not smuggle in a field, a pattern or a line.
    let plain = |it: char| !it.is_whitespace() && !it.is_control() && !"*?!,|#@".contains(it);
    if name.is_empty() || !name.chars().all(plain) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{name:?} is no name of a host")));
    }
    let key = PublicKey::new(key.key_data().clone(), "");
    let key = key.to_openssh().map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error.to_string()))?;
    Ok(format!("{names} {}", key.trim_end()))
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::PermissionsExt, sync::Arc};

    use super::*;

    const KEYS: [&str; 2] = [
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti a",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ b",
    ];

    fn key(which: usize) -> PublicKey {
        KEYS[which].parse().unwrap()
    }

    #[test]
    fn a_key_is_learnt_once_and_kept_safe() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("state/mesh/known_hosts");
        let name = HostName::new("H.example", 2222, None);
        for hashed in [false, true] {
            learn(&file, &name, &key(0), hashed).unwrap();
        }
        let text = std::fs::read_to_string(&file).unwrap();
        let expected =
            "[h.example]:2222 ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti\n";
        assert_eq!(text, expected);
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);

        // A line somebody cut off is not glued to ours, and a hashed name is found again.
        std::fs::write(&file, "cut").unwrap();
        learn(&file, &name, &key(1), true).unwrap();
        learn(&file, &name, &key(1), true).unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        assert_eq!((text.lines().count(), text.contains("h.example")), (2, false), "{text}");
        let known = KnownHosts::read([&file], None);
        assert_eq!(known.of("[h.example]:2222").count(), 1);
        assert_eq!(known.damaged().len(), 1);
    }

    #[test]
    fn many_writers_lose_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let file = Arc::new(dir.path().join("known_hosts"));
        let writers: Vec<_> = (0..8)
            .map(|writer| {
                let file = Arc::clone(&file);
                std::thread::spawn(move || {
                    for host in 0..4 {
                        learn(&file, &HostName::new(&format!("h{host}"), 22, None), &key(writer % 2), false).unwrap();
                    }
                })
            })
            .collect();
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        let known = KnownHosts::read([&*file], None);
        let counts: Vec<usize> = (0..4).map(|host| known.of(&format!("h{host}")).count()).collect();
        assert_eq!((counts, known.damaged()), (vec![2; 4], [].as_slice()));
    }

    #[test]
    fn a_name_cannot_smuggle_in_a_line() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("known_hosts");
        for name in ["a\nb", "a b", "*", "a,b", "", "!a", "@revoked"] {
            let learnt = learn(&file, &HostName::new(name, 22, None), &key(0), false);
            assert_eq!(learnt.map_err(|error| error.kind()), Err(io::ErrorKind::InvalidInput), "{name:?}");
        }
        assert_eq!(std::fs::read(&file).unwrap(), b"");
    }
}
