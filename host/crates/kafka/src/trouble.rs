//! What is said of troubles.

use clickmill_settings::Kafka;
use clickmill_tasks::env::Trouble;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::{
    client::is_secret,
    heard::{Heard, Said},
};

/// `doing` completes "Kafka at brokers, topic name, ".
pub(crate) fn trouble(settings: &Kafka, heard: &Heard, doing: &str, error: &KafkaError) -> Trouble {
    let text = at(settings, &format!(", {doing}: {}", cause(settings, heard, error)));
    // A client that cannot even be made was told something wrong.
    match error {
        KafkaError::ClientConfig(..) | KafkaError::ClientCreation(_) => Trouble::Final(text),
        _ => Trouble::Passing(text),
    }
}

/// Where it happened, and what: `rest` completes "Kafka at brokers, topic name".
pub(crate) fn at(settings: &Kafka, rest: &str) -> String {
    format!("Kafka at {}, topic {}{rest}", settings.brokers, settings.topic)
}

/// The topic is not there.
pub(crate) fn no_topic(settings: &Kafka) -> String {
    let topic = &settings.topic;
    at(
        settings,
        &format!(
            ": there is no such topic. Make it: `kafka-topics.sh --bootstrap-server {} --create --topic {topic} --partitions 8`, or \
             with made-up traffic: `clickmill generate --to-topic`",
            settings.brokers
        ),
    )
}

fn cause(settings: &Kafka, heard: &Heard, error: &KafkaError) -> String {
    let code = match error {
        KafkaError::ClientConfig(_, description, name, value) => {
            return if is_secret(settings, name) {
                format!("option {name}: its value is refused")
            } else {
                format!("option {name} = {value}: {description}")
            };
        }
        KafkaError::ClientCreation(text) => return creation(text),
        _ => error.rdkafka_error_code(),
    };
    use RDKafkaErrorCode::{
        AllBrokersDown, BrokerTransportFailure, GroupAuthorizationFailed, MessageTimedOut, OperationTimedOut,
        RequestTimedOut, TopicAuthorizationFailed, UnknownPartition, UnknownTopic, UnknownTopicOrPartition,
    };
    match code {
        Some(
            AllBrokersDown | BrokerTransportFailure | MessageTimedOut | OperationTimedOut | RequestTimedOut,
        ) => match (heard.why(), code) {
            (Some(said), _) => why(&said),
            (None, Some(MessageTimedOut | OperationTimedOut | RequestTimedOut)) => "no answer in time".into(),
            (None, _) => "no broker answers".into(),
        },
        Some(UnknownTopicOrPartition | UnknownTopic | UnknownPartition) => {
            "there is no such topic or partition".into()
        }
        Some(TopicAuthorizationFailed) => {
            "the broker does not let this user read the topic: give it READ and DESCRIBE on it".into()
        }
        Some(GroupAuthorizationFailed) => {
            format!("the broker does not let this user into the group {}: give it READ on it", settings.group)
        }
        Some(code) => code.to_string(),
        None => error.to_string(),
    }
}

/// What the client says where something came, or did not come, in the place of an answer.
const STRANGE: [&str; 4] = ["Invalid response size", "ApiVersion", "Disconnected", "Broken pipe"];
/// Its guesses at the reason, which are wrong with every broker of this time.
const MISLEADING: [&str; 2] = [
    ": increase receive.message.max.bytes",
    ": probably due to broker version < 0.10 (see api.version.request configuration)",
];

fn no_tls(reason: &str) -> String {
    format!(
        "no TLS with the broker: {reason}. Check `security.protocol` and `ssl.ca.location` in [source.options], and the port"
    )
}

/// What the client says of a broker that it cannot ask.
fn why(said: &Said) -> String {
    use RDKafkaErrorCode::{Authentication, Resolve, SSL, SaslAuthenticationFailed};
    let reason = &said.reason;
    match said.code {
        Some(Authentication | SaslAuthenticationFailed) => format!(
            "the broker does not take these credentials: {reason}. Check `sasl.mechanisms`, `sasl.username` and `sasl.password` in \
             [source.options]"
        ),
        Some(Resolve) => format!("no broker is found: {reason}"),
        Some(SSL) => no_tls(reason),
        // The log does not say what kind of error it is.
        _ if reason.contains("SSL routines") || reason.contains("SSL handshake") => no_tls(reason),
        _ if STRANGE.iter().any(|part| reason.contains(part)) => format!(
            "what answers is no broker of Kafka, or wants TLS or credentials: {}. Check `brokers`, and `security.protocol` in \
             [source.options]",
            MISLEADING
                .iter()
                .fold(reason.as_str(), |reason, guess| reason.strip_suffix(guess).unwrap_or(reason))
        ),
        _ => format!("no broker answers: {reason}"),
    }
}

fn creation(text: &str) -> String {
    if text.contains("No provider for SASL mechanism") {
        // The mechanism that the library takes where nothing is said is one of these, too.
        return "`security.protocol` asks for credentials, and `sasl.mechanisms` in [source.options] is not PLAIN, SCRAM-SHA-256 or \
                SCRAM-SHA-512"
            .to_owned();
    }
    text.strip_prefix("Client creation error: ").unwrap_or(text).to_owned()
}

#[cfg(test)]
mod tests {
    use clickmill_settings::Secret;
    use rdkafka::types::RDKafkaConfRes;

    use super::*;

    #[test]
    fn a_right_that_is_missing_is_named() {
        let said = |code| {
            let error = KafkaError::MessageConsumption(code);
            match trouble(&Kafka::default(), &Heard::default(), "the consumer group", &error) {
                Trouble::Passing(text) => text,
                _ => panic!("no passing trouble"),
            }
        };
        let group = Kafka::default().group;
        let start = "Kafka at localhost:9092, topic clickstream, the consumer group: the broker does not let this user";
        assert_eq!(
            said(RDKafkaErrorCode::GroupAuthorizationFailed),
            format!("{start} into the group {group}: give it READ on it")
        );
        assert_eq!(
            said(RDKafkaErrorCode::TopicAuthorizationFailed),
            format!("{start} read the topic: give it READ and DESCRIBE on it")
        );
    }

    #[test]
    fn a_secret_is_in_no_trouble() {
        let options = [("client.id".to_owned(), Secret::Env("ID".into()))];
        let settings = Kafka { options: options.into(), ..Kafka::default() };
        let refused = |name: &str| {
            let config = KafkaError::ClientConfig(
                RDKafkaConfRes::RD_KAFKA_CONF_INVALID,
                "no".into(),
                name.into(),
                "abc".into(),
            );
            match trouble(&settings, &Heard::default(), "making a client", &config) {
                Trouble::Final(text) => text,
                _ => panic!("no final trouble"),
            }
        };
        let start = "Kafka at localhost:9092, topic clickstream, making a client: option";
        assert_eq!(refused("sasl.password"), format!("{start} sasl.password: its value is refused"));
        assert_eq!(refused("client.id"), format!("{start} client.id: its value is refused"));
        assert_eq!(refused("acks"), format!("{start} acks = abc: no"));
    }
}
