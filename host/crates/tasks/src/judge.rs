//! The verdict on each record of a batch: event, dead letter or skipped. A verdict of "dead letter" stands for as long as the fence
//! does, whatever is done again.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use crate::{
    batch::{DeadLetter, RawBatch},
    enrich::{PLUGIN_FAILURE, Refusal},
    fault::{Fault, Planted},
    horizon::Horizon,
    name::PartitionId,
    parse::ParsedBatch,
};

/// A record's own time tells nothing before this: 2000-01-01.
const PLAUSIBLE: i64 = 946_684_800_000;
const DAY: i64 = 86_400_000;
/// Bytes of a record at most, and bytes of it that a dead letter keeps.
pub const LARGEST: u64 = 1 << 20;

/// Verdicts on records that may be worked on again under the same fence: by offset.
pub(crate) type Standing = BTreeMap<i64, Verdict>;

/// A verdict that stands.
#[derive(Clone, Debug)]
pub(crate) struct Verdict {
    pub reason: String,
    pub message: String,
    pub at: Option<u32>,
    pub plugin: (String, String),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Alive,
    Skipped,
    Dead,
}

pub(crate) struct Judge {
    pub id: PartitionId,
    pub fence: u64,
    parser: (String, String),
    /// Of each row.
    fates: Vec<Fate>,
    letters: Vec<DeadLetter>,
    standing: Arc<Standing>,
    planted: Planted,
}

impl Judge {
    pub fn new(
        id: PartitionId,
        fence: u64,
        parser: (String, String),
        standing: Arc<Standing>,
        planted: Planted,
    ) -> Judge {
        Judge { id, fence, parser, fates: Vec::new(), letters: Vec::new(), standing, planted }
    }

    /// The host's own rules, what stands, and what the parser says.
    pub fn parsed(&mut self, batch: &ParsedBatch) {
        let raw = &batch.raw;
        self.fates = vec![Fate::Alive; raw.offsets.len()];
        for &row in &raw.skipped {
            self.fates[row as usize] = Fate::Skipped;
        }
        for &(row, length) in &raw.too_large {
            let message = format!("the record has {length} bytes; at most {LARGEST} are taken");
            self.kill(raw, row, "too-large", &message, None, ("", ""));
        }
        if !self.standing.is_empty() {
            let standing = self.standing.clone();
            for (row, offset) in raw.offsets.iter().enumerate() {
                if let Some(Verdict { reason, message, at, plugin }) = standing.get(offset) {
                    self.kill(raw, row as u32, reason, message, *at, (&plugin.0, &plugin.1));
                }
            }
        }
        let parser = self.parser.clone();
        for (row, message) in &batch.failed {
            self.fail(raw, *row, message, &parser);
        }
        for reject in &batch.parsed.rejects {
            let plugin = (&*parser.0, &*parser.1);
            self.kill(raw, reject.row, &reject.reason, &reject.message, reject.at, plugin);
        }
        for &row in &batch.parsed.skipped {
            let fate = &mut self.fates[row as usize];
            if *fate == Fate::Alive {
                *fate = Fate::Skipped;
            }
        }
    }

    /// An enricher (by name and digest) refuses a value of the row, which begins at `start` of the payloads' buffer, if it stands there
    /// as it is.
    pub fn refuse(
        &mut self,
        raw: &RawBatch,
        row: u32,
        refusal: &Refusal,
        start: Option<u32>,
        plugin: (&str, &str),
    ) {
        let payload = raw.payloads.start(row as usize);
        let inside = |at: &u32| *at as usize <= raw.payloads.get(row as usize).len();
        let within = start.and_then(|start| (start as usize).checked_sub(payload));
        let at = refusal.at.zip(within).map(|(at, within)| at.saturating_add(within as u32)).filter(inside);
        self.kill(raw, row, &refusal.reason, &refusal.message, at, plugin);
    }

    /// A plugin (by name and digest) fails on the row.
    pub fn fail(&mut self, raw: &RawBatch, row: u32, message: &str, plugin: &(String, String)) {
        self.kill(raw, row, PLUGIN_FAILURE, message, None, (&plugin.0, &plugin.1));
    }

