//! One frame without a terminal, and the same facts as JSON.

use mesh_core::time::Timestamp;
use ratatui::{buffer::Buffer, layout::Rect};

use crate::{
    FeedEvent, Options,
    caps::Colors,
    encode,
    model::{Model, view::ScreenId},
    report, screens,
    theme::Theme,
};

/// What is known so far, ready to be drawn once.
pub struct Picture {
    pub(crate) model: Model,
    theme: Theme,
    buffer: Buffer,
}

impl Picture {
    /// Nothing known yet.
    #[must_use]
    pub fn new(options: &Options) -> Self {
        let theme = Theme::new(options.caps);
        Self { model: Model::new(options.clone()), theme, buffer: Buffer::empty(Rect::ZERO) }
    }

    /// Takes in what the feed tells.
    pub fn feed(&mut self, event: FeedEvent, now: Timestamp) {
        self.model.feed(event, now);
    }

    /// Whether nodes and cluster were told, so that a frame says something.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.model.is_complete()
    }

    /// One frame of the overview as text, with colours when the terminal has them.
    #[must_use]
    pub fn frame(&mut self, width: u16, height: u16, now: Timestamp) -> String {
        self.draw(ScreenId::Overview, width, height, now);
        crossterm::style::force_color_output(true);
        encode::lines(&self.buffer, self.model.options.caps.colors == Colors::Mono)
    }

    /// The facts as one stable object.
    #[must_use]
    pub fn json(&mut self, now: Timestamp) -> serde_json::Value {
        self.model.prepare(now);
        report::json(&self.model, now)
    }

    /// The number of screens; see [`Self::sketch`].
    pub const SCREENS: usize = ScreenId::ALL.len();

    /// Draws the screen with this number (from 0) and gives the bytes that a terminal would get. For measurements.
    ///
    /// # Errors
    /// Never, since it writes into memory; the signature is the encoder's.
    pub fn sketch(
        &mut self,
        screen: usize,
        size: (u16, u16),
        now: Timestamp,
        out: &mut Vec<u8>,
    ) -> std::io::Result<()> {
        let before = std::mem::take(&mut self.buffer);
        let area = Rect::new(0, 0, size.0, size.1);
        let fresh = before.area != area;
        let before = if fresh { Buffer::empty(area) } else { before };
        self.draw(ScreenId::ALL[screen % Self::SCREENS], size.0, size.1, now);
        encode::frame(&before, &self.buffer, None, fresh, out)
    }

    pub(crate) fn draw(&mut self, screen: ScreenId, width: u16, height: u16, now: Timestamp) {
        if self.model.view.screen != screen {
            self.model.view.screen = screen;
            self.model.touch();
        }
        self.model.prepare(now);
        self.buffer.resize(Rect::new(0, 0, width, height));
        self.buffer.reset();
        screens::draw(&mut self.model, &self.theme, &mut self.buffer, now);
    }

    #[cfg(test)]
    pub(crate) fn buffer(&self) -> &Buffer {
        &self.buffer
    }
}
