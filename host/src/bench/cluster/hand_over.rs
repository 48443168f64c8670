//! How long a partition has no owner when hosts come and go in good order: from the last commit of the one to the take-over by the
//! other, as the rows show it.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use clickmill_hbase::{Absent, HbaseStore};
use clickmill_tasks::{
    env::Store as _,
    name::{PartitionId, TaskId},
    row::{PartitionRow, Row},
};
use serde_json::{Value, json};

use super::{
    PARTITIONS, quantile,
    target::{Target, block_on},
    traffic::Steady,
};
use crate::{error::Error, output::say};

/// Hosts that come and go beside one that stays.
const GUESTS: usize = 25;
const RATE: f64 = 1_000.0;
/// No partition has moved for so long: the group is at rest.
const REST: Duration = Duration::from_secs(4);
const PATIENCE: Duration = Duration::from_secs(60);

pub fn bench(target: &Target) -> Result<Value, Error> {
    target.make_topic(PARTITIONS)?;
    let traffic = Steady::start(target.kafka(), RATE)?;
    let store = block_on(HbaseStore::open(&target.hbase, Absent::Make))??;
    let mut rows = Rows { store, seen: BTreeMap::new() };
    let first = target.host()?;
    rows.watch(PARTITIONS as usize)?;
    let mut gaps = Vec::new();
    for _ in 0..GUESTS {
        let guest = target.host()?;
        gaps.extend(rows.watch(1)?);
        guest.end()?;
        gaps.extend(rows.watch(1)?);
        drop(guest);
    }
    first.stop()?;
    traffic.stop()?;
    let (half, most) = (quantile(&mut gaps, 0.5), quantile(&mut gaps, 0.99));
    say(format_args!(
        "  hand-over     {:.0} ms without an owner in the middle, p99 {:.0} ms ({} partitions handed over)",
        half * 1e3,
        most * 1e3,
        gaps.len()
    ))?;
    Ok(json!({"p50_seconds": half, "p99_seconds": most, "partitions": gaps.len()}))
}

struct Rows {
    store: HbaseStore,
    /// Of each partition: fence and commit of its row, and when they were seen first.
    seen: BTreeMap<u32, (u64, u64, Instant)>,
}

impl Rows {
    /// Watches the rows until so many partitions at least have gone to another owner, and all rest; for how long each had none.
    fn watch(&mut self, moves: usize) -> Result<Vec<f64>, Error> {
        let (began, mut moved_at, mut gaps) = (Instant::now(), Instant::now(), Vec::new());
        while gaps.len() < moves || moved_at.elapsed() < REST {
            if began.elapsed() > PATIENCE {
                return Err(Error::Other("the bench: no partition was handed over within a minute".into()));
            }
            for partition in 0..PARTITIONS {
                let task = TaskId::Partition(PartitionId { partition, log: 0 });
                let Some(bytes) = block_on(self.store.read_row(task))?? else { continue };
                let row =
                    PartitionRow::decode(task, &bytes).map_err(|error| Error::Other(error.to_string()))?;
                let (now, head) = (Instant::now(), row.head);
                let before = self.seen.get(&partition).copied();
                if before.is_none_or(|(fence, commit, _)| (fence, commit) != (head.fence, head.commit)) {
                    self.seen.insert(partition, (head.fence, head.commit, now));
                }
                if before.is_none_or(|(fence, ..)| fence != head.fence) {
                    moved_at = now;
                    let gap = before.map_or(0.0, |(_, _, at)| (now - at).as_secs_f64());
                    tracing::debug!("partition {partition} had no owner for {:.0} ms", gap * 1e3);
                    gaps.push(gap);
                }
            }
        }
        Ok(gaps)
    }
}
