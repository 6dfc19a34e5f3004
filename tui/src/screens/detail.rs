//! One node: what is wrong with it, its host, its engines, its GPUs, its router, its drain.

use mesh_core::{status::Phase, time::Timestamp};
use ratatui::layout::Rect;

use crate::{
    canvas::Canvas,
    model::{
        Model, attention,
        fleet::{Engine, Gpu, Gpus, Node},
        rows, totals,
    },
    text::{UNKNOWN, age, memory, text, watts},
    theme::Role,
    widgets::{heat::mark, spark},
};

/// Writes lines downward until the area is full.
struct Lines<'a, 'b> {
    canvas: &'a mut Canvas<'b>,
    area: Rect,
    y: u16,
}

impl Lines<'_, '_> {
    /// A label and what follows it.
    fn line(&mut self, label: &str, value: &str, role: Role) {
        if self.y < self.area.bottom() {
            self.canvas.put((self.area.x, self.y), self.area.right(), label, Role::Dim);
            self.canvas.put((self.area.x + 9, self.y), self.area.right(), value, role);
            self.y += 1;
        }
    }
}

pub(super) fn draw(model: &Model, canvas: &mut Canvas<'_>, area: Rect, now: Timestamp) {
    let Some(node) = model.view.nodes.chosen.and_then(|key| model.fleet.get(rows::node_of(key))) else {
        canvas.panel(area, "Node", "none chosen");
        return;
    };
    let name = model.names.get(node.name);
    let inner = canvas.panel(area, name, if model.view.detail { "Esc back" } else { "Enter: more" });
    let wide = inner.width >= 100;
    let (left, right) = if wide { super::columns(inner, 50) } else { super::rows(inner, inner.height) };
    let mut lines = Lines { canvas, area: left, y: left.y };
    facts(model, node, &mut lines, now);
    engines(model, node, &mut lines);
    let gap = if wide {
        Rect { x: right.x + 1, width: right.width.saturating_sub(1), ..right }
    } else {
        Rect { y: lines.y, height: left.bottom().saturating_sub(lines.y), ..left }
    };
    gpus(model, node, canvas, gap);
}

fn facts(model: &Model, node: &Node, lines: &mut Lines<'_, '_>, now: Timestamp) {
    let names = &model.names;
    let (level, _) = totals::state(node, now);
    let (glyph, role) = mark(lines.canvas, level);
    let since = node.since.map(|it| age(it.age_ms(now)));
    let since = since.as_ref().map_or("", crate::text::Scratch::as_str);
    let state = text!("{glyph} {} {}{since}", node.phase, if since.is_empty() { "" } else { "for " });
    lines.line("state", state.as_str(), role);
    for (level, note) in attention::notes(model, node, now) {
        let (glyph, role) = mark(lines.canvas, level);
        lines.line(glyph, &note, role);
    }
    drain(node, lines, now);
    let again = text!("  incarnation {}", node.incarnation);
    let place = text!(
        "{}  zone {}  rack {}{}{}",
        names.get(node.address),
        names.or_dash(node.zone),
        names.or_dash(node.rack),
        if node.voter { "  voter" } else { "" },
        if node.incarnation > 1 { again.as_str() } else { "" }
    );
    lines.line("place", place.as_str(), Role::Text);
    let heard = node.age_ms(now).map(age);
    let heard = heard.as_ref().map_or("never", crate::text::Scratch::as_str);
    let applied = node.applied.map_or_else(|| text!("{UNKNOWN}"), |it| text!("{it}"));
    let agent = text!("{}  heard {heard} ago  revision {}", names.or_dash(node.version), applied.as_str());
    lines.line("agent", agent.as_str(), Role::Text);
    if node.unreachable > 0 {
        lines.line("links", text!("{} streams of nodes are broken", node.unreachable).as_str(), Role::Warn);
    }
    host(model, node, lines);
    if let Some(router) = node.router.as_deref() {
        let strategy = router.strategy.as_ref().map_or("none", |it| it.name.as_str());
        let in_flight: u32 = router.inflight.iter().map(|it| it.count).sum();
        let it = text!("{}  queue {}  in flight {in_flight}", router.listen, router.queued);
        lines.line("router", it.as_str(), Role::Text);
        let it = text!("strategy {strategy}  acknowledged revision {}", router.acked);
        lines.line("", it.as_str(), Role::Text);
    }
}

fn drain(node: &Node, lines: &mut Lines<'_, '_>, now: Timestamp) {
    let Some(drain) = node.drain.as_deref() else { return };
    let who = crate::text::clean(drain.by.name.as_str(), 40);
    let why = crate::text::clean(drain.reason.as_deref().unwrap_or("no reason given"), 80);
    lines.line("out", text!("{} ago by {who}: {why}", age(drain.at.age_ms(now)).as_str()).as_str(), Role::Out);
    if node.phase != Phase::Draining {
        return;
    }
    if let Some(deadline) = drain.deadline {
        let left = deadline.0.saturating_sub(now.0);
        let role = if left == 0 { Role::Crit } else { Role::Text };
        let text = if left == 0 { text!("passed") } else { text!("in {}", age(left).as_str()) };
        lines.line("deadline", text.as_str(), role);
    }
    for blocker in &node.blockers {
        lines.line("waits", blocker, Role::Warn);
    }
}

