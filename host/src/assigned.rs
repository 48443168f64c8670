//! Which tasks this host has to run: all of an embedded store's, or those of the partitions that the consumer group gives it, with
//! the shards that go with them.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    time::Duration,
};

use clickmill_kafka::{Change, Revoked};
use clickmill_tasks::{
    meta::Meta,
    name::{PartitionId, TaskId},
};
use futures_util::StreamExt;
use tokio::sync::watch;

use crate::{
    error::Error,
    host::Host,
    world::{AnySource, Changes, Shared},
};

/// Which tasks this host has to run.
pub struct Assigned {
    shared: Shared,
    shards: u32,
    /// Of the topic, as far as is known; at least 1.
    partitions: u32,
    changes: Option<Changes>,
    /// Partitions of the topic that are this host's.
    mine: BTreeSet<u32>,
    /// Partitions to hand over as soon as their tasks have stopped.
    leaving: Vec<Revoked>,
    /// The log that each partition is read into, where it is not the first.
    logs: BTreeMap<u32, u32>,
    /// Where each partition of a topic begins that has no row yet.
    beginnings: BTreeMap<u32, i64>,
    /// Partitions of input that ends, and those of them that have ended.
    started: BTreeSet<u32>,
    ended: BTreeSet<u32>,
}

impl Assigned {
    pub fn new(shared: &Shared, meta: &Meta, changes: Option<Changes>, logs: BTreeMap<u32, u32>) -> Assigned {
        Assigned {
            shared: shared.clone(),
            shards: meta.shards,
            partitions: (meta.beginnings.len() as u32).max(1),
            changes,
            logs,
            mine: BTreeSet::new(),
            leaving: Vec::new(),
            beginnings: meta.beginnings.clone(),
            started: BTreeSet::new(),
            ended: BTreeSet::new(),
        }
    }

    /// Partitions that the group assigns start when it does.
    pub fn start(&mut self, host: &mut Host) -> Result<(), Error> {
        if self.changes.is_some() {
            return Ok(());
        }
        if self.is_topic() {
            self.mine = (0..self.partitions).collect();
            return self.settle(host);
        }
        self.start_found(host)?;
        (0..self.shards).try_for_each(|shard| host.start_shard(shard))
    }

    fn is_topic(&self) -> bool {
        matches!(self.shared.source, AnySource::Kafka(_))
    }

    /// Partitions of files and of generated traffic that do not run yet; followed files may become more.
    pub fn start_found(&mut self, host: &mut Host) -> Result<(), Error> {
        for partition in self.shared.ready_partitions()? {
            if self.started.insert(partition) {
                host.start_partition(self.id(partition), 0, true)?;
            }
        }
        Ok(())
    }

    fn id(&self, partition: u32) -> PartitionId {
        PartitionId { partition, log: self.logs.get(&partition).copied().unwrap_or(0) }
    }

    /// The input of a partition has ended.
    pub fn ended(&mut self, id: PartitionId) {
        self.ended.insert(id.partition);
    }

    pub fn all_ended(&self) -> bool {
        !self.started.is_empty() && self.ended == self.started
    }

    /// The group gives or takes partitions: their tasks run or leave, and the shards that go with them.
    pub fn change(&mut self, host: &mut Host, change: Change) -> Result<(), Error> {
        match change {
            Change::Assigned(partitions) => {
                tracing::info!("the group gives partitions {}", listed(&partitions));
                let above = partitions.iter().max().map_or(0, |last| last + 1);
                self.partitions = self.partitions.max(above);
                self.mine.extend(partitions);
            }
            Change::Revoked(revoked) => {
                tracing::info!("the group takes partitions {}", listed(&revoked.partitions));
                self.mine.retain(|partition| !revoked.partitions.contains(partition));
                self.leaving.push(revoked);
            }
        }
        self.settle(host)?;
        // Where none of them was running, nothing else says that they may go.
        self.handed_over(host);
        Ok(())
    }

    /// The topic has so many partitions now: shards may go with others than before.
    pub fn counted(&mut self, host: &mut Host, partitions: u32) -> Result<(), Error> {
        if partitions == self.partitions || partitions == 0 {
            return Ok(());
        }
        let before = std::mem::replace(&mut self.partitions, partitions);
        if self.changes.is_none() {
            self.mine = (0..partitions).collect();
        }
        for gone in partitions..before {
            host.leave_task(TaskId::Partition(self.id(gone)));
        }
        self.settle(host)
    }

    /// Starts what is this host's and tells what is not to leave.
    pub fn settle(&mut self, host: &mut Host) -> Result<(), Error> {
        if !self.is_topic() {
            return Ok(());
        }
        let partitions = self.partitions;
        for partition in 0..partitions {
            let id = self.id(partition);
            match (self.mine.contains(&partition), host.is_running(TaskId::Partition(id))) {
                (true, false) => {
                    // Of a topic that was made anew, nothing is known.
                    let beginning = match id.log {
                        0 => self.beginnings.get(&partition).copied().unwrap_or(0),
                        _ => 0,
                    };
                    host.start_partition(id, beginning, false)?;
                }
                (false, true) => host.leave_task(TaskId::Partition(id)),
                _ => {}
            }
        }
        for shard in 0..self.shards {
            let task = TaskId::Shard(shard);
            match (self.mine.contains(&(shard % partitions)), host.is_running(task)) {
                (true, false) => host.start_shard(shard)?,
                (false, true) => host.leave_task(task),
                _ => {}
            }
        }
        Ok(())
    }

    pub fn handed_over(&mut self, host: &Host) {
        let runs = |partition: &u32| host.is_running(TaskId::Partition(self.id(*partition)));
        let left = |revoked: &Revoked| !revoked.partitions.iter().any(runs);
        let done: Vec<bool> = self.leaving.iter().map(left).collect();
        let mut done = done.into_iter();
        self.leaving.retain(|_| !done.next().unwrap_or(true));
    }

    pub async fn next_change(&mut self) -> Change {
        match &mut self.changes {
            Some(changes) => match changes.next().await {
                Some(change) => change,
                None => std::future::pending().await,
            },
            None => std::future::pending().await,
        }
    }
}

fn listed(partitions: &[u32]) -> String {
    partitions.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")
}

/// How often the broker is asked how many partitions there are, and when it has not answered.
const ASK: Duration = Duration::from_secs(30);
const ASK_AGAIN: Duration = Duration::from_secs(2);

/// Tells how many partitions the topic has, again and again. A broker that is away is asked again.
pub async fn watch(source: &AnySource, count: &watch::Sender<u32>) -> Infallible {
    loop {
        let AnySource::Kafka(source) = source else { return std::future::pending().await };
        let pause = match source.partition_count().await {
            Ok(partitions) => {
                count.send_replace(partitions);
                ASK
            }
            Err(_) => ASK_AGAIN,
        };
        tokio::time::sleep(pause).await;
    }
}
