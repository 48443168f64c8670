//! The source on a real broker, at `KAFKA_BOOTSTRAP` (tests/services/services.sh up kafka).

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{
    collections::BTreeSet,
    pin::pin,
    sync::atomic::{AtomicU32, Ordering},
    task::{Context, Waker},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use clickmill_kafka::{Change, KafkaReader, KafkaSource, Producer};
use clickmill_settings::{Kafka, Start};
use clickmill_tasks::{
    batch::{RawBatch, fingerprint},
    env::{Fetched, Reader, Source, Trouble},
    name::PartitionId,
    row::Position,
};
use futures_channel::mpsc::UnboundedReceiver;
use futures_executor::block_on;
use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    producer::{BaseProducer, BaseRecord, Producer as _},
};

const SOON: Duration = Duration::from_secs(20);
const P: PartitionId = PartitionId { partition: 0, log: 0 };

fn settings() -> Kafka {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let brokers = std::env::var("KAFKA_BOOTSTRAP")
        .expect("KAFKA_BOOTSTRAP: start it with tests/services/services.sh up kafka");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let name = format!("test-{now}-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    Kafka { brokers, topic: name.clone(), group: name, ..Kafka::default() }
}

fn admin(settings: &Kafka) -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", &settings.brokers).create().unwrap()
}

/// Settings for a topic of its own.
fn topic(partitions: i32) -> Kafka {
    let settings = settings();
    make(&settings, partitions);
    settings
}

fn make(settings: &Kafka, partitions: i32) {
    let topic = NewTopic::new(&settings.topic, partitions, TopicReplication::Fixed(1))
        .set("max.message.bytes", "4000000");
    let made = block_on(admin(settings).create_topics([&topic], &AdminOptions::new())).unwrap();
    made[0].as_ref().expect("the topic is made");
}

fn producer(settings: &Kafka, options: &[(&str, &str)]) -> BaseProducer {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &settings.brokers).set("message.max.bytes", "4000000");
    for (name, value) in options {
        config.set(*name, *value);
    }
    config.create().unwrap()
}

fn send(producer: &BaseProducer, settings: &Kafka, payload: &str) {
    let record: BaseRecord<'_, (), str> = BaseRecord::to(&settings.topic).partition(0).payload(payload);
    producer.send(record).map_err(|(error, _)| error).unwrap();
}

/// Writes records into partition 0, by no transaction.
fn write(settings: &Kafka, payloads: &[&str]) {
    let producer = producer(settings, &[]);
    payloads.iter().for_each(|payload| send(&producer, settings, payload));
    producer.flush(SOON).unwrap();
}

fn source(settings: &Kafka) -> KafkaSource {
    KafkaSource::new(settings).unwrap()
}

fn open(source: &KafkaSource, position: &Position) -> Result<KafkaReader, Trouble> {
    block_on(source.open(P, position))
}

/// Everything up to the offset `next`, in one batch.
fn read(reader: &mut KafkaReader, next: i64) -> RawBatch {
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

fn texts(batch: &RawBatch) -> Vec<&str> {
    batch.payloads.iter().map(|payload| std::str::from_utf8(payload).unwrap()).collect()
}

fn at(next: i64, last: Option<(i64, &str)>) -> Position {
    let last = last.map(|(offset, text)| (offset, fingerprint(text.as_bytes())));
    Position { next, last, ..Position::default() }
}

fn nothing_comes(reader: &mut KafkaReader) {
    let Ok(Fetched::Nothing) = block_on(reader.next(Duration::from_millis(700))) else {
        panic!("something came")
    };
}

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

/// The next change, waited for no longer than [`SOON`].
fn told(changes: &mut UnboundedReceiver<Change>) -> Change {
    let start = Instant::now();
    loop {
        if let Ok(change) = changes.try_recv() {
            return change;
        }
        assert!(start.elapsed() < SOON, "nothing was told");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn assigned(changes: &mut UnboundedReceiver<Change>, count: usize) -> BTreeSet<u32> {
    let mut all = BTreeSet::new();
    while all.len() < count {
        match told(changes) {
            Change::Assigned(partitions) => all.extend(partitions),
            Change::Revoked(revoked) => panic!("{revoked:?}"),
        }
    }
    all
}

#[test]
fn partitions_are_handed_over_when_their_tasks_have_stopped() {
    let settings = topic(4);
    write(&settings, &["a", "b", "c"]);
    let one = source(&settings);
    let mut told_one = one.join().unwrap();
    assert_eq!(assigned(&mut told_one, 4), BTreeSet::from([0, 1, 2, 3]));
    let mut reader = open(&one, &at(0, None)).unwrap();
    assert_eq!(read(&mut reader, 3).offsets, [0, 1, 2]);
    reader.committed(3);

    let two = source(&settings);
    let mut told_two = two.join().unwrap();
    let Change::Revoked(revoked) = told(&mut told_one) else { panic!("not revoked") };
    let gone = BTreeSet::from_iter(revoked.partitions.clone());
    assert_eq!(gone.len(), 2);
    std::thread::sleep(Duration::from_millis(500));
    assert!(told_two.try_recv().is_err(), "assigned before it was handed over");
    let handing = Instant::now();
    drop(revoked);
    assert_eq!(assigned(&mut told_two, 2), gone);
    let took = handing.elapsed();
    assert!(took < Duration::from_secs(2), "handed over in {took:?}");

    // The rest comes when the first one leaves.
    drop((told_one, reader, one));
    assert_eq!(assigned(&mut told_two, 2).len(), 2);

    let observer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &settings.brokers)
        .set("group.id", &settings.group)
        .create()
        .unwrap();
    let mut asked = TopicPartitionList::new();
    asked.add_partition(&settings.topic, 0);
    let offsets = observer.committed_offsets(asked, SOON).unwrap();
    assert_eq!(offsets.elements()[0].offset(), Offset::Offset(3));
}

#[test]
fn a_broker_that_is_away_and_a_topic_that_is_not_there_are_passing_troubles() {
    let nowhere = Kafka { brokers: "127.0.0.1:1".into(), ..settings() };
    let Err(Trouble::Passing(text)) = open(&source(&nowhere), &at(0, None)) else { panic!() };
    assert!(text.contains("Kafka at 127.0.0.1:1"), "{text}");
    println!("{text}");
    let wrong = Kafka { options: [("no.such.option".into(), "1".into())].into(), ..settings() };
    let Err(Trouble::Final(text)) = KafkaSource::new(&wrong).map(|_| ()) else { panic!() };
    assert!(text.contains("no.such.option"), "{text}");
}
