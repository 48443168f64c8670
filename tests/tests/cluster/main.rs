//! The same record through a real Kafka, a real HBase and a real Elasticsearch: documents equal SQL, and equal those of an
//! embedded run over the same topic.

mod faults;
mod hosts;
mod shapes;
mod shipped;
mod start;

use std::{
    process::Stdio,
    time::{Duration, Instant},
};

use clickmill_tests::{
    Folder, Traffic, answer, compare, compare_events, documents, ndjson,
    services::{address, elasticsearch, on_the_cluster, unique},
    summary,
};
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    producer::{BaseProducer, BaseRecord, Producer},
};

const PARTITIONS: u32 = 4;

/// A new topic with traffic in each partition.
fn topic(name: &str, lines: usize, users: u64) -> Vec<Traffic> {
    topic_of(name, PARTITIONS, lines, users)
}

fn topic_of(name: &str, partitions: u32, lines: usize, users: u64) -> Vec<Traffic> {
    create_of(name, partitions);
    let mut all: Vec<Traffic> = (0..partitions).map(|p| Traffic::new(7, p, users, 30, 40)).collect();
    write(name, &mut all, lines);
    all
}

fn client() -> ClientConfig {
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", address("KAFKA_BOOTSTRAP"));
    client
}

/// More lines into each partition.
fn write(topic: &str, traffic: &mut [Traffic], lines: usize) {
    let producer: BaseProducer = client().create().unwrap();
    for (partition, traffic) in traffic.iter_mut().enumerate() {
        for _ in 0..lines {
            let line = traffic.line();
            let mut record = BaseRecord::<(), _>::to(topic).partition(partition as i32).payload(&line);
            while let Err((error, back)) = producer.send(record) {
                // A new partition is not known at once.
                let passing = ["QueueFull", "UnknownPartition"];
                assert!(passing.iter().any(|text| error.to_string().contains(text)), "{error}");
                producer.poll(Duration::from_millis(50));
                record = back;
            }
        }
    }
    producer.flush(Duration::from_secs(60)).unwrap();
}

fn admin() -> AdminClient<DefaultClientContext> {
    client().create().unwrap()
}

fn create(name: &str) {
    create_of(name, PARTITIONS);
}

fn create_of(name: &str, partitions: u32) {
    let topic = NewTopic::new(name, partitions as i32, TopicReplication::Fixed(1));
    let made = futures_executor::block_on(admin().create_topics([&topic], &AdminOptions::new())).unwrap();
    made[0].as_ref().unwrap();
}

/// The same topic, into an embedded store.
fn embedded(name: &str) -> String {
    let brokers = address("KAFKA_BOOTSTRAP");
    format!(
        "[source]\nkind = \"kafka\"\nbrokers = \"{brokers}\"\ntopic = \"{name}\"\ngroup = \"{name}-embedded\"\n\
         [store]\npath = \"store\"\n"
    )
}

fn check(folder: &Folder, traffic: &[Traffic]) {
    let clicks: Vec<_> = traffic.iter().flat_map(|traffic| traffic.clicks.clone()).collect();
    let found = documents(&folder.ok(&["query", "--format", "ndjson", "--limit", "0"]));
    compare(&found, &answer(&clicks).unwrap()).unwrap();
    let events = ndjson(&folder.ok(&["events", "--format", "ndjson", "--limit", "0"]));
    compare_events(&events, &clicks).unwrap();
    let dead: u64 = traffic.iter().map(|traffic| traffic.dead).sum();
    let letters = ndjson(&folder.ok(&["dead-letters", "--format", "ndjson", "--limit", "0"]));
    assert_eq!(letters.len() as u64, dead);
}

#[test]
fn kafka_hbase_and_elasticsearch_give_the_answer_of_sql() {
    let name = unique("clicks");
    let traffic = topic(&name, 2_000, 200);
    let folder = Folder::new("cluster");
    folder.write("clickmill.toml", on_the_cluster(&name));
    folder.ok(&["check"]);
    let last = summary(&folder.ok(&["run", "--until-idle", "2s", "--summary", "json"]));
    assert_eq!(last["records"], 2_000 * PARTITIONS);
    check(&folder, &traffic);

    let aliases = elasticsearch("GET", &format!("/_alias/{name}"), None);
    let indices: Vec<&String> = aliases.as_object().unwrap().keys().collect();
    assert_eq!(
        indices,
        [
            &format!("{name}-url-country-1d"),
            &format!("{name}-url-country-1h"),
            &format!("{name}-url-country-1m")
        ]
    );

    // Two embedded stores in one group: each host reads all partitions into its own.
    let beside = [(); 2].map(|()| Folder::new("cluster-embedded"));
    let hosts = beside.each_ref().map(|folder| {
        folder.write("clickmill.toml", embedded(&name));
        folder.command(&["run", "--until-idle", "2s"]).stdout(Stdio::null()).spawn().unwrap()
    });
    for (folder, mut host) in beside.iter().zip(hosts) {
        assert!(host.wait().unwrap().success());
        check(folder, &traffic);
    }
}

