//! Every fault there is, in random order.

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use clickmill_tests::{
    NetworkFault, Proxy, Random,
    services::{address, behind, unique},
};

use crate::{
    check::settle,
    fault::{Cluster, Fault, Wire},
    group::Group,
    setting,
    stream::Stream,
};

const PARTITIONS: u32 = 4;
/// Rounds in which partitions are added, three in each.
const MORE_PARTITIONS: u64 = 2;
/// In the round of the network there is one host fewer.
const HOSTS: usize = 3;
/// Until there are documents.
const FIRST: Duration = Duration::from_secs(120);

#[test]
fn everything_fails_and_the_answer_is_exact() {
    let (seed, rounds) = (setting("CHAOS_SEED", 1), setting("CHAOS_ROUNDS", 1));
    let only = std::env::var("CHAOS_ONLY").ok();
    let mut random = Random(seed);
    let mut cluster = begin(setting("CHAOS_RATE", 1_500) as u32);
    let mut table: BTreeMap<String, u32> = BTreeMap::new();
    let began = Instant::now();
    let mut planned = 0;
    for round in 0..rounds {
        let all = [
            ("hosts", HOSTS, of_hosts(setting("CHAOS_KILLS", 15))),
            ("services", HOSTS, of_services()),
            ("network", HOSTS - 1, of_the_network()),
        ];
        for (name, hosts, mut faults) in
            all.into_iter().filter(|(name, ..)| only.as_ref().is_none_or(|only| only == name))
        {
            cluster.group.resize(hosts);
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
            let events = settle(&cluster.group.folder, &cluster.stream);
            println!(
                "round {round}, {name}, {hosts} hosts: exact over {events} events after {} s",
                began.elapsed().as_secs()
            );
        }
    }
    assert!(planned > 0, "CHAOS_ONLY names no round: {only:?}");
    let survived: u32 = table.values().sum();
    println!("\n| fault | survived |\n|---|---|");
    table.iter().for_each(|(fault, count)| println!("| {fault} | {count} |"));
    let events = cluster.stream.read(|all| all.iter().map(|traffic| traffic.clicks.len()).sum::<usize>());
    println!("| **all, {events} events in {} s** | **{survived}** |", began.elapsed().as_secs());
    assert_eq!(survived as usize, planned, "fewer faults fell than were planned");
}

/// Hosts on a topic, behind proxies; the first documents are there.
fn begin(rate: u32) -> Cluster {
    let name = unique("chaos");
    let kafka = Proxy::new(address("KAFKA_PROXY_PORT").parse().unwrap(), &address("KAFKA_BEHIND"));
    let hbase = Proxy::new(0, &address("HBASE_THRIFT"));
    let elasticsearch = Proxy::new(0, address("ELASTICSEARCH_URL").trim_start_matches("http://"));
    let url = format!("http://{}", elasticsearch.address());
    let group = Group::new(&behind(&name, &kafka.address(), &hbase.address(), &url));
    let stream = Stream::new(&name, PARTITIONS, rate);
    let mut cluster = Cluster { group, stream, kafka, hbase, elasticsearch };
    cluster.group.resize(HOSTS);
    // A fault before the first commit would be none.
    let waiting = Instant::now();
    while !cluster.group.has_documents() {
        assert!(waiting.elapsed() < FIRST, "no documents");
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
