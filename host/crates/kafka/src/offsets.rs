//! What the broker says of a topic's partitions. Blocking.

use std::time::Duration;

use clickmill_settings::Kafka;
use clickmill_tasks::env::Trouble;
use rdkafka::consumer::{BaseConsumer, Consumer};

use crate::client::{Logged, trouble};

pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A partition, and the offsets that a reader of committed records can have in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partition {
    pub number: u32,
    /// The first offset that is still there.
    pub low: i64,
    /// The offset after the last one that can be read now. With holes before it, no record need lie just before it.
    pub end: i64,
}

/// All partitions of the topic, by number.
pub(crate) fn partitions(client: &BaseConsumer<Logged>, settings: &Kafka) -> Result<Vec<Partition>, Trouble> {
    let doing = "asking for its partitions";
    let metadata = client
        .fetch_metadata(Some(&settings.topic), PATIENCE)
        .map_err(|error| trouble(settings, doing, &error))?;
    let mut numbers: Vec<i32> = Vec::new();
    for topic in metadata.topics().iter().filter(|topic| topic.name() == settings.topic) {
        numbers.extend(topic.partitions().iter().map(|partition| partition.id()));
    }
    if numbers.is_empty() {
        return Err(Trouble::Passing(format!(
            "Kafka at {}, topic {}: there is no such topic",
            settings.brokers, settings.topic
        )));
    }
    numbers.sort_unstable();
    numbers.into_iter().map(|number| bounds(client, settings, number)).collect()
}

/// One partition.
pub(crate) fn bounds(
    client: &BaseConsumer<Logged>,
    settings: &Kafka,
    number: i32,
) -> Result<Partition, Trouble> {
    let (low, end) = client
        .fetch_watermarks(&settings.topic, number, PATIENCE)
        .map_err(|error| trouble(settings, &format!("partition {number}, asking for its end"), &error))?;
    Ok(Partition { number: number as u32, low, end })
}
