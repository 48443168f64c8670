//! A shard task: owns a share of the groups, merges the deltas of every partition, and is the only writer of its documents.

mod commit;
mod documents;
mod pace;

use std::{collections::BTreeSet, mem, rc::Rc, time::Duration};

use futures_channel::mpsc::UnboundedReceiver;
use futures_util::{FutureExt, StreamExt, select_biased, stream::FuturesUnordered};

use self::{documents::Indexing, pace::Pace};
use crate::{
    blocks::{ShardChange, share_of},
    context::{Context, Ended},
    env::{Env, Store},
    exchange::Delta,
    fault::Fault,
    name::{PartitionId, TaskId},
    owner::{Owner, later, read_block},
    progress::{Progress, Waiting},
    refused::Refusals,
    row::{Anew, BucketSet, PartitionRow, Row, ShardRow},
    shard_state::ShardWork,
    weights::Weights,
};

pub(crate) struct Shard<E: Env> {
    context: Rc<Context<E>>,
    shard: u32,
    owner: Owner<E, ShardRow>,
    work: ShardWork<E>,
    weights: Weights,
    inbox: UnboundedReceiver<Delta>,
    /// A delta in memory had a gap before it: the store has what is missing.
    behind: bool,
    /// Partitions whose deltas have come from memory, without a gap, since the store was looked through last.
    heard: BTreeSet<PartitionId>,
    /// When it was looked through last, and how long that took.
    caught_up_at: Duration,
    catch_up_took: Duration,
    indexing: FuturesUnordered<Indexing>,
    /// Merged since the last commit.
    merged: ShardRow,
    change: ShardChange,
    touched: BucketSet,
    /// Acknowledged since the last commit.
    acknowledged: u64,
    refused: u64,
    refusals: Refusals,
    /// The row does not list the refusals as they are.
    refusals_changed: bool,
    /// The greatest horizon of a partition, as a hint of what goes cold.
    horizon: i64,
    pace: Pace,
    /// Which rollup's window is to be offered next, counted on and on.
    next_window: usize,
    waiting: Waiting,
    committed_at: Duration,
    commit_took: Duration,
    looked_at: Duration,
}

