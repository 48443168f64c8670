//! The consumer group on a real broker, at `KAFKA_BOOTSTRAP` (tests/services/services.sh up kafka).

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::{
    collections::BTreeSet,
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use clickmill_kafka::Change;
use clickmill_settings::{Kafka, Start};
use clickmill_tasks::{
    env::{Reader, Source},
    name::PartitionId,
};
use futures_executor::block_on;
use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    admin::{AdminOptions, NewPartitions},
    consumer::{BaseConsumer, Consumer},
    producer::{BaseRecord, Producer as _},
};
use support::*;

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
    drop(revoked);
    assert_eq!(assigned(&mut told_two, 2), gone);

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
fn a_partition_that_is_added_is_assigned_to_a_live_member_and_read_from_its_beginning() {
    let settings = with(&topic(1), &[("topic.metadata.refresh.interval.ms", "1000")]);
    // Later partitions start at their beginning whatever the settings say of those that were there.
    let settings = Kafka { start: Start::Latest, ..settings };
    let source = source(&settings);
    let mut changes = source.join().unwrap();
    assert_eq!(assigned(&mut changes, 1), BTreeSet::from([0]));
    assert_eq!(block_on(source.partition_count()).unwrap(), 1);
    let added = NewPartitions::new(&settings.topic, 2);
    let made = block_on(admin(&settings).create_partitions([&added], &AdminOptions::new())).unwrap();
    made[0].as_ref().expect("the partition is made");
    let producer = producer(&settings, &[]);
    let mut record: BaseRecord<'_, (), str> = BaseRecord::to(&settings.topic).partition(1).payload("first");
    // The producer may not know of the partition yet.
    while let Err((_, back)) = producer.send(record) {
        record = back;
        std::thread::sleep(Duration::from_millis(100));
    }
    producer.flush(SOON).unwrap();
    assert_eq!(assigned(&mut changes, 1), BTreeSet::from([1]));
    assert_eq!(block_on(source.partition_count()).unwrap(), 2);
    let mut reader = block_on(source.open(PartitionId { partition: 1, log: 0 }, &at(0, None))).unwrap();
    assert_eq!(texts(&read(&mut reader, 1)), ["first"]);
}

/// The group and topic that [`a_member_of_another_process`] joins.
const JOIN: &str = "CLICKMILL_TEST_JOIN";

#[test]
#[ignore = "run by a_member_that_dies_loses_its_partitions, in a process of its own"]
fn a_member_of_another_process() {
    let name = std::env::var(JOIN).expect("only another test runs it");
    let source = source(&Kafka { topic: name.clone(), group: name, ..settings() });
    let mut changes = source.join().unwrap();
    loop {
        match told(&mut changes) {
            Change::Assigned(partitions) => eprintln!("assigned {partitions:?}"),
            Change::Revoked(revoked) => drop(revoked),
        }
    }
}

#[test]
fn a_member_that_dies_loses_its_partitions() {
    let settings = with(&topic(2), &[("session.timeout.ms", "6000")]);
    let mut other = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_member_of_another_process", "--ignored", "--nocapture"])
        .env(JOIN, &settings.topic)
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(other.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().starts_with("assigned")), "it joins");
    let source = source(&settings);
    let mut changes = source.join().unwrap();
    let first = assigned(&mut changes, 1);
    other.kill().unwrap();
    other.wait().unwrap();
    let second = assigned(&mut changes, 1);
    assert_eq!(&first | &second, BTreeSet::from([0, 1]));
}

#[test]
fn a_member_that_leaves_behind_its_last_commit_is_not_waited_for() {
    let settings = with(&topic(2), &[("session.timeout.ms", "120000")]);
    let stays = source(&settings);
    let mut told_stays = stays.join().unwrap();
    assigned(&mut told_stays, 2);
    for _ in 0..20 {
        let comes = source(&settings);
        let mut told_comes = comes.join().unwrap();
        let Change::Revoked(revoked) = told(&mut told_stays) else { panic!("not revoked") };
        drop(revoked);
        let gone = assigned(&mut told_comes, 1);
        let partition = gone.iter().copied().next().unwrap();
        let mut reader = block_on(comes.open(PartitionId { partition, log: 0 }, &at(0, None))).unwrap();
        (1..=20).for_each(|next| reader.committed(next));
        drop(told_comes);
        comes.leave();
        drop((reader, comes));
        assert_eq!(assigned(&mut told_stays, 1), gone);
    }
}

#[test]
fn a_member_without_a_partition_is_not_waited_for_either() {
    let settings = with(&topic(1), &[("session.timeout.ms", "120000")]);
    let stays = source(&settings);
    let mut told_stays = stays.join().unwrap();
    assigned(&mut told_stays, 1);
    let observer: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", &settings.brokers).create().unwrap();
    let members = || -> usize {
        let groups = observer.fetch_group_list(Some(&settings.group), SOON).unwrap();
        let stable = groups.groups().iter().filter(|group| group.state() == "Stable");
        stable.map(|group| group.members().len()).sum()
    };
    let until = |count: usize| {
        let began = Instant::now();
        while members() != count {
            assert!(began.elapsed() < SOON, "{} members, not {count}", members());
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    for _ in 0..3 {
        let comes = source(&settings);
        let told_comes = comes.join().unwrap();
        until(2);
        drop((told_comes, comes));
        until(1);
    }
}

/// Prints how long handing over takes; it asserts nothing of that, for it is the machine that decides.
#[test]
#[ignore = "a measurement"]
fn how_long_a_hand_over_takes() {
    const ROUNDS: usize = 40;
    let settings = topic(8);
    let stays = source(&settings);
    let mut told_stays = stays.join().unwrap();
    assigned(&mut told_stays, 8);
    let (mut noticed, mut handed, mut returned) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let comes = source(&settings);
        let joining = Instant::now();
        let mut told_comes = comes.join().unwrap();
        let Change::Revoked(revoked) = told(&mut told_stays) else { panic!("not revoked in round {round}") };
        noticed.push(joining.elapsed());
        let handing = Instant::now();
        drop(revoked);
        assigned(&mut told_comes, 4);
        handed.push(handing.elapsed());
        let leaving = Instant::now();
        drop((told_comes, comes));
        assigned(&mut told_stays, 4);
        returned.push(leaving.elapsed());
    }
    show("join -> revoked from the other", noticed);
    show("handed over -> assigned to the new one", handed);
    show("leave -> assigned to the other", returned);
}

fn show(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_millis();
    println!("{what}: p50 {} ms, p99 {} ms, most {} ms", at(0.5), at(0.99), at(1.0));
}
