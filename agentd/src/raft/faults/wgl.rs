//! Is a history of one register linearizable? The search of Wing and Gong with Lowe's memory of states already tried.

use std::collections::HashSet;

/// What was asked of the register, and what came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Read(u64),
    Write(u64),
    /// From, to, and whether it took effect.
    Swap(u64, u64, bool),
}

/// One operation; without a return it may have happened at any later time, or never.
#[derive(Debug, Clone, Copy)]
pub(super) struct Operation {
    pub(super) key: u8,
    /// Who answered; for a person who reads a failed history.
    #[expect(dead_code, reason = "printed in reports")]
    pub(super) node: u64,
    pub(super) kind: Kind,
    pub(super) called: u64,
    pub(super) returned: Option<u64>,
}

/// What the search found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Linearizable,
    Violated,
    /// The search was cut off.
    GaveUp,
}

/// The register's value after an operation, if it can happen at this value.
fn step(operation: &Operation, value: u64) -> Option<u64> {
    match operation.kind {
        Kind::Read(seen) => (seen == value).then_some(value),
        Kind::Write(new) => Some(new),
        Kind::Swap(old, new, true) => (old == value).then_some(new),
        Kind::Swap(old, _, false) => (old != value).then_some(value),
    }
}

/// Leaves out writes of unknown outcome whose value nobody can have observed: they need not have happened.
fn relevant(history: &[Operation]) -> Vec<Operation> {
    let observed: HashSet<u64> = history
        .iter()
        .filter_map(|it| match it.kind {
            Kind::Read(value) | Kind::Swap(value, _, true) => Some(value),
            Kind::Write(_) | Kind::Swap(_, _, false) => None,
        })
        .collect();
    // A failed swap says only that the value differed: any earlier write may be why.
    let last_failed =
        history.iter().filter(|it| matches!(it.kind, Kind::Swap(_, _, false))).filter_map(|it| it.returned).max();
    let mut operations: Vec<Operation> = history
        .iter()
        .filter(|it| match it.kind {
            _ if it.returned.is_some() => true,
            Kind::Write(new) | Kind::Swap(_, new, _) => {
                observed.contains(&new) || last_failed.is_some_and(|last| it.called <= last)
            }
            Kind::Read(_) => false,
        })
        .copied()
        .collect();
    operations.sort_by_key(|it| it.called);
    operations
}

/// Searches for an order of the operations that explains every answer, within a number of steps.
pub(super) fn check(history: &[Operation], steps_max: usize) -> Verdict {
    let operations = relevant(history);
    let done = |set: &[u64], at: usize| set[at / 64] >> (at % 64) & 1 == 1;
    let mut stack = vec![(0, vec![0_u64; operations.len() / 64 + 1], 0)];
    let mut tried = HashSet::new();
    while let Some((mut first, set, value)) = stack.pop() {
        while first < operations.len() && done(&set, first) {
            first += 1;
        }
        let open = |at: &usize| !done(&set, *at);
        if (first..operations.len()).filter(open).all(|at| operations[at].returned.is_none()) {
            return Verdict::Linearizable;
        }
        if !tried.insert((set.clone(), value)) {
            continue;
        }
        if tried.len() > steps_max {
            return Verdict::GaveUp;
        }
        let earliest_return =
            (first..operations.len()).filter(open).filter_map(|at| operations[at].returned).min().unwrap_or(u64::MAX);
        let mut next: Vec<_> = (first..operations.len())
            .filter(open)
            .take_while(|at| operations[*at].called <= earliest_return)
            .filter_map(|at| Some((operations[at].returned.unwrap_or(u64::MAX), at, step(&operations[at], value)?)))
            .collect();
        // The one that returned first is tried first: it is on top of the stack.
        next.sort_unstable_by(|a, b| b.cmp(a));
        for (_, at, value) in next {
            let mut set = set.clone();
            set[at / 64] |= 1 << (at % 64);
            stack.push((first, set, value));
        }
    }
    Verdict::Violated
}

#[test]
fn known_histories_are_judged_right() {
    let check = |history: &[(Kind, u64, u64)], expected| {
        let operation = |(kind, called, returned): &(Kind, u64, u64)| Operation {
            key: 0,
            node: 0,
            kind: *kind,
            called: *called,
            returned: Some(*returned).filter(|returned| *returned > 0),
        };
        let operations: Vec<_> = history.iter().map(operation).collect();
        assert_eq!(check(&operations, 1_000), expected, "{history:?}");
    };
    use Kind::{Read, Swap, Write};
    use Verdict::{Linearizable, Violated};
    check(&[], Linearizable);
    check(&[(Write(1), 1, 2), (Read(1), 3, 4)], Linearizable);
    check(&[(Write(1), 1, 2), (Read(0), 3, 4)], Violated);
    check(&[(Write(1), 1, 5), (Read(0), 3, 4)], Linearizable);
    check(&[(Write(1), 1, 0), (Read(0), 3, 4), (Read(1), 5, 6)], Linearizable);
    check(&[(Write(1), 1, 0), (Read(1), 3, 4), (Read(0), 5, 6)], Violated);
    check(&[(Write(1), 1, 2), (Write(2), 3, 0), (Swap(1, 5, false), 4, 6)], Linearizable);
    check(&[(Write(1), 1, 2), (Swap(1, 5, false), 4, 6)], Violated);
    check(&[(Swap(0, 1, true), 1, 2), (Swap(0, 2, true), 3, 4)], Violated);
}
