//! `mesh top` in a real terminal: on a real mesh, and on the simulated fleet where no mesh is needed.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{process::Command, time::Duration};

use mesh_tests::{Mesh, Ran, bin_dir, screen::Screen, until};
use rustix::process::Signal;

const WIDE: (u16, u16) = (120, 40);
const QUICKLY: Duration = Duration::from_secs(10);
const ENTER: &str = "\r";
const ESCAPE: &str = "\x1b";

fn phase(mesh: &Mesh, node: &str) -> String {
    mesh.node(node)["status"]["phase"].as_str().unwrap().to_owned()
}

fn top(mesh: &Mesh, args: &[&str], vars: &[(&str, &str)]) -> Screen {
    let mut command = mesh.command();
    command.arg("top").args(args);
    let screen = Screen::start(&command, WIDE, vars);
    screen.shows("7 nodes 7●");
    screen
}

/// The line of the nodes' table that tells of a node.
fn row(text: &str, node: &str) -> String {
    let is_row = |line: &&str| line.contains(&format!(" {node} ")) && line.starts_with('│');
    text.lines().find(is_row).unwrap_or_default().to_owned()
}

/// Goes to a node's row by filtering for it.
fn choose(screen: &mut Screen, node: &str) {
    screen.keys("2");
    screen.shows("[2 Nodes]");
    screen.keys("/");
    screen.keys(node);
    screen.keys(ENTER);
    screen.until("only that node is listed", |text| !row(text, node).is_empty() && row(text, "node-1").is_empty());
    screen.keys("g");
    screen.until("the cursor is on it", |text| row(text, node).contains('▶'));
}

#[test]
fn a_node_is_drained_and_taken_back_from_the_screen() {
    let mesh = Mesh::start(&[]);
    let mut screen = top(&mesh, &[], &[]);
    assert_eq!(screen.taken(), (true, true));
    screen.shows("live ");
    screen.shows("no driver on 3 of 3");
    screen.shows("one strategy, nothing to compare");
    screen.keys("?");
    screen.shows("Keys on Overview");
    screen.keys(ESCAPE);
    screen.lacks("Keys on Overview");

    choose(&mut screen, "node-7");
    screen.keys("D");
    screen.shows("type node-7:");
    screen.shows("simulated-model 3 -> 2");
    screen.keys("node-6");
    screen.shows("type node-7: node-6");
    screen.keys(ENTER);
    screen.shows("nothing was done");
    assert_eq!(phase(&mesh, "node-7"), "Ready", "a wrong name drains nothing");
    screen.keys(ESCAPE);
    screen.shows("cancelled: nothing was changed");

    screen.keys("D");
    screen.shows("type node-7:");
    screen.shows("simulated-model 3 -> 2");
    screen.keys("node-7");
    screen.shows("type node-7: node-7");
    screen.keys(ENTER);
    screen.until("node-7 is drained", |text| row(text, "node-7").contains("drained"));
    until("the mesh says so too", QUICKLY, || (phase(&mesh, "node-7") == "Drained").then_some(()));
    screen.keys("u");
    screen.shows("Uncordon node-7");
    screen.shows("simulated-model 2 -> 3");
    screen.keys("y");
    screen.until("node-7 serves again", |text| row(text, "node-7").contains("ready"));
    until("the mesh says so too", QUICKLY, || (phase(&mesh, "node-7") == "Ready").then_some(()));

    screen.signal(Signal::TERM);
    assert_eq!(screen.ends(QUICKLY), 143);
    assert_eq!(screen.taken(), (false, false), "the terminal is given back");
}

#[test]
fn a_cordon_and_a_rollback_from_the_screen() {
    let mesh = Mesh::start(&[]);
    let wasm = concat!(env!("CARGO_MANIFEST_DIR"), "/../strategy/sdk/prebuilt/hybrid.wasm");
    mesh.run(&["strategy", "deploy", wasm]).ok();
    let decides = || mesh.run(&["strategy", "status"]).ok().stdout;
    assert!(decides().contains("hybrid"), "{}", decides());
    let mut screen = top(&mesh, &[], &[]);

    choose(&mut screen, "node-6");
    screen.keys("c");
    screen.shows("Cordon node-6");
    screen.shows("simulated-model 3 -> 2");
    screen.keys("n");
    screen.shows("cancelled: nothing was changed");
    assert_eq!(phase(&mesh, "node-6"), "Ready");
    screen.keys("c");
    screen.shows("simulated-model 3 -> 2");
    screen.keys("y");
    screen.until("node-6 is cordoned", |text| row(text, "node-6").contains("⊘ cordon"));
    until("the mesh says so too", QUICKLY, || (phase(&mesh, "node-6") == "Cordoned").then_some(()));

    screen.keys("4");
    screen.shows("[4 Routing]");
    screen.shows("hybrid");
    screen.keys("R");
    screen.shows("Roll the strategy back");
    screen.shows("The previous strategy decides again on every router.");
    assert!(decides().contains("hybrid"), "asking changes nothing");
    screen.keys("y");
    until("the one before decides", QUICKLY, || decides().contains("least_queue").then_some(()));
    screen.shows("least_queue");
}

