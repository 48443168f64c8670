//! Hosts, services and the network between them fail in every way, while a stream of clicks goes on. After each round everything
//! is quiet within a minute, every document equals SQL, and the events in HBase are those that were accepted, each once.
//!
//! `CHAOS_SEED` draws another order, `CHAOS_ROUNDS` repeats the rounds, `CHAOS_KILLS` says how many hosts are killed at random in
//! a round, `CHAOS_RATE` how many records come a second.

mod fault;
mod group;
mod stream;

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use clickmill_tests::{
    NetworkFault, Proxy, Random, answer, compare, documents, ndjson,
    services::{address, unique},
};

use crate::{
    fault::{Cluster, Fault, Wire},
    group::Group,
    stream::Stream,
};

const PARTITIONS: u32 = 4;
/// Rounds in which partitions are added, three in each.
const MORE_PARTITIONS: u64 = 2;
const HOSTS: usize = 3;
/// After the last fault.
const QUIET: Duration = Duration::from_secs(60);

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

#[test]
fn everything_fails_and_the_answer_is_exact() {
    let (seed, rounds) = (setting("CHAOS_SEED", 1), setting("CHAOS_ROUNDS", 1));
    let mut random = Random(seed);
    let mut cluster = begin(setting("CHAOS_RATE", 1_500) as u32);
    let mut table: BTreeMap<String, u32> = BTreeMap::new();
    let began = Instant::now();
    let mut planned = 0;
    for round in 0..rounds {
        for mut faults in [of_hosts(setting("CHAOS_KILLS", 15)), of_services(), of_the_network()] {
            if round < MORE_PARTITIONS {
                faults.push(Fault::AddPartition);
            }
            planned += faults.len();
            for fault in shuffled(faults, &mut random) {
                thread::sleep(Duration::from_millis(200 + random.below(1_500)));
                eprintln!("{:4} s: {fault}", began.elapsed().as_secs());
                assert!(cluster.strike(&fault, &mut random), "the fault did not fall: {fault}");
                *table.entry(fault.to_string()).or_default() += 1;
            }
            cluster.group.check();
            let events = settle(&mut cluster);
            println!("round {round}: exact over {events} events after {} s", began.elapsed().as_secs());
        }
    }
    let survived: u32 = table.values().sum();
    println!("\n| fault | survived |\n|---|---|");
    table.iter().for_each(|(fault, count)| println!("| {fault} | {count} |"));
    let events = cluster.stream.read(|all| all.iter().map(|traffic| traffic.clicks.len()).sum::<usize>());
    println!("| **all, {events} events in {} s** | **{survived}** |", began.elapsed().as_secs());
    assert_eq!(survived as usize, planned, "fewer faults fell than were planned");
}

/// Three hosts on a topic, behind proxies; the first documents are there.
fn begin(rate: u32) -> Cluster {
    let name = unique("chaos");
    let behind = address("KAFKA_BEHIND");
    let kafka = Proxy::new(address("KAFKA_PROXY_PORT").parse().unwrap(), &behind);
    let hbase = Proxy::new(0, &address("HBASE_THRIFT"));
    let elasticsearch = Proxy::new(0, address("ELASTICSEARCH_URL").trim_start_matches("http://"));
    let (brokers, url) = (kafka.address(), elasticsearch.address());
    let gateway = hbase.address();
    let (host, port) = gateway.rsplit_once(':').unwrap();
    let group = Group::new(&format!(
        "[source]\nkind = \"kafka\"\nbrokers = \"{brokers}\"\ntopic = \"{name}\"\ngroup = \"{name}\"\n\
         [source.options]\n\"session.timeout.ms\" = 6000\n\"socket.timeout.ms\" = 10000\n\
         \"topic.metadata.refresh.interval.ms\" = 2000\n\
         [commit]\ninterval = \"200ms\"\n\
         [store]\nkind = \"hbase\"\nhost = \"{host}\"\nport = {port}\ntable = \"{name}\"\ntimeout = \"10s\"\n\
         [index]\nkind = \"elasticsearch\"\nurl = \"http://{url}\"\nname = \"{name}\"\ntimeout = \"10s\"\n"
    ));
    let stream = Stream::new(&name, PARTITIONS, rate);
    let mut cluster = Cluster { group, stream, kafka, hbase, elasticsearch };
    for _ in 0..HOSTS {
        cluster.group.start(None);
    }
    // A fault before the first commit would be none.
    let waiting = Instant::now();
    while cluster.group.folder.run(&["query", "--format", "ndjson", "--limit", "1"]).stdout.is_empty() {
        assert!(waiting.elapsed() < 2 * QUIET, "no documents");
        cluster.group.check();
        thread::sleep(Duration::from_millis(200));
    }
    cluster
}

