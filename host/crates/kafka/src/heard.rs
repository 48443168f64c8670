//! What a client told beside its answers. A question that fails says only that nothing answered in time; why is told by the
//! client's callbacks, as it goes on trying.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use rdkafka::{
    ClientContext,
    config::RDKafkaLogLevel,
    consumer::ConsumerContext,
    error::{KafkaError, RDKafkaErrorCode},
};

/// The client tells an error that recurs no more often than every 30 seconds.
const RECENT: Duration = Duration::from_secs(60);

/// Who looks at the log need not read the same more often.
const WARNED: Duration = Duration::from_secs(30);

/// What a client told.
#[derive(Default)]
pub(crate) struct Heard {
    last: Mutex<Option<Said>>,
    warned: Mutex<Option<(RDKafkaErrorCode, Instant)>>,
    /// The client is not to be used any more.
    spent: AtomicBool,
    /// How often it told anything.
    told: AtomicU64,
}

/// Why a broker could not be asked.
#[derive(Clone)]
pub(crate) struct Said {
    /// What kind of error; the log does not say.
    pub(crate) code: Option<RDKafkaErrorCode>,
    pub(crate) reason: String,
    at: Instant,
}

impl Heard {
    pub(crate) fn error(&self, error: &KafkaError, reason: &str) {
        self.told.fetch_add(1, Ordering::SeqCst);
        let Some(code) = error.rdkafka_error_code() else { return };
        if matches!(code, RDKafkaErrorCode::AllBrokersDown | RDKafkaErrorCode::PartitionEOF) {
            // It follows upon the error that says why.
            return;
        }
        tracing::debug!(target: "kafka", "{error}: {reason}");
        if !about_connections(code) {
            return;
        }
        let said = Said { code: Some(code), reason: without_times(reason).to_owned(), at: Instant::now() };
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        if warned.is_none_or(|(before, at)| before != code || at.elapsed() >= WARNED) {
            *warned = Some((code, said.at));
            tracing::warn!("Kafka: {}", said.reason);
        }
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(said);
    }

    pub(crate) fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.told.fetch_add(1, Ordering::SeqCst);
        if facility == "METADATA" && made_anew(message) {
            tracing::warn!("Kafka: the topic was made anew: {message}");
            self.spend();
        }
        if facility == "FAIL" {
            self.failed(message);
        }
        match level {
            RDKafkaLogLevel::Debug => tracing::trace!(target: "kafka", facility, "{message}"),
            _ => tracing::debug!(target: "kafka", ?level, facility, "{message}"),
        }
    }

    /// A connection that ends without an answer is in the log only, for one that was idle ends so too. An error that has a kind
    /// tells more.
    fn failed(&self, message: &str) {
        // It begins with the thread's name: "[thrd:localhost:9092/bootstrap]: ".
        let reason = message
            .strip_prefix("[thrd:")
            .and_then(|rest| rest.split_once("]: "))
            .map_or(message, |(_, text)| text);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.as_ref().is_none_or(|said| said.code.is_none() || said.at.elapsed() >= RECENT) {
            *last = Some(Said { code: None, reason: without_times(reason).to_owned(), at: Instant::now() });
        }
    }

    /// Whether an error of the client's queue is one that [`Heard::error`] tells, or that follows upon one.
    pub(crate) fn is_told(&self, error: &KafkaError) -> bool {
        let told = |code| code == RDKafkaErrorCode::AllBrokersDown || about_connections(code);
        error.rdkafka_error_code().is_some_and(told)
    }

    /// A broker has answered.
    pub(crate) fn answered(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The last error with a broker, unless it is long ago or one has answered since.
    pub(crate) fn why(&self) -> Option<Said> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.clone().filter(|said| said.at.elapsed() < RECENT)
    }

    pub(crate) fn spend(&self) {
        self.spent.store(true, Ordering::SeqCst);
    }

    /// How often the client told anything; one that has something in its queue tells it when it is polled.
    pub(crate) fn told(&self) -> u64 {
        self.told.load(Ordering::SeqCst)
    }

    pub(crate) fn is_spent(&self) -> bool {
        self.spent.load(Ordering::SeqCst)
    }
}

fn about_connections(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode::{
        Authentication, BadMessage, BrokerTransportFailure, OperationTimedOut, RequestTimedOut, Resolve, SSL,
        SaslAuthenticationFailed, UnsupportedFeature,
    };
    matches!(
        code,
        Authentication
            | SaslAuthenticationFailed
            | SSL
            | Resolve
            | BrokerTransportFailure
            | BadMessage
            | OperationTimedOut
            | RequestTimedOut
            | UnsupportedFeature
    )
}

/// Without the end that is another each time: "(after 5ms in state CONNECT, 3 identical error(s) suppressed)".
fn without_times(reason: &str) -> &str {
    match reason.rfind(" (after ") {
        Some(end) if reason.ends_with(')') => &reason[..end],
        _ => reason,
    }
}

/// The client asks by a topic's name and goes on at its offset when another topic has come under the name, if that one is long
/// enough; this line, of the log of its talk about metadata, is the only sign of it. It has no id to compare with at first.
fn made_anew(message: &str) -> bool {
    const NONE: &str = "changed id from AAAAAAAAAAAAAAAAAAAAAA ";
    message.contains(" changed id from ") && !message.contains(NONE)
}

/// The context of a client that has nothing else to tell.
#[derive(Default)]
pub(crate) struct Logged {
    pub(crate) heard: Heard,
}

impl ClientContext for Logged {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.heard.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.heard.error(&error, reason);
    }
}

impl ConsumerContext for Logged {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_error_with_a_broker_is_kept_until_one_answers() {
        let heard = Heard::default();
        heard.error(&KafkaError::Global(RDKafkaErrorCode::SSL), "a: no (after 5ms in state CONNECT)");
        heard.log(RDKafkaLogLevel::Info, "FAIL", "[thrd:a]: a: Disconnected (after 1ms in state UP)");
        heard.error(&KafkaError::Global(RDKafkaErrorCode::AllBrokersDown), "1/1 brokers are down");
        heard.error(&KafkaError::Global(RDKafkaErrorCode::UnknownPartition), "another thing");
        assert_eq!(heard.why().unwrap().reason, "a: no");
        heard.answered();
        assert!(heard.why().is_none());
        heard.log(RDKafkaLogLevel::Info, "FAIL", "[thrd:a]: a: Disconnected (after 1ms in state UP)");
        assert_eq!(heard.why().unwrap().reason, "a: Disconnected");
    }

    #[test]
    fn a_topic_that_was_made_anew_spends_the_client() {
        let told = |message: &str| {
            let heard = Heard::default();
            heard.log(RDKafkaLogLevel::Debug, "METADATA", message);
            heard.is_spent()
        };
        assert!(!told(
            "[thrd:main]: Topic a changed id from AAAAAAAAAAAAAAAAAAAAAA to 1oUZgE7hQxWJxyHrgQYFRw"
        ));
        assert!(!told("[thrd:main]: Topic a [0] Leader 1 Epoch 0"));
        assert!(told(
            "[thrd:main]: Topic a changed id from 1oUZgE7hQxWJxyHrgQYFRw to 2oUZgE7hQxWJxyHrgQYFRw"
        ));
    }
}
