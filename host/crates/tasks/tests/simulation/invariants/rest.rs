//! What must hold when nobody has anything left to do: everything is read, counted and indexed.

use std::collections::{BTreeMap, BTreeSet};

use clickmill_tasks::{name::BlockName, quiet::Rows, refused};

use super::partition;
use crate::{
    oracle::{Key, Numbers},
    setup::PARTITIONS,
    world::{Outcome, World},
};

impl World {
    /// Everything is read, merged and indexed, by the rows of all tasks, and nothing is on its way.
    /// Where `whole`, no metric may be missing; partitions whose log is another one are past help.
    pub fn is_at_rest(&self, whole: bool) -> bool {
        let mut rows = Rows::default();
        for p in 0..PARTITIONS {
            let Some(row) = self.partition_row(p) else { return false };
            let helpless = self.logs[p].identity != 0;
            if !helpless && (row.position.next < self.logs[p].end || self.setup.files && !row.ended) {
                return false;
            }
            rows.partitions.insert(partition(p), row);
        }
        for shard in 0..self.setup.shards {
            let Some(row) = self.shard_row(shard) else { return false };
            if whole && !row.failed.is_empty() {
                return false;
            }
            rows.shards.insert(shard, row);
        }
        self.flying.is_empty() && rows.answered(self.setup.shards)
    }

    /// The groups whose documents are kept as refused.
    fn refusals(&self) -> BTreeSet<Key> {
        let rows = (0..self.setup.shards).filter_map(|shard| self.shard_row(shard));
        let blocks = rows.filter_map(|row| row.refusals).map(|block| {
            let parts = block.parts(self.setup.bounds.part);
            parts.filter_map(|part| self.parts.get(&part)).flat_map(|part| part.to_vec()).collect::<Vec<u8>>()
        });
        let documents = blocks.flat_map(|block| refused::documents(&block).unwrap());
        documents.map(|document| (document.rollup, document.window, document.start, document.by)).collect()
    }

    pub fn check_rest(&mut self, last: bool) {
        for p in 0..PARTITIONS {
            let Some(row) = self.partition_row(p) else {
                return self.need(false, || format!("partition {p} has no row"));
            };
            let helpless = self.logs[p].identity != 0;
            let end = self.logs[p].end;
            self.need(helpless || row.position.next == end, || {
                format!("stalled: records of partition {p} are left unread")
            });
            let records = self.logs[p].records.len() as u64;
            let counted = row.counters.balanced() && (helpless || row.counters.records == records);
            self.need(counted, || format!("partition {p}: {records} records, counted {:?}", row.counters));
            let ended = !self.setup.files || row.ended || helpless;
            self.need(ended, || format!("partition {p} does not say that its input has ended"));
            for (offset, outcome) in self.outcomes[p].clone() {
                self.check_outcome(p, offset);
                let newest = !self.visible(p, offset).is_empty();
                self.need(newest == (outcome == Outcome::Event), || {
                    format!("the newest event row at offset {offset} of partition {p} is not the true one: {outcome:?}")
                });
            }
        }
        let mut want: BTreeMap<Key, Numbers> = BTreeMap::new();
        for p in 0..PARTITIONS {
            for (key, numbers) in self.answer_of(p) {
                want.entry(key).or_default().add(&numbers);
            }
        }
        let kept = self.refusals();
        let mut wrong = None;
        for key in want.keys().filter(|key| self.refuses(key) && !kept.contains(*key)) {
            wrong = Some(format!("a refused document is not kept: {key:?}"));
        }
        if let Some(key) = kept.iter().find(|key| !self.refuses(key)) {
            wrong = Some(format!("a document is kept as refused that the index has taken: {key:?}"));
        }
        for (key, numbers) in want.iter().filter(|(key, _)| !self.refuses(key)) {
            let due = numbers.fields(&self.metrics(key));
            let found = self.documents.get(key).map(|document| &document.fields);
            let null = |field: &Option<String>| field.is_none() && self.metric_failed && !last;
            let same = found.is_some_and(|found| {
                due.iter()
                    .all(|(name, value)| found.get(name).is_some_and(|field| field == value || null(field)))
            });
            if !same {
                wrong = Some(format!("the index is not the answer: {key:?}: {found:?}, not {due:?}"));
            }
        }
        if let Some(key) = self.documents.keys().find(|key| !want.contains_key(*key)) {
            wrong = Some(format!("the index has a document that nobody asked for: {key:?}"));
        }
        self.need(wrong.is_none(), || wrong.unwrap_or_default());
        if last && !self.setup.buffers {
            let mut listed: BTreeSet<BlockName> = BTreeSet::new();
            for &task in self.rows.keys() {
                listed.extend(self.listed(task));
            }
            let orphan = self.parts.keys().find(|part| !listed.contains(&part.block)).copied();
            self.need(orphan.is_none(), || format!("a block is left that no row lists: {orphan:?}"));
        }
    }
}
