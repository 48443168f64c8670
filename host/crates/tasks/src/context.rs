//! What all tasks of a host share, and how they ask a service that may be away.

use std::{future::Future, sync::Arc, time::Duration};

use thiserror::Error;

use crate::{
    env::{CallError, Env, Trouble},
    exchange::Exchange,
    fault::Planted,
    plan::Plan,
    progress::Progress,
    row::RowError,
};

/// Why a task ended.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Ended {
    /// The row is another owner's. Everything in memory is void; while the task is assigned it is taken over again.
    #[error("fenced off: another host has taken the task over")]
    Fenced,
    /// Asked to stop while a service was away; whatever was not committed is done again by the next owner.
    #[error("stopped")]
    Stopped,
    /// A plugin failed and no record is to blame. Retried with back-off.
    #[error("{0}")]
    Plugin(String),
    /// A person has to do something.
    #[error("{0}")]
    Failed(String),
}

impl From<RowError> for Ended {
    fn from(error: RowError) -> Ended {
        Ended::Failed(error.to_string())
    }
}

impl From<clickmill_columns::Damaged> for Ended {
    fn from(error: clickmill_columns::Damaged) -> Ended {
        Ended::Failed(format!("{error}; the store was changed by something else than clickmill"))
    }
}

/// A call that no record can be blamed for.
pub(crate) fn blameless(plugin: &str, error: CallError) -> Ended {
    Ended::Plugin(format!("plugin `{plugin}`: {error}"))
}

/// Sizes and times of the tasks.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// Time between two commits of a partition while records come.
    pub interval: Duration,
    /// Bytes of payloads after which a commit is cut early.
    pub commit_bytes: usize,
    /// Records after which a commit is cut early.
    pub commit_records: u64,
    /// Batches that are read and parsed ahead.
    pub ahead: usize,
    /// Buckets of a task's state, at most 64; fixed in the store.
    pub buckets: usize,
    /// Commits in an outbox before reading stops.
    pub outbox: usize,
    /// Change blocks before bases are rewritten to drop the oldest.
    pub changes: usize,
    /// Entries of the fence history in a partition's row, at least 1, before the older half goes into a block.
    pub fences: usize,
    /// The horizon follows the event that is this many from the greatest.
    pub greatest: usize,
    /// Keys of an operator that a partition keeps in memory; beyond them those that were quiet the longest go into cells of their
    /// own.
    pub keys: usize,
    /// Groups that a shard keeps in memory; beyond them those of the oldest windows go into cells of their own.
    pub groups: usize,
    /// Documents that wait for the index before a shard stops merging.
    pub waiting: usize,
    /// Documents offered to the index at once.
    pub documents: usize,
    /// Bytes of a dictionary after which it is made anew.
    pub dictionary: usize,
    /// Bytes of a part of a block at most; fixed in the store.
    pub part: usize,
    /// How often an idle task looks whether its row is still its own, and what it can tidy.
    pub look: Duration,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds {
            interval: Duration::from_secs(1),
            commit_bytes: 256 << 20,
            commit_records: 1_000_000,
            ahead: 8,
            buckets: crate::row::BUCKETS,
            outbox: crate::row::OUTBOX,
            changes: crate::row::CHANGES,
            fences: crate::row::FENCES,
            greatest: crate::row::GREATEST,
            keys: 1_000_000,
            groups: 2_000_000,
            waiting: 1_000_000,
            documents: 65_536,
            dictionary: 128 << 20,
            part: crate::name::PART,
            look: Duration::from_secs(2),
        }
    }
}

/// What a host gives each of its tasks.
pub struct Context<E: Env> {
    pub env: E,
    pub plan: Arc<Plan>,
    pub bounds: Bounds,
    pub exchange: Arc<Exchange>,
    pub progress: Arc<Progress>,
    /// The number of shards, fixed in the store.
    pub shards: u32,
    pub epoch: u32,
    /// How far before the horizon's event a record may lie, in milliseconds; none: no record is too late.
    pub retention: Option<i64>,
    pub planted: Planted,
    /// Stands for the owner where the fault `OwnerName` is planted.
    pub host: u64,
}

impl<E: Env> Context<E> {
    /// Asks until there is an answer, with growing pauses; ends at a final trouble, or when the task is to stop meanwhile.
    pub async fn sure<T, F: Future<Output = Result<T, Trouble>>>(
        &self,
        mut ask: impl FnMut() -> F,
    ) -> Result<T, Ended> {
        let mut pause = Pause::default();
        loop {
            match ask().await {
                Ok(answer) => return Ok(answer),
                Err(Trouble::Final(text)) => return Err(Ended::Failed(text)),
                Err(Trouble::Passing(text)) => {
                    self.progress.trouble(&text);
                    if self.exchange.stopping() {
                        return Err(Ended::Stopped);
                    }
                    pause.rest(&self.env).await;
                }
            }
        }
    }
}

/// A pause that grows, with some chance in it, so that those who wait for the same thing do not return together.
#[derive(Default)]
pub struct Pause(u32);

impl Pause {
    pub async fn rest<E: Env>(&mut self, env: &E) {
        let most = 20u64 << self.0.min(8);
        self.0 += 1;
        env.sleep(Duration::from_millis(most / 2 + env.random() % (most / 2))).await;
    }
}
