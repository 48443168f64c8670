//! The verdict on each record of a batch: event, dead letter or skipped. A verdict of "dead letter" stands for as long as the fence
//! does, whatever is done again.

use std::{collections::BTreeMap, sync::Arc};

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
    id: PartitionId,
    pub fence: u64,
    parser: (String, String),
    /// The first row that is judged, and the fate of each from there on.
    from: usize,
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
        Judge { id, fence, parser, from: 0, fates: Vec::new(), letters: Vec::new(), standing, planted }
    }

    /// The host's own rules, what stands, and what the parser says of rows `from..to`.
    pub fn parsed(&mut self, batch: &ParsedBatch, from: usize, to: usize) {
        self.from = from;
        self.fates = vec![Fate::Alive; to - from];
        let raw = &batch.raw;
        let inside = |row: u32| (row as usize) >= from && (row as usize) < to;
        for &row in raw.skipped.iter().filter(|row| inside(**row)) {
            self.fates[row as usize - from] = Fate::Skipped;
        }
        for &(row, length) in raw.too_large.iter().filter(|(row, _)| inside(*row)) {
            let message = format!("the record has {length} bytes; at most {LARGEST} are taken");
            self.kill(raw, row, "too-large", &message, None, ("", ""));
        }
        if !self.standing.is_empty() {
            let standing = self.standing.clone();
            for row in from..to {
                if let Some(Verdict { reason, message, at, plugin }) = standing.get(&raw.offsets[row]) {
                    self.kill(raw, row as u32, reason, message, *at, (&plugin.0, &plugin.1));
                }
            }
        }
        let parser = self.parser.clone();
        for (row, message) in batch.failed.iter().filter(|(row, _)| inside(*row)) {
            self.kill(raw, *row, PLUGIN_FAILURE, message, None, (&parser.0, &parser.1));
        }
        for reject in batch.parsed.rejects.iter().filter(|reject| inside(reject.row)) {
            let plugin = (&*parser.0, &*parser.1);
            self.kill(raw, reject.row, &reject.reason, &reject.message, reject.at, plugin);
        }
        for &row in batch.parsed.skipped.iter().filter(|row| inside(**row)) {
            let fate = &mut self.fates[row as usize - from];
            if *fate == Fate::Alive {
                *fate = Fate::Skipped;
            }
        }
    }

    pub fn refuse(&mut self, raw: &RawBatch, row: u32, refusal: &Refusal, plugin: &str, digest: &str) {
        self.kill(raw, row, &refusal.reason, &refusal.message, refusal.at, (plugin, digest));
    }

    /// Too far ahead of the record's own time, or too late for the horizon; in the order of the log.
    pub fn times(&mut self, raw: &RawBatch, times: &[i64], horizon: &mut Horizon) {
        for place in 0..self.fates.len() {
            if self.fates[place] != Fate::Alive {
                continue;
            }
            let row = self.from + place;
            let time = times[row];
            let own = raw.times.get(row).copied().unwrap_or(-1);
            if own >= PLAUSIBLE && time > own.saturating_add(DAY) {
                let message = format!(
                    "the event's time {} is more than a day after the record's own, {}",
                    show(time),
                    show(own)
                );
                self.kill(raw, row as u32, "too-far-ahead", &message, None, ("", ""));
            } else if time < horizon.get() {
                let message = format!(
                    "the event's time {} lies before {}, the end of the retention",
                    show(time),
                    show(horizon.get())
                );
                self.kill(raw, row as u32, "too-late", &message, None, ("", ""));
            } else {
                horizon.observe(time);
            }
        }
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
        let fate = &mut self.fates[row as usize - self.from];
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

    pub fn is_alive(&self, row: usize) -> bool {
        row.checked_sub(self.from).and_then(|place| self.fates.get(place)) == Some(&Fate::Alive)
    }

    /// The rows that are events so far.
    pub fn alive(&self) -> Vec<u32> {
        let rows = self.fates.iter().enumerate().filter(|(_, fate)| **fate == Fate::Alive);
        rows.map(|(place, _)| (self.from + place) as u32).collect()
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

fn show(time: i64) -> String {
    clickmill_columns::format_instant(time, true)
}
