//! Snapshots of frames as text, and of styles by role.

use mesh_core::time::Timestamp;
use ratatui::{buffer::Buffer, layout::Rect, style::Color};

use super::fixture::{self, NOW, empty, healthy, incident, plain, stale};
use crate::{
    Colors, Picture, encode,
    model::view::ScreenId,
    screens,
    theme::{Role, Theme},
};

fn text(picture: &mut Picture, screen: ScreenId, (width, height): (u16, u16), now: Timestamp) -> String {
    picture.draw(screen, width, height, now);
    encode::lines(picture.buffer(), true)
}

/// One snapshot a screen and size.
fn check(name: &str, picture: &mut Picture, screen: ScreenId, size: (u16, u16), now: Timestamp) {
    let frame = text(picture, screen, size, now);
    insta::assert_snapshot!(format!("{name}_{}_{}x{}", screen.names().0.to_lowercase(), size.0, size.1), frame);
}

#[test]
fn healthy_and_troubled_screens() {
    for screen in ScreenId::ALL {
        check("healthy", &mut healthy(&plain()), screen, (80, 24), NOW);
        check("incident", &mut incident(&plain()), screen, (120, 40), NOW);
    }
    check("incident", &mut incident(&plain()), ScreenId::Overview, (80, 24), NOW);
    check("incident", &mut incident(&plain()), ScreenId::Nodes, (80, 24), NOW);
    check("incident", &mut incident(&plain()), ScreenId::Overview, (40, 10), NOW);
    check("incident", &mut incident(&plain()), ScreenId::Nodes, (40, 10), NOW);
}

#[test]
fn empty_and_old_screens() {
    for screen in ScreenId::ALL {
        check("empty", &mut empty(&plain()), screen, (80, 24), NOW);
    }
    let (mut picture, now) = stale(&plain());
    check("stale", &mut picture, ScreenId::Overview, (120, 40), now);
    check("stale", &mut picture, ScreenId::Nodes, (80, 24), now);
}

#[test]
fn figures_are_computed_for_news_and_once_a_second() {
    // Every statement is old from 9.6 s on, which only a walk over the fleet finds out: was there one?
    let check = |news: bool, ms: u64, expected: bool| {
        let mut picture = healthy(&plain());
        picture.draw(ScreenId::Overview, 80, 24, NOW.plus_ms(9_500));
        assert_eq!(picture.model.totals.stale, 0);
        let now = NOW.plus_ms(ms);
        if news {
            picture.feed(crate::FeedEvent::Dropped(0), now);
        }
        picture.draw(ScreenId::Overview, 80, 24, now);
        assert_eq!(picture.model.totals.stale > 0, expected, "news {news}, {ms} ms");
    };
    check(false, 9_700, false);
    check(false, 10_300, false);
    check(false, 10_400, true);
    check(true, 9_700, true);
}

#[test]
fn a_large_fleet() {
    let options = crate::Options { demo: Some(1_000), ..plain() };
    let (mut picture, now) = crate::demo::picture(&options, 1_000);
    for screen in ScreenId::ALL {
        check("demo", &mut picture, screen, (120, 40), now);
    }
    check("demo", &mut picture, ScreenId::Overview, (80, 24), now);
    check("demo", &mut picture, ScreenId::Gpus, (80, 24), now);
}

#[test]
fn ascii_has_no_other_character() {
    let options = fixture::options(Colors::Mono, false);
    let (mut demo, demo_now) = crate::demo::picture(&crate::Options { demo: Some(300), ..options.clone() }, 300);
    for screen in ScreenId::ALL {
        for size in [(40, 10), (80, 24), (120, 40)] {
            let frames = [
                text(&mut incident(&options), screen, size, NOW),
                text(&mut healthy(&options), screen, size, NOW),
                text(&mut demo, screen, size, demo_now),
            ];
            for frame in frames {
                let other = frame.chars().find(|c| !c.is_ascii());
                assert_eq!(other, None, "{screen:?} {size:?}\n{frame}");
            }
        }
    }
}

