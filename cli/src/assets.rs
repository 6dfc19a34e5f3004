//! The manual pages and completion scripts, generated from the argument tree.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use clap::{Command, CommandFactory};
use clap_complete::Shell;

use crate::args::Cli;

/// The shells whose completion scripts are shipped; `mesh completion` knows more.
const SHELLS: [Shell; 3] = [Shell::Bash, Shell::Zsh, Shell::Fish];

/// Writes `man/*.1` and `completions/*` below a directory and returns the files in order.
///
/// # Errors
/// When a file cannot be written.
pub fn assets(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let (man, completions) = (dir.join("man"), dir.join("completions"));
    fs::create_dir_all(&man)?;
    fs::create_dir_all(&completions)?;
    let mut files = pages(&man)?;
    for shell in SHELLS {
        files.push(clap_complete::generate_to(shell, &mut tree(), "mesh", &completions)?);
    }
    files.sort();
    Ok(files)
}

/// The tree as it is documented: wrapped at a fixed width wherever it is generated.
pub(crate) fn tree() -> Command {
    Cli::command().term_width(100)
}

/// Writes one manual page a command, named `mesh.1`, `mesh-get.1`, `mesh-strategy-deploy.1`.
pub(crate) fn pages(dir: &Path) -> io::Result<Vec<PathBuf>> {
    fs::create_dir_all(dir)?;
    let mut tree = tree().disable_help_subcommand(true);
    tree.build();
    let mut files = Vec::new();
    write_pages(&tree, "mesh", dir, &mut files)?;
    Ok(files)
}

fn write_pages(command: &Command, name: &str, dir: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    let path = dir.join(format!("{name}.1"));
    fs::write(&path, page(command, name)?)?;
    files.push(path);
    for sub in command.get_subcommands().filter(|it| !it.is_hide_set()) {
        write_pages(sub, &format!("{name}-{}", sub.get_name()), dir, files)?;
    }
    Ok(())
}

/// One manual page in roff.
pub(crate) fn page(command: &Command, name: &str) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    let command = command.clone().display_name(name.to_owned());
    // Without a date: the same tree gives the same bytes.
    clap_mangen::Man::new(command).title(name.to_uppercase()).date("").render(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn committed_pages_and_scripts_are_fresh() {
        let dir = tempfile::tempdir().unwrap();
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let made = assets(dir.path()).unwrap();
        for file in &made {
            let name = file.strip_prefix(dir.path()).unwrap();
            let committed = fs::read(root.join(name)).unwrap_or_default();
            assert!(committed == fs::read(file).unwrap(), "{} is stale: run `cargo xtask gen`", name.display());
        }
        let there = |dir: &str| fs::read_dir(root.join(dir)).map_or(0, Iterator::count);
        assert_eq!(there("man") + there("completions"), made.len(), "a file is there that nothing generates");
    }

    #[test]
    fn the_manual_has_the_exit_codes() {
        let text = String::from_utf8(page(&tree(), "mesh").unwrap()).unwrap();
        assert!(text.contains("Exit codes") && text.contains("143"), "{text}");
    }
}
