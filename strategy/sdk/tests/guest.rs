//! The guest's side of the contract, on the machine that builds it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use mesh_sdk::{Column, Feedback, Guest, Memory, Out, Outcome, Record, Request, Verdict, View, argmin, pick_eligible};

fn view<'a>(eligible: &'a [u32], generation: &'a [u32]) -> View<'a> {
    View::new(eligible.len(), [(Column::Eligible, eligible), (Column::Generation, generation)])
}

#[test]
fn argmin_finds_the_first_smallest_eligible_row() {
    for len in [0, 1, 15, 16, 17, 100] {
        let nobody = vec![0; len];
        let score = |[bits, absent]: [u32; 2]| f32::from_bits(bits) + f32::from_bits(absent);
        let columns = [Column::TtftMs, Column::Price];
        for best in 0..len {
            let mut eligible = vec![1; len];
            let mut scores = vec![2.0_f32.to_bits(); len];
            for (slot, bits) in scores.iter_mut().enumerate() {
                match slot {
                    _ if slot == best || slot == best + 2 => *bits = 1.0_f32.to_bits(),
                    // Better, but not eligible.
                    0 => (*bits, eligible[0]) = (0.5_f32.to_bits(), 0),
                    3 => *bits = f32::NAN.to_bits(),
                    4 => *bits = f32::INFINITY.to_bits(),
                    _ => {}
                }
            }
            let view = View::new(len, [(Column::Eligible, &eligible[..]), (Column::TtftMs, &scores[..])]);
            let found = argmin(&view, columns, score).map(|(slot, least)| (slot, least.to_bits()));
            assert_eq!(found, Some((best, 1.0_f32.to_bits())), "{len} rows");
        }
        assert_eq!(argmin(&view(&nobody, &nobody), columns, score), None);
    }
}

#[test]
fn picks_are_eligible_and_reach_every_row() {
    let mut eligible = vec![0; 200];
    for slot in [0, 7, 80, 199] {
        eligible[slot] = 1;
    }
    let mut seen = [0; 200];
    for seed in 0..4_000 {
        seen[pick_eligible(&view(&eligible, &[]), seed).unwrap()] += 1;
    }
    assert_eq!(seen.iter().filter(|count| **count > 0).count(), 4);
    for slot in [0, 7, 80, 199] {
        assert!(seen[slot] > 0, "row {slot} is picked");
    }
    assert_eq!(pick_eligible(&view(&[0; 40], &[]), 3), None);
    assert_eq!(pick_eligible(&view(&[], &[]), 3), None);
}

#[test]
fn what_was_not_asked_for_is_unknown() {
    let cells = [5, 6];
    let valid = [1 << 4, 0];
    let view = View::new(2, [(Column::Valid, &valid[..]), (Column::Running, &cells[..])]);
    assert_eq!(view.u32(Column::Running, 0), Some(5));
    assert_eq!(view.u32(Column::Running, 1), None, "its bit is clear");
    assert_eq!(view.u32(Column::Running, 2), None, "beyond the rows");
    assert_eq!(view.f32(Column::Capacity, 0), None);
    assert_eq!(view.age_ms(0, 10), None);
}

/// Names as many rows as its space takes, and counts what it is told.
struct Greedy(usize);

impl Guest for Greedy {
    const ZERO: Self = Self(0);

    fn decide(&mut self, view: &View<'_>, request: &Request, out: &mut Out<'_>) -> Verdict {
        if request.priority == 1 {
            return Verdict::Abstain;
        }
        for slot in 0..view.len() {
            out.target(view, slot, 0.0);
        }
        out.push(Record::note(1, 2.0));
        Verdict::Ranked
    }

    fn observe(&mut self, batch: &[Feedback]) {
        self.0 += batch.len();
    }
}

#[test]
fn an_answer_never_overflows_and_rows_never_pass_the_cap() {
    let mut memory = Box::new(Memory::<Greedy, 32, 2>::ZERO);
    let ids = [Column::Eligible, Column::Generation];
    assert_eq!(memory.init(1, 2), 0);
    assert_ne!(memory.layout(&ids), 0);
    for (rows, records) in [(0, 1), (3, 4), (31, 16), (32, 16), (1_000, 16), (-5, 1)] {
        assert_eq!(memory.decide(&ids, rows), records, "{rows} rows");
    }
    assert_eq!(memory.observe(64), 0);
    assert_eq!(memory.observe(1_000), 0);
    assert_eq!(Feedback::new(1, 2, 3, Outcome::Refused).outcome(), Some(Outcome::Refused));
}
