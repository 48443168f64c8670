//! The source on a real broker, at `KAFKA_BOOTSTRAP` (tests/services/services.sh up kafka).

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::{
    collections::BTreeSet,
    pin::pin,
    task::{Context, Waker},
    time::Duration,
};

use clickmill_kafka::Producer;
use clickmill_settings::{Kafka, Start};
use clickmill_tasks::{
    env::{Fetched, Reader, Source, Trouble},
    name::PartitionId,
};
use futures_executor::block_on;
use rdkafka::{
    Offset, TopicPartitionList,
    admin::AdminOptions,
    producer::{BaseRecord, Producer as _},
};
use support::*;

#[test]
fn records_come_in_order_with_their_times() {
    let settings = topic(1);
    let producer = producer(&settings, &[]);
    let large = "x".repeat((1 << 20) + 5);
    for payload in [Some("a"), None, Some(""), Some(&*large), Some("b\n")] {
        let mut record: BaseRecord<'_, (), str> = BaseRecord::to(&settings.topic).partition(0).timestamp(77);
        record.payload = payload;
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(SOON).unwrap();
    let mut reader = open(&source(&settings), &at(0, None)).unwrap();
    let batch = read(&mut reader, 5);
    assert_eq!(batch.offsets, [0, 1, 2, 3, 4]);
    assert_eq!(batch.times, [77; 5]);
    assert_eq!(batch.skipped, [1]);
    assert_eq!(batch.too_large, [(3, (1 << 20) + 5)]);
    assert_eq!(batch.payloads.get(3).len(), 1 << 20);
    assert_eq!((batch.payloads.get(0), batch.payloads.get(4)), (&b"a"[..], &b"b\n"[..]));
    nothing_comes(&mut reader);
    write(&settings, &["later"]);
    assert_eq!(texts(&read(&mut reader, 6)), ["later"]);
}

#[test]
fn reading_goes_on_at_the_position() {
    let settings = topic(1);
    write(&settings, &["a", "b", "c", "d"]);
    let source = source(&settings);
    for (position, expected) in [
        (at(2, Some((1, "b"))), &["c", "d"][..]),
        (at(2, None), &["c", "d"]),
        (at(3, Some((2, "c"))), &["d"]),
        (at(1, Some((0, "a"))), &["b", "c", "d"]),
    ] {
        let mut reader = open(&source, &position).unwrap();
        assert_eq!(texts(&read(&mut reader, 4)), expected);
        nothing_comes(&mut reader);
    }
    let mut reader = open(&source, &at(4, Some((3, "d")))).unwrap();
    nothing_comes(&mut reader);
    write(&settings, &["e"]);
    assert_eq!(texts(&read(&mut reader, 5)), ["e"]);
}

#[test]
fn another_topic_under_the_same_name_is_a_clear_error() {
    let settings = topic(1);
    write(&settings, &["a", "b"]);
    let Err(Trouble::Final(text)) = open(&source(&settings), &at(2, Some((1, "other")))) else { panic!() };
    assert!(text.contains("the record at offset 1 is not the one") && text.contains("new-log"), "{text}");
}

#[test]
fn a_position_outside_of_the_topic_is_a_clear_error() {
    let settings = topic(1);
    write(&settings, &["a", "b", "c", "d"]);
    let mut before = TopicPartitionList::new();
    before.add_partition_offset(&settings.topic, 0, Offset::Offset(2)).unwrap();
    block_on(admin(&settings).delete_records(&before, &AdminOptions::new())).unwrap();
    let source = source(&settings);
    let fault = |position| match open(&source, &position) {
        Err(Trouble::Final(text)) => text,
        _ => panic!("no final trouble"),
    };
    assert!(fault(at(1, Some((0, "a")))).contains("the position 1 lies outside of what is there, 2 to 4"));
    assert!(fault(at(5, Some((4, "e")))).contains("the position 5 lies outside of what is there, 2 to 4"));
    // The record before the position is gone, what follows is whole.
    assert_eq!(texts(&read(&mut open(&source, &at(2, Some((1, "b")))).unwrap(), 4)), ["c", "d"]);
    assert_eq!(read(&mut open(&source, &at(0, None)).unwrap(), 4).offsets, [2, 3]);
}

#[test]
fn aborted_records_are_never_read_and_the_end_is_reached_all_the_same() {
    let settings = topic(1);
    let producer = producer(&settings, &[("transactional.id", &settings.topic)]);
    producer.init_transactions(SOON).unwrap();
    let transaction = |payloads: &[&str], commit: bool| {
        producer.begin_transaction().unwrap();
        payloads.iter().for_each(|payload| send(&producer, &settings, payload));
        producer.flush(SOON).unwrap();
        if commit { producer.commit_transaction(SOON) } else { producer.abort_transaction(SOON) }.unwrap();
    };
    let source = source(&settings);
    let end = || block_on(source.partitions()).unwrap()[0].end;
    transaction(&["a", "b"], true);
    transaction(&["no", "no"], false);
    transaction(&["c"], true);
    transaction(&["no"], false);
    assert_eq!(end(), 10);
    let mut reader = open(&source, &at(0, None)).unwrap();
    let batch = read(&mut reader, 10);
    assert_eq!(
        (texts(&batch), batch.offsets.as_slice(), batch.next),
        (vec!["a", "b", "c"], &[0, 1, 6][..], 10)
    );
    // What is not committed yet is neither read nor passed over.
    producer.begin_transaction().unwrap();
    send(&producer, &settings, "open");
    producer.flush(SOON).unwrap();
    assert_eq!(end(), 10);
    nothing_comes(&mut reader);
    producer.commit_transaction(SOON).unwrap();
    let batch = read(&mut reader, 12);
    assert_eq!((texts(&batch), batch.offsets.as_slice()), (vec!["open"], &[10][..]));
    drop(reader);
    // From within the hole.
    let mut reader = open(&source, &at(3, Some((1, "b")))).unwrap();
    assert_eq!(texts(&read(&mut reader, 12)), ["c", "open"]);
    drop(reader);
    let mut reader = open(&source, &at(12, Some((10, "open")))).unwrap();
    nothing_comes(&mut reader);
}

#[test]
fn a_batch_whose_future_was_dropped_is_not_lost() {
    let settings = topic(1);
    let mut reader = open(&source(&settings), &at(0, None)).unwrap();
    {
        let mut next = pin!(reader.next(SOON));
        assert!(next.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    write(&settings, &["a"]);
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(texts(&read(&mut reader, 1)), ["a"]);
}

#[test]
fn a_partition_has_one_reader() {
    let settings = topic(1);
    write(&settings, &["a"]);
    let source = source(&settings);
    let first = open(&source, &at(0, None)).unwrap();
    let Err(Trouble::Passing(text)) = open(&source, &at(0, None)) else { panic!() };
    assert!(text.contains("is still being read"), "{text}");
    drop(first);
    assert_eq!(read(&mut open(&source, &at(0, None)).unwrap(), 1).offsets, [0]);
}

#[test]
fn a_store_begins_where_the_settings_say() {
    let settings = topic(2);
    write(&settings, &["a", "b"]);
    let starts = |start| block_on(source(&Kafka { start, ..settings.clone() }).start_offsets()).unwrap();
    assert_eq!(starts(Start::Earliest), [(0, 0), (1, 0)]);
    assert_eq!(starts(Start::Latest), [(0, 2), (1, 0)]);
}

#[test]
fn what_is_generated_is_kept_by_key_and_read() {
    let settings = topic(3);
    let producer = Producer::new(&settings).unwrap();
    for n in 0..30_000 {
        producer.send(format!("user {}", n % 100).as_bytes(), format!("{} {n}", n % 100).as_bytes()).unwrap();
    }
    producer.flush(SOON).unwrap();
    let source = source(&settings);
    let (mut users, mut records) = (Vec::new(), 0);
    for partition in block_on(source.partitions()).unwrap() {
        let id = PartitionId { partition: partition.number, log: 0 };
        let mut reader = block_on(source.open(id, &at(0, None))).unwrap();
        let batch = read(&mut reader, partition.end);
        records += batch.offsets.len();
        assert_eq!(batch.offsets, (0..partition.end).collect::<Vec<_>>());
        users.extend(
            texts(&batch)
                .iter()
                .map(|text| text.split(' ').next().unwrap().to_owned())
                .collect::<BTreeSet<_>>(),
        );
    }
    assert_eq!((records, users.len()), (30_000, 100));
}

/// Prints how fast one partition is read, by what is fetched ahead; it asserts nothing of that, for it is the machine that decides.
#[test]
#[ignore = "a measurement"]
fn how_fast_a_partition_is_read() {
    const RECORDS: i64 = 1_000_000;
    let settings = topic(1);
    let writer = Producer::new(&settings).unwrap();
    let payload = "0123456789".repeat(30);
    for n in 0..RECORDS {
        writer.send(b"key", format!("{n} {payload}").as_bytes()).unwrap();
    }
    writer.flush(3 * SOON).unwrap();
    for (kbytes, again) in
        [("65536", "1000"), ("16384", "1000"), ("16384", "20"), ("16384", "20"), ("4096", "20")]
    {
        let options = [("queued.max.messages.kbytes", kbytes), ("fetch.queue.backoff.ms", again)];
        let source = source(&with(&settings, &options));
        let mut reader = open(&source, &at(0, None)).unwrap();
        let (begun, mut next, mut bytes) = (std::time::Instant::now(), 0, 0);
        while next < RECORDS {
            if let Fetched::Batch(batch) = block_on(reader.next(SOON)).unwrap() {
                (next, bytes) = (batch.next, bytes + batch.payloads.bytes().len());
            }
        }
        let speed = bytes as f64 / begun.elapsed().as_secs_f64() / 1e6;
        println!("{kbytes} KiB ahead, looked at again after {again} ms: {speed:.0} MB/s");
    }
}
