//! What the broker says of a topic's partitions. Blocking.

use std::{
    thread,
    time::{Duration, Instant},
};

use clickmill_settings::Kafka;
use clickmill_tasks::env::Trouble;
use rdkafka::{
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, RDKafkaErrorCode},
};

use crate::{
    heard::Logged,
    trouble::{at, no_topic, trouble},
};

pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// How long a topic that was made just now may be unknown to the broker that is asked.
const MADE: Duration = Duration::from_secs(3);
const AGAIN: Duration = Duration::from_millis(300);

/// A partition, and the offsets that a reader of committed records can have in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partition {
    pub number: u32,
    /// The first offset that is still there.
    pub low: i64,
    /// The offset after the last one that can be read now. With holes before it, no record need lie just before it.
    pub end: i64,
}

/// The numbers of the topic's partitions; of a topic that is not there, none.
fn found(client: &BaseConsumer<Logged>, settings: &Kafka) -> Result<Vec<i32>, Trouble> {
    let heard = &client.context().heard;
    let fault = |error| trouble(settings, heard, "asking for its partitions", &error);
    let metadata = client.fetch_metadata(Some(&settings.topic), PATIENCE).map_err(fault)?;
    heard.answered();
    let mut numbers: Vec<i32> = Vec::new();
    for topic in metadata.topics().iter().filter(|topic| topic.name() == settings.topic) {
        match topic.error().map(RDKafkaErrorCode::from) {
            None => numbers.extend(topic.partitions().iter().map(|partition| partition.id())),
            Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {}
            Some(code) => return Err(fault(KafkaError::MetadataFetch(code))),
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// As [`found`], of a topic that is there.
pub(crate) fn numbers(client: &BaseConsumer<Logged>, settings: &Kafka) -> Result<Vec<i32>, Trouble> {
    let numbers = found(client, settings)?;
    // What knows of a topic may be gone for a moment.
    let gone = || Trouble::Passing(at(settings, ": there is no such topic"));
    if numbers.is_empty() { Err(gone()) } else { Ok(numbers) }
}

/// That the topic is there: otherwise a final trouble says how to make it.
pub(crate) fn require(client: &BaseConsumer<Logged>, settings: &Kafka) -> Result<(), Trouble> {
    let begun = Instant::now();
    while found(client, settings)?.is_empty() {
        if begun.elapsed() >= MADE {
            return Err(Trouble::Final(no_topic(settings)));
        }
        thread::sleep(AGAIN);
    }
    Ok(())
}

/// All partitions of the topic, by number.
pub(crate) fn partitions(client: &BaseConsumer<Logged>, settings: &Kafka) -> Result<Vec<Partition>, Trouble> {
    numbers(client, settings)?.into_iter().map(|number| bounds(client, settings, number)).collect()
}

/// One partition.
pub(crate) fn bounds(
    client: &BaseConsumer<Logged>,
    settings: &Kafka,
    number: i32,
) -> Result<Partition, Trouble> {
    let heard = &client.context().heard;
    let (low, end) = client.fetch_watermarks(&settings.topic, number, PATIENCE).map_err(|error| {
        trouble(settings, heard, &format!("partition {number}, asking for its end"), &error)
    })?;
    heard.answered();
    Ok(Partition { number: number as u32, low, end })
}
