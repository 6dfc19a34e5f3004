//! What keys do: moving, filtering, questions and their answers, and that nothing changes without being asked for.

use crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use mesh_core::time::Timestamp;
use proptest::prelude::*;

use super::fixture::{NOW, healthy, healthy_rows, incident, nodes, plain, stale};
use crate::{
    Action, BlastRadius, FeedEvent, Options, Picture, Request, Ticket,
    model::{link::Session, view::ScreenId},
    overlay::Overlay,
    update::{Effect, Msg, update},
};

fn event(code: KeyCode) -> Event {
    Event::Key(KeyEvent::new(code, KeyModifiers::NONE))
}

/// Presses keys as a person does: each is seen before the next.
fn press(picture: &mut Picture, keys: &str) -> Vec<Effect> {
    let mut effects = Vec::new();
    for c in keys.chars() {
        let code = match c {
            '↵' => KeyCode::Enter,
            '⎋' => KeyCode::Esc,
            '⇥' => KeyCode::Tab,
            c => KeyCode::Char(c),
        };
        effects.extend(update(&mut picture.model, Msg::Input(event(code)), NOW).1);
        picture.draw(picture.model.view.screen, 120, 40, NOW);
        update(&mut picture.model, Msg::Drawn, NOW);
    }
    effects
}

fn lab() -> Picture {
    let mut picture = healthy(&plain());
    picture.draw(ScreenId::Nodes, 120, 40, NOW);
    picture
}

fn previewed(picture: &mut Picture, effects: &[Effect]) -> Action {
    let [Effect::Ask(Request::Preview(ticket, action))] = effects else { panic!("no preview in {effects:?}") };
    let blast = BlastRadius { engines: 1, in_flight: Some(3), ..BlastRadius::default() };
    update(&mut picture.model, Msg::Feed(Box::new(FeedEvent::Preview(*ticket, Ok(blast)))), NOW);
    action.clone()
}

fn name(text: &str) -> mesh_core::id::NodeName {
    mesh_core::id::NodeName::new(text).unwrap()
}

#[test]
fn a_drain_wants_the_name_typed() {
    let mut picture = lab();
    let effects = press(&mut picture, "GD");
    let action = previewed(&mut picture, &effects);
    assert_eq!(action, Action::Drain(vec![name("gpu-3")]));
    // A yes, an Enter, or another name is no answer.
    assert_eq!(press(&mut picture, "y↵"), []);
    assert_eq!(press(&mut picture, "gpu-2↵"), []);
    insta::assert_snapshot!("dialog_drain_wrong_80x24", {
        picture.draw(ScreenId::Nodes, 80, 24, NOW);
        crate::encode::lines(picture.buffer(), true)
    });
    for _ in 0..8 {
        update(&mut picture.model, Msg::Input(event(KeyCode::Backspace)), NOW);
    }
    let effects = press(&mut picture, "gpu-3⇥bad disk↵");
    let [Effect::Ask(Request::Do(ticket, action, reason))] = effects.as_slice() else { panic!("{effects:?}") };
    assert_eq!((action, reason.as_deref()), (&Action::Drain(vec![name("gpu-3")]), Some("bad disk")));
    let done = FeedEvent::Done(*ticket, Ok("node/gpu-3 draining".to_owned()));
    update(&mut picture.model, Msg::Feed(Box::new(done)), NOW);
    let toast = picture.model.overlays.toast.as_ref().map(|it| it.text.as_str());
    assert_eq!(toast, Some("node/gpu-3 draining (u cancels the drain)"));
}

#[test]
fn a_cordon_wants_a_yes_and_enter_cancels() {
    let check = |keys: &str, done: bool| {
        let mut picture = lab();
        let effects = press(&mut picture, "c");
        previewed(&mut picture, &effects);
        let effects = press(&mut picture, keys);
        let sent = effects.iter().any(|it| matches!(it, Effect::Ask(Request::Do(..))));
        assert_eq!(sent, done, "{keys}");
    };
    check("↵", false);
    check("⎋", false);
    check("n", false);
    check("y", true);
    check("⇥↵", true);
    check("rslow disk↵", true);
}

#[test]
fn nothing_is_answered_before_it_was_seen_or_is_known() {
    let mut picture = lab();
    let at = |picture: &mut Picture, c: char| update(&mut picture.model, Msg::Input(event(KeyCode::Char(c))), NOW).1;
    let effect = at(&mut picture, 'c');
    let effects: Vec<Effect> = effect.into_iter().collect();
    // Typed ahead: the question was never on the screen.
    previewed(&mut picture, &effects);
    assert_eq!(at(&mut picture, 'y'), None);
    update(&mut picture.model, Msg::Drawn, NOW);
    assert!(at(&mut picture, 'y').is_some());
    // The mesh has not said yet what it would hit.
    let mut picture = lab();
    press(&mut picture, "c");
    assert_eq!(press(&mut picture, "y"), []);
    // An answer to another question is nobody's.
    update(&mut picture.model, Msg::Feed(Box::new(FeedEvent::Preview(Ticket(99), Ok(BlastRadius::default())))), NOW);
    assert_eq!(press(&mut picture, "y"), []);
}

#[test]
fn what_the_mesh_refuses_cannot_be_confirmed() {
    let mut picture = lab();
    let effects = press(&mut picture, "c");
    let [Effect::Ask(Request::Preview(ticket, _))] = effects.as_slice() else { panic!("{effects:?}") };
    let blast = BlastRadius { refused: Some("capacity rule".to_owned()), ..BlastRadius::default() };
    update(&mut picture.model, Msg::Feed(Box::new(FeedEvent::Preview(*ticket, Ok(blast)))), NOW);
    assert_eq!(press(&mut picture, "y"), []);
}

