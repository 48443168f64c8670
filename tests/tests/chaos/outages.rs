//! Services that are away for long, at start or in the middle, and what a host makes of it: it says so, takes no more memory, and goes
//! on by itself.

use std::{
    thread,
    time::{Duration, Instant},
};

use clickmill_tests::{
    NetworkFault, Proxy,
    services::{NO_PASSWORD, NO_RIGHT, address, behind, elasticsearch, on_the_cluster, service, unique},
};

use crate::{check::settle, group::Group, setting, stream::Stream};

/// What a host may take more while a service is away, and the part of what comes meanwhile that it may take at most.
const MORE_MEMORY: u64 = 256 << 20;
const MORE_OF_WHAT_COMES: u64 = 2;
/// A field of each record that is not stored: with it what comes while a service is away is far more than a host may take.
const UNUSED: usize = 4 << 10;
const SOON: Duration = Duration::from_secs(60);

/// How long a service is away; by hand ten minutes.
fn long() -> Duration {
    Duration::from_secs(setting("OUTAGE_SECONDS", 30))
}

/// Records a second: in all as many as are caught up with soon.
fn rate() -> u32 {
    (120_000 / long().as_secs()) as u32
}

/// A host on a stream of its own; both bear this name.
fn host(name: &str, rate: u32) -> (Group, Stream) {
    let stream = Stream::with_unused(name, 4, rate, UNUSED);
    let mut group = Group::new(&on_the_cluster(name));
    group.start(None);
    (group, stream)
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < SOON, "{what}: not within {SOON:?}");
        thread::sleep(Duration::from_millis(100));
    }
}

/// A service is killed and stays away; `of` brings it back. The host takes far less memory than what comes meanwhile, and then
/// `meanwhile` must hold of it, of the records that were there before and of those that came.
fn away(
    group: &mut Group,
    stream: &Stream,
    killed: &str,
    of: &str,
    meanwhile: impl FnOnce(&Group, u64, u64),
) {
    until("the first commit", || group.has_documents());
    let (there, bytes) = (stream.records() as u64, stream.bytes());
    service(&["kill9", killed]);
    let (before, began) = (group.memory(0), Instant::now());
    let mut peak = before;
    while began.elapsed() < long() {
        thread::sleep(Duration::from_millis(200));
        group.check();
        peak = peak.max(group.memory(0));
    }
    let (came, bytes) = (stream.records() as u64 - there, stream.bytes() - bytes);
    println!(
        "{killed} away for {:?}: {came} records of {} MiB came, memory of {} MiB became {} MiB at most",
        long(),
        bytes >> 20,
        before >> 20,
        peak >> 20
    );
    assert!(bytes > MORE_MEMORY, "too little came to tell: {bytes} bytes");
    let most = MORE_MEMORY.min(bytes / MORE_OF_WHAT_COMES);
    assert!(peak < before + most, "{before} bytes became {peak} while {bytes} came");
    meanwhile(group, there, came);
    service(&["up", of]);
    settle(&group.folder, stream);
}

#[test]
fn services_that_are_away_at_start_are_waited_for() {
    for (killed, of, says) in [
        ("hbase-thrift", "hbase", "HBase at 127.0.0.1"),
        ("elasticsearch", "elasticsearch", "Elasticsearch at http://127.0.0.1"),
        ("kafka", "kafka", "Kafka at 127.0.0.1"),
    ] {
        let name = unique("start");
        let stream = Stream::new(&name, 4, 200);
        let mut group = Group::new(&on_the_cluster(&name));
        stream.pause();
        service(&["kill9", killed]);
        group.start(None);
        until("it says what is away", || group.log(0).contains(says));
        group.check();
        service(&["up", of]);
        stream.resume();
        until("the first documents", || group.has_documents());
        settle(&group.folder, &stream);
    }
}

#[test]
fn a_store_that_is_away_for_long_stops_the_reading_and_nothing_else() {
    let (mut group, stream) = host(&unique("nostore"), rate());
    away(&mut group, &stream, "hbase-thrift", "hbase", |group, _, came| {
        until("reading stops", || match group.progress(0)[..] {
            [.., (read, behind), (later, more)] => later == read && more > behind && more > came / 2,
            _ => false,
        });
    });
}

/// Reading and storing go on. What waits in memory is each document that has changed, once and as it is now, whatever number of
/// records changed it: it is bounded by the documents that there are.
#[test]
fn an_index_that_is_away_for_long_is_caught_up_with() {
    let (mut group, stream) = host(&unique("noindex"), rate());
    away(&mut group, &stream, "elasticsearch", "elasticsearch", |group, there, came| {
        until("events are stored", || {
            let stored: u64 = group.folder.ok(&["events", "--count"]).trim().parse().unwrap();
            stored > there + came / 2
        });
    });
}

#[test]
fn a_full_disk_of_the_index_is_shown_and_waited_for() {
    let name = unique("full");
    let (group, stream) = host(&name, 500);
    until("the first commit", || group.has_documents());
    // What Elasticsearch does by itself when its disk is full.
    let block = |value: &str| {
        let body = format!(r#"{{"index.blocks.read_only_allow_delete": {value}}}"#);
        elasticsearch("PUT", &format!("/{name}/_settings"), Some(&body));
    };
    block("true");
    until("it is shown", || group.log(0).contains("read-only-allow-delete"));
    thread::sleep(Duration::from_secs(3));
    block("null");
    settle(&group.folder, &stream);
}

#[test]
fn a_password_or_a_right_that_was_taken_away_is_shown_and_waited_for() {
    let name = unique("denied");
    let stream = Stream::new(&name, 4, 500);
    let front = Proxy::new(0, address("ELASTICSEARCH_URL").trim_start_matches("http://"));
    let url = format!("http://{}", front.address());
    let mut group = Group::new(&behind(&name, &address("KAFKA_BOOTSTRAP"), &address("HBASE_THRIFT"), &url));
    group.start(None);
    until("the first commit", || group.has_documents());
    for (answer, says) in [(NO_PASSWORD, "401 security_exception"), (NO_RIGHT, "403 security_exception")] {
        front.set(NetworkFault::Answer(answer));
        until(says, || group.log(0).contains(says));
        thread::sleep(Duration::from_secs(2));
        group.check();
        front.set(NetworkFault::None);
    }
    settle(&group.folder, &stream);
}
