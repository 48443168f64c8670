//! More hosts than partitions: those that are given none end like the others.

use std::{
    fs::{self, File},
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use clickmill_tests::{
    Folder, Traffic,
    services::{on_the_cluster, unique},
    summary,
};

use crate::{check, topic_of, write};

const FEW: u32 = 2;
const SOON: Duration = Duration::from_secs(60);

fn folder(name: &str) -> Folder {
    let folder = Folder::new("cluster-hosts");
    folder.write("clickmill.toml", on_the_cluster(name));
    folder
}

fn until_idle(folder: &Folder) -> Child {
    let mut command = folder.command(&["run", "--until-idle", "2s", "--summary", "json"]);
    command.stdout(Stdio::piped()).spawn().unwrap()
}

/// The records that a host has committed and those that all have, when it has ended well.
fn ended(host: Child) -> (u64, u64) {
    let output = host.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", output.status);
    let last = summary(&String::from_utf8(output.stdout).unwrap());
    (last["records"].as_u64().unwrap(), last["total"]["records"].as_u64().unwrap())
}

fn records(traffic: &[Traffic]) -> u64 {
    traffic.iter().map(|traffic| traffic.clicks.len() as u64 + traffic.dead).sum()
}

#[test]
fn more_hosts_than_partitions_all_end() {
    let name = unique("spare");
    let traffic = topic_of(&name, FEW, 3_000, 200);
    let folder = folder(&name);
    let hosts = [until_idle(&folder), until_idle(&folder), until_idle(&folder)];
    let (own, totals): (Vec<u64>, Vec<u64>) = hosts.map(ended).into_iter().unzip();
    assert_eq!(own.iter().sum::<u64>(), records(&traffic));
    assert_eq!(totals, [records(&traffic); 3]);
    check(&folder, &traffic);
}

#[test]
fn a_host_that_is_given_no_partition_ends_when_the_others_have_done_all() {
    let name = unique("none");
    let mut traffic = topic_of(&name, FEW, 500, 200);
    let folder = folder(&name);
    let mut holders = Vec::new();
    for number in 0..FEW {
        let log = folder.path().join(format!("{number}.log"));
        let errors = File::create(&log).unwrap();
        holders.push((folder.command(&["run"]).stderr(errors).spawn().unwrap(), log));
    }
    let began = Instant::now();
    let holds = |log: &str| ["0", "1"].iter().any(|it| log.contains(&format!("gives partitions {it}")));
    while !holders.iter().all(|(_, log)| holds(&fs::read_to_string(log).unwrap())) {
        assert!(began.elapsed() < SOON, "the hosts do not share the partitions");
        thread::sleep(Duration::from_millis(50));
    }
    write(&name, &mut traffic, 3_000);
    assert_eq!(ended(until_idle(&folder)), (0, records(&traffic)));
    for (holder, _) in &mut holders {
        assert!(holder.try_wait().unwrap().is_none(), "it was not told to end");
        holder.kill().unwrap();
        holder.wait().unwrap();
    }
    check(&folder, &traffic);
}
