//! Every size: no panic, and nothing outside the screen.

use crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers};
use proptest::prelude::*;

use super::fixture::{NOW, empty, incident, plain};
use crate::{
    Picture,
    model::view::ScreenId,
    update::{Msg, update},
};

fn key(picture: &mut Picture, code: KeyCode) {
    update(&mut picture.model, Msg::Input(Event::Key(KeyEvent::new(code, KeyModifiers::NONE))), NOW);
}

fn draw_all(picture: &mut Picture, width: u16, height: u16) {
    for screen in ScreenId::ALL {
        picture.draw(screen, width, height, NOW);
    }
}

/// The small sizes are where things break: all of them.
#[test]
fn every_small_size() {
    let (mut lab, mut nothing) = (incident(&plain()), empty(&plain()));
    for width in 1..48 {
        for height in 1..14 {
            draw_all(&mut lab, width, height);
            draw_all(&mut nothing, width, height);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_size_with_anything_open(width in 1_u16..=200, height in 1_u16..=60, open in 0..4) {
        let (mut fleet, now) = crate::demo::picture(&plain(), 60);
        key(&mut fleet, KeyCode::Char('2'));
        fleet.draw(ScreenId::Nodes, width, height, now);
        match open {
            0 => key(&mut fleet, KeyCode::Char('?')),
            1 => key(&mut fleet, KeyCode::Char('/')),
            2 => key(&mut fleet, KeyCode::Enter),
            _ => key(&mut fleet, KeyCode::Char('D')),
        }
        for screen in ScreenId::ALL {
            fleet.draw(screen, width, height, now);
        }
    }
}
