//! Topics that are not there, change under a reader, or have holes, on a real broker (tests/services/services.sh up kafka).

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use clickmill_kafka::{KafkaReader, KafkaSource};
use clickmill_settings::Kafka;
use clickmill_tasks::{
    env::{Fetched, Reader, Trouble},
    row::Position,
};
use futures_executor::block_on;
use rdkafka::{
    Offset, TopicPartitionList,
    admin::AdminOptions,
    producer::{BaseRecord, Producer as _},
};
use support::*;

#[test]
fn a_topic_that_is_not_there_is_final_for_who_starts_and_passing_for_who_runs() {
    let settings = settings();
    let source = source(&settings);
    let (brokers, topic) = (&settings.brokers, &settings.topic);
    let gone = format!("Kafka at {brokers}, topic {topic}: there is no such topic");
    let Err(Trouble::Final(text)) = block_on(source.require_topic()) else { panic!() };
    assert_eq!(
        text,
        format!(
            "{gone}. Make it: `kafka-topics.sh --bootstrap-server {brokers} --create --topic {topic} --partitions 8`, or with \
             made-up traffic: `clickmill generate --to-topic`"
        )
    );
    assert!(matches!(block_on(source.start_offsets()), Err(Trouble::Final(again)) if again == text));
    assert!(matches!(block_on(source.partition_count()), Err(Trouble::Passing(text)) if text == gone));
    assert!(matches!(block_on(source.partitions()), Err(Trouble::Passing(text)) if text == gone));
    let Err(Trouble::Passing(text)) = open(&source, &at(0, None)) else { panic!() };
    assert_eq!(
        text,
        format!(
            "Kafka at {brokers}, topic {topic}, partition 0, asking for its end: there is no such topic or partition"
        )
    );
    // Nobody made it by asking.
    make(&settings, 3);
    block_on(source.require_topic()).unwrap();
    assert_eq!(block_on(source.partition_count()).unwrap(), 3);
}

/// The trouble that a reader comes to; it must not give a batch before.
fn comes_to_trouble(reader: &mut KafkaReader) -> Trouble {
    let begun = Instant::now();
    loop {
        match block_on(reader.next(Duration::from_millis(200))) {
            Ok(Fetched::Nothing) => assert!(begun.elapsed() < 3 * SOON, "nothing was noticed"),
            Ok(Fetched::Batch(batch)) => panic!("read on: {:?}", batch.offsets),
            Ok(Fetched::End) => panic!("ended"),
            Err(trouble) => return trouble,
        }
    }
}

/// Opens until the broker says what it will go on to say.
fn final_trouble(source: &KafkaSource, position: &Position) -> String {
    let begun = Instant::now();
    loop {
        match open(source, position) {
            Err(Trouble::Final(text)) => return text,
            Err(Trouble::Passing(text)) => assert!(begun.elapsed() < 3 * SOON, "{text}"),
            _ => panic!("opened"),
        }
    }
}

/// A reader whose topic of so many partitions is made anew under it, after so long and with these records.
fn made_anew(partitions: i32, after: Duration, records: &[&str]) -> String {
    let settings = topic(partitions);
    write(&settings, &["a", "b", "c"]);
    let source = source(&settings);
    let mut reader = open(&source, &at(0, None)).unwrap();
    assert_eq!(texts(&read(&mut reader, 3)), ["a", "b", "c"]);
    delete(&settings);
    thread::sleep(after);
    // The broker may still be at deleting it.
    thread::sleep(Duration::from_millis(300));
    make(&settings, partitions);
    write(&settings, records);
    let trouble = comes_to_trouble(&mut reader);
    println!("{trouble}");
    drop(reader);
    final_trouble(&source, &at(3, Some((2, "c"))))
}

#[test]
fn a_topic_made_anew_at_once_and_longer_than_before_is_not_read_on() {
    let text = made_anew(1, Duration::ZERO, &["1", "2", "3", "4", "5", "6"]);
    assert!(
        text.contains("the record at offset 2 is not the one") && text.contains("--resume-at new-log"),
        "{text}"
    );
}

#[test]
fn a_topic_made_anew_later_and_longer_than_before_is_not_read_on() {
    let text = made_anew(1, Duration::from_secs(4), &["1", "2", "3", "4", "5", "6"]);
    assert!(
        text.contains("the record at offset 2 is not the one") && text.contains("--resume-at new-log"),
        "{text}"
    );
}