impl<E: Env + 'static> Shard<E> {
    pub async fn take_over(context: Rc<Context<E>>, shard: u32) -> Result<Shard<E>, Ended> {
        let inbox = context.exchange.open(shard);
        let buckets = context.bounds.buckets;
        let owner =
            Owner::take_over(context.clone(), TaskId::Shard(shard), |row| begin(row, buckets)).await?;
        Progress::add(&context.progress.take_overs, 1);
        let mut work = ShardWork::new(context.clone(), shard, &owner.row)?;
        work.load(&owner).await?;
        let refusals = match &owner.row.refusals {
            Some(block) => Refusals::decode(&owner.get(block).await?)?,
            None => Refusals::default(),
        };
        let (now, interval) = (context.env.now(), context.bounds.interval);
        let waiting = Waiting::new(context.progress.clone());
        let pace = Pace::new(interval, now, owner.row.head.commit);
        let mut this = Shard {
            weights: Weights::new(&owner.row.state, buckets),
            merged: owner.row.clone(),
            context,
            shard,
            owner,
            work,
            inbox,
            behind: true,
            heard: BTreeSet::new(),
            caught_up_at: now,
            catch_up_took: Duration::ZERO,
            indexing: FuturesUnordered::new(),
            change: ShardChange::default(),
            touched: 0,
            acknowledged: 0,
            refused: 0,
            refusals,
            refusals_changed: false,
            horizon: i64::MIN,
            pace,
            next_window: 0,
            waiting,
            committed_at: now,
            commit_took: Duration::ZERO,
            looked_at: now,
        };
        this.work.redo(&this.owner.row);
        this.publish();
        this.context.exchange.take(shard);
        Ok(this)
    }

    /// Whether anything was committed since the take-over.
    pub fn has_committed(&self) -> bool {
        self.owner.has_committed()
    }

    /// Runs until the host stops or the row is lost.
    pub async fn run(&mut self, leave: &dyn Fn() -> bool) -> Result<(), Ended> {
        loop {
            let leaving = leave() || self.context.exchange.stopping();
            if !leaving {
                self.merge_what_is_there().await?;
                if !self.is_full() {
                    self.touched |= self.work.thaw_anew(self.owner.row.head.commit + 1).await?;
                }
            }
            if self.has_news(leaving) {
                self.commit().await?;
            }
            if leaving {
                return Ok(());
            }
            self.send().await?;
            self.wait().await?;
        }
    }

    fn has_news(&self, leaving: bool) -> bool {
        let settled =
            leaving || self.work.waiting() == 0 || self.since_commit() >= self.context.bounds.interval;
        let (row, merged) = (&self.owner.row, &self.merged.merged);
        let failed = !row.failed.is_empty() && self.work.failed().is_empty();
        let anew = self.work.anew != self.owner.row.anew;
        self.touched != 0 || *merged != row.merged || (self.acknowledged > 0 && settled) || failed || anew
    }

    fn since_commit(&self) -> Duration {
        self.context.env.now().saturating_sub(self.committed_at)
    }

    /// Until something comes: a delta, an answer of the index, or the time to look.
    async fn wait(&mut self) -> Result<(), Ended> {
        let context = self.context.clone();
        // Commits rest as long as the last one took, so that merging keeps half of the time at least; but one that a store kept
        // waiting says nothing of the next.
        let rest = self.commit_took.min(context.bounds.look).saturating_sub(self.since_commit());
        if !rest.is_zero() && !context.exchange.stopping() {
            context.env.sleep(rest).await;
        }
        let sleep = context.env.sleep(context.bounds.look / 8).fuse();
        let mut sleep = std::pin::pin!(sleep);
        let answered = select_biased! {
            delta = self.inbox.next() => {
                if let Some(delta) = delta {
                    self.take(delta).await?;
                }
                None
            }
            answered = self.indexing.select_next_some() => Some(answered?),
            () = sleep => None,
        };
        if let Some(answered) = answered {
            self.acknowledge(answered);
        }
        while let Some(Some(answered)) = self.indexing.next().now_or_never() {
            let answered = answered?;
            self.acknowledge(answered);
        }
        let now = context.env.now();
        if now >= self.looked_at + context.bounds.look {
            self.looked_at = now;
            self.owner.look().await?;
        }
        Ok(())
    }

    async fn merge_what_is_there(&mut self) -> Result<(), Ended> {
        while let Some(Some(delta)) = self.inbox.next().now_or_never() {
            self.take(delta).await?;
        }
        if (self.behind || self.is_to_look()) && !self.is_full() {
            self.catch_up().await?;
        }
        Ok(())
    }

    /// Whether partitions of other hosts may have something. Looking takes a fifth of a shard's time at most, for many shards must not
    /// keep the store busy with it; but no outage makes it rarer than the looks at its own row.
    fn is_to_look(&self) -> bool {
        let look = self.context.bounds.look;
        let rest = (4 * self.catch_up_took).clamp(look / 8, look);
        self.context.env.now() >= self.caught_up_at + rest
    }

    fn is_full(&self) -> bool {
        self.work.waiting() > self.context.bounds.waiting
    }

    /// A delta from memory: merged if nothing is missing before it. While the index is behind it is dropped; the store has it.
    async fn take(&mut self, delta: Delta) -> Result<(), Ended> {
        let position = self.position(delta.partition);
        let gap = delta.previous > position && !self.context.planted.is(Fault::Gap);
        if gap || self.is_full() {
            self.behind = true;
            return Ok(());
        }
        self.heard.insert(delta.partition);
        if delta.commit > position {
            later(TaskId::Partition(delta.partition), delta.epoch, self.context.epoch)?;
            self.merge(delta.partition, delta.commit, &delta.block[delta.share]).await?;
        }
        self.horizon = self.horizon.max(delta.horizon);
        self.pace.heard(delta.partition, delta.backlog, self.context.env.now());
        Ok(())
    }

    fn position(&self, partition: PartitionId) -> u64 {
        self.merged.merged.get(&partition).copied().unwrap_or_default()
    }

    async fn merge(&mut self, partition: PartitionId, commit: u64, share: &[u8]) -> Result<(), Ended> {
        let n = self.owner.row.head.commit + 1;
        self.touched |= self.work.merge(share, n, true, |_| true).await?;
        self.change.deltas.push(share);
        self.merged.merged.insert(partition, commit);
        Ok(())
    }

    /// Merges from the store what the partitions' outboxes still have for this shard, in order: of those that are not heard from
    /// memory, and of all where something is missing.
    async fn catch_up(&mut self) -> Result<(), Ended> {
        let context = self.context.clone();
        let began = context.env.now();
        let heard = mem::take(&mut self.heard);
        let heard = if mem::take(&mut self.behind) { BTreeSet::new() } else { heard };
        for task in context.sure(|| context.env.store().tasks()).await? {
            let TaskId::Partition(partition) = task else { continue };
            if heard.contains(&partition) {
                continue;
            }
            let Some(bytes) = context.sure(|| context.env.store().read_row(task)).await? else { continue };
            let row = PartitionRow::decode(task, &bytes)?;
            later(task, row.outbox.last().map_or(0, |outgoing| outgoing.epoch), context.epoch)?;
            let mut whole = true;
            for outgoing in &row.outbox {
                let Some((_, previous)) = outgoing.shards.iter().find(|(shard, _)| *shard == self.shard)
                else {
                    continue;
                };
                if outgoing.commit <= self.position(partition) {
                    continue;
                }
                if *previous > self.position(partition) {
                    // Others have merged what came before and it was dropped: the row is not this task's any more.
                    return Err(Ended::Fenced);
                }
                if self.is_full() {
                    (whole, self.behind) = (false, true);
                    break;
                }
                let Some(block) = read_block(&context, &outgoing.block).await? else {
                    (whole, self.behind) = (false, true);
                    break;
                };
                if let Some(share) = share_of(&block, self.shard)? {
                    self.merge(partition, outgoing.commit, &block[share]).await?;
                }
            }
            if whole {
                let position = self.position(partition).max(row.head.commit);
                self.merged.merged.insert(partition, position);
                self.horizon = self.horizon.max(row.horizon);
            }
        }
        self.caught_up_at = context.env.now();
        self.catch_up_took = self.caught_up_at.saturating_sub(began);
        Ok(())
    }
}

