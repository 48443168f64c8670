//! Which buckets' bases are to be rewritten: those whose changes outweigh them, and, where there are too many changes, those that
//! hold back the oldest. So every byte of state is rewritten a bounded number of times, and lists in rows stay short.

use crate::{
    fault::{Fault, Planted},
    row::{BucketSet, StateBlocks},
};

/// Changes that weigh less than this are never worth a base.
const LEAST: u64 = 256 << 10;

#[derive(Clone, Debug, Default)]
pub(crate) struct Weights {
    bases: Vec<u64>,
    changes: Vec<u64>,
}

impl Weights {
    /// As of a row; what changed is shared out evenly over the buckets that each change touches.
    pub fn new(blocks: &StateBlocks, buckets: usize) -> Weights {
        let mut weights = Weights { bases: vec![0; buckets], changes: vec![0; buckets] };
        for (&bucket, (block, _)) in &blocks.bases {
            weights.bases[bucket as usize] = block.length;
        }
        for change in &blocks.changes {
            weights.change(change.buckets, change.block.length);
        }
        weights
    }

    pub fn change(&mut self, touched: BucketSet, length: u64) {
        let each = length / u64::from(touched.count_ones().max(1));
        for bucket in 0..self.changes.len() {
            if touched >> bucket & 1 == 1 {
                self.changes[bucket] += each;
            }
        }
    }

    pub fn base(&mut self, bucket: usize, length: u64) {
        self.bases[bucket] = length;
        self.changes[bucket] = 0;
    }

    /// The buckets to rewrite with this commit; at most one in eight, and one more where the changes are too many.
    pub fn due(&self, blocks: &StateBlocks, most_changes: usize) -> Vec<usize> {
        let buckets = self.bases.len();
        let mut due: Vec<usize> =
            (0..buckets).filter(|&bucket| self.changes[bucket] > self.bases[bucket] + LEAST).collect();
        due.sort_by_key(|&bucket| std::cmp::Reverse(self.changes[bucket]));
        due.truncate(buckets.div_ceil(8));
        if blocks.changes.len() >= most_changes {
            let rest = blocks.changes.len() - most_changes + 1;
            let mut oldest: Vec<usize> = (0..buckets).filter(|bucket| !due.contains(bucket)).collect();
            oldest.sort_by_key(|&bucket| blocks.as_of(bucket));
            due.extend(oldest.into_iter().take((rest * buckets).div_ceil(most_changes)));
        }
        due
    }
}

/// Drops the changes that no bucket needs any more: those older than the base of every bucket that they touch.
pub(crate) fn prune(blocks: &mut StateBlocks, planted: Planted) {
    if planted.is(Fault::ChangeDropped) {
        let newest = blocks.bases.values().map(|(_, commit)| *commit).max().unwrap_or(0);
        blocks.changes.retain(|change| change.commit > newest);
        return;
    }
    let bases = blocks.bases.clone();
    let as_of = |bucket: u8| bases.get(&bucket).map_or(0, |(_, commit)| *commit);
    let needed = |commit: u64, buckets: BucketSet| {
        (0..64u8).any(|bucket| buckets >> bucket & 1 == 1 && as_of(bucket) < commit)
    };
    blocks.changes.retain(|change| needed(change.commit, change.buckets));
}
