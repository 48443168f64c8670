//! What must hold of events and dead letters: each record that is counted has exactly one true outcome, and the right one.

use std::collections::BTreeMap;

use clickmill_tasks::{Fault, Fences, batch::DeadLetter, row::PartitionRow};

use crate::{
    log::{Fate, Record},
    setup::WorldFault,
    world::{Cells, Of, Outcome, World},
};

impl World {
    pub(super) fn visible(&self, p: usize, offset: i64) -> Vec<u64> {
        let undone = self.undone.get(&(p, offset)).copied();
        let stamps = self.events.get(&(p, offset)).into_iter().flat_map(BTreeMap::keys);
        stamps.copied().filter(|&stamp| undone.is_none_or(|undone| stamp > undone)).collect()
    }

    /// The fence history, as readers have it; empty where its block is not whole, which is an invariant of its own.
    fn fences(&self, row: &PartitionRow) -> Fences {
        let part = |name| Ok::<_, ()>(self.parts.get(&name).map(|part| part.to_vec()));
        let older = row.older_fences.map(|block| block.content(self.setup.bounds.part, part));
        let older = older.and_then(Result::ok).flatten().unwrap_or_default();
        Fences::new(row, &older).unwrap_or_default()
    }

    /// What readers take an offset for, by the fence history: event and reason of the dead letter.
    fn read(&self, row: &PartitionRow, p: usize, offset: i64) -> (bool, Option<String>) {
        let fence = self.fences(row).at(offset).unwrap_or_default();
        let fence = if self.setup.is(Fault::NoStamp) { 1 } else { fence };
        let letters = self.letters.get(&(p, offset));
        if self.setup.has(WorldFault::NoHistory) {
            let newest = letters.and_then(|letters| letters.values().next_back());
            return (!self.visible(p, offset).is_empty(), newest.cloned());
        }
        let letter = letters.and_then(|letters| letters.get(&fence));
        (self.visible(p, offset).contains(&fence), letter.cloned())
    }

    pub(super) fn outcome(&mut self, row: &PartitionRow, p: usize, record: &Record) -> Option<Outcome> {
        let skips = record.mark.fate() == Fate::Skipped;
        let outcome = match self.read(row, p, record.offset) {
            (true, None) if !skips => Some(Outcome::Event),
            (false, Some(reason)) if !skips || self.setup.impure > 0.0 || self.setup.traps > 0.0 => {
                Some(Outcome::Dead(reason))
            }
            (false, None) if skips => Some(Outcome::Skipped),
            _ => None,
        };
        let (event, dead) = self.read(row, p, record.offset);
        self.need(outcome.is_some(), || {
            format!("not exactly one true outcome for {record:?} of partition {p}: event {event}, dead letter {dead:?}")
        });
        outcome
    }

    /// Rule 6, whenever a cell changes: the committed outcome stays the true one.
    pub fn check_outcome(&mut self, p: usize, offset: i64) {
        let Some(counted) = self.outcomes[p].get(&offset) else { return };
        let Some(row) = self.partition_row(p) else { return };
        let want = match counted {
            Outcome::Event => (true, None),
            Outcome::Dead(reason) => (false, Some(reason.clone())),
            Outcome::Skipped => (false, None),
        };
        let read = self.read(&row, p, offset);
        self.need(read == want, || {
            format!("not exactly one true outcome for offset {offset} of partition {p}: {read:?}, counted {want:?}")
        });
    }

    /// Every verdict is a function of the log and of the verdicts before it; only an impure plugin may say otherwise.
    pub(super) fn check_verdicts(
        &mut self,
        p: usize,
        old: &PartitionRow,
        new: &PartitionRow,
        records: &[Record],
        outcomes: &[Outcome],
    ) {
        let Some(retention) = self.setup.retention else { return };
        let pure = self.setup.impure == 0.0 && self.setup.traps == 0.0;
        let same_settings = new.head.epoch == 1;
        let mut greatest: Vec<i64> = old.greatest.clone();
        let mut horizon = if old.head.fence == 0 { i64::MIN } else { old.horizon };
        for (record, outcome) in records.iter().zip(outcomes) {
            let late = record.time < horizon && record.mark.is_timed();
            let want = match record.mark.fate() {
                _ if late => Outcome::Dead("too-late".into()),
                Fate::Event => Outcome::Event,
                Fate::Skipped => Outcome::Skipped,
                Fate::Dead(reason) => Outcome::Dead(reason.into()),
            };
            let failed = *outcome == Outcome::Dead("plugin-failure".into());
            // Under an impure plugin a record may have been too late after one that failed since; that verdict stands.
            let stands = *outcome == Outcome::Dead("too-late".into()) && record.mark.is_timed();
            let right = *outcome == want || !pure && (failed || stands);
            if same_settings {
                self.need(right, || format!("a wrong verdict for {record:?}: {outcome:?}, not {want:?}"));
            }
            if *outcome == Outcome::Event {
                greatest.push(record.time);
                greatest.sort_unstable();
                if greatest.len() > self.setup.bounds.greatest {
                    greatest.remove(0);
                }
                if greatest.len() == self.setup.bounds.greatest {
                    horizon = horizon.max(greatest[0] - retention);
                }
            }
        }
        self.need(greatest == new.greatest, || format!("the greatest times of partition {p} are wrong"));
    }

    pub fn check_event(&mut self, p: usize, offset: i64, cells: &Cells) {
        let Some(record) = self.logs[p].between(offset, offset + 1).first().cloned() else {
            return self
                .need(false, || format!("an event at offset {offset} of partition {p}, where no record is"));
        };
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let canonical = record.canonical();
        let raw = (canonical != record.url).then(|| record.url.clone());
        let want = Cells::from([
            ("timestamp".into(), Some(record.time.to_string())),
            ("user_id".into(), text(&record.user)),
            ("url".into(), Some(canonical)),
            ("raw_url".into(), raw),
            ("country".into(), text(&record.country)),
            ("mark".into(), Some(record.mark.name())),
        ]);
        self.need(*cells == want, || format!("an event is not its record: {cells:?}, not {want:?}"));
    }

    pub fn check_letter(&mut self, letter: &DeadLetter) {
        let p = letter.id();
        let record = self.logs[p].between(letter.offset, letter.offset + 1).first().cloned();
        let payload = record.map(|record| record.payload()).unwrap_or_default();
        let payload = payload.strip_suffix(b"\n").unwrap_or(&payload);
        let same = letter.value == payload && letter.length == payload.len() as u64;
        self.need(same, || format!("a dead letter is not its record: {letter:?}"));
        let planted = letter.reason != "plugin-failure" || letter.message.contains("on purpose");
        self.need(planted, || format!("a plugin failed by itself: {letter:?}"));
    }
}
