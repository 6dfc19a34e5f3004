//! What happens to the state: pure, so that every key can be tested without a terminal.
#![expect(clippy::wildcard_enum_match_arm, reason = "each function carries out one group of the commands")]

use crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use mesh_core::{id::NodeName, status::Phase, time::Timestamp};

use crate::{
    Action, FeedEvent, Request,
    filter::Filter,
    keys::{self, Command},
    line::Line,
    model::{Level, Model, link::Session, rows, view::ScreenId},
    overlay::{Answer, FilterLine, Overlay, Question},
};

/// The slowest and the fastest pace of data.
const INTERVAL_MS: [u64; 6] = [100, 250, 500, 1_000, 2_000, 5_000];

/// Something that happens.
#[derive(Debug)]
pub(crate) enum Msg {
    /// A key, a paste or a new size.
    Input(Event),
    /// News of the mesh.
    Feed(Box<FeedEvent>),
    /// A frame was drawn: what it showed can be answered.
    Drawn,
    /// Time went by.
    Tick,
}

/// Whether a frame is worth drawing, the most urgent last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Dirty {
    No,
    /// New data: with the next frame of the data's pace.
    Data,
    /// A person waits for it.
    Input,
    /// Everything, since the terminal may show something else.
    All,
}

/// What must be done outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Effect {
    Ask(Request),
    Suspend,
    Quit,
}

/// Takes in one thing that happens.
pub(crate) fn update(model: &mut Model, msg: Msg, now: Timestamp) -> (Dirty, Option<Effect>) {
    match msg {
        Msg::Feed(event) => {
            let answer = matches!(*event, FeedEvent::Preview(..) | FeedEvent::Done(..));
            model.feed(*event, now);
            // Where news come every second the clock itself has nothing to say.
            let gone = model.overlays.expire(now);
            (if answer || gone { Dirty::Input } else { Dirty::Data }, None)
        }
        Msg::Drawn => {
            model.overlays.seen();
            (Dirty::No, None)
        }
        Msg::Tick => {
            let gone = model.overlays.expire(now);
            (if gone { Dirty::Input } else { Dirty::Data }, None)
        }
        Msg::Input(Event::Resize(..)) => (Dirty::All, None),
        Msg::Input(Event::Paste(text)) => (paste(model, &text), None),
        // A held key repeats; its release is nothing new.
        Msg::Input(Event::Key(key)) if key.kind != KeyEventKind::Release => press(model, key, now),
        Msg::Input(_) => (Dirty::No, None),
    }
}

fn paste(model: &mut Model, text: &str) -> Dirty {
    match model.overlays.stack.last_mut() {
        Some(Overlay::Filter(it)) => {
            it.line.paste(text);
            filter_typed(model);
        }
        Some(Overlay::Question(it)) if it.shown => match it.focus {
            crate::overlay::Focus::Reason => it.reason.paste(text),
            // The name is typed by hand: that is what it is asked for.
            crate::overlay::Focus::Typed | crate::overlay::Focus::Cancel | crate::overlay::Focus::Confirm => {}
        },
        Some(Overlay::Question(_) | Overlay::Help(_)) | None => return Dirty::No,
    }
    Dirty::Input
}

fn press(model: &mut Model, key: KeyEvent, now: Timestamp) -> (Dirty, Option<Effect>) {
    let KeyEvent { code, modifiers, .. } = key;
    match model.overlays.stack.last_mut() {
        Some(Overlay::Question(question)) => {
            let answer = question.key(code, modifiers);
            (Dirty::Input, answered(model, answer, now))
        }
        Some(Overlay::Filter(_)) => {
            filter_key(model, code, modifiers);
            (Dirty::Input, None)
        }
        Some(Overlay::Help(scroll)) => {
            match (code, keys::command(model.view.screen, true, code, modifiers)) {
                (_, Some(Command::Down)) => *scroll = scroll.saturating_add(1),
                (_, Some(Command::Up)) => *scroll = scroll.saturating_sub(1),
                (_, Some(Command::PageDown)) => *scroll = scroll.saturating_add(10),
                (_, Some(Command::PageUp)) => *scroll = scroll.saturating_sub(10),
                (KeyCode::Char('c'), Some(Command::Quit)) => return (Dirty::No, Some(Effect::Quit)),
                _ => {
                    model.overlays.stack.pop();
                }
            }
            (Dirty::Input, None)
        }
        None => match keys::command(model.view.screen, model.options.read_only, code, modifiers) {
            Some(command) => run(model, command, now),
            None => (Dirty::No, None),
        },
    }
}

/// The filter's line: what is typed holds at once, Enter keeps it, Esc gives the old one back.
fn filter_key(model: &mut Model, code: KeyCode, modifiers: KeyModifiers) {
    let Some(Overlay::Filter(it)) = model.overlays.stack.last_mut() else { return };
    let control_c = code == KeyCode::Char('c') && modifiers.contains(KeyModifiers::CONTROL);
    if code == KeyCode::Esc || control_c {
        let screen = it.screen;
        model.overlays.stack.pop();
        set_filter(model, screen, "");
    } else if code == KeyCode::Enter {
        if it.error.is_none() {
            model.overlays.stack.pop();
        }
    } else if it.line.key(code, modifiers) {
        filter_typed(model);
    }
}

