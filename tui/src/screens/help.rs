//! Help: made from the table of bindings, so that it cannot be wrong.

use ratatui::layout::Rect;

use crate::{canvas::Canvas, keys, model::Model, text::text, theme::Role};

pub(super) fn draw(model: &Model, canvas: &mut Canvas<'_>, screen: Rect, scroll: u16) {
    let area = Rect { x: screen.x + screen.width / 20, width: screen.width - screen.width / 10, ..screen };
    canvas.clear(area);
    let here = model.view.screen;
    let title = text!("Keys on {}", here.names().0);
    let inner = canvas.panel(area, title.as_str(), "any key closes, j k scroll");
    let bindings = keys::on(here, model.options.read_only);
    let last = keys::on(here, model.options.read_only).count().saturating_sub(usize::from(inner.height));
    for (binding, y) in bindings.skip(usize::from(scroll).min(last)).zip(inner.y..inner.bottom()) {
        canvas.put((inner.x + 1, y), inner.right(), &binding.name(), Role::Key);
        let role = if binding.command.changes() { Role::Warn } else { Role::Text };
        canvas.put((inner.x + 14, y), inner.right(), binding.help, role);
    }
}
