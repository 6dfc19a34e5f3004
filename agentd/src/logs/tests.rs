//! Logs as files: the end of them by every condition, and what is appended through every kind of rotation.

use std::{fs, io::Write as _, path::Path};

use super::{
    file::{Tail, aside},
    *,
};

fn at(second: u64) -> String {
    Timestamp(1_763_718_720_000 + second * 1000).to_string()
}

fn entry(second: u64, level: &str, text: &str) -> String {
    format!("{} {level:>5} mesh_agentd: {text}\n", at(second))
}

fn append(path: &Path, text: &str) {
    fs::File::options().create(true).append(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

fn texts(lines: &[Line]) -> Vec<&str> {
    lines.iter().map(|it| it.text.trim_start_matches("mesh_agentd: ")).collect()
}

fn tail(path: &Path, filter: &Filter, most: usize) -> (Vec<Line>, Tail) {
    Tail::open(path.to_owned(), Unit::Agentd, filter, most).unwrap()
}

#[test]
fn lines_are_taken_apart() {
    let check = |raw: &str, second: Option<u64>, level: Level, text: &str| {
        let line = line::Builder::new(Unit::Agentd).line(raw.as_bytes(), 0);
        assert_eq!((line.at.map(|it| it.to_string()), line.level, line.text.as_str()), (second.map(at), level, text));
    };
    check("2025-11-21T09:52:01.000000Z  WARN mesh: slow a=1", Some(1), Level::Warn, "mesh: slow a=1");
    check("2025-11-21T09:52:01.000000Z ERROR", Some(1), Level::Error, "");
    check("2025-11-21T09:52:01.000000Z something else", Some(1), Level::Info, "something else");
    check("thread 'main' panicked at src/x.rs:1:2:", None, Level::Error, "thread 'main' panicked at src/x.rs:1:2:");
    check("mesh-agentd: field `x`: no", None, Level::Error, "mesh-agentd: field `x`: no");
    check("mesh-agentd.service: Deactivated.", None, Level::Info, "mesh-agentd.service: Deactivated.");
    check("INFO: Application startup complete.", None, Level::Info, "INFO: Application startup complete.");
    check("", None, Level::Info, "");
}

#[test]
fn the_end_of_a_log_by_every_condition() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("agentd.log");
    append(&aside(&path), &entry(0, "INFO", "oldest"));
    append(&path, &entry(1, "INFO", "one"));
    append(&path, &entry(2, "WARN", "two"));
    append(&path, "  goes on\n");
    append(&path, &entry(3, "ERROR", "three"));
    append(&path, &entry(4, "DEBUG", "four"));
    let all = Filter::default();
    let check = |filter: &Filter, most: usize, expected: &[&str]| {
        assert_eq!(texts(&tail(&path, filter, most).0), expected, "{filter:?} {most}");
    };
    check(&all, 0, &[]);
    check(&all, 2, &["three", "four"]);
    check(&all, 100, &["oldest", "one", "two", "  goes on", "three", "four"]);
    let since = |second: u64| Filter { since: Some(Timestamp(1_763_718_720_000 + second * 1000)), ..Filter::default() };
    check(&since(2), 100, &["two", "  goes on", "three", "four"]);
    check(&since(2), 1, &["four"]);
    check(&since(9), 100, &[]);
    check(&Filter { level: Some(Level::Warn), ..Filter::default() }, 100, &["two", "  goes on", "three"]);
    check(&Filter { level: Some(Level::Warn), ..since(3) }, 100, &["three"]);
    check(&Filter { grep: Some("o".into()), ..Filter::default() }, 2, &["  goes on", "four"]);
    check(&Filter { grep: Some("no such".into()), ..Filter::default() }, 100, &[]);
}

#[test]
fn a_large_log_is_read_from_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("agentd.log");
    let text: String = (0..20_000).map(|it| entry(it, "INFO", &format!("line {it} {}", "x".repeat(40)))).collect();
    fs::write(&path, text).unwrap();
    let check = |filter: &Filter, most: usize, first: &str, count: usize| {
        let (lines, _) = tail(&path, filter, most);
        assert_eq!(lines.len(), count, "{filter:?}");
        assert!(lines[0].text.contains(first), "{}", lines[0].text);
    };
    check(&Filter::default(), 3, "line 19997 ", 3);
    check(&Filter::default(), 10_000, "line 10000 ", 10_000);
    check(&Filter { grep: Some("line 7 ".into()), ..Filter::default() }, 5, "line 7 ", 1);
}

#[test]
fn long_lines_and_bytes_that_are_no_text_are_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("agentd.log");
    fs::write(&path, [&b"\xff\x1b[31m"[..], &vec![b'x'; 100_000], b"\nlast\n"].concat()).unwrap();
    let (lines, mut tail) = tail(&path, &Filter::default(), 10);
    assert_eq!((lines.len(), lines[1].text.as_str()), (2, "last"));
    assert!(lines[0].text.len() <= LINE_BYTES_MAX + 2, "{}", lines[0].text.len());
    assert_eq!(lines[0].cut_bytes as usize, 100_006 - LINE_BYTES_MAX);
    append(&path, &"y".repeat(50_000));
    append(&path, &"y".repeat(50_000));
    append(&path, "\nend\n");
    let (mut found, mut rounds) = (Vec::new(), 0);
    while found.len() < 2 {
        found.extend(tail.step().unwrap().0);
        rounds += 1;
        assert!(rounds < 10, "{found:?}");
    }
    assert_eq!((found[0].text.len(), found[0].cut_bytes as usize), (LINE_BYTES_MAX, 100_000 - LINE_BYTES_MAX));
    assert_eq!(found[1].text, "end");
}