fn host(model: &Model, node: &Node, lines: &mut Lines<'_, '_>) {
    let load = node.load_percent.map_or_else(|| text!("{UNKNOWN}"), |it| text!("{}.{:02}", it / 100, it % 100));
    let cpus = node.cpus.map_or_else(|| text!("{UNKNOWN}"), |it| text!("{it}"));
    let memory = node.memory_mib.map_or_else(
        || text!("{UNKNOWN}"),
        |(all, free)| text!("{}/{}", memory(all.saturating_sub(free)).as_str(), memory(all).as_str()),
    );
    let kernel = model.names.or_dash(node.kernel);
    let it = text!("load {} on {} cpus  memory {}  {kernel}", load.as_str(), cpus.as_str(), memory.as_str());
    lines.line("host", it.as_str(), Role::Text);
}

fn engines(model: &Model, node: &Node, lines: &mut Lines<'_, '_>) {
    if node.engines.is_empty() {
        let declared = text!("{} declared, none reported", node.engines_declared);
        lines.line("engines", if node.engines_declared == 0 { "none" } else { declared.as_str() }, Role::Dim);
    }
    for engine in &node.engines {
        let name = model.names.get(engine.name);
        match &engine.error {
            Some(error) if !engine.up => lines.line("engine", text!("{name} down: {error}").as_str(), Role::Crit),
            Some(_) | None => lines.line("engine", engine_text(model, engine).as_str(), Role::Text),
        }
    }
}

fn engine_text(model: &Model, engine: &Engine) -> crate::text::Scratch {
    let known = |it: Option<u32>| it.map_or_else(|| text!("{UNKNOWN}"), |it| text!("{it}"));
    let kv = engine.kv_percent.map_or_else(|| text!("{UNKNOWN}"), |it| text!("{it}%"));
    text!(
        "{} {} run {}/{} wait {} kv {} {}",
        model.names.get(engine.name),
        engine.kind,
        known(engine.running).as_str(),
        known(engine.capacity).as_str(),
        known(engine.waiting).as_str(),
        kv.as_str(),
        engine.models.first().map_or(UNKNOWN, |it| model.names.get(*it))
    )
}

fn gpus(model: &Model, node: &Node, canvas: &mut Canvas<'_>, area: Rect) {
    let why = match &node.gpus {
        Gpus::Read(list) if list.is_empty() => "the driver lists none",
        Gpus::Read(list) => {
            for (gpu, y) in list.iter().zip(area.y..area.bottom()) {
                gpu_line(model, gpu, canvas, Rect { y, height: 1, ..area });
            }
            return;
        }
        Gpus::Unavailable(why) => why,
        Gpus::Unknown => "the node was never heard",
    };
    if area.height > 0 {
        let x = canvas.put((area.x, area.y), area.right(), "GPUs     ", Role::Dim);
        canvas.put((x, area.y), area.right(), why, Role::Dim);
    }
}

fn gpu_line(model: &Model, gpu: &Gpu, canvas: &mut Canvas<'_>, area: Rect) {
    let (y, right) = (area.y, area.right());
    let degree = canvas.glyphs().degree;
    let mut x = canvas.print((area.x, y), right, format_args!("GPU {:<3}", gpu.index), Role::Dim) + 2;
    match gpu.util {
        Some(util) => {
            spark::bar(canvas, (x, y), (x + 10).min(right), util, Role::Ok);
            canvas.print((x + 11, y), right, format_args!("{util:>3}%"), Role::Text);
        }
        None => {
            canvas.put((x + 11, y), right, "   –", Role::Dim);
        }
    }
    x += 16;
    let vram = gpu.used_mib.zip(gpu.total_mib).map_or_else(
        || text!("{UNKNOWN}"),
        |(used, total)| text!("{}/{}", memory(u64::from(used)).as_str(), memory(u64::from(total)).as_str()),
    );
    canvas.print((x, y), right, format_args!("{:>13}", vram.as_str()), Role::Text);
    let temp = gpu.temp_c.map_or_else(|| text!("{UNKNOWN}"), |it| text!("{it}{degree}"));
    let role = if gpu.temp_c.is_some_and(|it| it >= 85) { Role::Warn } else { Role::Text };
    canvas.print((x + 14, y), right, format_args!("{:>4}", temp.as_str()), role);
    let power = gpu.power_w.map_or_else(|| text!("{UNKNOWN}"), |it| watts(u64::from(it)));
    canvas.print((x + 19, y), right, format_args!("{:>6}", power.as_str()), Role::Text);
    canvas.put((x + 27, y), right, model.names.or_dash(gpu.name), Role::Dim);
}
