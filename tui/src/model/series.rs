//! Rings of samples for sparklines; what was not known stays a gap.

/// The last samples of one figure, one a second.
#[derive(Debug, Clone)]
pub(crate) struct Series {
    samples: Box<[Option<u32>]>,
    next: usize,
}

impl Series {
    /// Two minutes at one sample a second.
    pub(crate) const LEN: usize = 120;

    pub(crate) fn new() -> Self {
        Self { samples: vec![None; Self::LEN].into_boxed_slice(), next: 0 }
    }

    pub(crate) fn push(&mut self, value: Option<u32>) {
        self.samples[self.next] = value;
        self.next = (self.next + 1) % self.samples.len();
    }

    /// The sample of `back` seconds ago; 0 is the newest.
    pub(crate) fn ago(&self, back: usize) -> Option<u32> {
        let len = self.samples.len();
        if back >= len { None } else { self.samples[(self.next + len - 1 - back) % len] }
    }

    /// The largest sample there is.
    pub(crate) fn most(&self) -> Option<u32> {
        self.samples.iter().copied().flatten().max()
    }

    /// The change a second over the last half minute, when both ends are known.
    pub(crate) fn slope_per_s(&self) -> Option<i64> {
        const WINDOW_S: usize = 30;
        let (now, before) = (self.ago(0)?, self.ago(WINDOW_S)?);
        Some((i64::from(now) - i64::from(before)) / i64::try_from(WINDOW_S).unwrap_or(1))
    }
}

/// The last utilisations of one node, one a statement; a byte each, since there are many nodes.
#[derive(Debug, Clone)]
pub(crate) struct Trail {
    samples: [u8; Self::LEN],
    next: u8,
}

impl Trail {
    pub(crate) const LEN: usize = 24;
    const GAP: u8 = u8::MAX;

    pub(crate) fn new() -> Self {
        Self { samples: [Self::GAP; Self::LEN], next: 0 }
    }

    pub(crate) fn push(&mut self, percent: Option<u8>) {
        self.samples[usize::from(self.next)] = percent.unwrap_or(Self::GAP);
        self.next = (self.next + 1) % 24;
    }

    /// The sample of `back` statements ago; 0 is the newest.
    pub(crate) fn ago(&self, back: usize) -> Option<u8> {
        if back >= Self::LEN {
            return None;
        }
        let at = (usize::from(self.next) + Self::LEN - 1 - back) % Self::LEN;
        Some(self.samples[at]).filter(|it| *it != Self::GAP)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_is_first_and_gaps_stay() {
        let mut series = Series::new();
        assert_eq!((series.ago(0), series.most()), (None, None));
        for i in 0..31 {
            series.push(Some(i * 10));
        }
        assert_eq!((series.ago(0), series.ago(1), series.slope_per_s()), (Some(300), Some(290), Some(10)));
        series.push(None);
        assert_eq!((series.ago(0), series.ago(Series::LEN), series.slope_per_s()), (None, None, None));
        let mut trail = Trail::new();
        trail.push(Some(7));
        trail.push(None);
        assert_eq!((trail.ago(0), trail.ago(1), trail.ago(2), trail.ago(99)), (None, Some(7), None, None));
    }
}
