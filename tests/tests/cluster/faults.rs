//! What is wrong about a cluster: each has a message that says what to do, an exit code, and loses nothing.

use std::{
    io::{Read, Write},
    net::TcpListener,
    thread,
    time::{Duration, Instant},
};

use clickmill_hbase::{Absent, HbaseStore};
use clickmill_settings::{Gateway, Hbase};
use clickmill_tasks::{env::Store as _, name::TaskId};
use clickmill_tests::{
    Click, Folder, Traffic, answer, compare, documents, ndjson,
    services::{address, elasticsearch, on_the_cluster, unique},
};
use futures_executor::block_on;
use rdkafka::{
    Offset, TopicPartitionList,
    admin::{AdminOptions, NewTopic, TopicReplication},
};

use crate::{PARTITIONS, admin, check, create, create_of, topic, write};

const NOWHERE: &str = "127.0.0.1:1";

/// What a command says that must end with this code.
fn fails(folder: &Folder, arguments: &[&str], code: i32) -> String {
    let output = folder.run(arguments);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}:\n{error}");
    error
}

/// A folder with settings for a cluster.
fn folder(settings: &str) -> Folder {
    let folder = Folder::new("cluster-faults");
    folder.write("clickmill.toml", settings);
    folder
}

/// Says the same to everybody, in a language that no service speaks.
fn web_server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let mut request = [0; 1024];
            let _ = client.read(&mut request);
            let _ =
                client.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello");
        }
    });
    address
}

#[test]
fn services_that_do_not_answer_or_answer_something_else_are_named() {
    let name = unique("strangers");
    create(&name);
    let (gateway, brokers, url) =
        (address("HBASE_THRIFT"), address("KAFKA_BOOTSTRAP"), address("ELASTICSEARCH_URL"));
    let port = |address: &str| format!("port = {}", address.rsplit_once(':').unwrap().1);
    let settings = on_the_cluster(&name);
    let stranger = web_server();
    let cases = [
        (settings.replace(&port(&gateway), &port(NOWHERE)), "HBase at 127.0.0.1:1", "no connection"),
        (settings.replace(&port(&gateway), &port(&stranger)), "HBase at 127.0.0.1", "HTTP"),
        (settings.replace(&brokers, NOWHERE), "Kafka at 127.0.0.1:1", "no broker answers"),
        (settings.replace(&brokers, &stranger), "Kafka at 127.0.0.1", "is no broker of Kafka"),
        (
            settings.replace(&url, &format!("http://{NOWHERE}")),
            "Elasticsearch at http://127.0.0.1:1",
            "refused",
        ),
        (
            settings.replace(&url, &format!("http://{stranger}")),
            "Elasticsearch at http://127.0.0.1",
            "what answers is no Elasticsearch",
        ),
    ];
    for (settings, who, what) in cases {
        let said = fails(&folder(&settings), &["check"], 1);
        assert!(said.contains(who) && said.contains(what), "{who}, {what}: {said}");
    }
}

#[test]
fn credentials_that_the_broker_does_not_take_are_named() {
    let name = unique("password");
    create(&name);
    let options = "[source.options]\n\"security.protocol\" = \"SASL_PLAINTEXT\"\n\"sasl.mechanisms\" = \"PLAIN\"\n\
                   \"sasl.username\" = \"clickmill\"\n\"sasl.password\" = \"rosebud\"\n";
    let settings = on_the_cluster(&name)
        .replace(&address("KAFKA_BOOTSTRAP"), &address("KAFKA_SASL_PLAINTEXT"))
        .replace("[source.options]\n", options);
    let said = fails(&folder(&settings), &["check"], 1);
    assert!(said.contains("the broker does not take these credentials"), "{said}");
    assert!(!said.contains("rosebud"), "{said}");
}

#[test]
fn a_topic_that_does_not_exist_is_an_error_that_says_how_to_make_it() {
    let name = unique("missing");
    let settings = on_the_cluster(&name);
    for command in [&["check"][..], &["run"]] {
        let said = fails(&folder(&settings), command, 1);
        assert!(
            said.contains(&format!("topic {name}: there is no such topic. Make it: `kafka-topics.sh")),
            "{said}"
        );
    }
}