fn of_hosts(kills: u64) -> Vec<Fault> {
    let mut faults = vec![Fault::Kill; kills as usize];
    let partition =
        ["taken-over", "written", "swapped", "handed-on", "tidied"].map(|point| ("partition", point));
    let shard = ["taken-over", "written", "swapped", "tidied", "indexed"].map(|point| ("shard", point));
    for (place, (task, point)) in partition.into_iter().chain(shard).enumerate() {
        let passage = if point == "taken-over" { 1 } else { 1 + place % 4 };
        faults.push(Fault::Die(format!("{task}-{point}:{passage}")));
    }
    faults.extend([1, 3, 9, 9].map(|seconds| Fault::Freeze(Duration::from_secs(seconds))));
    faults.extend([Fault::Leave, Fault::Leave, Fault::Leave]);
    faults
}

fn of_services() -> Vec<Fault> {
    let names = ["kafka", "hbase-thrift", "hbase", "elasticsearch", "hbase-thrift"];
    let mut faults: Vec<Fault> = names.map(Fault::KillService).into();
    faults.extend([Fault::Kill, Fault::Kill]);
    faults
}

fn of_the_network() -> Vec<Fault> {
    let mut faults = Vec::new();
    for wire in [Wire::Kafka, Wire::Hbase, Wire::Elasticsearch] {
        faults.extend([Fault::Reset(wire), Fault::Reset(wire)]);
        for (fault, seconds) in [
            (NetworkFault::Delay(Duration::from_millis(300)), 3),
            (NetworkFault::Stall, 2),
            (NetworkFault::Stall, 12),
            (NetworkFault::HalfOpen, 2),
            (NetworkFault::CutAnswers, 2),
        ] {
            faults.push(Fault::Network(wire, fault, Duration::from_secs(seconds)));
        }
    }
    faults.push(Fault::Kill);
    faults
}

fn shuffled(mut faults: Vec<Fault>, random: &mut Random) -> Vec<Fault> {
    for last in (1..faults.len()).rev() {
        faults.swap(last, random.below(last as u64 + 1) as usize);
    }
    faults
}

/// No more records come; all is quiet soon, and exact. The number of events.
fn settle(cluster: &mut Cluster) -> usize {
    cluster.stream.pause();
    let began = Instant::now();
    let folder = &cluster.group.folder;
    let last = clickmill_tests::summary(&folder.ok(&["run", "--until-idle", "2s", "--summary", "json"]));
    let took = began.elapsed();
    assert!(took < QUIET + Duration::from_secs(2), "quiet only after {took:?}");
    let events = cluster.stream.read(|all| {
        let clicks: Vec<_> = all.iter().flat_map(|traffic| traffic.clicks.clone()).collect();
        let dead: u64 = all.iter().map(|traffic| traffic.dead).sum();
        let found = documents(&folder.ok(&["query", "--format", "ndjson", "--limit", "0"]));
        compare(&found, &answer(&clicks).unwrap()).unwrap();
        let events = ndjson(&folder.ok(&["events", "--format", "ndjson", "--limit", "0"]));
        assert_eq!(events.len(), clicks.len());
        for (event, click) in events.iter().zip(&clicks) {
            assert_eq!(
                (&event["partition"], &event["offset"]),
                (&click.partition.into(), &click.offset.into())
            );
            assert_eq!(event["user_id"], *click.user);
            assert_eq!(event["url"], *click.url);
        }
        let letters = ndjson(&folder.ok(&["dead-letters", "--format", "ndjson", "--limit", "0"]));
        assert_eq!(letters.len() as u64, dead);
        let total = &last["total"];
        assert_eq!((&total["events"], &total["dead_letters"]), (&clicks.len().into(), &dead.into()));
        clicks.len()
    });
    cluster.stream.resume();
    events
}
