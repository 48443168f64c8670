//! The commit of a shard task.

use std::rc::Rc;

use clickmill_columns::Writer;

use super::Shard;
use crate::{
    blocks::encode_all,
    cold::Cooled,
    context::Ended,
    env::{ColdCell, Env, Store},
    fault::Fault,
    name::{BlockKind, TaskId},
    progress::Progress,
    row::{Change, ShardRow},
    weights::prune,
};

/// How many times the usual number of changes may lie beside the state of a metric that failed.
const PIECES: usize = 8;

impl<E: Env + 'static> Shard<E> {
    /// Rule 2: everything new is written and durable, then the row, then the effects.
    pub(super) async fn commit(&mut self) -> Result<(), Ended> {
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
        self.pace.committed(n, self.committed_at);
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
    pub(super) fn publish(&self) {
        for (&partition, &commit) in &self.owner.row.merged {
            self.context.exchange.pass(self.shard, partition, commit);
        }
    }
}
