//! What a host starts with: the end of a topic, a topic that `generate` writes to, a password that is not taken.

use std::{
    fs::{self, File},
    thread,
    time::{Duration, Instant},
};

use clickmill_tests::{
    Folder, NetworkFault, Proxy, Raw, Traffic, answer, compare, documents,
    services::{NO_PASSWORD, address, behind, on_the_cluster, unique},
    summary,
};
use futures_executor::block_on;
use rdkafka::admin::{AdminOptions, NewPartitions};

use crate::{PARTITIONS, admin, check, create, topic, write};

fn folder(settings: &str) -> Folder {
    let folder = Folder::new("cluster-start");
    folder.write("clickmill.toml", settings);
    folder
}

#[test]
fn what_was_there_before_a_store_that_begins_at_the_latest_is_not_counted() {
    let name = unique("latest");
    let mut traffic = topic(&name, 500, 50);
    let latest = on_the_cluster(&name).replace("kind = \"kafka\"", "kind = \"kafka\"\nstart = \"latest\"");
    let folder = folder(&latest);
    let run = || summary(&folder.ok(&["run", "--until-idle", "1s", "--summary", "json"]))["records"].clone();
    assert_eq!(run(), 0);
    for traffic in &mut traffic {
        traffic.clicks.clear();
        traffic.dead = 0;
    }
    check(&folder, &traffic);

    // It is where the store begins, not where a host does.
    for lines in [400, 300] {
        write(&name, &mut traffic, lines);
        assert_eq!(run(), lines as u32 * PARTITIONS);
        check(&folder, &traffic);
    }

    // A partition that is added later has nothing that was there before.
    let more = NewPartitions::new(&name, PARTITIONS as usize + 1);
    let made = block_on(admin().create_partitions([&more], &AdminOptions::new())).unwrap();
    made[0].as_ref().unwrap();
    traffic.push(Traffic::new(7, PARTITIONS, 50, 30, 40));
    write(&name, &mut traffic, 200);
    assert_eq!(run(), 200 * (PARTITIONS + 1));
    check(&folder, &traffic);
}

/// Generates into a topic, reads it, and compares with the same lines in a file.
fn generates(name: &str) {
    let folder = folder(&on_the_cluster(name));
    let traffic = ["-n", "4000", "--seed", "9", "--users", "300", "--late", "0.05", "--bad", "0.02"];
    let generated = |to: &[&str]| {
        let output = folder.command(&["generate"]).args(traffic).args(to).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{said}");
        said
    };
    let said = generated(&["--to-topic", "--config", "clickmill.toml"]);
    assert!(said.ends_with(&format!("4000 records written to the topic `{name}`\n")), "{said}");
    let last = summary(&folder.ok(&["run", "--until-idle", "1s", "--summary", "json"]));
    assert_eq!(last["records"], 4_000);

    // A user's records are in one partition, in their order: so the answer is that of one log.
    generated(&["--output", "lines"]);
    let raw = Raw::read(0, &fs::read(folder.path().join("lines")).unwrap()).unwrap();
    assert_eq!(last["total"]["dead_letters_by_reason"], serde_json::to_value(&raw.dead).unwrap());
    let found = documents(&folder.ok(&["query", "--format", "ndjson", "--limit", "0"]));
    compare(&found, &answer(&raw.clicks).unwrap()).unwrap();
}

#[test]
fn generated_traffic_goes_through_a_topic() {
    let name = unique("generated");
    create(&name);
    generates(&name);
}

/// As the brokers of the tests allow.
#[test]
fn generated_traffic_makes_the_topic_where_the_broker_makes_topics_by_itself() {
    generates(&unique("automatic"));
}

#[test]
fn a_password_that_the_index_does_not_take_is_an_error_or_waited_for() {
    let name = unique("nopassword");
    let traffic = topic(&name, 300, 50);
    let front = Proxy::new(0, address("ELASTICSEARCH_URL").trim_start_matches("http://"));
    front.set(NetworkFault::Answer(NO_PASSWORD));
    let url = format!("http://{}", front.address());
    let user = "kind = \"elasticsearch\"\nuser = \"clickmill\"\npassword = \"rosebud\"";
    let settings = behind(&name, &address("KAFKA_BOOTSTRAP"), &address("HBASE_THRIFT"), &url)
        .replace("kind = \"elasticsearch\"", user);
    let folder = folder(&settings);
    let says = "401 security_exception: unable to authenticate user [clickmill] for REST request; check `user` and `password`, \
                or `api_key`, in [index]";

    let output = folder.run(&["check"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(&format!("error: Elasticsearch at {url}")) && said.contains(says), "{said}");
    assert!(!said.contains("rosebud"), "{said}");

    // It may be Elasticsearch's side that is to change: a host waits for it.
    let log = folder.path().join("log");
    let errors = File::create(&log).unwrap();
    let mut host = folder.command(&["run", "--until-idle", "1s"]).stderr(errors).spawn().unwrap();
    let said = || fs::read_to_string(&log).unwrap();
    let began = Instant::now();
    while !said().contains(says) {
        assert!(began.elapsed() < Duration::from_secs(60), "it says nothing of it: {}", said());
        assert!(host.try_wait().unwrap().is_none(), "it ends: {}", said());
        thread::sleep(Duration::from_millis(50));
    }
    front.set(NetworkFault::None);
    assert!(host.wait().unwrap().success(), "{}", said());
    assert!(!said().contains("rosebud"), "{}", said());
    check(&folder, &traffic);
}
