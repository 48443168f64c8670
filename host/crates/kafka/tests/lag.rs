//! What is left of a topic, on the mock of a broker that the client library brings along.

#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use clickmill_kafka::{KafkaReader, KafkaSource};
use clickmill_settings::Kafka;
use clickmill_tasks::{
    env::{Fetched, Reader, Source, Trouble},
    name::PartitionId,
    row::Position,
};
use futures_executor::block_on;
use rdkafka::{
    ClientConfig,
    mocking::MockCluster,
    producer::{BaseProducer, BaseRecord, Producer},
};

const SOON: Duration = Duration::from_secs(20);

/// Asks again where the broker, which answers in turn, had no answer in time.
fn patiently<T>(mut ask: impl FnMut() -> Result<T, Trouble>) -> T {
    for _ in 0..10 {
        match ask() {
            Ok(answer) => return answer,
            Err(Trouble::Passing(_)) => {}
            Err(trouble) => panic!("{trouble}"),
        }
    }
    panic!("the broker never answers in time");
}

fn open(source: &KafkaSource, partition: u32) -> KafkaReader {
    patiently(|| block_on(source.open(PartitionId { partition, log: 0 }, &Position::default())))
}

#[test]
fn the_lag_is_what_readers_have_not_given_yet() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("clicks", 2, 1).unwrap();
    let brokers = cluster.bootstrap_servers();
    let producer: BaseProducer = ClientConfig::new().set("bootstrap.servers", &brokers).create().unwrap();
    let write = |partition: i32, count: usize| {
        for _ in 0..count {
            let record: BaseRecord<'_, (), str> = BaseRecord::to("clicks").partition(partition).payload("{}");
            producer.send(record).map_err(|(error, _)| error).unwrap();
        }
        producer.flush(SOON).unwrap();
    };
    write(0, 10);
    write(1, 3);
    let settings = Kafka { brokers, topic: "clicks".into(), group: "lag".into(), ..Kafka::default() };
    let source = KafkaSource::new(&settings).unwrap();
    let lag = || patiently(|| block_on(source.lag()));
    // What nobody here reads is not this process's.
    assert_eq!(lag(), 0);

    let mut first = open(&source, 0);
    assert_eq!(lag(), 10);
    let second = open(&source, 1);
    assert_eq!(lag(), 13);
    let mut given = 0;
    while given < 10 {
        if let Fetched::Batch(batch) = patiently(|| block_on(first.next(SOON))) {
            given = batch.next;
        }
    }
    assert_eq!(lag(), 3);
    write(0, 5);
    assert_eq!(lag(), 8);
    drop(second);
    let begun = Instant::now();
    while lag() != 5 {
        assert!(begun.elapsed() < SOON, "a reader that is gone still counts");
        std::thread::sleep(Duration::from_millis(10));
    }
}
