//! A broker that is killed and comes back: one of this test's own, so that nobody else misses it.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use clickmill_settings::Kafka;
use clickmill_tasks::env::{Fetched, Reader, Trouble};
use futures_executor::block_on;
use support::*;

/// A broker of this test's own, with its data.
struct Broker {
    home: PathBuf,
    ports: Vec<(&'static str, u16)>,
}

impl Broker {
    fn start() -> Broker {
        let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("broker-{}", std::process::id()));
        let names = [
            "KAFKA_PORT",
            "KAFKA_CONTROLLER_PORT",
            "KAFKA_SASL_SSL_PORT",
            "KAFKA_SSL_PORT",
            "KAFKA_SASL_PORT",
            "KAFKA_BEHIND_PORT",
            "KAFKA_PROXY_PORT",
        ];
        // All held at once, so that they differ.
        let free: Vec<_> = names.iter().map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let ports = names.iter().zip(&free).map(|(name, held)| (*name, held.local_addr().unwrap().port()));
        let broker = Broker { home, ports: ports.collect() };
        drop(free);
        broker.services("up");
        broker
    }

    fn services(&self, what: &str) {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../tests/services/services.sh");
        let ports = self.ports.iter().map(|(name, port)| (*name, port.to_string()));
        let done = Command::new(script)
            .args([what, "kafka"])
            .env("SERVICES_HOME", &self.home)
            .envs(ports)
            .output()
            .unwrap();
        assert!(done.status.success(), "{what}: {}", String::from_utf8_lossy(&done.stderr));
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.services("wipe");
    }
}

#[test]
fn a_broker_that_is_killed_and_comes_back_costs_no_record() {
    let broker = Broker::start();
    let brokers = format!("127.0.0.1:{}", broker.ports[0].1);
    let settings = Kafka { brokers, topic: "clicks".into(), group: "clicks".into(), ..Kafka::default() };
    make(&settings, 1);
    let texts: Vec<String> = (0..6_000).map(|n| format!("record {n}")).collect();
    let (first, second) = texts.split_at(5_000);
    write(&settings, &first.iter().map(String::as_str).collect::<Vec<_>>());
    let source = source(&settings);
    let mut changes = source.join().unwrap();
    assert_eq!(assigned(&mut changes, 1).len(), 1);
    let mut reader = open(&source, &at(0, None)).unwrap();
    let mut got = read(&mut reader, 1).offsets;

    broker.services("kill9");
    // Whatever the reader says while the broker is away, what it gives goes on where it was.
    let away = Instant::now();
    let mut troubles = Vec::new();
    while away.elapsed() < Duration::from_secs(12) {
        match block_on(reader.next(Duration::from_millis(200))) {
            Ok(Fetched::Batch(batch)) => got.extend(batch.offsets),
            Ok(_) => {}
            Err(Trouble::Passing(text)) => troubles.push(text),
            Err(trouble) => panic!("{trouble}"),
        }
    }
    let Err(Trouble::Passing(text)) = block_on(source.partition_count()) else { panic!("it is still there") };
    assert!(text.contains("no broker answers: ") && text.contains("Connection refused"), "{text}");

    broker.services("up");
    write(&settings, &second.iter().map(String::as_str).collect::<Vec<_>>());
    let back = Instant::now();
    while got.len() < texts.len() {
        assert!(back.elapsed() < 3 * SOON, "{} records; {troubles:?}", got.len());
        match block_on(reader.next(Duration::from_millis(200))) {
            Ok(Fetched::Batch(batch)) => got.extend(batch.offsets),
            Ok(_) => {}
            Err(Trouble::Passing(text)) => troubles.push(text),
            Err(trouble) => panic!("{trouble}"),
        }
    }
    println!("{troubles:#?}");
    assert_eq!(got, (0..texts.len() as i64).collect::<Vec<_>>());
    reader.committed(got.len() as i64);

    // The leader's epoch has risen, so that the client takes what it hears of a new topic for older than what it knows.
    drop(reader);
    let last = (5_999, "record 5999");
    let mut reader = open(&source, &at(6_000, Some(last))).unwrap();
    nothing_comes(&mut reader);
    delete(&settings);
    std::thread::sleep(Duration::from_millis(300));
    make(&settings, 1);
    let other: Vec<String> = (0..7_000).map(|n| format!("other {n}")).collect();
    write(&settings, &other.iter().map(String::as_str).collect::<Vec<_>>());
    let remade = Instant::now();
    loop {
        match block_on(reader.next(Duration::from_millis(200))) {
            Ok(Fetched::Batch(batch)) => panic!("read on: {:?}", batch.offsets),
            Ok(_) => assert!(remade.elapsed() < 3 * SOON, "nothing was noticed"),
            Err(_) => break,
        }
    }
    drop(reader);
    let text = loop {
        match open(&source, &at(6_000, Some(last))) {
            Err(Trouble::Final(text)) => break text,
            Err(Trouble::Passing(text)) => assert!(remade.elapsed() < 6 * SOON, "{text}"),
            _ => panic!("opened"),
        }
    };
    assert!(text.contains("the record at offset 5999 is not the one that was read before"), "{text}");
}
