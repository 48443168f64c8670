//! The watermark of a partition: `horizon` before a record is (the 100th greatest time among the events before it) less the
//! retention, and a record earlier than that is too late. A function of the log and of the verdicts, never of batches.

use std::{cmp::Reverse, collections::BinaryHeap};

#[derive(Clone, Debug)]
pub(crate) struct Horizon {
    greatest: BinaryHeap<Reverse<i64>>,
    /// How many of the greatest times are kept.
    kept: usize,
    horizon: i64,
    retention: Option<i64>,
}

impl Horizon {
    /// As of a row: its greatest times and its horizon, which a longer retention never moves back.
    pub fn new(greatest: &[i64], kept: usize, horizon: i64, retention: Option<i64>) -> Horizon {
        let greatest = greatest.iter().copied().map(Reverse).collect();
        let mut this = Horizon { greatest, kept, horizon, retention };
        this.raise();
        this
    }

    #[inline]
    pub fn get(&self) -> i64 {
        self.horizon
    }

    /// The time of an event, in the order of the log.
    #[inline]
    pub fn observe(&mut self, time: i64) {
        if self.greatest.len() < self.kept {
            self.greatest.push(Reverse(time));
        } else {
            match self.greatest.peek_mut() {
                Some(mut least) if time > least.0 => *least = Reverse(time),
                _ => return,
            }
        }
        self.raise();
    }

    fn raise(&mut self) {
        if let (Some(retention), Some(Reverse(least))) = (self.retention, self.greatest.peek())
            && self.greatest.len() == self.kept
        {
            self.horizon = self.horizon.max(least.saturating_sub(retention));
        }
    }

    /// The greatest times, rising.
    pub fn greatest(&self) -> Vec<i64> {
        let mut times: Vec<i64> = self.greatest.iter().map(|time| time.0).collect();
        times.sort_unstable();
        times
    }

    /// The greatest time seen; the least value where there was no event.
    pub fn latest(&self) -> i64 {
        self.greatest.iter().map(|time| time.0).max().unwrap_or(i64::MIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_wrong_clock_moves_nothing() {
        let mut horizon = Horizon::new(&[], 3, i64::MIN, Some(10));
        horizon.observe(1_000_000);
        horizon.observe(100);
        assert_eq!(horizon.get(), i64::MIN);
        horizon.observe(101);
        assert_eq!(horizon.get(), 90);
        horizon.observe(102);
        assert_eq!(horizon.get(), 91);
        assert_eq!(Horizon::new(&horizon.greatest(), 3, horizon.get(), Some(50)).get(), 91);
        assert_eq!(horizon.greatest(), [101, 102, 1_000_000]);
    }
}