fn filter_typed(model: &mut Model) {
    let Some(Overlay::Filter(it)) = model.overlays.stack.last_mut() else { return };
    let (screen, text) = (it.screen, it.line.text().to_owned());
    match Filter::parse(&text) {
        // Half a filter leaves the rows as they are.
        Err(error) => it.error = Some(error),
        Ok(_) => {
            it.error = None;
            set_filter(model, screen, &text);
        }
    }
}

fn set_filter(model: &mut Model, screen: ScreenId, text: &str) {
    let table = model.view.table_of(screen);
    table.filter = Filter::parse(text).ok().flatten();
    text.clone_into(&mut table.filter_text);
    table.top = 0;
    model.touch();
}

fn answered(model: &mut Model, answer: Answer, now: Timestamp) -> Option<Effect> {
    match answer {
        Answer::Open => None,
        Answer::Cancelled => {
            model.overlays.stack.pop();
            model.overlays.say(Level::Out, "cancelled: nothing was changed", now);
            None
        }
        Answer::Confirmed => {
            let Some(Overlay::Question(question)) = model.overlays.stack.pop() else { return None };
            let ticket = model.overlays.ticket();
            let undo = match &question.action {
                Action::Cordon(_) => "u puts it back",
                Action::Drain(_) => "u cancels the drain",
                Action::StrategyRollback => "R again returns to it",
                Action::Uncordon(_) => "",
            };
            model.overlays.waiting.push((ticket, undo));
            model.overlays.say(Level::Unknown, &format!("{} ...", question.title), now);
            model.view.marked.clear();
            let reason = question.reason();
            Some(Effect::Ask(Request::Do(ticket, question.action, reason)))
        }
    }
}

fn run(model: &mut Model, command: Command, now: Timestamp) -> (Dirty, Option<Effect>) {
    match command {
        Command::Quit => return (Dirty::No, Some(Effect::Quit)),
        Command::Suspend => return (Dirty::All, Some(Effect::Suspend)),
        Command::Redraw => return (Dirty::All, None),
        Command::Cordon | Command::Uncordon | Command::Drain | Command::Rollback => {
            return (Dirty::Input, ask(model, command, now));
        }
        Command::Help => model.overlays.stack.push(Overlay::Help(0)),
        Command::Filter => open_filter(model),
        Command::Open => open(model),
        Command::Back => back(model),
        Command::Pause => model.pause(now),
        Command::Faster => pace(model, -1),
        Command::Slower => pace(model, 1),
        Command::Go(_)
        | Command::Next
        | Command::Previous
        | Command::Down
        | Command::Up
        | Command::PageDown
        | Command::PageUp
        | Command::Top
        | Command::Bottom => travel(model, command),
        Command::SortNext
        | Command::SortPrevious
        | Command::SortInvert
        | Command::Mark
        | Command::Unmark
        | Command::Metric
        | Command::Severity
        | Command::Follow => look(model, command),
    }
    (Dirty::Input, None)
}

fn travel(model: &mut Model, command: Command) {
    let view = &mut model.view;
    let page = view.table().page.max(1).cast_signed();
    let by = match command {
        Command::Down => 1,
        Command::Up => -1,
        Command::PageDown => page,
        Command::PageUp => -page,
        Command::Top => isize::MIN,
        Command::Bottom => isize::MAX,
        _ => 0,
    };
    if by == 0 {
        view.detail = false;
        view.screen = match command {
            Command::Go(screen) => screen,
            Command::Previous => view.screen.step(-1),
            _ => view.screen.step(1),
        };
        model.touch();
        return;
    }
    view.table().step(by);
    if view.screen == ScreenId::Events {
        view.follow = view.events.at == 0;
    }
}

/// How rows are looked at: order, marks, metric, severity.
fn look(model: &mut Model, command: Command) {
    model.touch();
    let view = &mut model.view;
    let columns = match view.screen {
        ScreenId::Nodes => crate::columns::NodeColumn::COLUMNS,
        ScreenId::Gpus => crate::columns::GpuColumn::COLUMNS,
        ScreenId::Routing => crate::columns::ModelColumn::COLUMNS,
        ScreenId::Overview | ScreenId::Events => &[],
    };
    let table = view.table();
    match command {
        Command::SortNext => sort(table, columns, 1),
        Command::SortPrevious => sort(table, columns, -1),
        Command::SortInvert => table.descending = !table.descending,
        Command::Mark => {
            if let Some(node) = table.chosen.map(rows::node_of) {
                if !view.marked.remove(&node) {
                    view.marked.insert(node);
                }
                view.nodes.step(1);
            }
        }
        Command::Unmark => view.marked.clear(),
        Command::Metric => view.metric = view.metric.next(),
        Command::Severity => {
            view.severity = match view.severity {
                crate::Severity::Info => crate::Severity::Warning,
                crate::Severity::Warning => crate::Severity::Critical,
                crate::Severity::Critical => crate::Severity::Info,
            }
        }
        Command::Follow => view.follow = !view.follow,
        _ => {}
    }
}

