//! Waiting and retrying: the line, its bound and its wake rule, the retry budget, and what `Retry-After` says.

use mesh_strategy::{
    RequestId, Room,
    route::{Desk, Line, Step},
};

const RETRY: Step = Step { spent_retry: true };
const SECOND_US: u64 = 1_000_000;

fn retry_left(desk: &Desk) -> bool {
    desk.facts(&Line::new(), 0).retry_left
}

/// How many retries the budget holds.
fn retries(desk: &Desk) -> u32 {
    let mut retries = 0;
    while retry_left(desk) {
        desk.settle(RETRY);
        retries += 1;
    }
    retries
}

#[test]
fn the_budget_starts_at_twenty_and_grows_by_a_tenth_a_request() {
    let desk = Desk::default();
    desk.settle(Step::default());
    assert_eq!(retries(&desk), 20);
    for _ in 0..9 {
        desk.arrived();
    }
    assert!(!retry_left(&desk));
    desk.arrived();
    assert_eq!(retries(&desk), 1);
    for _ in 0..10_000 {
        desk.arrived();
    }
    assert_eq!(retries(&desk), 100, "it holds a hundred");
}

#[test]
fn the_lines_of_a_router_hold_a_thousand_and_twenty_four_together() {
    let desk = Desk::default();
    let (mut one, mut other) = (Line::new(), Line::new());
    for number in 0..1_000 {
        one.enqueue(RequestId::new(number), false, &desk);
    }
    for number in 1_000..1_024 {
        assert!(desk.facts(&other, 0).line_open);
        other.enqueue(RequestId::new(number), false, &desk);
    }
    assert!(!desk.facts(&other, 0).line_open && !desk.facts(&one, 0).line_open);
    assert!(one.remove(RequestId::new(500), &desk));
    assert!(!one.remove(RequestId::new(500), &desk), "it is gone already");
    assert!(desk.facts(&other, 0).line_open);
    assert_eq!((desk.waiting(), one.len()), (1_023, 999));
}

#[test]
fn first_come_first_served_and_a_woken_request_returns_to_the_front() {
    let desk = Desk::default();
    let mut line = Line::new();
    assert!(line.is_empty() && line.pop(&desk).is_none());
    for number in 1..4 {
        line.enqueue(RequestId::new(number), false, &desk);
    }
    let first = line.pop(&desk).unwrap();
    line.enqueue(first, true, &desk);
    let order: Vec<u64> = std::iter::from_fn(|| line.pop(&desk)).map(RequestId::get).collect();
    assert_eq!(order, [1, 2, 3]);
    assert_eq!(desk.waiting(), 0);
}

#[test]
fn a_tick_wakes_only_when_room_moved_and_somebody_waits() {
    let (desk, room, mut line) = (Desk::default(), Room::default(), Line::new());
    room.bump();
    assert!(!line.tick(&room), "nobody waits");
    line.enqueue(RequestId::new(1), false, &desk);
    assert!(!line.tick(&room), "room has not moved since");
    room.bump();
    room.bump();
    assert!(line.tick(&room));
    assert!(!line.tick(&room));
}

#[test]
fn retry_after_is_the_line_over_the_pace() {
    let check = |waiting: u64, completed: u64, now_us: u64, expected: u16| {
        let (desk, mut line) = (Desk::default(), Line::new());
        for number in 0..waiting {
            line.enqueue(RequestId::new(number), false, &desk);
        }
        for number in 0..completed {
            desk.completed(20 * SECOND_US + number * 10 * SECOND_US / completed);
        }
        assert_eq!(desk.facts(&line, now_us).retry_after, expected, "{waiting} wait, {completed} completed");
    };
    check(100, 0, 30 * SECOND_US, 1);
    check(100, 50, 29 * SECOND_US, 20);
    check(1_000, 50, 29 * SECOND_US, 60);
    check(1, 50, 29 * SECOND_US, 1);
    check(0, 50, 29 * SECOND_US, 1);
    check(100, 50, 100 * SECOND_US, 1);
}
