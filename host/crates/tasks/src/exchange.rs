//! Between the tasks of one host: deltas go from partitions to shards in memory once they are committed, and shards say how far
//! they have come. What is missing here is read from the store; so losing any of it costs time only.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use futures_channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};

use crate::name::PartitionId;

/// What a commit of a partition adds to one shard's groups.
#[derive(Clone, Debug)]
pub struct Delta {
    pub partition: PartitionId,
    pub commit: u64,
    /// The commit before it that had something for this shard.
    pub previous: u64,
    pub epoch: u32,
    /// The delta block, and where this shard's share lies in it.
    pub block: Arc<[u8]>,
    pub share: std::ops::Range<usize>,
    /// The partition's horizon after the commit.
    pub horizon: i64,
    /// The partition has more to read than it works on.
    pub backlog: bool,
}

#[derive(Default)]
pub struct Exchange {
    state: Mutex<State>,
    stopping: AtomicBool,
    hurried: AtomicBool,
}

#[derive(Default)]
struct State {
    inboxes: BTreeMap<u32, UnboundedSender<Delta>>,
    passed: BTreeMap<(u32, PartitionId), u64>,
    taken: BTreeSet<u32>,
}

impl Exchange {
    fn state(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere cannot leave these maps half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on deltas for the shard arrive here; an earlier inbox of it gets no more.
    pub fn open(&self, shard: u32) -> UnboundedReceiver<Delta> {
        let (sender, receiver) = unbounded();
        self.state().inboxes.insert(shard, sender);
        receiver
    }

    /// Hands a committed delta to the shard, where it runs on this host.
    pub fn hand(&self, shard: u32, delta: Delta) {
        if let Some(inbox) = self.state().inboxes.get(&shard) {
            // A closed inbox belongs to a task that has ended; the next owner reads the store.
            let _ = inbox.unbounded_send(delta);
        }
    }

    /// A shard was taken over on this host: its row tells what is to be done from now on.
    pub fn take(&self, shard: u32) {
        self.state().taken.insert(shard);
    }

    /// Whether all shards were taken over on this host.
    pub fn all_taken(&self, shards: u32) -> bool {
        (0..shards).all(|shard| self.state().taken.contains(&shard))
    }

    /// A shard's committed position: all commits of the partition up to this one are merged.
    pub fn pass(&self, shard: u32, partition: PartitionId, commit: u64) {
        let mut state = self.state();
        let passed = state.passed.entry((shard, partition)).or_default();
        *passed = commit.max(*passed);
    }

    pub fn passed(&self, shard: u32, partition: PartitionId) -> u64 {
        self.state().passed.get(&(shard, partition)).copied().unwrap_or_default()
    }

    /// Some input has ended: nothing more is worth waiting for.
    pub fn hurry(&self) {
        self.hurried.store(true, Ordering::SeqCst);
    }

    pub fn hurried(&self) -> bool {
        self.hurried.load(Ordering::SeqCst)
    }

    /// Asks all tasks to end at their next commit. Shards that wait for deltas wait no longer.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        self.state().inboxes.clear();
    }

    pub fn stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }
}
