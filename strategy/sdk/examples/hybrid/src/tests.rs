//! The choices of `hybrid`, on the machine that builds it.

use mesh_sdk::Record;

use super::*;

/// Rows of a test table; a number below zero is unknown.
struct Row {
    own: u32,
    running: i32,
    waiting: i32,
    capacity: f32,
    kv: f32,
    ttft_ms: f32,
    eligible: bool,
}

const IDLE: Row = Row { own: 0, running: 0, waiting: 0, capacity: 8.0, kv: 0.1, ttft_ms: 60.0, eligible: true };

const COLUMNS: [Column; 11] = [
    Column::Valid,
    Column::Generation,
    Column::Eligible,
    Column::OwnInflight,
    Column::Running,
    Column::Waiting,
    Column::Capacity,
    Column::KvUsed,
    Column::TtftMs,
    Column::TpotMs,
    Column::ObservedMs,
];

fn columns(rows: &[Row], age_ms: u32) -> Vec<Vec<u32>> {
    let known = |number: i32| u32::try_from(number).unwrap_or(0);
    let mut columns = vec![Vec::new(); COLUMNS.len()];
    for row in rows {
        let mut valid = COLUMNS.iter().fold(0, |bits, column| bits | 1 << (*column as u32));
        for (number, column) in [(row.running, Column::Running), (row.waiting, Column::Waiting)] {
            if number < 0 {
                valid &= !(1 << (column as u32));
            }
        }
        let cells = [
            valid,
            7,
            u32::from(row.eligible),
            row.own,
            known(row.running),
            known(row.waiting),
            row.capacity.to_bits(),
            row.kv.to_bits(),
            row.ttft_ms.to_bits(),
            12.0_f32.to_bits(),
            10_000 - age_ms,
        ];
        for (column, cell) in columns.iter_mut().zip(cells) {
            column.push(cell);
        }
    }
    columns
}

fn view(columns: &[Vec<u32>]) -> View<'_> {
    View::new(columns[0].len(), COLUMNS.into_iter().zip(columns.iter().map(Vec::as_slice)))
}

fn request(number: u64) -> Request {
    Request { decision: number * 4, seed: splitmix64(number), now_ms: 10_000, ..Request::EMPTY }
}

fn decide(guest: &mut Hybrid, view: &View<'_>, request: &Request) -> Vec<u32> {
    let mut records = [Record::target(0, 0, 0.0); 16];
    let mut out = Out::new(&mut records);
    match guest.decide(view, request, &mut out) {
        Verdict::Ranked => out.records().iter().filter_map(Record::slot).collect(),
        Verdict::Abstain => Vec::new(),
    }
}

fn hybrid() -> Box<Hybrid> {
    Box::new(Hybrid::ZERO)
}

#[test]
fn of_two_rows_the_shorter_wait_comes_first() {
    let check = |worse: Row, age_ms: u32| {
        let columns = columns(&[worse, IDLE], age_ms);
        let mut firsts = [0; 2];
        for number in 1..200 {
            let slots = decide(&mut hybrid(), &view(&columns), &request(number));
            if slots.len() == 2 {
                firsts[slots[0] as usize] += 1;
            }
        }
        firsts
    };
    assert_eq!(check(Row { own: 20, ..IDLE }, 0)[0], 0, "own requests in flight count");
    assert_eq!(check(Row { running: 8, waiting: 9, ..IDLE }, 900)[0], 0, "a fresh report counts");
    assert_eq!(check(Row { kv: 0.99, ..IDLE }, 0)[0], 0, "a full KV cache counts");
    assert_eq!(check(Row { ttft_ms: 300.0, ..IDLE }, 0)[0], 0, "a slow engine counts");
    assert!(check(Row { running: 8, waiting: 9, ..IDLE }, 1_500)[0] > 0, "a stale report does not count");
    assert!(check(Row { running: -1, waiting: -1, ..IDLE }, 0)[0] > 0, "unknown is not a load");
}

#[test]
fn rows_that_may_not_be_chosen_are_not_named() {
    let columns = columns(&[Row { eligible: false, ..IDLE }, IDLE, IDLE, Row { eligible: false, ..IDLE }], 0);
    for number in 1..200 {
        let slots = decide(&mut hybrid(), &view(&columns), &request(number).with_tried(1));
        assert!(slots.is_empty() || slots == [2], "request {number} named {slots:?}");
    }
    let columns = self::columns(&[Row { eligible: false, ..IDLE }], 0);
    assert!(decide(&mut hybrid(), &view(&columns), &request(1)).is_empty(), "nothing eligible: abstain");
    let columns = self::columns(&[], 0);
    assert!(decide(&mut hybrid(), &view(&columns), &request(1)).is_empty(), "no row: abstain");
}

#[test]
fn a_session_stays_where_it_went_well_unless_it_must_wait_there() {
    let rows: Vec<Row> = (0..64).map(|_| IDLE).collect();
    let columns = columns(&rows, 0);
    let mut guest = hybrid();
    let ask = |number| Request { session: 99, ..request(number) };
    let first = decide(&mut guest, &view(&columns), &ask(1));
    guest.observe(&[Feedback::new(4, first[0], 7, Outcome::Ok)]);
    for number in 2..100 {
        assert_eq!(decide(&mut guest, &view(&columns), &ask(number))[0], first[0], "the session stays");
    }
    let busy: Vec<Row> = (0..64).map(|slot| Row { own: if slot == first[0] { 30 } else { 0 }, ..IDLE }).collect();
    let columns = self::columns(&busy, 0);
    assert_ne!(decide(&mut guest, &view(&columns), &ask(100))[0], first[0], "a long queue moves it");
    guest.observe(&[Feedback::new(400, 5, 7, Outcome::EngineError)]);
    let columns = self::columns(&rows, 0);
    assert_eq!(decide(&mut guest, &view(&columns), &ask(101))[0], first[0], "only a good end moves the session");
}
