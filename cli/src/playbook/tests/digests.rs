//! What a host says of its files is the same by whichever tools it has.

use super::*;
use crate::playbook::sh::QUESTIONS;

const SHELLS: [&str; 2] = ["/usr/bin/dash", "/usr/bin/bash"];

/// A folder of programs: those that every host has, and some that not all have.
fn tools(dir: &Path, some: &[&str]) -> PathBuf {
    let tools = dir.join(format!("tools-{}", some.join("-")));
    if fs::create_dir(&tools).is_err() {
        return tools;
    }
    for name in ["stat", "id"].iter().chain(some) {
        std::os::unix::fs::symlink(Path::new("/usr/bin").join(name), tools.join(name)).unwrap();
    }
    tools
}

#[test]
fn digests_are_the_same_by_every_tool() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("files");
    fs::create_dir(&dir).unwrap();
    let large = vec![b'l'; 3 << 20];
    let small = ["small", "a *star and  two spaces", "back\\slash", "$(id) `id`", "-n"];
    for name in small {
        fs::write(dir.join(name), name).unwrap();
    }
    fs::write(dir.join("large"), &large).unwrap();
    fs::write(dir.join("large\\"), &large).unwrap();
    std::os::unix::fs::symlink("large", dir.join("link")).unwrap();
    // Asked for by their paths, with what `stat` says of them or without; together, and apart.
    let script = format!(
        "{QUESTIONS}\nset -u\nunchanging=yes\n\
         [ -z \"$1\" ] || attributes=$newline$(stat -c \"%n$tab%a %U:%G %s$tab%i %z\" \"$dir\"/* 2>/dev/null)$newline\n\
         sums \"$dir/gone\" \"$dir/small\" \"$dir/link\"; sums \"$dir\" \"$dir\"/*\n\
         for it in \"$dir\"/*; do if digest_of \"$it\"; then printf '%s %s\\n' \"$found\" \"${{it##*/}}\"; fi; done"
    );
    let mut expected: Vec<String> = small
        .iter()
        .map(|name| (name.as_bytes(), *name))
        .chain([(large.as_slice(), "large"), (large.as_slice(), "large\\")])
        .map(|(bytes, name)| format!("{} {name}", mesh_proto::cert::sha256(bytes)))
        .collect();
    expected.sort_unstable();
    for (shell, some) in
        SHELLS.iter().flat_map(|it| [(it, &["sha256sum", "openssl"][..]), (it, &["sha256sum"]), (it, &["openssl"])])
    {
        for known in ["yes", ""] {
            let output = Command::new(shell)
                .args(["-c", &script, "sh", known])
                .env("PATH", tools(scratch.path(), some))
                .env("dir", &dir)
                .output();
            let Ok(output) = output else { continue };
            let said = String::from_utf8(output.stdout).unwrap();
            let mut said: Vec<&str> = said.lines().collect();
            said.sort_unstable();
            assert_eq!(said, expected, "{shell} with {some:?}, sizes known: {known:?}");
            assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{shell} with {some:?}");
        }
    }
}
