//! Whether there is anything left to do, whoever owns the partitions.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use clickmill_embedded::FileEnd;
use clickmill_kafka::Partition;
use clickmill_tasks::{Progress, env::Trouble, meta::Meta, name::PartitionId, quiet::Rows};

use crate::{
    error::Error,
    world::{AnySource, Shared, rows},
};

const TICK: Duration = Duration::from_millis(200);

/// Ends when, for that long, every partition of the topic was at its end, every commit was merged, and every document was
/// acknowledged. A service that is away says nothing of that: it is asked again.
pub async fn idle(
    shared: &Shared,
    meta: &Meta,
    logs: &BTreeMap<u32, u32>,
    progress: &Progress,
    time: Duration,
) -> Result<(), Error> {
    let mut since: Option<Instant> = None;
    loop {
        match is_idle(shared, meta, logs).await {
            Ok(Some(at)) if at >= *since.get_or_insert(at) + time => return Ok(()),
            Ok(Some(_)) => {}
            Ok(None) => since = None,
            Err(error) if error.is_passing() => {
                progress.trouble(&error.to_string());
                since = None;
            }
            Err(error) => return Err(error),
        }
        tokio::time::sleep(TICK).await;
    }
}

/// A partition of the source that there is now, and its offsets.
struct End {
    partition: u32,
    low: i64,
    /// The offset after its last record, ...
    end: i64,
    /// ... and when that was so.
    at: Instant,
}

/// Until when nothing had come that is not read to its end, every commit of it merged and every document acknowledged by now; none
/// while there is something to do.
pub async fn is_idle(
    shared: &Shared,
    meta: &Meta,
    logs: &BTreeMap<u32, u32>,
) -> Result<Option<Instant>, Error> {
    // The ends first: what is written meanwhile must not look as if it had been read.
    let asked = Instant::now();
    let Some(ends) = ends(&shared.source).await? else { return Ok(None) };
    let rows = rows(&shared.store).await?;
    let idle = at_end(&rows, &ends, logs) && rows.answered(meta.shards);
    Ok(idle.then(|| ends.iter().map(|end| end.at).fold(asked, Instant::min)))
}

/// None, while a source does not know them.
async fn ends(source: &AnySource) -> Result<Option<Vec<End>>, Trouble> {
    Ok(match source {
        AnySource::Kafka(source) => {
            let at = Instant::now();
            let partitions = source.partitions().await?;
            let end = |of: Partition| End { partition: of.number, low: of.low, end: of.end, at };
            Some(partitions.into_iter().map(end).collect())
        }
        AnySource::Files(source) => {
            let ends = source.ends()?;
            let end = |of: FileEnd| End { partition: of.partition, low: 0, end: of.next, at: of.at };
            ends.map(|ends| ends.into_iter().map(end).collect())
        }
        AnySource::Generate(_) => None,
    })
}

/// Every partition has a row that stands at the end that the source names: beyond it a topic is another one. `logs` are those that
/// partitions are to be read into at least.
fn at_end(rows: &Rows, ends: &[End], logs: &BTreeMap<u32, u32>) -> bool {
    ends.iter().all(|of| {
        let all = PartitionId { partition: of.partition, log: 0 }..PartitionId {
            partition: of.partition + 1,
            log: 0,
        };
        let wanted = logs.get(&of.partition).copied().unwrap_or(0);
        match rows.partitions.range(all).next_back() {
            Some((id, row)) => id.log >= wanted && row.position.next == of.end,
            None => of.end == of.low,
        }
    })
}