#[test]
fn agents_that_fall_silent_are_seen_and_so_is_their_return() {
    let mesh = Mesh::start(&[]);
    let mut screen = top(&mesh, &["--read-only"], &[]);
    screen.shows("<read-only>");
    let agents = || mesh.up.nodes.iter().map(|it| it.name.as_str());
    agents().for_each(|node| mesh.signal(node, "agentd", Signal::STOP));
    screen.until("the picture is called old", |text| text.contains("STALE") || text.contains("RECONNECT"));
    screen.shows("RECONNECT");
    screen.shows("7 nodes");
    agents().for_each(|node| mesh.signal(node, "agentd", Signal::CONT));
    screen.shows("live ");
    screen.shows("7 nodes 7●");

    // Nothing can be changed, and nothing asks for it.
    choose(&mut screen, "node-7");
    screen.keys("D");
    screen.keys("?");
    screen.shows("Keys on Nodes");
    assert!(!screen.text().contains("drain"), "{}", screen.text());
    // The next key at once would be one with Alt.
    screen.keys(ESCAPE);
    screen.lacks("Keys on Nodes");
    screen.keys("q");
    assert_eq!(screen.ends(QUICKLY), 0);
    assert_eq!(screen.taken(), (false, false));
    assert_eq!(phase(&mesh, "node-7"), "Ready");

    let once = mesh.run(&["top", "--once"]).ok().stdout;
    assert!(once.contains("7 nodes 7") && !once.contains('\x1b'), "{once}");
    assert_eq!(mesh.run(&["top"]).ok().stdout.lines().count(), once.lines().count(), "without a terminal: one frame");
    let json = mesh.run(&["top", "--json"]).ok().json();
    assert_eq!((json["schema"].as_str(), json["fleet"]["nodes"]["ready"].as_u64()), (Some("mesh/v1"), Some(7)));
}

fn demo(args: &[&str]) -> Command {
    let mut command = Command::new(bin_dir().join("mesh"));
    command.args(["top", "--demo", "1000"]).args(args);
    command.env("XDG_STATE_HOME", "/nonexistent").env("XDG_CONFIG_HOME", "/nonexistent");
    command
}

#[test]
fn every_size_is_drawn_and_the_terminal_is_given_back() {
    let mut screen = Screen::start(&demo(&[]), WIDE, &[]);
    screen.shows("DEMO");
    let shown = screen.look();
    assert!(shown.coloured > 0, "{shown:?}");
    for area in [(80, 24), (10, 3), (1, 1), WIDE] {
        let before = screen.written();
        screen.resize(area);
        screen.until("it is drawn anew", |_| screen.written() > before);
    }
    screen.shows("Needs attention");
    screen.keys("q");
    assert_eq!(screen.ends(QUICKLY), 0);
    assert_eq!(screen.taken(), (false, false));
}

#[test]
fn without_colour_the_cursor_is_inverse_and_no_cell_is_coloured() {
    let mut screen = Screen::start(&demo(&[]), WIDE, &[("NO_COLOR", "1")]);
    screen.shows("DEMO");
    screen.keys("2");
    screen.shows("[2 Nodes]");
    screen.shows("▶");
    let shown = screen.look();
    assert!(shown.inverse > 0 && shown.coloured == 0, "{shown:?}");
    screen.keys("q");
    assert_eq!(screen.ends(QUICKLY), 0);
}

#[test]
fn a_dumb_terminal_gets_one_frame() {
    let mut screen = Screen::start(&demo(&[]), WIDE, &[("TERM", "dumb")]);
    assert_eq!(screen.ends(QUICKLY), 0);
    screen.shows("DEMO");
    assert_eq!(screen.taken(), (false, false));
}

#[test]
fn a_terminal_that_stops_reading_does_not_keep_the_keys_away() {
    let mut screen = Screen::start(&demo(&["--interval", "50ms"]), WIDE, &[]);
    screen.shows("DEMO");
    screen.read_on(false);
    // Whole screens are asked for until the terminal's buffer is full.
    for _ in 0..30 {
        screen.keys("\x0c2\x0c3");
        std::thread::sleep(Duration::from_millis(100));
    }
    screen.keys("q");
    assert_eq!(screen.ends(Duration::from_secs(3)), 0);
}

#[test]
fn a_demo_looks_the_same_each_time_and_a_mesh_that_is_none_is_an_error() {
    let run = |args: &[&str]| Ran::from(demo(args).env("NO_COLOR", "1").output().unwrap());
    let first = run(&["--once"]).ok().stdout;
    assert!(first.contains("1,000 simulated nodes") || first.contains("1000 simulated nodes"), "{first}");
    assert_eq!(run(&["--once"]).ok().stdout, first);
    assert_eq!(run(&["--json"]).ok().json(), run(&["-o", "json"]).ok().json());
    let mut none = Command::new(bin_dir().join("mesh"));
    none.args(["top", "--once"]).env("XDG_STATE_HOME", "/nonexistent").env("XDG_CONFIG_HOME", "/nonexistent");
    Ran::from(none.output().unwrap()).exits(5).says(&["next: mesh up"]);
}