/// What a row is that was not there before.
fn begin(row: &mut ShardRow, buckets: usize) {
    if row.head.fence == 1 {
        row.indexed = vec![0; buckets];
    }
    if !row.failed.is_empty() {
        // The index has documents that lack the fields of a metric: until they are sent again they do not count as answered.
        // Nothing was changed by the first commit, the first take-over.
        row.indexed.iter_mut().for_each(|indexed| *indexed = (*indexed).min(1));
    }
}

/// From outside: whoever owns the shard is fenced off, takes it over again, and sends every document. The commit number leaps, above
/// whatever a foreign hand did to the versions.
pub async fn reindex<E: Env>(context: &Rc<Context<E>>, shard: u32) -> Result<(), Ended> {
    let leap = if context.planted.is(Fault::NoLeap) { 0 } else { 999 };
    let buckets = context.bounds.buckets;
    let owner = Owner::take_over(context.clone(), TaskId::Shard(shard), |row: &mut ShardRow| {
        begin(row, buckets);
        row.head.commit += leap;
        row.indexed.fill(0);
        if !row.cold.is_empty() && !context.planted.is(Fault::ReindexHot) {
            row.anew = Some(Anew { since: row.head.commit, from: Vec::new() });
        }
    });
    owner.await.map(|_| ())
}
