//! What tests on a real broker, at `KAFKA_BOOTSTRAP` (tests/services/services.sh up kafka), have in common.

#![allow(dead_code, reason = "no test needs all of it")]

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use clickmill_kafka::{Change, KafkaReader, KafkaSource};
use clickmill_settings::{Kafka, Secret};
use clickmill_tasks::{
    batch::{RawBatch, fingerprint},
    env::{Fetched, Reader, Source, Trouble},
    name::PartitionId,
    row::Position,
};
use futures_channel::mpsc::UnboundedReceiver;
use futures_executor::block_on;
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    producer::{BaseProducer, BaseRecord, Producer as _},
};

pub const SOON: Duration = Duration::from_secs(20);
pub const P: PartitionId = PartitionId { partition: 0, log: 0 };

pub fn settings() -> Kafka {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let brokers = std::env::var("KAFKA_BOOTSTRAP")
        .expect("KAFKA_BOOTSTRAP: start it with tests/services/services.sh up kafka");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let name = format!("test-{now}-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    Kafka { brokers, topic: name.clone(), group: name, ..Kafka::default() }
}

pub fn admin(settings: &Kafka) -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", &settings.brokers).create().unwrap()
}

pub fn delete(settings: &Kafka) {
    let deleted = block_on(admin(settings).delete_topics(&[&settings.topic], &AdminOptions::new())).unwrap();
    deleted[0].as_ref().expect("the topic is deleted");
}

/// The settings with more options.
pub fn with(settings: &Kafka, options: &[(&str, &str)]) -> Kafka {
    let mut settings = settings.clone();
    let text = |text: &str| Secret::Text(text.to_owned());
    settings.options.extend(options.iter().map(|(name, value)| ((*name).to_owned(), text(value))));
    settings
}

/// Settings for a topic of its own.
pub fn topic(partitions: i32) -> Kafka {
    let settings = settings();
    make(&settings, partitions);
    settings
}

pub fn make(settings: &Kafka, partitions: i32) {
    make_with(settings, partitions, &[("max.message.bytes", "4000000")]);
}

pub fn make_with(settings: &Kafka, partitions: i32, configs: &[(&str, &str)]) {
    let mut topic = NewTopic::new(&settings.topic, partitions, TopicReplication::Fixed(1));
    for (name, value) in configs {
        topic = topic.set(name, value);
    }
    let made = block_on(admin(settings).create_topics([&topic], &AdminOptions::new())).unwrap();
    made[0].as_ref().expect("the topic is made");
}

pub fn producer(settings: &Kafka, options: &[(&str, &str)]) -> BaseProducer {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &settings.brokers).set("message.max.bytes", "4000000");
    for (name, value) in options {
        config.set(*name, *value);
    }
    config.create().unwrap()
}

pub fn send(producer: &BaseProducer, settings: &Kafka, payload: &str) {
    let record: BaseRecord<'_, (), str> = BaseRecord::to(&settings.topic).partition(0).payload(payload);
    producer.send(record).map_err(|(error, _)| error).unwrap();
}

/// Writes records into partition 0, by no transaction.
pub fn write(settings: &Kafka, payloads: &[&str]) {
    let producer = producer(settings, &[]);
    payloads.iter().for_each(|payload| send(&producer, settings, payload));
    producer.flush(SOON).unwrap();
}

pub fn source(settings: &Kafka) -> KafkaSource {
    KafkaSource::new(settings).unwrap()
}

pub fn open(source: &KafkaSource, position: &Position) -> Result<KafkaReader, Trouble> {
    block_on(source.open(P, position))
}

/// Everything up to the offset `next`, in one batch.
pub fn read(reader: &mut KafkaReader, next: i64) -> RawBatch {
    let (start, mut all, mut payloads) = (Instant::now(), RawBatch::default(), Vec::new());
    while all.next < next {
        assert!(start.elapsed() < SOON, "at {} after {SOON:?}", all.next);
        let Fetched::Batch(batch) = block_on(reader.next(Duration::from_millis(200))).unwrap() else {
            continue;
        };
        let before = all.offsets.len() as u32;
        payloads.extend(batch.payloads.iter().map(<[u8]>::to_vec));
        all.skipped.extend(batch.skipped.iter().map(|row| row + before));
        all.too_large.extend(batch.too_large.iter().map(|(row, length)| (row + before, *length)));
        all.offsets.extend(batch.offsets);
        all.times.extend(batch.times);
        all.next = batch.next;
    }
    all.payloads = std::sync::Arc::new(payloads.iter().map(Vec::as_slice).collect());
    all
}

pub fn texts(batch: &RawBatch) -> Vec<&str> {
    batch.payloads.iter().map(|payload| std::str::from_utf8(payload).unwrap()).collect()
}

pub fn at(next: i64, last: Option<(i64, &str)>) -> Position {
    let last = last.map(|(offset, text)| (offset, fingerprint(text.as_bytes())));
    Position { next, last, ..Position::default() }
}

pub fn nothing_comes(reader: &mut KafkaReader) {
    let Ok(Fetched::Nothing) = block_on(reader.next(Duration::from_millis(700))) else {
        panic!("something came")
    };
}

/// The next change, waited for no longer than [`SOON`].
pub fn told(changes: &mut UnboundedReceiver<Change>) -> Change {
    let start = Instant::now();
    loop {
        if let Ok(change) = changes.try_recv() {
            return change;
        }
        assert!(start.elapsed() < SOON, "nothing was told");
        std::thread::sleep(Duration::from_millis(10));
    }
}

pub fn assigned(changes: &mut UnboundedReceiver<Change>, count: usize) -> BTreeSet<u32> {
    let mut all = BTreeSet::new();
    while all.len() < count {
        match told(changes) {
            Change::Assigned(partitions) => all.extend(partitions),
            Change::Revoked(revoked) => panic!("{revoked:?}"),
        }
    }
    all
}
