//! The outbox of a partition task: deltas that some shard has not merged yet.

use super::Partition;
use crate::{
    context::Ended,
    env::{Env, Plugins, Store},
    fault::Fault,
    name::TaskId,
    row::{PartitionRow, Row, ShardRow},
};

impl<E: Env + 'static> Partition<E>
where
    <E::Plugins as Plugins>::Parser: Clone + 'static,
{
    /// Rule 7: delta blocks that every shard's row has passed.
    pub(super) fn drop_passed(&mut self, row: &mut PartitionRow) {
        for shard in 0..self.context.shards {
            let passed = self.context.exchange.passed(shard, self.id);
            self.passed[shard as usize] = passed.max(self.passed[shard as usize]);
        }
        let passed = &self.passed;
        let first = self.context.planted.is(Fault::DeltaDropped);
        row.outbox.retain(|outgoing| match first {
            true => outgoing.shards.iter().all(|(shard, _)| passed[*shard as usize] < outgoing.commit),
            false => outgoing.shards.iter().any(|(shard, _)| passed[*shard as usize] < outgoing.commit),
        });
    }

    pub(super) fn can_drop(&mut self) -> bool {
        let mut row = self.owner.row.clone();
        self.drop_passed(&mut row);
        row.outbox.len() < self.owner.row.outbox.len()
    }

    pub(super) async fn refresh_passed(&mut self) -> Result<(), Ended> {
        let context = self.context.clone();
        for shard in 0..context.shards {
            let task = TaskId::Shard(shard);
            if let Some(bytes) = context.sure(|| context.env.store().read_row(task)).await? {
                let row = ShardRow::decode(task, &bytes)?;
                let merged = row.merged.get(&self.id).copied().unwrap_or_default();
                self.passed[shard as usize] = merged.max(self.passed[shard as usize]);
            }
        }
        Ok(())
    }

    /// The outbox is full: nothing is read until some shard has come further.
    pub(super) async fn wait_for_shards(&mut self, leave: &dyn Fn() -> bool) -> Result<(), Ended> {
        loop {
            self.refresh_passed().await?;
            if self.can_drop() || self.cut.position.is_some() {
                return self.commit(false).await;
            }
            if leave() || self.context.exchange.stopping() {
                return Ok(());
            }
            self.owner.look().await?;
            self.context.env.sleep(self.context.bounds.look / 16).await;
        }
    }
}
