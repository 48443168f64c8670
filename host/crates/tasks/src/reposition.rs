//! Where a partition goes on when its position does not fit its source any more, chosen by a person.

use std::rc::Rc;

use crate::{
    context::{Context, Ended},
    env::Env,
    fences,
    name::{BlockKind, PartitionId, TaskId},
    owner::Owner,
    partition::begin,
    row::{PartitionRow, Position},
};

/// From outside: whoever owns the partition is fenced off; it goes on at `position`, whose offset must not lie before the one that
/// the row has, for an offset is counted once.
pub async fn reposition<E: Env>(
    context: &Rc<Context<E>>,
    id: PartitionId,
    position: Position,
) -> Result<(), Ended> {
    let shards = context.shards as usize;
    let take_over = |row: &mut PartitionRow| begin(row, 0, shards);
    let mut owner = Owner::take_over(context.clone(), TaskId::Partition(id), take_over).await?;
    let mut row = owner.next();
    if position.next < row.position.next {
        return Err(Ended::Failed(format!(
            "partition {id} stands at offset {}, and {} lies before it: its records would count twice; \
             `run --resume-at new-log` counts them as another log",
            row.position.next, position.next
        )));
    }
    row.position = position;
    row.position.log = None;
    if let Some(content) = &row.position.log_content {
        row.position.log = Some(owner.put(BlockKind::Log, content).await?);
    }
    fences::shorten(&mut owner, &mut row).await?;
    owner.commit(row).await
}
