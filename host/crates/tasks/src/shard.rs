//! A shard task: owns a share of the groups, merges the deltas of every partition, and is the only writer of its documents.

use std::{future::Future, pin::Pin, rc::Rc, time::Duration};

use clickmill_columns::{Column, Data, Tuple, Validity, Values, Writer};
use futures_channel::mpsc::UnboundedReceiver;
use futures_util::{FutureExt, StreamExt, select_biased, stream::FuturesUnordered};

use crate::{
    batch::DocumentBatch,
    blocks::{ShardChange, encode_all, share_of},
    cold::Cooled,
    context::{Context, Ended},
    env::{ColdCell, Env, Index, Indexed, Metric as _, Store},
    exchange::Delta,
    fault::Fault,
    name::{BlockKind, PartitionId, TaskId},
    owner::{Owner, later, read_block},
    progress::Progress,
    refused::Refusals,
    row::{Anew, BucketSet, Change, PartitionRow, Row, ShardRow},
    shard_state::{RollupWork, ShardWork},
    weights::{Weights, prune},
};

/// How many times the usual number of changes may lie beside the state of a metric that failed.
const PIECES: usize = 8;
/// Requests to the index under way at once.
const REQUESTS: usize = 8;

/// Documents under way, and what became of them.
struct Answered {
    rollup: usize,
    window: usize,
    slots: Vec<u32>,
    version: u64,
    answers: Vec<Indexed>,
}

type Indexing = Pin<Box<dyn Future<Output = Result<Answered, Ended>>>>;