#[test]
fn check_tells_how_the_broker_keeps_the_topic() {
    let name = unique("kept");
    let hour = NewTopic::new(&name, 1, TopicReplication::Fixed(1))
        .set("min.insync.replicas", "1")
        .set("unclean.leader.election.enable", "true")
        .set("retention.ms", "3600000")
        .set("retention.bytes", "1073741824");
    block_on(admin().create_topics([&hour], &AdminOptions::new())).unwrap()[0].as_ref().unwrap();
    let said = folder(&on_the_cluster(&name)).ok(&["check"]);
    let lines = [
        "source    a topic of 1 partition\n",
        "replication factor 1, min.insync.replicas=1, unclean.leader.election.enable=true, records are kept for 1h, and up to \
         1GiB in each partition\n",
        "better: with replication factor 1 the loss of one disk loses records",
        "better: with unclean.leader.election.enable=true a broker that lacks records",
        "better: records that were not read within 1h are deleted",
        "all else is there",
    ];
    for line in lines {
        assert!(said.contains(line), "{line}: {said}");
    }
}

#[test]
fn a_gateway_that_does_not_answer_among_several_is_not_all_there() {
    let name = unique("gateways");
    create(&name);
    let gateway = address("HBASE_THRIFT");
    let (host, port) = gateway.rsplit_once(':').unwrap();
    let both = format!("gateways = [\"{gateway}\", \"{NOWHERE}\"]");
    let settings = on_the_cluster(&name).replace(&format!("host = \"{host}\"\nport = {port}"), &both);
    let output = folder(&settings).run(&["check"]);
    let (said, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{said}{error}");
    assert!(said.contains(&format!("{gateway} answers")) && !said.contains("all is there"), "{said}");
    assert!(error.contains("no answer from 1 gateway; all else is there"), "{error}");
}

#[test]
fn a_store_belongs_to_its_topic_its_definition_and_its_version() {
    let (name, other) = (unique("owned"), unique("other"));
    let traffic = topic(&name, 300, 50);
    create(&other);
    let settings = on_the_cluster(&name);
    let owner = folder(&settings);
    owner.ok(&["run", "--until-idle", "1s"]);

    let topic_of = |topic: &str| format!("topic = \"{topic}\"");
    let said = fails(&folder(&settings.replace(&topic_of(&name), &topic_of(&other))), &["run"], 2);
    assert!(said.contains("the store belongs to") && said.contains(&name) && said.contains(&other), "{said}");

    let rollup = "[[rollup]]\nname = \"url-country\"\nby = [\"url\", \"country\"]\nwindows = [\"1h\"]\n";
    let said = fails(&folder(&format!("{settings}{rollup}")), &["run"], 2);
    assert!(said.contains("the settings differ from those that the store was made with"), "{said}");

    let layout = settings.replace("kind = \"hbase\"", "kind = \"hbase\"\nlayout = \"families\"");
    let said = fails(&folder(&layout), &["run"], 2);
    assert!(said.contains("layout of [store] is families, the store was made with fields"), "{said}");

    let begin = settings.find("[commit]").unwrap();
    let files = format!("[source]\nkind = \"files\"\npaths = [\"lines\"]\n{}", &settings[begin..]);
    let beside = folder(&files);
    beside.write("lines", "{}\n");
    let said = fails(&beside, &["run"], 2);
    assert!(said.contains("the store belongs to"), "{said}");

    check(&owner, &traffic);
    newer(&name);
    let said = fails(&owner, &["run"], 1);
    assert!(said.contains("the store was written by a newer version (format 99"), "{said}");
}

/// As a version to come would write the store's own row.
fn newer(table: &str) {
    let gateway = address("HBASE_THRIFT");
    let (host, port) = gateway.rsplit_once(':').unwrap();
    let gateways = vec![Gateway { host: host.into(), port: port.parse().unwrap() }];
    let settings = Hbase { gateways, table: table.into(), ..Hbase::default() };
    block_on(async {
        let store = HbaseStore::open(&settings, Absent::Refuse).await.unwrap();
        let row = store.read_row(TaskId::Meta).await.unwrap().unwrap();
        let mut meta: serde_json::Value = serde_json::from_slice(&row).unwrap();
        meta["format"] = 99.into();
        let newer = meta.to_string();
        assert_eq!(store.swap_row(TaskId::Meta, Some(&row), newer.as_bytes()).await, Ok(true));
    });
}

/// Deletes the topic and makes it again, with other records.
fn make_anew(name: &str, partitions: u32, lines: usize) -> Vec<Traffic> {
    let gone = block_on(admin().delete_topics(&[name], &AdminOptions::new())).unwrap();
    gone[0].as_ref().unwrap();
    thread::sleep(Duration::from_secs(2));
    create_of(name, partitions);
    let mut traffic: Vec<_> = (0..partitions).map(|p| Traffic::new(8, p, 50, 30, 40)).collect();
    write(name, &mut traffic, lines);
    traffic
}

#[test]
fn a_topic_that_is_made_anew_under_a_host_ends_it() {
    let name = unique("under");
    topic(&name, 400, 50);
    let folder = folder(&on_the_cluster(&name));
    let log = folder.path().join("log");
    let mut host = folder.command(&["run"]).stderr(std::fs::File::create(&log).unwrap()).spawn().unwrap();
    let began = Instant::now();
    while folder.run(&["query", "--format", "ndjson", "--limit", "1"]).stdout.is_empty() {
        assert!(began.elapsed() < Duration::from_secs(60), "no documents");
    }
    make_anew(&name, PARTITIONS, 500);
    let ended = loop {
        assert!(began.elapsed() < Duration::from_secs(150), "it goes on: {}", log.display());
        match host.try_wait().unwrap() {
            Some(status) => break status,
            None => thread::sleep(Duration::from_millis(100)),
        }
    };
    let said = std::fs::read_to_string(&log).unwrap();
    assert_eq!(ended.code(), Some(1), "{said}");
    assert!(said.contains("--resume-at"), "{said}");
}

#[test]
fn a_topic_that_was_made_anew_and_is_shorter_is_not_idle() {
    let name = unique("shorter");
    let first = topic(&name, 400, 50);
    let folder = folder(&on_the_cluster(&name));
    folder.ok(&["run", "--until-idle", "1s"]);
    // Of fewer partitions, too.
    let second = make_anew(&name, PARTITIONS - 1, 100);
    let said = fails(&folder, &["run", "--until-idle", "1s"], 1);
    assert!(
        said.contains("the topic is shorter than it was. Choose: `clickmill run --resume-at new-log`"),
        "{said}"
    );
    // Neither end of the topic lies behind the position.
    for (choice, offset) in [("earliest", 0), ("latest", 100)] {
        assert!(!said.contains(&format!("`{choice}`")), "{said}");
        let said = fails(&folder, &["run", "--until-idle", "1s", "--resume-at", choice], 1);
        assert!(
            said.contains(&format!("`{choice}` cannot be chosen here: it is offset {offset},")),
            "{said}"
        );
        assert!(said.contains("--resume-at new-log"), "{said}");
    }
    folder.ok(&["run", "--until-idle", "1s", "--resume-at", "new-log"]);
    logs(&folder, &first, &second);
}

#[test]
fn another_topic_under_the_same_name_is_read_only_as_told() {
    let name = unique("anew");
    let first = topic(&name, 400, 50);
    let folder = folder(&on_the_cluster(&name));
    folder.ok(&["run", "--until-idle", "1s"]);
    let second = make_anew(&name, PARTITIONS, 500);
    let said = fails(&folder, &["run", "--until-idle", "1s"], 1);
    assert!(said.contains("made anew") && said.contains("--resume-at new-log`"), "{said}");
    let said = fails(&folder, &["run", "--until-idle", "1s", "--resume-at", "earliest"], 1);
    assert!(said.contains("`earliest` cannot be chosen here: it is offset 0,"), "{said}");

    folder.ok(&["run", "--until-idle", "1s", "--resume-at", "new-log"]);
    logs(&folder, &first, &second);
}

/// The answer is that of two logs: nobody's visit goes on from the one into the other.
fn logs(folder: &Folder, first: &[Traffic], second: &[Traffic]) {
    let mut clicks: Vec<_> = first.iter().flat_map(|traffic| traffic.clicks.clone()).collect();
    clicks.extend(second.iter().flat_map(|traffic| traffic.clicks.clone()).map(|mut click| {
        click.partition += PARTITIONS;
        click
    }));
    let found = documents(&folder.ok(&["query", "--format", "ndjson", "--limit", "0"]));
    compare(&found, &answer(&clicks).unwrap()).unwrap();
}

/// Deletes the records of each partition that lie before an offset.
fn delete_before(name: &str, offset: i64) {
    let mut before = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        before.add_partition_offset(name, partition as i32, Offset::Offset(offset)).unwrap();
    }
    block_on(admin().delete_records(&before, &AdminOptions::new())).unwrap();
}