/// The client has a line to tell of each partition.
#[test]
fn a_topic_of_many_partitions_made_anew_is_not_read_on() {
    let text = made_anew(40, Duration::ZERO, &["1", "2", "3", "4", "5", "6"]);
    assert!(text.contains("the record at offset 2 is not the one"), "{text}");
}

#[test]
fn a_topic_made_anew_and_shorter_than_before_is_not_waited_for() {
    let text = made_anew(1, Duration::ZERO, &["1"]);
    assert!(
        text.contains("the position 3 lies outside of what is there, 0 to 1: the topic is shorter"),
        "{text}"
    );
}

#[test]
fn records_deleted_before_they_were_read_are_told_after_those_that_were_read() {
    // A record is fetched at a time, until ten wait. Four fill a batch.
    let options = [("fetch.message.max.bytes", "1000"), ("queued.min.messages", "10")];
    let settings = topic(1);
    let large = "x".repeat(300_000);
    for _ in 0..50 {
        write(&settings, &[&large]);
    }
    let source = source(&with(&settings, &options));
    let mut reader = open(&source, &at(0, None)).unwrap();
    let mut next = read(&mut reader, 1).next;
    thread::sleep(Duration::from_secs(1));
    let mut before = TopicPartitionList::new();
    before.add_partition_offset(&settings.topic, 0, Offset::Offset(40)).unwrap();
    block_on(admin(&settings).delete_records(&before, &AdminOptions::new())).unwrap();
    let begun = Instant::now();
    let text = loop {
        assert!(begun.elapsed() < SOON, "stuck at {next}");
        // What is fetched meanwhile comes to lie behind what waits.
        thread::sleep(Duration::from_millis(500));
        match block_on(reader.next(Duration::from_millis(200))) {
            Ok(Fetched::Batch(batch)) => {
                assert_eq!(batch.offsets[0], next);
                next = batch.next;
            }
            Ok(_) => {}
            Err(Trouble::Final(text)) => break text,
            Err(trouble) => panic!("{trouble}"),
        }
    };
    assert!((1..40).contains(&next), "{next}");
    assert!(text.contains(&format!("the position {next} lies outside of what is there, 40 to 50")), "{text}");
}

#[test]
fn a_compacted_topic_is_read_whole_though_it_has_holes() {
    let settings = settings();
    let configs = [
        ("cleanup.policy", "compact"),
        ("segment.ms", "100"),
        ("min.cleanable.dirty.ratio", "0.01"),
        ("max.compaction.lag.ms", "100"),
    ];
    make_with(&settings, 1, &configs);
    let producer = producer(&settings, &[]);
    let mut newest = BTreeMap::new();
    let mut offset = 0;
    let begun = Instant::now();
    let (batch, end) = loop {
        assert!(begun.elapsed() < 3 * SOON, "the broker never cleans");
        for _ in 0..50 {
            let key = format!("key {}", offset % 7);
            let payload = format!("record {offset}");
            let record = BaseRecord::to(&settings.topic).partition(0).key(&key).payload(&payload);
            producer.send(record).map_err(|(error, _)| error).unwrap();
            newest.insert(key, offset);
            offset += 1;
        }
        producer.flush(SOON).unwrap();
        thread::sleep(Duration::from_millis(500));
        let source = source(&settings);
        let end = block_on(source.partitions()).unwrap()[0].end;
        assert_eq!(end, offset);
        let batch = read(&mut open(&source, &at(0, None)).unwrap(), end);
        if !batch.offsets.contains(&1) {
            break (batch, end);
        }
    };
    assert_eq!(batch.next, end);
    assert!(batch.offsets.is_sorted_by(|one, other| one < other));
    for newest in newest.values() {
        assert!(batch.offsets.contains(newest), "{newest} is missing");
    }
    for (offset, text) in batch.offsets.iter().zip(texts(&batch)) {
        assert_eq!(text, format!("record {offset}"));
    }
    // A position within the hole, whose last record is gone.
    let source = source(&Kafka { group: "another".into(), ..settings });
    let later = read(&mut open(&source, &at(2, Some((1, "record 1")))).unwrap(), end);
    assert_eq!(later.offsets, batch.offsets);
}
