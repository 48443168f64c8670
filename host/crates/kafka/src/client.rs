//! What every client of a broker is told, and what it says of troubles.

use clickmill_settings::Kafka;
use clickmill_tasks::env::Trouble;
use rdkafka::{
    ClientConfig, ClientContext,
    config::RDKafkaLogLevel,
    consumer::ConsumerContext,
    error::{KafkaError, RDKafkaErrorCode},
};

/// Of a member that died, the partitions are given to others after this time.
const SESSION_TIMEOUT_MS: &str = "10000";
/// Members hear of a rebalance by the answer to a heartbeat, so it bounds how fast partitions are handed over.
const HEARTBEAT_MS: &str = "300";

/// Settings of a consumer. Those that exactness depends on come last, so that no option undoes them.
pub(crate) fn consumer(settings: &Kafka) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("session.timeout.ms", SESSION_TIMEOUT_MS).set("heartbeat.interval.ms", HEARTBEAT_MS);
    options(&mut config, settings);
    for (name, value) in [
        ("group.id", settings.group.as_str()),
        ("partition.assignment.strategy", "cooperative-sticky"),
        ("isolation.level", "read_committed"),
        ("enable.auto.commit", "false"),
        ("enable.auto.offset.store", "false"),
        ("enable.partition.eof", "true"),
        ("auto.offset.reset", "error"),
    ] {
        config.set(name, value);
    }
    config
}

/// Settings of a producer.
pub(crate) fn producer(settings: &Kafka) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("linger.ms", "20").set("compression.type", "lz4");
    // Where the clients of most languages send a key.
    config.set("partitioner", "murmur2_random");
    options(&mut config, settings);
    config.set("enable.idempotence", "true");
    config
}

fn options(config: &mut ClientConfig, settings: &Kafka) {
    for (name, value) in &settings.options {
        config.set(name, value);
    }
    config.set("bootstrap.servers", &settings.brokers);
}

/// `doing` completes "Kafka at brokers, topic name, ".
pub(crate) fn trouble(settings: &Kafka, doing: &str, error: &KafkaError) -> Trouble {
    let text = format!("Kafka at {}, topic {}, {doing}: {}", settings.brokers, settings.topic, cause(error));
    // A client that cannot even be made was told something wrong.
    match error {
        KafkaError::ClientConfig(..) | KafkaError::ClientCreation(_) => Trouble::Final(text),
        _ => Trouble::Passing(text),
    }
}

fn cause(error: &KafkaError) -> String {
    match error {
        KafkaError::ClientConfig(_, description, name, value) => {
            format!("option {name} = {value}: {description}")
        }
        _ => match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::AllBrokersDown | RDKafkaErrorCode::BrokerTransportFailure) => {
                "no broker answers".into()
            }
            Some(RDKafkaErrorCode::OperationTimedOut | RDKafkaErrorCode::RequestTimedOut) => {
                "no answer in time".into()
            }
            Some(
                RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::UnknownTopic
                | RDKafkaErrorCode::UnknownPartition,
            ) => "there is no such topic or partition".into(),
            Some(code) => code.to_string(),
            None => error.to_string(),
        },
    }
}

/// Passes on what the library logs.
pub(crate) struct Logged;

impl ClientContext for Logged {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        log_error(&error, reason);
    }
}

impl ConsumerContext for Logged {}

pub(crate) fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    tracing::debug!(target: "kafka", ?level, facility, "{message}");
}

pub(crate) fn log_error(error: &KafkaError, reason: &str) {
    // Repeated with each attempt; the one about all brokers says enough.
    if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown) {
        tracing::warn!("Kafka: no broker answers: {reason}");
    } else {
        tracing::debug!(target: "kafka", "{error}: {reason}");
    }
}