#[test]
fn records_that_were_deleted_unread_are_passed_over_as_told() {
    for choice in ["earliest", "latest"] {
        let name = unique(choice);
        let mut traffic = topic(&name, 300, 50);
        let folder = folder(&on_the_cluster(&name));
        folder.ok(&["run", "--until-idle", "1s"]);
        write(&name, &mut traffic, 200);
        delete_before(&name, 400);
        let said = fails(&folder, &["run", "--until-idle", "1s"], 1);
        assert!(said.contains("the position 300 lies outside of what is there, 400 to 500"), "{said}");
        for choice in ["`clickmill run --resume-at earliest`", "`latest`", "`new-log`"] {
            assert!(said.contains(choice), "{choice}: {said}");
        }
        folder.ok(&["run", "--until-idle", "1s", "--resume-at", choice]);
        write(&name, &mut traffic, 100);
        folder.ok(&["run", "--until-idle", "1s"]);

        let from = if choice == "earliest" { 400 } else { 500 };
        let read = |click: &&Click| click.offset < 300 || click.offset >= from;
        let clicks: Vec<_> =
            traffic.iter().flat_map(|traffic| traffic.clicks.iter().filter(read)).cloned().collect();
        let found = documents(&folder.ok(&["query", "--format", "ndjson", "--limit", "0"]));
        compare(&found, &answer(&clicks).unwrap()).unwrap();
        let events = ndjson(&folder.ok(&["events", "--format", "ndjson", "--limit", "0"]));
        assert_eq!(events.len(), clicks.len());
    }
}

