//! What must hold of shards and documents: a document shows what its shard had merged at its version.

use std::collections::BTreeMap;

use clickmill_tasks::row::ShardRow;

use super::partition;
use crate::{
    oracle::{Key, Numbers},
    setup::PARTITIONS,
    world::{Offer, World},
};

impl World {
    pub(super) fn check_shard(&mut self, shard: u32, old: &ShardRow, new: &ShardRow) {
        let mut merged = BTreeMap::new();
        for p in 0..PARTITIONS {
            let at = |row: &ShardRow| row.merged.get(&partition(p)).copied().unwrap_or(0);
            let (before, now) = (at(old), at(new));
            self.need(before <= now, || format!("shard {shard} went back in partition {p}"));
            let known = self.answers[p].contains_key(&now);
            self.need(known, || {
                format!("shard {shard} merged commit {now} of partition {p}, which was never made")
            });
            merged.insert(p, now);
        }
        let moved = old.head.fence > 0 && new.head.fence == old.head.fence;
        for (&before, &now) in old.indexed.iter().zip(&new.indexed).filter(|_| moved) {
            self.need(now <= new.head.commit, || format!("shard {shard} says that the index is ahead"));
            // After a take-over from an owner whose metric had failed all documents wait again.
            self.need(now >= before || before == 0 || !old.failed.is_empty(), || {
                format!("shard {shard} forgets what the index has: {before}, then {now}")
            });
        }
        let fell = old.cold.iter().any(|(window, end)| new.cold.get(window).is_none_or(|now| now < end));
        self.need(!fell, || format!("the cold end of shard {shard} fell"));
        if new.cold != old.cold && new.cold.values().any(|&end| end > self.greatest_horizon()) {
            self.counts.add("commits that freeze groups before the horizon");
        }
        let bound = self.setup.bounds.changes * 9 + 4;
        self.need(new.state.changes.len() <= bound, || format!("the changes of shard {shard} have no bound"));
        self.say(|| {
            let state = &new.state;
            let changes: Vec<u64> = state.changes.iter().map(|change| change.commit).collect();
            let bases: Vec<(u8, u64)> = state.bases.iter().map(|(&bucket, base)| (bucket, base.1)).collect();
            format!(
                "shard {shard}: {:?} merged {merged:?} indexed {:?} cold {:?} failed {:?} changes {changes:?} bases {bases:?}",
                new.head, new.indexed, new.cold, new.failed
            )
        });
        self.truth[shard as usize].insert(new.head.commit, merged);
    }

    fn greatest_horizon(&self) -> i64 {
        let rows = (0..PARTITIONS).filter_map(|p| self.partition_row(p));
        rows.map(|row| row.horizon).max().unwrap_or(i64::MIN)
    }

    /// What a document must show when the shard has merged these commits.
    fn due(&self, merged: &BTreeMap<usize, u64>, key: &Key) -> Option<Numbers> {
        let mut due: Option<Numbers> = None;
        for (&p, commit) in merged {
            if let Some(numbers) = self.answers[p].get(commit).and_then(|answer| answer.get(key)) {
                due.get_or_insert_default().add(numbers);
            }
        }
        due
    }

    pub(super) fn metrics(&self, key: &Key) -> Vec<&str> {
        let rollup = self.setup.rollups.iter().find(|rollup| rollup.name == key.0);
        rollup.map(|rollup| rollup.metrics.iter().map(String::as_str).collect()).unwrap_or_default()
    }

    pub fn check_document(&mut self, shard: u32, offer: &Offer) {
        let Offer { key, version, fields } = offer;
        let Some(merged) = self.truth[shard as usize].get(version).cloned() else {
            return self
                .need(false, || format!("a document shows a state that was never committed: {key:?}"));
        };
        let due = self.due(&merged, key).map(|due| due.fields(&self.metrics(key)));
        let nulls = self.metric_failed && fields.values().any(Option::is_none);
        let right = due.as_ref().is_some_and(|due| {
            due.len() == fields.len()
                && due.iter().all(|(name, value)| match fields.get(name) {
                    Some(None) => nulls,
                    field => field == Some(value),
                })
        });
        if nulls {
            self.counts.add("documents with a failed metric");
        }
        self.need(right, || {
            format!("a document is wrong: shard {shard}, {key:?}, version {version}, merged {merged:?}: {fields:?}, not {due:?}")
        });
    }
}
