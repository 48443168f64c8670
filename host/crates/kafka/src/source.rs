//! The source, and what the host asks of the topic beside reading it.

use std::{
    sync::{Arc, OnceLock},
    thread,
};

use clickmill_settings::{Kafka, Start};
use clickmill_tasks::{
    env::{Source, Trouble},
    name::PartitionId,
    row::Position,
};
use futures_channel::{mpsc::UnboundedReceiver, oneshot};

use crate::{
    kept::{Kept, kept, replicas, shown},
    member::{Change, Member},
    offsets::{Partition, bounds, numbers, partitions, require},
    reader::KafkaReader,
    shared::Shared,
};

/// A topic as a source.
pub struct KafkaSource {
    shared: Arc<Shared>,
    member: OnceLock<Arc<Member>>,
}

impl KafkaSource {
    /// Makes the reading client; it connects by itself and goes on trying. Fails where an option is wrong.
    pub fn new(settings: &Kafka) -> Result<KafkaSource, Trouble> {
        let shared = Arc::new(Shared::new(settings.clone())?);
        Ok(KafkaSource { shared, member: OnceLock::new() })
    }

    /// Joins the consumer group; the channel tells which partitions to read, until the source and its readers are dropped
    /// (the channel before them, or leaving waits for the hand-over).
    pub fn join(&self) -> Result<UnboundedReceiver<Change>, Trouble> {
        let (member, changes) = Member::join(&self.shared.settings)?;
        match self.member.set(Arc::new(member)) {
            Ok(()) => Ok(changes),
            Err(_) => Err(Trouble::Final("Kafka: this source is a member of its group already".into())),
        }
    }

    /// Leaves the consumer group: its partitions go to others now. Best when their readers are done; a member that never leaves is
    /// waited for until its session has timed out.
    pub fn leave(&self) {
        if let Some(member) = self.member.get() {
            member.leave();
        }
    }

    /// That the topic is there, for whoever starts: one that is not is a final trouble that says how to make it. For all others
    /// it is a passing one, as what knows of a topic may be gone for a moment.
    pub async fn require_topic(&self) -> Result<(), Trouble> {
        let shared = self.shared.clone();
        apart("kafka-ask", move || require(&*shared.client()?, &shared.settings)).await
    }

    /// All partitions of the topic, and where they begin and end now: a question to the broker for each.
    pub async fn partitions(&self) -> Result<Vec<Partition>, Trouble> {
        let shared = self.shared.clone();
        apart("kafka-ask", move || partitions(&*shared.client()?, &shared.settings)).await
    }

    /// How many partitions the topic has, at least 1: one question.
    pub async fn partition_count(&self) -> Result<u32, Trouble> {
        let shared = self.shared.clone();
        apart("kafka-ask", move || Ok(numbers(&*shared.client()?, &shared.settings)?.len() as u32)).await
    }

    /// How the broker keeps the topic: what of that can be seen.
    pub async fn kept(&self) -> Result<Kept, Trouble> {
        let shared = self.shared.clone();
        let replicas = apart("kafka-ask", move || replicas(&*shared.client()?, &shared.settings)).await?;
        let settings = &self.shared.settings;
        Ok(kept(&settings.topic, replicas, shown(settings).await))
    }

    /// Records between what the readers of this process have given and the ends of their partitions; holes count as records.
    pub async fn lag(&self) -> Result<u64, Trouble> {
        let shared = self.shared.clone();
        apart("kafka-lag", move || {
            let (client, mut lag) = (shared.client()?, 0);
            for (partition, next) in shared.positions() {
                let there = bounds(&client, &shared.settings, partition)?;
                lag += u64::try_from(there.end - next).unwrap_or(0);
            }
            Ok(lag)
        })
        .await
    }

    /// Where each partition that exists now begins in a store that is made now, for [`Position::next`]. Later partitions
    /// begin at 0, which also stands for the first record that is still there. As [`KafkaSource::require_topic`].
    pub async fn start_offsets(&self) -> Result<Vec<(u32, i64)>, Trouble> {
        let start = |partition: Partition| match self.shared.settings.start {
            Start::Earliest => 0,
            Start::Latest => partition.end,
        };
        self.require_topic().await?;
        let partitions = self.partitions().await?;
        Ok(partitions.into_iter().map(|partition| (partition.number, start(partition))).collect())
    }
}

impl Source for KafkaSource {
    type Reader = KafkaReader;

    async fn open(&self, partition: PartitionId, position: &Position) -> Result<KafkaReader, Trouble> {
        KafkaReader::open(self.shared.clone(), self.member.get().cloned(), partition, position).await
    }
}

/// Does blocking work on a thread of its own.
async fn apart<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> Result<T, Trouble> + Send + 'static,
) -> Result<T, Trouble> {
    let (reply, answer) = oneshot::channel();
    let body = move || {
        let _ = reply.send(work());
    };
    thread::Builder::new()
        .name(name.into())
        .spawn(body)
        .map_err(|error| Trouble::Passing(format!("no thread to ask Kafka: {error}")))?;
    answer.await.unwrap_or_else(|_| Err(Trouble::Passing("a question to Kafka was broken off".into())))
}
