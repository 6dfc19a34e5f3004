//! Where the operator is: the screen, and what each table shows of its rows.

use std::collections::BTreeSet;

use super::names::Sym;
use crate::{Severity, filter::Filter};

/// A screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) enum ScreenId {
    #[default]
    Overview,
    Nodes,
    Gpus,
    Routing,
    Events,
}

impl ScreenId {
    pub(crate) const ALL: [Self; 5] = [Self::Overview, Self::Nodes, Self::Gpus, Self::Routing, Self::Events];

    /// Its name in full, and in three letters.
    pub(crate) fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Overview => ("Overview", "Ovw"),
            Self::Nodes => ("Nodes", "Nod"),
            Self::Gpus => ("GPUs", "Gpu"),
            Self::Routing => ("Routing", "Rte"),
            Self::Events => ("Events", "Evt"),
        }
    }

    /// The screen `step` further, around the end.
    pub(crate) fn step(self, step: isize) -> Self {
        let len = Self::ALL.len().cast_signed();
        let at = Self::ALL.iter().position(|it| *it == self).unwrap_or(0).cast_signed();
        Self::ALL[(at + step).rem_euclid(len).cast_unsigned()]
    }
}

/// What the cells of the heat map stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Metric {
    #[default]
    Util,
    Temp,
    Vram,
    Power,
}

impl Metric {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Util => "util",
            Self::Temp => "temp",
            Self::Vram => "vram",
            Self::Power => "power",
        }
    }

    pub(crate) fn next(self) -> Self {
        match self {
            Self::Util => Self::Temp,
            Self::Temp => Self::Vram,
            Self::Vram => Self::Power,
            Self::Power => Self::Util,
        }
    }
}

/// One table: which rows, in which order, and which of them is chosen. A row is known by its key, never by its place.
#[derive(Debug, Default)]
pub(crate) struct Table {
    pub(crate) rows: Vec<u64>,
    /// How many rows there are without the filter.
    pub(crate) all: usize,
    pub(crate) chosen: Option<u64>,
    /// The place of the chosen row, kept beside its key so that a vanished row leaves the cursor where it was.
    pub(crate) at: usize,
    pub(crate) top: usize,
    pub(crate) sort: usize,
    pub(crate) descending: bool,
    pub(crate) filter: Option<Filter>,
    pub(crate) filter_text: String,
    /// Rows on the screen when it was drawn last.
    pub(crate) page: usize,
}

impl Table {
    /// Finds the chosen row again after the rows changed.
    pub(crate) fn settle(&mut self) {
        let found = self.chosen.and_then(|key| self.rows.iter().position(|it| *it == key));
        self.at = found.unwrap_or(self.at).min(self.rows.len().saturating_sub(1));
        self.chosen = self.rows.get(self.at).copied();
        self.scroll();
    }

    /// Moves the cursor.
    pub(crate) fn step(&mut self, by: isize) {
        let last = self.rows.len().saturating_sub(1);
        self.at = self.at.saturating_add_signed(by).min(last);
        self.chosen = self.rows.get(self.at).copied();
        self.scroll();
    }

    /// Keeps the chosen row on the screen.
    pub(crate) fn scroll(&mut self) {
        let page = self.page.max(1);
        self.top = self.top.min(self.rows.len().saturating_sub(page)).min(self.at);
        if self.at >= self.top + page {
            self.top = self.at + 1 - page;
        }
    }

    pub(crate) fn fits(&mut self, page: usize) {
        if self.page != page {
            self.page = page;
            self.scroll();
        }
    }
}

/// All of it.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) screen: ScreenId,
    pub(crate) attention: Table,
    pub(crate) nodes: Table,
    pub(crate) gpus: Table,
    pub(crate) models: Table,
    pub(crate) events: Table,
    pub(crate) marked: BTreeSet<Sym>,
    pub(crate) metric: Metric,
    pub(crate) severity: Severity,
    pub(crate) follow: bool,
    pub(crate) detail: bool,
}

impl View {
    pub(crate) fn new() -> Self {
        Self {
            screen: ScreenId::Overview,
            attention: Table::default(),
            nodes: Table::default(),
            gpus: Table::default(),
            models: Table::default(),
            events: Table::default(),
            marked: BTreeSet::new(),
            metric: Metric::Util,
            severity: Severity::Info,
            follow: true,
            detail: false,
        }
    }

    /// The table that keys move on.
    pub(crate) fn table(&mut self) -> &mut Table {
        self.table_of(self.screen)
    }

    pub(crate) fn table_of(&mut self, screen: ScreenId) -> &mut Table {
        match screen {
            ScreenId::Overview => &mut self.attention,
            ScreenId::Nodes => &mut self.nodes,
            ScreenId::Gpus => &mut self.gpus,
            ScreenId::Routing => &mut self.models,
            ScreenId::Events => &mut self.events,
        }
    }

    pub(crate) fn shown(&self) -> &Table {
        match self.screen {
            ScreenId::Overview => &self.attention,
            ScreenId::Nodes => &self.nodes,
            ScreenId::Gpus => &self.gpus,
            ScreenId::Routing => &self.models,
            ScreenId::Events => &self.events,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chosen_row_survives_resorting_and_the_cursor_its_end() {
        let mut table = Table { rows: vec![10, 20, 30, 40], page: 2, ..Table::default() };
        table.step(2);
        assert_eq!((table.chosen, table.at, table.top), (Some(30), 2, 1));
        table.rows = vec![40, 30, 20, 10];
        table.settle();
        assert_eq!((table.chosen, table.at), (Some(30), 1));
        table.rows = vec![40, 20, 10];
        table.settle();
        assert_eq!((table.chosen, table.at), (Some(20), 1));
        table.rows.clear();
        table.settle();
        assert_eq!((table.chosen, table.at, table.top), (None, 0, 0));
        table.step(-1);
        table.step(isize::MAX);
    }

    #[test]
    fn screens_go_around() {
        assert_eq!(ScreenId::Overview.step(-1), ScreenId::Events);
        assert_eq!(ScreenId::Events.step(1), ScreenId::Overview);
    }
}