#[test]
fn nothing_is_changed_from_an_old_picture_or_when_looking_only() {
    let (mut picture, now) = stale(&plain());
    picture.draw(ScreenId::Nodes, 120, 40, now);
    assert_eq!(update(&mut picture.model, Msg::Input(event(KeyCode::Char('D'))), now).1, None);
    let mut picture = healthy(&Options { read_only: true, ..plain() });
    picture.draw(ScreenId::Nodes, 120, 40, NOW);
    assert_eq!(press(&mut picture, "cuDR4R"), []);
    assert!(picture.model.overlays.stack.is_empty());
}

#[test]
fn marks_are_what_an_action_means() {
    let mut picture = lab();
    let effects = press(&mut picture, "  D");
    let action = previewed(&mut picture, &effects);
    assert_eq!(action, Action::Drain(vec![name("ctl-1"), name("ctl-2")]));
    assert_eq!(press(&mut picture, "ctl-1↵"), []);
    picture = lab();
    let effects = press(&mut picture, "  D");
    previewed(&mut picture, &effects);
    assert_eq!(press(&mut picture, "2↵").len(), 1);
    assert!(picture.model.view.marked.is_empty());
}

#[test]
fn the_chosen_node_survives_sorting_and_new_pictures() {
    let mut picture = lab();
    press(&mut picture, "jj");
    let chosen = picture.model.view.nodes.chosen;
    press(&mut picture, "I>>>");
    assert_eq!(picture.model.view.nodes.chosen, chosen);
    let mut rows = healthy_rows();
    rows.remove(0);
    picture.feed(nodes(rows, NOW), NOW);
    picture.draw(ScreenId::Nodes, 120, 40, NOW);
    assert_eq!(picture.model.view.nodes.chosen, chosen);
    assert_eq!(picture.model.fleet.nodes.len(), 6);
}

#[test]
fn a_filter_holds_while_it_is_typed() {
    let mut picture = lab();
    let shown = |picture: &Picture| picture.model.view.nodes.rows.len();
    press(&mut picture, "/gpu");
    assert_eq!(shown(&picture), 3);
    press(&mut picture, "|ctl");
    assert_eq!(shown(&picture), 6);
    press(&mut picture, " & (");
    // Half a filter: the rows stay, the error stands beside it.
    assert_eq!(shown(&picture), 6);
    assert!(matches!(picture.model.overlays.stack.last(), Some(Overlay::Filter(it)) if it.error.is_some()));
    press(&mut picture, "temp>3)↵");
    assert_eq!(shown(&picture), 3);
    press(&mut picture, "⎋");
    assert_eq!(shown(&picture), 7);
}

#[test]
fn a_finding_leads_to_its_node() {
    let mut picture = incident(&plain());
    picture.draw(ScreenId::Overview, 120, 40, NOW);
    let at = picture.model.attention.iter().position(|it| it.kind == "lost").unwrap();
    press(&mut picture, &"j".repeat(at));
    press(&mut picture, "↵");
    assert_eq!(picture.model.view.screen, ScreenId::Nodes);
    assert_eq!(picture.model.chosen_node().map(|it| picture.model.names.get(it)), Some("ctl-2"));
    assert!(picture.model.view.detail);
}

#[test]
fn a_pause_holds_the_picture_and_lets_nothing_go() {
    let mut picture = lab();
    press(&mut picture, "p");
    let mut rows = healthy_rows();
    rows.truncate(4);
    picture.feed(nodes(rows, NOW), NOW);
    picture.draw(ScreenId::Nodes, 120, 40, NOW);
    assert_eq!(picture.model.fleet.nodes.len(), 7);
    press(&mut picture, "p");
    assert_eq!(picture.model.fleet.nodes.len(), 4);
}

#[test]
fn releases_are_nothing_and_repeats_count() {
    let mut picture = lab();
    let mut send = |kind| {
        let key = KeyEvent::new_with_kind(KeyCode::Char('j'), KeyModifiers::NONE, kind);
        update(&mut picture.model, Msg::Input(Event::Key(key)), NOW);
        picture.model.view.nodes.at
    };
    assert_eq!(send(KeyEventKind::Press), 1);
    assert_eq!(send(KeyEventKind::Release), 1);
    assert_eq!(send(KeyEventKind::Repeat), 2);
}

#[test]
fn a_lost_session_is_said_and_its_return_too() {
    let (mut picture, now) = stale(&plain());
    assert!(matches!(picture.model.link.session, Session::Down { attempt: 3, .. }));
    assert!(picture.frame(120, 40, now).contains("RECONNECT 3 (4s)"));
    super::fixture::up(&mut picture);
    picture.feed(nodes(healthy_rows(), now), now);
    assert!(picture.frame(120, 40, now).contains("live 0.0s"));
    let later = Timestamp(now.0 + 14_000);
    assert!(picture.frame(120, 40, later).contains("STALE 14s"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// No sequence of keys panics, loses the cursor, or changes anything without a question that was answered.
    #[test]
    fn any_keys(keys in "[a-zA-Z0-9/<>?+ ↵⎋⇥=&~-]{0,40}") {
        let mut picture = lab();
        let effects = press(&mut picture, &keys);
        let table = picture.model.view.shown();
        prop_assert!(table.rows.is_empty() || table.at < table.rows.len());
        // Nobody answers previews here: so nothing can have been confirmed.
        prop_assert!(!effects.iter().any(|it| matches!(it, Effect::Ask(Request::Do(..)))));
    }
}