#[test]
fn a_host_that_was_killed_is_taken_over() {
    let name = unique("kills");
    let traffic = topic(&name, 3_000, 200);
    let folder = Folder::new("cluster-kills");
    folder.write("clickmill.toml", on_the_cluster(&name));
    for _ in 0..3 {
        let mut host = folder.command(&["run"]).spawn().unwrap();
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(4) && host.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(50));
        }
        host.kill().unwrap();
        host.wait().unwrap();
    }
    folder.ok(&["run", "--until-idle", "2s"]);
    check(&folder, &traffic);
}

/// Most users and groups lie in cells of HBase between their events; then the index is damaged, and then it is deleted.
#[test]
fn reindex_makes_the_index_whole_again() {
    let name = unique("again");
    let traffic = topic(&name, 3_000, 2_500);
    let folder = Folder::new("cluster-again");
    // A key that changes with a commit stays in memory, so commits are to be short.
    let bounds = "[state]\nkeys = 1000\ngroups = 1000\n";
    let commits = "interval = \"200ms\"\nmax_records = 300";
    let settings = on_the_cluster(&name).replace("interval = \"200ms\"", commits);
    folder.write("clickmill.toml", settings + bounds);
    folder.ok(&["run", "--until-idle", "2s"]);
    check(&folder, &traffic);

    let query = r#"{"query": {"term": {"country": "DE"}}}"#;
    elasticsearch("POST", &format!("/{name}/_refresh"), None);
    let gone = elasticsearch("POST", &format!("/{name}/_delete_by_query?refresh=true"), Some(query));
    assert!(gone["deleted"].as_u64() > Some(0), "{gone}");
    folder.ok(&["reindex"]);
    folder.ok(&["run", "--until-idle", "2s"]);
    check(&folder, &traffic);

    elasticsearch("DELETE", &format!("/{name}-url-country-1h"), None);
    folder.ok(&["reindex"]);
    folder.ok(&["run", "--until-idle", "2s"]);
    check(&folder, &traffic);
}

/// The index refuses some documents for good: they are kept, counted and shown, and everything else goes on.
#[test]
fn refused_documents_are_kept_until_they_are_taken() {
    let name = unique("refused");
    let mut traffic = topic(&name, 500, 200);
    let folder = Folder::new("cluster-refused");
    folder.write("clickmill.toml", on_the_cluster(&name));
    folder.ok(&["run", "--until-idle", "2s"]);

    // A pipeline, which a start would not accept, comes under a host that runs.
    let refuse =
        r#"{"processors": [{"convert": {"field": "url", "type": "integer", "if": "ctx.country == 'DE'"}}]}"#;
    elasticsearch("PUT", &format!("/_ingest/pipeline/{name}"), Some(refuse));
    let through = |pipeline: &str| {
        let body = format!(r#"{{"index.default_pipeline": "{pipeline}"}}"#);
        elasticsearch("PUT", &format!("/{name}-url-country-1h/_settings"), Some(&body));
    };
    let mut host = folder.command(&["run"]).spawn().unwrap();
    let kept = || ndjson(&folder.ok(&["dead-letters", "--documents", "--format", "ndjson", "--limit", "0"]));
    write(&name, &mut traffic, 100);
    std::thread::sleep(Duration::from_secs(2));
    through(&name);
    write(&name, &mut traffic, 500);
    let began = Instant::now();
    while kept().is_empty() {
        assert!(began.elapsed() < Duration::from_secs(60), "no document is refused");
        assert!(host.try_wait().unwrap().is_none(), "a refused document ends no host");
    }
    assert!(kept().iter().all(|document| document["window"] == "1h" && document["country"] == "DE"));
    host.kill().unwrap();
    host.wait().unwrap();

    through("_none");
    folder.ok(&["reindex"]);
    folder.ok(&["run", "--until-idle", "2s", "--summary", "json"]);
    assert!(kept().is_empty());
    check(&folder, &traffic);
}