/// Sorts by the next column; numbers begin with the largest, since that is what one looks for.
fn sort(table: &mut crate::model::view::Table, columns: &[crate::columns::Column], by: isize) {
    let len = columns.len().cast_signed();
    if len > 0 {
        table.sort = (table.sort.cast_signed() + by).rem_euclid(len).cast_unsigned();
        table.descending = columns[table.sort].right;
        table.top = 0;
    }
}

fn open_filter(model: &mut Model) {
    let screen = model.view.screen;
    let line = Line::new(&model.view.table().filter_text);
    model.overlays.stack.push(Overlay::Filter(FilterLine { screen, line, error: None }));
}

/// Enter: from a finding to what it is about, from a row to its detail.
fn open(model: &mut Model) {
    match model.view.screen {
        ScreenId::Overview => {
            let Some(go) = model.attention.get(model.view.attention.at).map(|it| it.go.clone()) else { return };
            model.view.screen = go.screen;
            set_filter(model, go.screen, &go.filter);
            if let Some(node) = go.node {
                model.view.nodes.chosen = Some(rows::node_key(node));
                model.view.detail = go.filter.is_empty();
            }
        }
        ScreenId::Nodes => model.view.detail = !model.view.detail && model.view.nodes.chosen.is_some(),
        ScreenId::Gpus => {
            if let Some((node, _)) = model.view.gpus.chosen.map(rows::gpu_of) {
                model.view.screen = ScreenId::Nodes;
                set_filter(model, ScreenId::Nodes, "");
                model.view.nodes.chosen = Some(rows::node_key(node));
                model.view.detail = true;
            }
        }
        ScreenId::Routing | ScreenId::Events => {}
    }
    model.touch();
}

/// Esc: the innermost thing first; it never quits.
fn back(model: &mut Model) {
    let screen = model.view.screen;
    if model.overlays.toast.take().is_some() {
    } else if model.view.detail {
        model.view.detail = false;
    } else if !model.view.table().filter_text.is_empty() {
        set_filter(model, screen, "");
    } else if screen == ScreenId::Nodes && !model.view.marked.is_empty() {
        model.view.marked.clear();
    } else {
        model.view.screen = ScreenId::Overview;
    }
    model.touch();
}

fn pace(model: &mut Model, by: isize) {
    let now = u64::try_from(model.options.interval.as_millis()).unwrap_or(u64::MAX);
    let at = INTERVAL_MS.iter().position(|it| *it >= now).unwrap_or(INTERVAL_MS.len() - 1);
    let at = at.saturating_add_signed(by).min(INTERVAL_MS.len() - 1);
    model.options.interval = std::time::Duration::from_millis(INTERVAL_MS[at]);
}

/// Opens a question; what it would hit is asked for at once.
fn ask(model: &mut Model, command: Command, now: Timestamp) -> Option<Effect> {
    if model.options.read_only {
        model.overlays.say(Level::Warn, "read-only: nothing can be changed from here", now);
        return None;
    }
    if !matches!(model.link.session, Session::Up(_)) || !model.link.is_fresh(now) {
        model.overlays.say(Level::Warn, "the picture is old: wait until the mesh answers", now);
        return None;
    }
    let action = match action(model, command) {
        Ok(action) => action,
        Err(why) => {
            model.overlays.say(Level::Warn, &why, now);
            return None;
        }
    };
    let ticket = model.overlays.ticket();
    model.overlays.stack.push(Overlay::Question(Box::new(Question::new(ticket, action.clone()))));
    Some(Effect::Ask(Request::Preview(ticket, action)))
}

/// What a command means here, or why it means nothing.
fn action(model: &Model, command: Command) -> Result<Action, String> {
    if command == Command::Rollback {
        return match &model.link.strategy {
            Some(Some(_)) => Ok(Action::StrategyRollback),
            Some(None) => Err("no strategy was ever deployed: there is nothing to roll back to".to_owned()),
            None => Err("which strategy decides is not known yet".to_owned()),
        };
    }
    let out = |phase: Phase| matches!(phase, Phase::Cordoned | Phase::Draining | Phase::Drained);
    let wanted = |it: &crate::model::fleet::Node| match command {
        Command::Uncordon => it.drain.is_some() || out(it.phase),
        Command::Cordon => it.drain.is_none(),
        _ => it.phase != Phase::Drained,
    };
    let targets = model.targets();
    let nodes = targets.iter().filter_map(|it| model.fleet.get(*it));
    let names: Vec<NodeName> =
        nodes.filter(|it| wanted(it)).filter_map(|it| NodeName::new(model.names.get(it.name)).ok()).collect();
    if names.is_empty() {
        return Err(match (targets.is_empty(), command) {
            (true, _) => "no node here: choose one first".to_owned(),
            (_, Command::Uncordon) => "in service already".to_owned(),
            (_, Command::Cordon) => "out of service already".to_owned(),
            _ => "drained already".to_owned(),
        });
    }
    Ok(match command {
        Command::Cordon => Action::Cordon(names),
        Command::Uncordon => Action::Uncordon(names),
        _ => Action::Drain(names),
    })
}
