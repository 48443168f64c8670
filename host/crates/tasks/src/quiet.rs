//! Whether all work is done, by the rows of all tasks, whoever owns them: everything is read, every shard has merged every commit,
//! and every document is acknowledged.

use std::collections::BTreeMap;

use crate::{
    name::PartitionId,
    row::{PartitionRow, ShardRow},
};

/// The rows of all tasks at about one time.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    pub partitions: BTreeMap<PartitionId, PartitionRow>,
    pub shards: BTreeMap<u32, ShardRow>,
}

impl Rows {
    /// Every commit of every partition is merged by each of the `shards`, and the index has acknowledged every document.
    pub fn answered(&self, shards: u32) -> bool {
        (0..shards)
            .all(|shard| self.shards.get(&shard).is_some_and(|row| self.merged(shard, row) && indexed(row)))
    }

    fn merged(&self, shard: u32, row: &ShardRow) -> bool {
        self.partitions.iter().all(|(id, partition)| {
            let last = partition.last.get(shard as usize).copied().unwrap_or_default();
            row.merged.get(id).copied().unwrap_or_default() >= last
        })
    }

    /// The sums of the partitions' counters.
    pub fn counters(&self) -> crate::row::Counters {
        let mut total = crate::row::Counters::default();
        for row in self.partitions.values() {
            total.records += row.counters.records;
            total.events += row.counters.events;
            total.skipped += row.counters.skipped;
            for (reason, count) in &row.counters.dead_letters {
                *total.dead_letters.entry(reason.clone()).or_default() += count;
            }
        }
        total
    }
}

fn indexed(row: &ShardRow) -> bool {
    row.anew.is_none()
        && row.indexed.iter().enumerate().all(|(bucket, &indexed)| indexed >= row.state.touched(bucket))
}
