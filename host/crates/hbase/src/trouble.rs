//! What an error of the gateway means. Its own flags say nothing of use (`can_retry` is false for a passing outage and true
//! for an unknown family), so every error is passing and unknown, unless its first line names a mistake that stays one.

use clickmill_settings::{Hbase, Transport, show_duration};
use clickmill_tasks::env::Trouble;
use hbase_thrift::hbase::{AlreadyExists, IOError, IllegalArgument};
use thrift::TransportErrorKind;

/// Exceptions that no repetition cures.
const MISTAKES: [&str; 2] = ["NoSuchColumnFamilyException", "TableNotFoundException"];

/// Whether a connection may be used again after this error: only where the gateway answered in form.
pub(crate) fn spoils(error: &thrift::Error) -> bool {
    !matches!(error, thrift::Error::Application(_) | thrift::Error::User(_))
}

/// Whether a table is there already that was to be made.
pub(crate) fn already_exists(error: &thrift::Error) -> bool {
    matches!(error, thrift::Error::User(error) if error.is::<AlreadyExists>())
}

/// `doing` completes "HBase at host:port, ".
pub(crate) fn trouble(settings: &Hbase, doing: &str, error: &thrift::Error) -> Trouble {
    let (text, is_final) = describe(settings, error);
    let text = format!("{}, {doing}: {text}", name(settings));
    if is_final { Trouble::Final(text) } else { Trouble::Passing(text) }
}

pub(crate) fn name(settings: &Hbase) -> String {
    format!("HBase at {}:{}", settings.host, settings.port)
}

fn describe(settings: &Hbase, error: &thrift::Error) -> (String, bool) {
    match error {
        thrift::Error::User(user) => {
            if let Some(IOError { message, .. }) = user.downcast_ref() {
                let line = first_line(message.as_deref());
                let mistake = MISTAKES.iter().any(|name| line.contains(name));
                (line, mistake)
            } else if let Some(IllegalArgument { message }) = user.downcast_ref() {
                (first_line(message.as_deref()), true)
            } else if let Some(AlreadyExists { message }) = user.downcast_ref() {
                (first_line(message.as_deref()), false)
            } else {
                (first_line(Some(&user.to_string())), false)
            }
        }
        // The read time-out of a socket, which thrift does not tell from other errors by kind.
        thrift::Error::Transport(error) if error.message.contains("os error 11") => {
            (no_answer(settings), false)
        }
        thrift::Error::Transport(error) if error.kind == TransportErrorKind::EndOfFile => {
            ("the gateway closed the connection".into(), false)
        }
        other => (first_line(Some(&other.to_string())), false),
    }
}

fn no_answer(settings: &Hbase) -> String {
    let mode = match settings.transport {
        Transport::Buffered => "buffered",
        Transport::Framed => "framed",
    };
    format!(
        "no answer within {} (a gateway that is not started for transport = \"{mode}\" never answers)",
        show_duration(settings.timeout)
    )
}

/// Messages are whole stack traces.
fn first_line(message: Option<&str>) -> String {
    let line = message.unwrap_or_default().lines().next().unwrap_or_default().trim();
    if line.is_empty() { "an error without a message".into() } else { line.chars().take(500).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn io_error(message: &str) -> thrift::Error {
        thrift::Error::User(Box::new(IOError { message: Some(message.into()), can_retry: Some(true) }))
    }

    #[test]
    fn an_outage_is_passing_and_shown_by_its_first_line() {
        let error = io_error("java.io.IOException: not now\n\tat a.b.C");
        let text = "HBase at localhost:9090, reading a row: java.io.IOException: not now";
        assert_eq!(trouble(&Hbase::default(), "reading a row", &error), Trouble::Passing(text.into()));
        assert!(!spoils(&error));
    }

    #[test]
    fn a_mistake_is_final() {
        let error = io_error("org.apache.hadoop.hbase.TableNotFoundException: clickstream_data");
        assert!(matches!(trouble(&Hbase::default(), "x", &error), Trouble::Final(_)));
        let error = thrift::Error::User(Box::new(IllegalArgument {
            message: Some("KeyValue size too large".into()),
        }));
        assert!(matches!(trouble(&Hbase::default(), "x", &error), Trouble::Final(_)));
    }

    #[test]
    fn a_time_out_spoils_the_connection() {
        let error = thrift::Error::from(std::io::Error::from_raw_os_error(11));
        assert!(spoils(&error));
        let Trouble::Passing(text) = trouble(&Hbase::default(), "x", &error) else { panic!() };
        assert!(text.contains("no answer within 30s"), "{text}");
    }
}
