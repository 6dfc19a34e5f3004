//! What is refused before it is let near a request, and in which words.

use mesh_strategy::{LoadError, check};

const LEAST_QUEUE: &str = include_str!("../../fixtures/least-queue.wat");

fn wasm(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap()
}

/// Checks that the module is refused with a text that holds all of `words`.
fn refused(bytes: &[u8], words: &[&str]) -> LoadError {
    let error = check(bytes).unwrap_err();
    let text = error.to_string();
    for word in words {
        assert!(text.contains(word), "{word:?} is not in {text:?}");
    }
    error
}

/// As [`refused`], for the least-queue fixture with `from` replaced by `to`.
fn edited(from: &str, to: &str, words: &[&str]) {
    assert!(LEAST_QUEUE.contains(from), "{from:?} is not in the fixture");
    refused(&wasm(&LEAST_QUEUE.replace(from, to)), words);
}

#[test]
fn a_good_module_passes_and_is_described() {
    let bytes = wasm(LEAST_QUEUE);
    let checked = check(&bytes).unwrap();
    assert_eq!((checked.manifest.name.as_str(), checked.manifest.cap_targets), ("least-queue", 512));
    assert_eq!(checked.digest, mesh_strategy::host::digest(&bytes));
    assert_eq!(checked.digest.len(), 64);
    let rows: Vec<usize> = checked.fuel.iter().map(|(rows, _)| *rows).collect();
    assert_eq!(rows, [16, 128, 512]);
    assert!(checked.fuel.windows(2).all(|pair| pair[0].1 < pair[1].1), "fuel grows with the rows: {:?}", checked.fuel);
}

#[test]
fn files_that_are_no_module() {
    let bytes = wasm(LEAST_QUEUE);
    refused(b"", &["empty"]);
    refused(b"#!/bin/sh\n", &["not a WASM module", "`.wasm`"]);
    refused(&vec![0; (1 << 20) + 1], &["1048577 bytes", "1048576"]);
    for cut in [5, 9, 60, bytes.len() / 2, bytes.len() - 3] {
        let error = refused(&bytes[..cut], &["SHA-256"]);
        assert!(matches!(error, LoadError::Truncated { .. }), "cut at {cut}: {error}");
    }
    refused(&wasm("(component)"), &["component", "core module"]);
    let unknown_section = [99, 1, 0];
    refused(&[&bytes[..], &unknown_section].concat(), &["not valid at byte"]);
}

#[test]
fn modules_that_want_more_than_a_strategy_has() {
    let error = refused(
        &wasm(include_str!("../../fixtures/wasi-import.wat")),
        &["WASI", "wasi_snapshot_preview1.clock_time_get", "wasm32-unknown-unknown"],
    );
    assert!(matches!(error, LoadError::WantsWasi { .. }));
    edited(
        "  (memory (export",
        "  (import \"env\" \"log\" (func))\n  (memory (export",
        &["`env.log`", "imports nothing"],
    );
    edited("\"memory\") 1)", "\"memory\") 17)", &["1114112 bytes of memory", "stack-size"]);
    edited("(func $least", "(func $wide (result i64) (i64.atomic.load (i32.const 0)))\n  (func $least", &["not valid"]);
}

#[test]
fn modules_that_do_not_speak_the_contract() {
    refused(&wasm(include_str!("../../fixtures/wrong-abi.wat")), &["contract 0.9", "speaks 0.1"]);
    edited("\\\"abi\\\":\\\"0.1\\\"", "\\\"abi\\\":\\\"0.7\\\"", &["contract 0.7", "upgrade the mesh"]);
    edited("\\\"abi\\\":\\\"0.1\\\"", "\\\"abi\\\":\\\"new\\\"", &["`abi`", "\"new\""]);
    edited("mesh:strategy", "mesh:stratagem", &["no custom section `mesh:strategy`", "strategy!"]);
    edited("\\\"name\\\":\\\"least-queue\\\"", "\\\"name\\\":\\\"Least Queue\\\"", &["`name`", "lower-case"]);
    edited("\\\"columns\\\":[1,2,3]", "\\\"columns\\\":[1,2,3,15]", &["column 15"]);
    edited("\\\"columns\\\":[1,2,3]", "\\\"columns\\\":[1,2]", &["column 3", "`columns`"]);
    edited("\\\"route\\\"", "\\\"place\\\"", &["`kinds`", "route"]);
    edited("\\\"cap_targets\\\":512", "\\\"cap_targets\\\":500", &["cap_targets is 512", "500"]);
    edited("(export \"mesh_decide\")", "(export \"decide\")", &["does not export `mesh_decide`", "README"]);
    edited(
        "(func (export \"mesh_layout\")",
        "(func (export \"mesh_layout\") (param i64)",
        &["`mesh_layout`", "() -> i32"],
    );
    edited("\"MSH1\" \"\\00\\02", "\"MSH2\" \"\\00\\02", &["MSH1"]);
    edited("\"\\10\\00\\00\\00\"", "\"\\41\\00\\00\\00\"", &["out_cap is 65"]);
    edited(
        "\"\\03\\00\\00\\00\" \"\\00\\20\\00\\00\"",
        "\"\\03\\00\\00\\00\" \"\\00\\fe\\00\\00\"",
        &["`column`", "outside the memory"],
    );
    edited(
        "i32 i32 i64 i64) (result i32) (i32.const 0)",
        "i32 i32 i64 i64) (result i32) (i32.const 3)",
        &["`mesh_init`", "returned 3"],
    );
    edited(
        "i32 i32 i64 i64) (result i32) (i32.const 0)",
        "i32 i32 i64 i64) (result i32) (loop $l (br $l)) (i32.const 0)",
        &["`mesh_init`", "ran out of its 30000000 units of fuel"],
    );
}

#[test]
fn modules_that_fail_a_probe() {
    let probe = |text: &str, words: &[&str]| {
        let error = refused(&wasm(text), words);
        assert!(matches!(error, LoadError::Probe { .. }), "{error}");
    };
    probe(include_str!("../../fixtures/spin.wat"), &["`golden`", "75000 units of fuel", "loops"]);
    probe(include_str!("../../fixtures/unreachable.wat"), &["`golden`", "trapped", "unreachable"]);
    probe(include_str!("../../fixtures/slot-9999.wat"), &["`golden`", "slot 9999", "8 rows"]);
    let observes = "(func (export \"mesh_observe\") (param i32) (result i32) (i32.const 0))";
    probe(
        &LEAST_QUEUE.replace(observes, &observes.replace("(i32.const 0)", "(unreachable)")),
        &["`observe`", "trapped"],
    );
    // An answer that depends on how often the instance was asked before.
    let twice = "(call $target (i32.const 0) (local.get $best))\n    (i32.const 1)";
    let named = "(call $target (i32.const 0) (local.get $best))\n    (call $target (i32.const 1) (local.get $best))\n    (i32.const 2)";
    assert!(LEAST_QUEUE.contains(twice));
    probe(&LEAST_QUEUE.replace(twice, named), &["names slot", "twice"]);
}

#[test]
fn modules_that_pass_without_being_clever() {
    for text in [
        include_str!("../../fixtures/abstain.wat"),
        include_str!("../../fixtures/grow-memory.wat"),
        include_str!("../../fixtures/fault-on-demand.wat"),
    ] {
        check(&wasm(text)).unwrap();
    }
}