pub(crate) struct Shard<E: Env> {
    context: Rc<Context<E>>,
    shard: u32,
    owner: Owner<E, ShardRow>,
    work: ShardWork<E>,
    weights: Weights,
    inbox: UnboundedReceiver<Delta>,
    /// A delta in memory had a gap before it, or none came for a while: the store has what is missing.
    behind: bool,
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
    /// When documents were last offered, and how long the index took.
    sent_at: Duration,
    index_took: Duration,
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
        let now = context.env.now();
        let mut this = Shard {
            weights: Weights::new(&owner.row.state, buckets),
            merged: owner.row.clone(),
            context,
            shard,
            owner,
            work,
            inbox,
            behind: true,
            indexing: FuturesUnordered::new(),
            change: ShardChange::default(),
            touched: 0,
            acknowledged: 0,
            refused: 0,
            refusals,
            refusals_changed: false,
            horizon: i64::MIN,
            sent_at: now,
            index_took: Duration::ZERO,
            committed_at: now,
            commit_took: Duration::ZERO,
            looked_at: now,
        };
        this.work.redo(&this.owner.row);
        this.publish();
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
        // Commits rest as long as the last one took, so that merging keeps half of the time at least.
        let rest = self.commit_took.saturating_sub(self.since_commit());
        if !rest.is_zero() && !context.exchange.stopping() {
            context.env.sleep(rest).await;
        }
        let remote = context.bounds.look / 8;
        let sleep = context.env.sleep(remote).fuse();
        let mut sleep = std::pin::pin!(sleep);
        let answered = select_biased! {
            delta = self.inbox.next() => {
                if let Some(delta) = delta {
                    self.take(delta).await?;
                }
                None
            }
            answered = self.indexing.select_next_some() => Some(answered?),
            () = sleep => {
                self.behind = true;
                None
            }
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
        if self.behind && !self.is_full() {
            self.catch_up().await?;
        }
        Ok(())
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
        if delta.commit > position {
            later(TaskId::Partition(delta.partition), delta.epoch, self.context.epoch)?;
            self.merge(delta.partition, delta.commit, &delta.block[delta.share]).await?;
        }
        self.horizon = self.horizon.max(delta.horizon);
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

    /// Merges from the store what every partition's outbox still has for this shard, in order.
    async fn catch_up(&mut self) -> Result<(), Ended> {
        let context = self.context.clone();
        self.behind = false;
        for task in context.sure(|| context.env.store().tasks()).await? {
            let TaskId::Partition(partition) = task else { continue };
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
        Ok(())
    }

    async fn commit(&mut self) -> Result<(), Ended> {
        let context = self.context.clone();
        let began = context.env.now();
        let mut row = self.owner.next();
        let n = row.head.commit;
        let mut change = std::mem::take(&mut self.change);
        let mut touched = std::mem::take(&mut self.touched);
        let Cooled { cells, frozen, touched: cooled } = self.work.cool(self.horizon, n).await?;
        let cells: Rc<[ColdCell]> = cells.into();
        touched |= cooled;
        change.frozen = frozen;
        change.thawed = self.work.take_thawed();
        if context.planted.is(Fault::ThawedUnlisted) {
            change.thawed.clear();
        }
        if !context.planted.is(Fault::ColdForgotten) {
            row.cold = self.work.cold.clone();
        }
        row.anew = self.work.anew.clone();
        if !context.planted.is(Fault::FrozenLater) {
            self.freeze(&cells, n).await?;
        }
        row.merged = self.merged.merged.clone();
        row.refused += std::mem::take(&mut self.refused);
        row.indexed = self.work.indexed(n);
        if !context.planted.is(Fault::RefusedLater) {
            self.put_refusals(&mut row).await?;
        }
        if context.planted.is(Fault::IndexedAhead) {
            row.indexed.fill(n);
        }
        self.acknowledged = 0;
        if touched != 0 {
            let block = self.owner.put(BlockKind::Change, change.encode()).await?;
            row.state.changes.push(Change { commit: n, block, buckets: touched });
        }
        let mut due = self.weights.due(&row.state, context.bounds.changes);
        for place in 0..due.len() {
            let bucket = due[place];
            let Some(content) = self.work.base(bucket).await else {
                due.truncate(place);
                break;
            };
            let mut base = Writer::default();
            encode_all(&content, &mut base);
            let block = self.owner.put(BlockKind::Base, base.0).await?;
            let as_of = if context.planted.is(Fault::BaseAhead) { n - 1 } else { n };
            row.state.bases.insert(bucket as u8, (block, as_of));
        }
        prune(&mut row.state, context.planted);
        row.failed = self.work.failed();
        if row.state.changes.len() > context.bounds.changes * PIECES {
            return Err(Ended::Plugin(format!(
                "shard {} merges no more until the metrics {} work again: too much lies beside their state",
                self.shard,
                row.failed.join(", ")
            )));
        }
        if context.planted.is(Fault::IndexFirst) {
            self.send().await?;
        }
        if context.planted.is(Fault::PositionLater) {
            let position = std::mem::replace(&mut row.merged, self.owner.row.merged.clone());
            self.owner.commit(row).await?;
            row = self.owner.next();
            row.merged = position;
        }
        self.owner.commit(row).await?;
        if context.planted.is(Fault::RefusedLater) && self.refusals_changed {
            let mut row = self.owner.next();
            self.put_refusals(&mut row).await?;
            self.owner.commit(row).await?;
        }
        if context.planted.is(Fault::FrozenLater) {
            self.freeze(&cells, n).await?;
        }
        let state = &self.owner.row.state;
        if let Some(change) = state.changes.last().filter(|change| change.commit == n) {
            self.weights.change(change.buckets, change.block.length);
        }
        for bucket in due {
            if let Some((block, _)) = state.bases.get(&(bucket as u8)) {
                self.weights.base(bucket, block.length);
            }
        }
        self.merged = self.owner.row.clone();
        self.publish();
        Progress::add(&context.progress.commits, 1);
        self.committed_at = context.env.now();
        self.commit_took = self.committed_at.saturating_sub(began);
        self.looked_at = self.committed_at;
        Ok(())
    }

    /// With the commit whose row says that the index has all: a refusal counts as an acknowledgement.
    async fn put_refusals(&mut self, row: &mut ShardRow) -> Result<(), Ended> {
        if std::mem::take(&mut self.refusals_changed) {
            row.refusals = match self.refusals.is_empty() {
                true => None,
                false => Some(self.owner.put(BlockKind::Refused, self.refusals.encode()).await?),
            };
        }
        Ok(())
    }

    async fn freeze(&self, cells: &Rc<[ColdCell]>, commit: u64) -> Result<(), Ended> {
        if cells.is_empty() {
            return Ok(());
        }
        let stamp = if self.context.planted.is(Fault::ColdUnstamped) { 1 } else { commit };
        let store = self.context.env.store();
        self.context.sure(|| store.freeze(TaskId::Shard(self.shard), stamp, cells.clone())).await
    }

    /// Says how far the row has come, to partitions on this host.
    fn publish(&self) {
        for (&partition, &commit) in &self.owner.row.merged {
            self.context.exchange.pass(self.shard, partition, commit);
        }
    }

    /// Offers documents that wait to the index, evaluated as of the commit that the row is at.
    async fn send(&mut self) -> Result<(), Ended> {
        let context = self.context.clone();
        let now = context.env.now();
        // A group that changes again meanwhile is sent once; so the index is at work a quarter of the time at most.
        let rest = (3 * self.index_took).min(context.bounds.interval);
        if !self.indexing.is_empty() || (now < self.sent_at + rest && !context.exchange.hurried()) {
            return Ok(());
        }
        self.sent_at = now;
        for rollup in 0..self.work.rollups.len() {
            for window in 0..self.work.rollups[rollup].windows.len() {
                if self.indexing.len() >= REQUESTS {
                    return Ok(());
                }
                let work = &mut self.work.rollups[rollup].windows[window];
                let rest = work.waiting.len().saturating_sub(context.bounds.documents);
                let slots = work.waiting.split_off(rest);
                if slots.is_empty() {
                    continue;
                }
                let batch = Rc::new(self.evaluate(rollup, window, &slots).await?);
                let version = batch.version;
                let work = &mut self.work.rollups[rollup].windows[window];
                for &slot in &slots {
                    work.infos[slot as usize].sent = version;
                }
                work.under_way.extend_from_slice(&slots);
                let context = context.clone();
                self.indexing.push(Box::pin(async move {
                    if context.planted.is(Fault::NoAck) {
                        let _ = context.env.index().put(batch.clone()).await;
                        let answers = vec![Indexed::Acknowledged; slots.len()];
                        return Ok(Answered { rollup, window, slots, version, answers });
                    }
                    let answers = context.sure(|| context.env.index().put(batch.clone())).await?;
                    Ok(Answered { rollup, window, slots, version, answers })
                }));
                // One poll sends the request off.
                if let Some(Some(answered)) = self.indexing.next().now_or_never() {
                    let answered = answered?;
                    self.acknowledge(answered);
                }
            }
        }
        Progress::set(&self.context.progress.waiting, self.work.waiting() as u64);
        Ok(())
    }

    async fn evaluate(
        &mut self,
        rollup: usize,
        window: usize,
        slots: &[u32],
    ) -> Result<DocumentBatch, Ended> {
        let context = self.context.clone();
        let plan = &context.plan.rollups[rollup];
        let RollupWork { tuples, windows, .. } = &mut self.work.rollups[rollup];
        let work = &mut windows[window];
        let mut starts = Vec::with_capacity(slots.len());
        let mut by: Vec<(Values, Vec<bool>)> = vec![Default::default(); plan.by.len()];
        for &slot in slots {
            let Some(group) = work.groups.get(slot) else { continue };
            starts.push(group.start);
            let values = Tuple::values(tuples.get(group.tuple));
            let values = values.map_err(|error| Ended::Failed(error.to_string()))?;
            for (place, (text, valid)) in by.iter_mut().enumerate() {
                let value = values.get(place).copied().flatten();
                text.push(value.unwrap_or_default());
                valid.push(value.is_some());
            }
        }
        let mut fields = Vec::new();
        for metric in &mut work.metrics {
            let planned = &context.plan.metrics[metric.number];
            let evaluated = match &mut metric.instance {
                Some(instance) => instance.evaluate(slots).await,
                None => Err(crate::env::CallError::Call("it failed before".into())),
            };
            match evaluated {
                Ok(columns) => fields.extend(planned.outputs.iter().cloned().zip(columns)),
                Err(error) => {
                    metric.fail(&context, &error.to_string());
                    let valid = Validity::from_fn(slots.len(), |_| false);
                    let null = Column { data: Data::Integers(vec![0; slots.len()]), valid };
                    fields.extend(planned.outputs.iter().map(|field| (field.clone(), null.clone())));
                }
            }
        }
        let version = match context.planted.is(Fault::Version) {
            true => self.owner.own_commits(),
            false => self.owner.row.head.commit,
        };
        Ok(DocumentBatch {
            shard: self.shard,
            rollup: plan.name.clone(),
            window: plan.windows[window].0.clone(),
            window_millis: plan.windows[window].1,
            version,
            starts,
            by: plan
                .by_names
                .iter()
                .cloned()
                .zip(by.into_iter().map(|(text, valid)| Column {
                    data: Data::Text(text),
                    valid: Validity::from_fn(valid.len(), |row| valid[row]),
                }))
                .collect(),
            fields,
        })
    }

    /// Only the acknowledgement of a group's last change counts.
    fn acknowledge(&mut self, answered: Answered) {
        let Answered { rollup, window, slots, version, answers } = answered;
        let old_ack = self.context.planted.is(Fault::OldAck);
        self.index_took = self.context.env.now().saturating_sub(self.sent_at);
        let (mut done, mut refused) = (0, 0);
        for (&slot, answer) in slots.iter().zip(&answers) {
            let work = &mut self.work.rollups[rollup].windows[window];
            let info = &mut work.infos[slot as usize];
            if info.sent != version {
                continue;
            }
            info.sent = 0;
            if let Indexed::Again(text) = answer {
                self.context.progress.trouble(text);
                work.waiting.push(slot);
                continue;
            }
            if info.changed <= version || old_ack {
                info.waiting = 0;
            } else {
                info.waiting = version + 1;
                work.waiting.push(slot);
            }
            match answer {
                Indexed::Refused(text) => {
                    refused += 1;
                    self.refuse(rollup, window, slot, version, text);
                }
                _ => {
                    done += 1;
                    self.unrefuse(rollup, window, slot);
                }
            }
        }
        let work = &mut self.work.rollups[rollup].windows[window];
        work.under_way.retain(|&slot| work.infos[slot as usize].sent != 0);
        if refused > 0 {
            self.refusals.trim();
            tracing::error!(
                "the index refused {refused} documents for good; `clickmill dead-letters --documents` shows why"
            );
        }
        self.acknowledged += done + refused;
        self.refused += refused;
        Progress::add(&self.context.progress.documents, done);
        Progress::add(&self.context.progress.refused, refused);
    }

    fn group_name(&self, rollup: usize, window: usize, slot: u32) -> Option<Vec<u8>> {
        let RollupWork { tuples, windows, .. } = &self.work.rollups[rollup];
        let group = windows[window].groups.get(slot)?;
        Some(self.work.name(rollup, window, group.start, tuples.get(group.tuple)))
    }

    fn refuse(&mut self, rollup: usize, window: usize, slot: u32, version: u64, text: &str) {
        if let Some(group) = self.group_name(rollup, window, slot) {
            self.refusals.refused(group, version, text.to_owned());
            self.refusals_changed = true;
        }
    }

    /// The index took the document; had it refused an earlier version, that is past.
    fn unrefuse(&mut self, rollup: usize, window: usize, slot: u32) {
        if self.refusals.is_empty() || self.context.planted.is(Fault::RefusedForEver) {
            return;
        }
        if let Some(group) = self.group_name(rollup, window, slot) {
            self.refusals_changed |= self.refusals.taken(&group);
        }
    }
}

/// What a row is that was not there before.
fn begin(row: &mut ShardRow, buckets: usize) {
    if row.head.fence == 1 {
        row.indexed = vec![0; buckets];
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