    /// Judges rows by their times, in the order of the log; answers those that are events, of which the horizon has heard.
    pub fn times(
        &mut self,
        raw: &RawBatch,
        times: &[i64],
        rows: Range<usize>,
        horizon: &mut Horizon,
    ) -> Vec<u32> {
        let mut events = Vec::with_capacity(rows.len());
        for row in rows {
            if self.fates[row] != Fate::Alive {
                continue;
            }
            let time = times[row];
            match untimely(raw, row, time, horizon) {
                None => {
                    horizon.observe(time);
                    events.push(row as u32);
                }
                Some(Untimely::Ahead { own }) => {
                    let message = format!(
                        "the event's time {} is more than a day after the record's own, {}",
                        show(time),
                        show(own)
                    );
                    self.kill(raw, row as u32, "too-far-ahead", &message, None, ("", ""));
                }
                Some(Untimely::Late) => {
                    let message = format!(
                        "the event's time {} lies before {}, the end of the retention",
                        show(time),
                        show(horizon.get())
                    );
                    self.kill(raw, row as u32, "too-late", &message, None, ("", ""));
                }
            }
        }
        events
    }

    /// What [`Judge::times`] would answer; no verdict is given.
    pub fn timely(
        &self,
        raw: &RawBatch,
        times: &[i64],
        rows: Range<usize>,
        horizon: &mut Horizon,
    ) -> Vec<u32> {
        let mut events = Vec::new();
        for row in rows.filter(|&row| self.is_alive(row)) {
            if untimely(raw, row, times[row], horizon).is_none() {
                horizon.observe(times[row]);
                events.push(row as u32);
            }
        }
        events
    }

    #[allow(clippy::too_many_arguments)]
    fn kill(
        &mut self,
        raw: &RawBatch,
        row: u32,
        reason: &str,
        message: &str,
        at: Option<u32>,
        (plugin, digest): (&str, &str),
    ) {
        let fate = &mut self.fates[row as usize];
        if *fate != Fate::Alive {
            return;
        }
        *fate = Fate::Dead;
        let row = row as usize;
        let value = raw.payloads.get(row);
        let too_large = raw.too_large.binary_search_by_key(&(row as u32), |(row, _)| *row);
        let value = value.strip_suffix(b"\n").unwrap_or(value);
        self.letters.push(DeadLetter {
            partition: self.id,
            fence: if self.planted.is(Fault::NoStamp) { 1 } else { self.fence },
            offset: raw.offsets[row],
            source: raw.source.clone(),
            time: raw.times.get(row).copied().filter(|&time| time >= 0),
            reason: reason.into(),
            message: message.into(),
            at,
            plugin: plugin.into(),
            digest: digest.into(),
            length: too_large.map_or(value.len() as u64, |found| raw.too_large[found].1),
            value: value.into(),
        });
    }

    #[inline]
    pub fn is_alive(&self, row: usize) -> bool {
        self.fates.get(row) == Some(&Fate::Alive)
    }

    /// The rows that are events so far.
    pub fn alive(&self) -> Vec<u32> {
        let rows = self.fates.iter().enumerate().filter(|(_, fate)| **fate == Fate::Alive);
        rows.map(|(row, _)| row as u32).collect()
    }

    pub fn events(&self) -> u64 {
        self.count(Fate::Alive)
    }

    pub fn skipped(&self) -> u64 {
        self.count(Fate::Skipped)
    }

    /// The records that are no events, and why.
    pub fn letters(self) -> Vec<DeadLetter> {
        self.letters
    }

    pub fn records(&self) -> u64 {
        self.fates.len() as u64
    }

    fn count(&self, wanted: Fate) -> u64 {
        self.fates.iter().filter(|fate| **fate == wanted).count() as u64
    }
}

/// Why the time of a row makes no event of it.
enum Untimely {
    /// The record's own time, in milliseconds.
    Ahead {
        own: i64,
    },
    Late,
}

fn untimely(raw: &RawBatch, row: usize, time: i64, horizon: &Horizon) -> Option<Untimely> {
    let own = raw.times.get(row).copied().unwrap_or(-1);
    if own >= PLAUSIBLE && time > own.saturating_add(DAY) {
        Some(Untimely::Ahead { own })
    } else {
        (time < horizon.get()).then_some(Untimely::Late)
    }
}

fn show(time: i64) -> String {
    clickmill_columns::format_instant(time, true)
}
