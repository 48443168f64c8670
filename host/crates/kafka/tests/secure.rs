//! TLS and credentials, on the listeners of a real broker (tests/services/services.sh up kafka).

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::{fs, path::Path};

use clickmill_kafka::Producer;
use clickmill_settings::{Kafka, Secret};
use clickmill_tasks::env::Trouble;
use futures_executor::block_on;
use support::*;

fn variable(name: &str) -> String {
    std::env::var(name)
        .unwrap_or_else(|_| panic!("{name}: start it with tests/services/services.sh up kafka"))
}

/// The settings for another listener.
fn through(listener: &str, settings: &Kafka, options: &[(&str, &str)]) -> Kafka {
    let (trusted, brokers) = (variable("KAFKA_CA"), variable(listener));
    let mut settings = Kafka { brokers, ..settings.clone() };
    if listener.ends_with("SSL") {
        settings.options.insert("ssl.ca.location".into(), Secret::Text(trusted));
    }
    if listener.contains("SASL") {
        settings = with(&settings, &[("sasl.username", "clickmill"), ("sasl.password", "clickmill-secret")]);
    }
    with(&settings, options)
}

const SASL_SSL: (&str, &str) = ("security.protocol", "SASL_SSL");
const SASL_PLAINTEXT: (&str, &str) = ("security.protocol", "SASL_PLAINTEXT");
const SSL: (&str, &str) = ("security.protocol", "SSL");
const PLAIN: (&str, &str) = ("sasl.mechanisms", "PLAIN");
const SCRAM_256: (&str, &str) = ("sasl.mechanisms", "SCRAM-SHA-256");
const SCRAM_512: (&str, &str) = ("sasl.mechanisms", "SCRAM-SHA-512");

#[test]
fn records_are_written_and_read_through_every_listener() {
    for (listener, options) in [
        ("KAFKA_SSL", &[SSL][..]),
        ("KAFKA_SASL_SSL", &[SASL_SSL, PLAIN]),
        ("KAFKA_SASL_SSL", &[SASL_SSL, SCRAM_512]),
        ("KAFKA_SASL_PLAINTEXT", &[SASL_PLAINTEXT, SCRAM_256]),
    ] {
        let settings = through(listener, &topic(1), options);
        let producer = Producer::new(&settings).unwrap();
        producer.send(b"key", listener.as_bytes()).unwrap();
        producer.flush(SOON).unwrap();
        let source = source(&settings);
        let mut changes = source.join().unwrap();
        assert_eq!(assigned(&mut changes, 1).len(), 1, "{listener}");
        assert_eq!(texts(&read(&mut open(&source, &at(0, None)).unwrap(), 1)), [listener]);
    }
}

#[test]
fn a_password_is_read_from_a_file() {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("password");
    fs::write(&file, "clickmill-secret\n").unwrap();
    let mut settings = through("KAFKA_SASL_SSL", &topic(1), &[SASL_SSL, SCRAM_512]);
    settings.options.insert("sasl.password".into(), Secret::File(file));
    assert_eq!(block_on(source(&settings).partition_count()).unwrap(), 1);
}

/// The passing trouble of a question, with `BROKER` and `TOPIC` for what is another each time.
fn asked(settings: &Kafka) -> String {
    match block_on(source(settings).partition_count()) {
        Err(Trouble::Passing(text)) => {
            text.replace(&settings.brokers, "BROKER").replace(&settings.topic, "TOPIC")
        }
        other => panic!("{other:?}"),
    }
}

const DOING: &str = "Kafka at BROKER, topic TOPIC, asking for its partitions: ";

#[test]
fn credentials_that_are_wrong_are_told() {
    for (mechanism, said) in [
        (PLAIN, "Authentication failed: Invalid username or password"),
        (
            SCRAM_512,
            "Authentication failed during authentication due to invalid credentials with SASL mechanism SCRAM-SHA-512",
        ),
    ] {
        let wrong = ("sasl.password", "wrong");
        let text = asked(&through("KAFKA_SASL_SSL", &settings(), &[SASL_SSL, mechanism, wrong]));
        assert_eq!(
            text,
            format!(
                "{DOING}the broker does not take these credentials: sasl_ssl://BROKER/bootstrap: SASL authentication error: \
                 {said}. Check `sasl.mechanisms`, `sasl.username` and `sasl.password` in [source.options]"
            )
        );
    }
}

#[test]
fn a_broker_that_is_not_trusted_is_told() {
    let other = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/other-ca.pem");
    let text = asked(&through("KAFKA_SSL", &settings(), &[SSL, ("ssl.ca.location", other)]));
    assert!(
        text.starts_with(&format!(
            "{DOING}no TLS with the broker: ssl://BROKER/bootstrap: SSL handshake failed: "
        )),
        "{text}"
    );
    assert!(
        text.ends_with(
            "certificate verify failed: broker certificate could not be verified, verify that ssl.ca.location is correctly \
             configured or root CA certificates are installed (install ca-certificates package). Check `security.protocol` and \
             `ssl.ca.location` in [source.options], and the port"
        ),
        "{text}"
    );
}

#[test]
fn a_port_that_wants_tls_or_none_is_told() {
    let plain = Kafka { brokers: variable("KAFKA_SSL"), ..settings() };
    let (strange, check) = (
        "what answers is no broker of Kafka, or wants TLS or credentials: BROKER/bootstrap: Disconnected: connection closed by \
         peer: receive 0 after POLLIN.",
        "Check `brokers`, and `security.protocol` in [source.options]",
    );
    assert_eq!(asked(&plain), format!("{DOING}{strange} {check}"));
    let tls = Kafka { brokers: variable("KAFKA_BOOTSTRAP"), ..through("KAFKA_SSL", &settings(), &[SSL]) };
    let text = asked(&tls);
    // It depends on who is first whether the client hears that this is no TLS, or that the broker hangs up.
    let (no_tls, hangs_up) =
        ("no TLS with the broker", "what answers is no broker of Kafka, or wants TLS or credentials");
    let said = |what: &str| text.starts_with(&format!("{DOING}{what}: ssl://BROKER/bootstrap: "));
    assert!((said(no_tls) || said(hangs_up)) && text.contains("`security.protocol`"), "{text}");
    // The broker waits for credentials and hangs up.
    let nobody = Kafka { brokers: variable("KAFKA_SASL_PLAINTEXT"), ..settings() };
    let text = asked(&nobody);
    assert!(
        text.starts_with(&format!(
            "{DOING}what answers is no broker of Kafka, or wants TLS or credentials: BROKER/bootstrap: "
        )),
        "{text}"
    );
    assert!(text.ends_with(check), "{text}");
}