#[test]
fn names_of_the_index_that_others_have_are_left_alone() {
    let foreign = |name: &str, make: &dyn Fn(&str), says: &str| {
        create(name);
        make(name);
        let folder = folder(&on_the_cluster(name));
        for command in [&["check"][..], &["run", "--until-idle", "1s"]] {
            let said = fails(&folder, command, 1);
            assert!(said.contains(says), "{says}: {said}");
        }
    };
    let put = |path: &str, body: &str| {
        let answer = elasticsearch("PUT", path, Some(body));
        assert_eq!(answer["acknowledged"], true, "{answer}");
    };
    foreign(
        &unique("isindex"),
        &|name| put(&format!("/{name}"), "{}"),
        "it is an index, and should be an alias over indices; choose another name",
    );
    foreign(
        &unique("twice"),
        &|name| {
            for other in ["a", "b"] {
                put(
                    &format!("/{other}-{name}"),
                    &format!(r#"{{"aliases": {{"{name}-url-country-1h": {{}}}}}}"#),
                );
            }
        },
        "it is an alias over several indices (",
    );
    foreign(
        &unique("foreign"),
        &|name| put(&format!("/other-{name}"), &format!(r#"{{"aliases": {{"{name}": {{}}}}}}"#)),
        "it was not made by clickmill; choose another name",
    );
}

#[test]
fn a_mapping_that_conflicts_is_an_error_and_an_index_that_was_deleted_stays_away() {
    let name = unique("mapping");
    let mut traffic = topic(&name, 300, 50);
    let folder = folder(&on_the_cluster(&name));
    folder.ok(&["run", "--until-idle", "1s"]);
    let index = format!("{name}-url-country-1h");
    let mut mappings = elasticsearch("GET", &format!("/{index}/_mapping"), None)[&index]["mappings"].take();
    let conflicts = [
        (
            "@timestamp",
            serde_json::json!({"type": "date", "format": "epoch_second"}),
            "the field @timestamp is date with format \"epoch_second\", not date",
        ),
        ("clicks", serde_json::json!({"type": "keyword"}), "the field clicks is keyword, not long"),
    ];
    for (field, other, says) in conflicts {
        let ours = std::mem::replace(&mut mappings["properties"][field], other);
        elasticsearch("DELETE", &format!("/{index}"), None);
        let body = serde_json::json!({"mappings": mappings}).to_string();
        elasticsearch("PUT", &format!("/{index}"), Some(&body));
        let said = fails(&folder, &["run", "--until-idle", "1s"], 1);
        assert!(said.contains(says), "{said}");
        mappings["properties"][field] = ours;
    }
    elasticsearch("DELETE", &format!("/{index}"), None);
    let said = fails(&folder, &["run", "--until-idle", "1s"], 1);
    assert!(said.contains("it was deleted; `clickmill reindex` makes it again"), "{said}");
    folder.ok(&["reindex"]);

    // Under a host that runs: it says so, and waits for whoever can tell what is right.
    let log = folder.path().join("log");
    let mut host = folder.command(&["run"]).stderr(std::fs::File::create(&log).unwrap()).spawn().unwrap();
    write(&name, &mut traffic, 100);
    thread::sleep(Duration::from_secs(3));
    elasticsearch("DELETE", &format!("/{index}"), None);
    write(&name, &mut traffic, 100);
    let began = Instant::now();
    while !std::fs::read_to_string(&log).unwrap().contains("it was deleted") {
        assert!(began.elapsed() < Duration::from_secs(60), "it says nothing");
        assert!(host.try_wait().unwrap().is_none(), "it ends");
        thread::sleep(Duration::from_millis(100));
    }
    host.kill().unwrap();
    host.wait().unwrap();
    folder.ok(&["reindex"]);
    folder.ok(&["run", "--until-idle", "1s"]);
    check(&folder, &traffic);
}

#[test]
fn two_hosts_with_the_same_files_on_one_store_are_told_apart() {
    let name = unique("files");
    let settings = on_the_cluster(&name);
    let begin = settings.find("[commit]").unwrap();
    let folder = folder(&format!(
        "[source]\nkind = \"files\"\npaths = [\"lines\"]\nfollow = true\n{}",
        &settings[begin..]
    ));
    folder.write("lines", "");
    let run = |log: &str| {
        let log = std::fs::File::create(folder.path().join(log)).unwrap();
        folder.command(&["run"]).stderr(log).spawn().unwrap()
    };
    let (mut one, mut two) = (run("one.log"), run("two.log"));
    let began = Instant::now();
    let ended = loop {
        assert!(began.elapsed() < Duration::from_secs(120), "they go on for ever");
        match (one.try_wait().unwrap(), two.try_wait().unwrap()) {
            (Some(status), _) => break ("one.log", status),
            (_, Some(status)) => break ("two.log", status),
            _ => thread::sleep(Duration::from_millis(100)),
        }
    };
    for host in [&mut one, &mut two] {
        let _ = host.kill();
        host.wait().unwrap();
    }
    let said = std::fs::read_to_string(folder.path().join(ended.0)).unwrap();
    assert_eq!(ended.1.code(), Some(1), "{said}");
    assert!(said.contains("only one host may read files into a store"), "{said}");
}

#[test]
fn a_store_that_is_not_there_is_told_and_only_run_makes_it() {
    let name = unique("nostore");
    let traffic = topic(&name, 300, 50);
    let folder = folder(&on_the_cluster(&name));
    let tables = format!("{name}, {name}_state, {name}_dead_letters");
    for _ in 0..2 {
        for command in [&["events"][..], &["dead-letters"], &["dead-letters", "--documents"], &["reindex"]] {
            let said = fails(&folder, command, 1);
            let expected = format!(
                "error: HBase at {}: there is no store: the tables {tables} are absent; name the right one in [store] table, or \
                 begin a new store with `clickmill run`\n",
                address("HBASE_THRIFT")
            );
            assert!(said.ends_with(&expected), "{command:?}: {said}");
        }
        let said = folder.ok(&["check"]);
        assert!(
            said.contains(&format!("store     not there yet: `clickmill run` makes {tables}, each in")),
            "{said}"
        );
        assert!(said.ends_with("\nall else is there\n"), "{said}");
    }
    folder.ok(&["run", "--until-idle", "1s"]);
    check(&folder, &traffic);
    assert!(folder.ok(&["check"]).ends_with("\nall is there\n"));
}

#[test]
fn hosts_that_start_one_after_the_other_on_a_new_store_all_run() {
    let name = unique("together");
    let traffic = topic(&name, 1_000, 50);
    let folder = folder(&on_the_cluster(&name));
    let hosts: Vec<_> = (0..4)
        .map(|host| {
            thread::sleep(Duration::from_millis(100));
            let log = folder.path().join(format!("log{host}"));
            let mut command = folder.command(&["run", "--until-idle", "5s"]);
            (command.stderr(std::fs::File::create(&log).unwrap()).spawn().unwrap(), log)
        })
        .collect();
    for (mut host, log) in hosts {
        let status = host.wait().unwrap();
        assert!(status.success(), "{}", std::fs::read_to_string(log).unwrap());
    }
    check(&folder, &traffic);
}

#[test]
fn a_store_whose_state_was_lost_is_not_begun_anew() {
    let name = unique("lost");
    topic(&name, 300, 50);
    let folder = folder(&on_the_cluster(&name));
    folder.ok(&["run", "--until-idle", "1s"]);
    let state = format!("{name}_state");
    for (as_owner, what) in [
        (format!("disable {state} : delete {state}"), "is absent"),
        (format!("create {state} 1 s"), "has no row of the store"),
    ] {
        let admin = concat!(env!("CARGO_MANIFEST_DIR"), "/services/hbase/admin.sh");
        let done = std::process::Command::new("bash").arg(admin).args(as_owner.split(' ')).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        for command in [&["run"][..], &["check"], &["events"], &["dead-letters"], &["reindex"]] {
            let said = fails(&folder, command, 1);
            let expected = format!(
                "the table {state} {what}, though there are rows in {name} and {name}_dead_letters: the state of this store was \
                 lost"
            );
            assert!(
                said.contains(&expected) && said.contains("from snapshots of one moment"),
                "{command:?}: {said}"
            );
        }
    }
}
