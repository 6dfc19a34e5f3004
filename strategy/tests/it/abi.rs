//! The frozen offsets: host, SDK and a WAT fixture read the same committed request.

use std::{collections::BTreeMap, mem::offset_of};

use mesh_strategy::{
    Answer, Ask, Change, FEEDBACK_BYTES, Feedback, Host, HostConfig, Kind, Outcome, RECORD_BYTES, REQUEST_BYTES,
    Record, Request, SlotRef, Tried,
};

use crate::fleet;

const VECTOR: &str = include_str!("../../sdk/abi/request.txt");

/// A field's offset, size and value.
type Field = (usize, usize, u64);

fn vector() -> (BTreeMap<&'static str, Field>, Vec<u8>) {
    let mut fields = BTreeMap::new();
    let mut bytes = Vec::new();
    for line in VECTOR.lines().filter(|line| !line.starts_with('#')) {
        let words: Vec<_> = line.split_whitespace().collect();
        if let ["bytes", hex] = words[..] {
            bytes = (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[at * 2..at * 2 + 2], 16).unwrap()).collect();
        } else if let [name, offset, size, value] = words[..] {
            let value = u64::from_str_radix(value.trim_start_matches("0x"), 16).unwrap();
            fields.insert(name, (offset.parse().unwrap(), size.parse().unwrap(), value));
        }
    }
    (fields, bytes)
}

/// The request of the vector, as the host makes it.
fn request() -> Request {
    let (fields, _) = vector();
    let wide = |name| fields[name].2;
    let word = |name| u32::try_from(fields[name].2).unwrap();
    let byte = |name| u8::try_from(fields[name].2).unwrap();
    let mut tried = Tried::default();
    for name in ["tried0", "tried1"] {
        tried.push(SlotRef { slot: word(name), generation: 1 });
    }
    Request {
        decision: wide("decision"),
        seed: wide("seed"),
        now_ms: word("now_ms"),
        deadline_ms: word("deadline_ms"),
        kind: Kind::Route,
        attempt: byte("attempt"),
        tried,
        ask: Ask {
            priority: byte("priority"),
            prompt_tokens: word("prompt_tokens"),
            max_tokens: word("max_tokens"),
            tenant: word("tenant"),
            session: wide("session"),
            prefix: wide("prefix"),
        },
    }
}

#[test]
fn the_host_writes_the_committed_bytes() {
    let (fields, bytes) = vector();
    assert_eq!(bytes.len(), REQUEST_BYTES);
    assert_eq!(request().to_bytes()[..], bytes[..]);
    for (name, (offset, size, value)) in fields {
        assert_eq!(bytes[offset..offset + size], value.to_le_bytes()[..size], "{name}");
    }
}

#[test]
fn the_sdk_has_the_committed_offsets() {
    let (fields, _) = vector();
    let sdk = [
        ("decision", offset_of!(mesh_sdk::Request, decision)),
        ("seed", offset_of!(mesh_sdk::Request, seed)),
        ("session", offset_of!(mesh_sdk::Request, session)),
        ("prefix", offset_of!(mesh_sdk::Request, prefix)),
        ("now_ms", offset_of!(mesh_sdk::Request, now_ms)),
        ("deadline_ms", offset_of!(mesh_sdk::Request, deadline_ms)),
        ("prompt_tokens", offset_of!(mesh_sdk::Request, prompt_tokens)),
        ("max_tokens", offset_of!(mesh_sdk::Request, max_tokens)),
        ("tenant", offset_of!(mesh_sdk::Request, tenant)),
        ("tried0", offset_of!(mesh_sdk::Request, tried)),
        ("kind", offset_of!(mesh_sdk::Request, kind)),
        ("attempt", offset_of!(mesh_sdk::Request, attempt)),
        ("priority", offset_of!(mesh_sdk::Request, priority)),
        ("tried_len", offset_of!(mesh_sdk::Request, tried_len)),
        ("size", offset_of!(mesh_sdk::Request, size)),
    ];
    for (name, offset) in sdk {
        assert_eq!(offset, fields[name].0, "{name}");
    }
    assert_eq!(size_of::<mesh_sdk::Request>(), REQUEST_BYTES);
    assert_eq!(size_of::<mesh_sdk::Feedback>(), FEEDBACK_BYTES);
    assert_eq!(size_of::<mesh_sdk::Record>(), RECORD_BYTES);
}

#[test]
fn a_guest_reads_the_committed_offsets() {
    let host = Host::new(HostConfig { instances: 4 }).unwrap();
    let wasm = wat::parse_str(include_str!("../../fixtures/request-fields.wat")).unwrap();
    let mut guest = host.load(&wasm).unwrap().instance(0).unwrap();
    let writer = fleet::writer(1, 8.0);
    guest.sync(writer.table(), Change::All);
    let mut answer = Answer::new();
    guest.decide(writer.table(), &request(), &mut answer);

    let names = ["now_ms", "deadline_ms", "prompt_tokens", "max_tokens", "tenant", "tried0", "tried1", "tried2"];
    let fields = vector().0;
    let low = |name: &str| u32::try_from(fields[name].2 & 0xffff_ffff).unwrap();
    let high = |name: &str| u32::try_from(fields[name].2 >> 32).unwrap();
    let mut expected = vec![low("decision"), high("decision"), low("seed"), low("session"), low("prefix")];
    expected.extend(names.map(low));
    expected.extend(["kind", "attempt", "priority"].map(low));
    let read: Vec<u32> = answer.records().iter().map(|note| note.b).collect();
    assert_eq!(read, expected);
}

#[test]
fn records_and_feedback_are_laid_out_alike() {
    let bytes: [u8; RECORD_BYTES] = std::array::from_fn(|at| u8::try_from(at).unwrap());
    let expected = Record { tag: 0, flags: 1, a: 0x0302, b: 0x0706_0504, c: 0x0b0a_0908, v_bits: 0x0f0e_0d0c };
    assert_eq!(Record::from_bytes(bytes), expected);

    let feedback = Feedback {
        decision: 1,
        slot: 2,
        generation: 3,
        attempt: 4,
        outcome: Outcome::ClientGone,
        ttft_us: 6,
        e2e_us: 7,
        tokens_out: 8,
    };
    let bytes = feedback.to_bytes();
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    assert_eq!(word(offset_of!(mesh_sdk::Feedback, slot)), 2);
    assert_eq!(word(offset_of!(mesh_sdk::Feedback, generation)), 3);
    assert_eq!(bytes[offset_of!(mesh_sdk::Feedback, attempt)..][..2], [4, 5]);
    assert_eq!(word(offset_of!(mesh_sdk::Feedback, ttft_us)), 6);
    assert_eq!(word(offset_of!(mesh_sdk::Feedback, e2e_us)), 7);
    assert_eq!(word(offset_of!(mesh_sdk::Feedback, tokens_out)), 8);
}
