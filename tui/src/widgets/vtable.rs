//! A table that touches only the rows on the screen, and allocates nothing for them.

use ratatui::layout::Rect;

use crate::{canvas::Canvas, columns::Column, model::view::Table, theme::Role};

/// The most columns of any table.
const COLUMNS_MAX: usize = 24;

/// Where each column stands; a hidden one has no width.
pub(crate) struct Fit {
    spans: [(u16, u16); COLUMNS_MAX],
    hidden: bool,
}

/// Chooses columns by priority until the width is used up, and gives what is left to the first one.
pub(crate) fn fit(columns: &[Column], left: u16, width: u16) -> Fit {
    let mut shown = [false; COLUMNS_MAX];
    let mut used = 0_u16;
    let mut hidden = false;
    for priority in 0..=u8::try_from(COLUMNS_MAX).unwrap_or(u8::MAX) {
        let Some(at) = columns.iter().take(COLUMNS_MAX).position(|it| it.priority == priority) else { continue };
        let wanted = columns[at].width + u16::from(used > 0);
        // The first one is shown even where it does not fit: a row without a name is no row.
        if !hidden && (used.saturating_add(wanted) <= width || used == 0) {
            shown[at] = true;
            used = used.saturating_add(wanted);
        } else {
            hidden = true;
        }
    }
    let mut spare = width.saturating_sub(used).min(24);
    let (mut spans, mut x) = ([(0, 0); COLUMNS_MAX], left);
    for (at, column) in columns.iter().enumerate().take(COLUMNS_MAX).filter(|(at, _)| shown[*at]) {
        let wide = column.width + if column.right { 0 } else { std::mem::take(&mut spare) };
        let wide = wide.min((left + width).saturating_sub(x));
        spans[at] = (x, x + wide);
        x = x.saturating_add(wide + 1);
    }
    Fit { spans, hidden }
}

/// One row, while it is drawn.
pub(crate) struct Row<'a, 'b> {
    pub(crate) canvas: &'a mut Canvas<'b>,
    fit: &'a Fit,
    columns: &'static [Column],
    pub(crate) y: u16,
    /// Everything is drawn dim: the figures are old.
    pub(crate) dim: bool,
}

impl Row<'_, '_> {
    /// Where a column stands; nothing when it is hidden.
    pub(crate) fn span(&self, column: usize) -> Option<(u16, u16)> {
        self.fit.spans.get(column).copied().filter(|(left, right)| right > left)
    }

    pub(crate) fn put(&mut self, column: usize, text: &str, role: Role) {
        let Some((left, right)) = self.span(column) else { return };
        let role = if self.dim && role != Role::Crit { Role::Dim } else { role };
        if self.columns[column].right {
            self.canvas.put_right((left, self.y), right, text, role);
        } else {
            self.canvas.put((left, self.y), right, text, role);
        }
    }

    pub(crate) fn dash(&mut self, column: usize) {
        let dash = self.canvas.glyphs().dash;
        self.put(column, dash, Role::Dim);
    }
}

/// Draws titles and the rows that are on the screen; `draw` fills one row.
pub(crate) fn draw(
    canvas: &mut Canvas<'_>,
    area: Rect,
    columns: &'static [Column],
    table: &Table,
    mut row: impl FnMut(&mut Row<'_, '_>, u64) -> bool,
) {
    if area.width < 4 || area.height < 1 {
        return;
    }
    // Two cells on the left are for the cursor and the mark, one on the right for the sign that columns are hidden.
    let fit = fit(columns, area.x + 2, area.width - 3);
    titles(canvas, area, columns, (&fit, table));
    for at in 0..usize::from(area.height - 1) {
        let Some(key) = table.rows.get(table.top + at) else { break };
        let y = area.y + 1 + crate::text::u16_of(at);
        let mut it = Row { canvas, fit: &fit, columns, y, dim: false };
        let marked = row(&mut it, *key);
        if marked {
            let mark = canvas.glyphs().mark;
            canvas.put((area.x, y), area.right(), mark, Role::Title);
        }
        if table.chosen == Some(*key) {
            if !marked {
                let cursor = canvas.glyphs().cursor;
                canvas.put((area.x, y), area.right(), cursor, Role::Title);
            }
            canvas.tint(Rect::new(area.x, y, area.width, 1), Role::Chosen);
        }
    }
}

fn titles(canvas: &mut Canvas<'_>, area: Rect, columns: &[Column], (fit, table): (&Fit, &Table)) {
    for (at, column) in columns.iter().enumerate().take(COLUMNS_MAX) {
        let (left, right) = fit.spans[at];
        if right <= left {
            continue;
        }
        let sorted = at == table.sort && columns.len() > 1;
        let role = if sorted { Role::Title } else { Role::Dim };
        let width = crate::text::width(column.title);
        let x = if column.right { right.saturating_sub(width).max(left) } else { left };
        // The arrow takes the gap before a right-aligned title, or the space behind another.
        let end = canvas.put((x, area.y), right, column.title, role);
        if sorted {
            let arrow = if table.descending { canvas.glyphs().down } else { canvas.glyphs().up };
            let place = if column.right { x.saturating_sub(1) } else { end };
            canvas.put((place, area.y), right + 1, arrow, Role::Title);
        }
    }
    if fit.hidden {
        let more = canvas.glyphs().more;
        canvas.put((area.right().saturating_sub(1), area.y), area.right(), more, Role::Dim);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::columns::NodeColumn;

    #[test]
    fn columns_go_by_priority_and_never_overlap() {
        let columns = NodeColumn::COLUMNS;
        for width in 0..300 {
            let fit = fit(columns, 2, width);
            let mut end = 0;
            for (left, right) in fit.spans.iter().filter(|(left, right)| right > left) {
                assert!(*left >= end && *right <= 2 + width.max(1), "width {width}: {left}..{right}");
                end = *right;
            }
        }
        let names = |width| -> Vec<&str> {
            let fit = fit(columns, 0, width);
            (0..columns.len()).filter(|at| fit.spans[*at].1 > fit.spans[*at].0).map(|at| columns[at].title).collect()
        };
        assert_eq!(names(12), ["NODE"]);
        assert_eq!(names(40), ["NODE", "STATE", "UTIL", "TEMP", "WAIT"]);
        assert_eq!(names(400).len(), columns.len());
    }
}