/// Where the theme has no colour no cell has one, and what is chosen is inverse.
#[test]
fn mono_never_sets_a_colour() {
    for screen in ScreenId::ALL {
        let mut picture = incident(&plain());
        picture.draw(screen, 120, 40, NOW);
        let cells = picture.buffer().content();
        assert!(cells.iter().all(|it| it.fg == Color::Reset && it.bg == Color::Reset), "{screen:?}");
    }
    let mut picture = incident(&plain());
    picture.draw(ScreenId::Nodes, 120, 40, NOW);
    let reversed = |y: u16| {
        (0..120).filter(|x| picture.buffer()[(*x, y)].modifier.contains(ratatui::style::Modifier::REVERSED)).count()
    };
    assert!((3..39).any(|y| reversed(y) > 60), "no inverse row");
}

/// Runs of one style by the role's name, in the palette of 256 colours.
fn styled(buffer: &Buffer, theme: &Theme) -> String {
    let name = |cell: &ratatui::buffer::Cell| {
        let found = Role::ALL.iter().find(|role| {
            let style = theme.style(**role);
            style.fg.unwrap_or(Color::Reset) == cell.fg && style.add_modifier == cell.modifier
        });
        found.map_or_else(|| format!("{:?}", cell.fg), |role| format!("{role:?}").to_lowercase())
    };
    let mut out = String::new();
    for row in buffer.content().chunks(usize::from(buffer.area.width)) {
        let mut last = "text".to_owned();
        let mut line = String::new();
        for cell in row {
            let role = name(cell);
            if role != last && cell.symbol() != " " {
                line.push_str(&format!("[{role}]"));
                last = role;
            }
            line.push_str(cell.symbol());
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

#[test]
fn styles_by_role() {
    let options = fixture::options(Colors::Ansi256, true);
    let theme = Theme::new(options.caps);
    let mut picture = incident(&options);
    picture.draw(ScreenId::Overview, 80, 24, NOW);
    insta::assert_snapshot!("styled_incident_overview", styled(picture.buffer(), &theme));
    let (mut picture, now) = stale(&options);
    picture.draw(ScreenId::Nodes, 80, 24, now);
    insta::assert_snapshot!("styled_stale_nodes", styled(picture.buffer(), &theme));
}

#[test]
fn a_demo_is_the_same_every_time() {
    let options = crate::Options { demo: Some(500), ..plain() };
    let frame = || {
        let (mut picture, now) = crate::demo::picture(&options, 500);
        picture.frame(120, 40, now)
    };
    let first = frame();
    assert_eq!(first, frame());
    assert!(first.contains("DEMO"), "a simulated fleet says so");
}

#[test]
fn the_report_is_stable() {
    let mut picture = incident(&plain());
    let report = picture.json(NOW);
    let keys: Vec<&str> = report.as_object().unwrap().keys().map(String::as_str).collect();
    insta::assert_snapshot!("report_keys", keys.join("\n"));
    insta::assert_snapshot!("report_attention", serde_json::to_string_pretty(&report["attention"]).unwrap());
    assert_eq!(report["schema"], "mesh/v1");
    assert_eq!(report["fleet"]["gpus"]["utilisation_percent_mean"], serde_json::Value::Null);
    assert_eq!(report["fleet"]["collectives"]["why"], "no job");
}

/// A frame that is drawn twice with the same state is the same: nothing counts frames.
#[test]
fn drawing_changes_nothing() {
    let mut picture = incident(&plain());
    let once = text(&mut picture, ScreenId::Nodes, (120, 40), NOW);
    assert_eq!(once, text(&mut picture, ScreenId::Nodes, (120, 40), NOW));
    let theme = Theme::new(plain().caps);
    let mut buffer = Buffer::empty(Rect::new(0, 0, 120, 40));
    screens::draw(&mut picture.model, &theme, &mut buffer, NOW);
    assert_eq!(encode::lines(&buffer, true), once);
}