#[test]
fn what_is_appended_comes_through_every_rotation() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("agentd.log");
    append(&path, &entry(1, "WARN", "one"));
    append(&path, "two");
    let (_, mut tail) = tail(&path, &Filter::default(), 10);
    let mut step = |expected: &[&str], gap: bool| {
        let (lines, found) = tail.step().unwrap();
        assert_eq!((texts(&lines), found), (expected.to_vec(), gap));
    };
    step(&[], false);
    append(&path, " and a half\nthree\n");
    step(&["two and a half", "three"], false);
    // Moved aside with something unread, and made anew.
    append(&path, "four\n");
    fs::rename(&path, aside(&path)).unwrap();
    step(&["four"], false);
    step(&[], false);
    append(&path, "five\n");
    step(&["five"], false);
    // Copied and emptied with something unread.
    append(&path, "six\n");
    fs::copy(&path, aside(&path)).unwrap();
    fs::File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
    append(&path, "7\n");
    step(&["six"], false);
    step(&["7"], false);
    // Emptied by somebody else: what was not read is gone, and that is said.
    append(&path, "eight is long\n");
    step(&["eight is long"], false);
    fs::File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
    append(&path, "nine\n");
    step(&["nine"], true);
    // Gone and back.
    fs::remove_file(&path).unwrap();
    step(&[], false);
    append(&path, "ten\n");
    step(&["ten"], false);
}

#[tokio::test]
async fn units_are_merged_by_time_and_absent_ones_are_named() {
    let dir = tempfile::tempdir().unwrap();
    append(&dir.path().join("agentd.log"), &(entry(1, "INFO", "a1") + &entry(3, "INFO", "a3")));
    append(&dir.path().join("routerd.log"), &(entry(2, "INFO", "r2") + &entry(4, "INFO", "r4")));
    let home = Home::Dir(dir.path().to_owned());
    let wanted =
        |units: &[Unit], lines, follow| Wanted { units: units.to_vec(), follow, lines, filter: Filter::default() };
    let (lines, _) = Reader::open(&home, wanted(&[], 3, false)).await.unwrap();
    assert_eq!(texts(&lines), ["r2", "a3", "r4"]);
    let (lines, _) = Reader::open(&home, wanted(&[Unit::Routerd], 10, false)).await.unwrap();
    assert_eq!(texts(&lines), ["r2", "r4"]);
    let absent = Reader::open(&home, wanted(&[Unit::Engine], 10, true)).await.unwrap_err();
    assert_eq!(absent.to_string(), "this node has no log of engine; it has: agentd, routerd");

    let (_, mut reader) = Reader::open(&home, wanted(&[], 0, true)).await.unwrap();
    append(&dir.path().join("engine.log"), &entry(5, "WARN", "e5"));
    let chunk = reader.next().await.unwrap().unwrap();
    assert_eq!((chunk.lines[0].unit, texts(&chunk.lines)), (Unit::Engine, vec!["e5"]));
}

/// A program in the place of `journalctl` that prints by its arguments.
#[tokio::test]
async fn the_journal_is_read_backwards_and_then_on() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("journalctl");
    let entry = |n: u32| {
        format!(
            r#"{{"__CURSOR":"c{n}","__REALTIME_TIMESTAMP":"{n}000000","_SYSTEMD_UNIT":"mesh-routerd.service","PRIORITY":"{n}","MESSAGE":"m{n}"}}"#
        )
    };
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in\n*--unit=mesh-routerd.service*--reverse) printf '%s\\n' '{}' 'no json' '{}' '{}';;\n\
         *--unit=mesh-routerd.service*--follow*--no-tail*--after-cursor=c6) printf '%s\\n' '{}'; exec sleep 100;;\n\
         *) echo \"no access\" >&2;;\nesac\n",
        entry(6),
        entry(5),
        entry(4),
        entry(7),
    );
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let home = Home::Journal(program);
    let wanted = |units: &[Unit], filter| Wanted { units: units.to_vec(), follow: true, lines: 2, filter };
    let (lines, mut reader) = Reader::open(&home, wanted(&[Unit::Routerd], Filter::default())).await.unwrap();
    assert_eq!(texts(&lines), ["m5", "m6"]);
    assert_eq!(texts(&reader.next().await.unwrap().unwrap().lines), ["m7"]);
    let warnings = Filter { level: Some(Level::Warn), ..Filter::default() };
    let (lines, _) = Reader::open(&home, wanted(&[Unit::Routerd], warnings)).await.unwrap();
    assert_eq!(texts(&lines), ["m4"]);
    let refused = Reader::open(&home, wanted(&[Unit::Agentd], Filter::default())).await.unwrap_err();
    assert_eq!(refused.to_string(), "the journal: no access");
    let absent = Reader::open(&home, wanted(&[Unit::Engine], Filter::default())).await.unwrap_err();
    assert!(absent.to_string().contains("no log of engine"), "{absent}");
    let missing = Home::Journal("/no/journalctl".into());
    let failed = Reader::open(&missing, wanted(&[], Filter::default())).await.unwrap_err();
    assert!(failed.to_string().contains("no log_dir"), "{failed}");
}
