//! Whether there is anything left to do, whoever owns the partitions.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use clickmill_kafka::{KafkaSource, Partition};
use clickmill_tasks::{Progress, meta::Meta, name::PartitionId, quiet::Rows};

use crate::{
    error::Error,
    world::{Shared, rows},
};

const TICK: Duration = Duration::from_millis(200);

/// Ends when, for that long, every partition of the topic was at its end, every commit was merged, and every document was
/// acknowledged. A service that is away says nothing of that: it is asked again.
pub async fn idle(
    shared: &Shared,
    source: &KafkaSource,
    meta: &Meta,
    logs: &BTreeMap<u32, u32>,
    progress: &Progress,
    time: Duration,
) -> Result<(), Error> {
    let mut since: Option<Instant> = None;
    loop {
        match is_idle(shared, source, meta, logs).await {
            Ok(true) if since.get_or_insert_with(Instant::now).elapsed() >= time => return Ok(()),
            Ok(true) => {}
            Ok(false) => since = None,
            Err(error) if error.is_passing() => {
                progress.trouble(&error.to_string());
                since = None;
            }
            Err(error) => return Err(error),
        }
        tokio::time::sleep(TICK).await;
    }
}

async fn is_idle(
    shared: &Shared,
    source: &KafkaSource,
    meta: &Meta,
    logs: &BTreeMap<u32, u32>,
) -> Result<bool, Error> {
    // The ends first: what is written meanwhile must not look as if it had been read.
    let partitions = source.partitions().await?;
    let rows = rows(&shared.store).await?;
    Ok(at_end(&rows, &partitions, logs) && rows.answered(meta.shards))
}

/// Every partition has a row that stands at the end that the broker names: beyond it the topic is another one. `logs` are those that
/// partitions are to be read into at least.
fn at_end(rows: &Rows, partitions: &[Partition], logs: &BTreeMap<u32, u32>) -> bool {
    partitions.iter().all(|partition| {
        let number = partition.number;
        let all = PartitionId { partition: number, log: 0 }..PartitionId { partition: number + 1, log: 0 };
        let wanted = logs.get(&number).copied().unwrap_or(0);
        match rows.partitions.range(all).next_back() {
            Some((id, row)) => id.log >= wanted && row.position.next == partition.end,
            None => partition.end == partition.low,
        }
    })
}
