//! What an error of the gateway means. Its own flags say nothing of use (`can_retry` is false for a passing outage and true
//! for an unknown family), so every error is passing and unknown, unless its first line names a mistake that stays one.

use clickmill_settings::{Gateway, Hbase, show_duration};
use clickmill_tasks::env::Trouble;
use hbase_thrift::hbase::{AlreadyExists, IOError, IllegalArgument};
use thrift::{ApplicationErrorKind, TransportErrorKind};

/// An exception of HBase that says what is to be done.
struct Known {
    name: &'static str,
    is_final: bool,
    help: &'static str,
}

const fn known(name: &'static str, is_final: bool, help: &'static str) -> Known {
    Known { name, is_final, help }
}

/// Final are those that no repetition cures; rights, quotas and disks are somebody's to mend while we wait.
const KNOWN: [Known; 9] = [
    known(
        "AccessDeniedException",
        false,
        "give the gateway's user the right (hbase shell: grant 'USER', 'RWXC', 'TABLE'); it is tried again until then",
    ),
    known(
        "NamespaceNotFoundException",
        true,
        "make the namespace first (hbase shell: create_namespace 'NAME')",
    ),
    known(
        "TableNotFoundException",
        true,
        "somebody deleted the table; restore it, or begin with a new store",
    ),
    known(
        "NoSuchColumnFamilyException",
        true,
        "somebody changed the table; restore the family, or begin with a new store",
    ),
    known(
        "TableNotEnabledException",
        false,
        "somebody disabled the table (hbase shell: enable 'TABLE'); it is tried again until then",
    ),
    known(
        "SpaceLimitingException",
        false,
        "the table's or the namespace's quota is full (hbase shell: list_quotas); it is tried again until there is room",
    ),
    known(
        "QuotaExceededException",
        false,
        "a quota of HBase or of its file system is full; it is tried again until there is room",
    ),
    known("RpcThrottlingException", false, "a quota of requests is reached; it is tried again"),
    known("No space left on device", false, "a disk of HBase is full; it is tried again until there is room"),
];

/// Whether an error names this exception of HBase.
pub(crate) fn names(error: &thrift::Error, exception: &str) -> bool {
    let thrift::Error::User(error) = error else { return false };
    error
        .downcast_ref()
        .is_some_and(|IOError { message, .. }| first_line(message.as_deref()).contains(exception))
}

/// Whether a connection may be used again after this error: only where a gateway answered in form.
pub(crate) fn spoils(error: &thrift::Error) -> bool {
    match error {
        thrift::Error::User(_) => false,
        // Of the others some are made here, of an answer to another question.
        thrift::Error::Application(error) => error.kind != ApplicationErrorKind::InternalError,
        _ => true,
    }
}

/// Whether another gateway may do better, though this one answered in form: what it cannot do may be its own trouble with HBase.
pub(crate) fn doubtful(error: &thrift::Error) -> bool {
    let thrift::Error::User(error) = error else { return true };
    let io = error.downcast_ref::<IOError>();
    io.is_some_and(|IOError { message, .. }| {
        let line = first_line(message.as_deref());
        !KNOWN.iter().any(|known| line.contains(known.name))
    })
}

/// Whether a table is there already that was to be made: the gateway looks first, but the master may come to know it later.
pub(crate) fn already_exists(error: &thrift::Error) -> bool {
    names(error, "TableExistsException")
        || matches!(error, thrift::Error::User(error) if error.is::<AlreadyExists>())
}

/// `doing` completes "HBase at host:port, ".
pub(crate) fn trouble(settings: &Hbase, gateway: &Gateway, doing: &str, error: &thrift::Error) -> Trouble {
    let (text, is_final) = describe(settings, error);
    let text = format!("{}, {doing}: {text}", at(gateway));
    if is_final { Trouble::Final(text) } else { Trouble::Passing(text) }
}

/// The gateway that was asked.
pub(crate) fn at(gateway: &Gateway) -> String {
    format!("HBase at {gateway}")
}

/// All of them, for what none of them is to blame for.
pub(crate) fn name(settings: &Hbase) -> String {
    let gateways: Vec<String> = settings.gateways.iter().map(ToString::to_string).collect();
    format!("HBase at {}", gateways.join(", "))
}

fn describe(settings: &Hbase, error: &thrift::Error) -> (String, bool) {
    match error {
        thrift::Error::User(user) => {
            if let Some(IOError { message, .. }) = user.downcast_ref() {
                exception(&first_line(message.as_deref()))
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
            let text = "; HBase behind the gateway may be away, the gateway stuck, or the table disabled";
            (format!("no answer within {}{text}", show_duration(settings.timeout)), false)
        }
        thrift::Error::Transport(error) if error.kind == TransportErrorKind::EndOfFile => {
            ("the gateway closed the connection".into(), false)
        }
        // A request that was not even taken: broken pipe, connection reset.
        thrift::Error::Transport(error)
            if ["os error 32", "os error 104"].iter().any(|code| error.message.contains(code)) =>
        {
            ("the gateway closed the connection".into(), false)
        }
        // What was found out of the other side is in the message.
        thrift::Error::Transport(error) if error.kind == TransportErrorKind::Unknown => {
            (first_line(Some(&error.message)), false)
        }
        thrift::Error::Application(error) if error.kind == ApplicationErrorKind::UnknownMethod => {
            let text = "it is a Thrift server, but not the gateway of HBase's first interface: start `hbase thrift`, not \
                        `hbase thrift2`, and name its port";
            (format!("{text} ({})", first_line(Some(&error.message))), false)
        }
        thrift::Error::Application(error) if error.kind == ApplicationErrorKind::InternalError => {
            (format!("{}; the gateway's log says why", first_line(Some(&error.message))), false)
        }
        other => (first_line(Some(&other.to_string())), false),
    }
}

fn exception(line: &str) -> (String, bool) {
    match KNOWN.iter().find(|known| line.contains(known.name)) {
        Some(known) => (format!("{line}; {}", known.help), known.is_final),
        None => (line.to_owned(), false),
    }
}

/// Messages are whole stack traces, and their first lines may say the exception's name twice and describe the whole table.
fn first_line(message: Option<&str>) -> String {
    let line = message.unwrap_or_default().lines().next().unwrap_or_default().trim();
    let line = line.split(", {TABLE_ATTRIBUTES").next().unwrap_or_default();
    let once = line.split_once(": ").filter(|(name, rest)| rest.starts_with(&format!("{name}:")));
    let line = once.map_or(line, |(_, rest)| rest);
    if line.is_empty() { "an error without a message".into() } else { line.chars().take(500).collect() }
}

#[cfg(test)]
mod tests {
    use thrift::{ApplicationError, TransportError};

    use super::*;

    fn io_error(message: &str) -> thrift::Error {
        thrift::Error::User(Box::new(IOError { message: Some(message.into()), can_retry: Some(true) }))
    }

    fn of(doing: &str, error: &thrift::Error) -> Trouble {
        trouble(&Hbase::default(), &Gateway { host: "two".into(), port: 9090 }, doing, error)
    }

    fn passing(error: &thrift::Error) -> String {
        match of("x", error) {
            Trouble::Passing(text) => text,
            Trouble::Final(text) => panic!("final: {text}"),
        }
    }

    #[test]
    fn an_outage_is_passing_and_shown_by_its_first_line() {
        let error = io_error("java.io.IOException: not now\n\tat a.b.C");
        let text = "HBase at two:9090, reading a row: java.io.IOException: not now";
        assert_eq!(of("reading a row", &error), Trouble::Passing(text.into()));
        assert!(!spoils(&error));
    }

    #[test]
    fn a_mistake_is_final() {
        let error = io_error("org.apache.hadoop.hbase.TableNotFoundException: clickstream_data");
        assert_eq!(
            of("writing events", &error),
            Trouble::Final(
                "HBase at two:9090, writing events: org.apache.hadoop.hbase.TableNotFoundException: clickstream_data; \
                 somebody deleted the table; restore it, or begin with a new store"
                    .into()
            )
        );
        let error = thrift::Error::User(Box::new(IllegalArgument {
            message: Some("KeyValue size too large".into()),
        }));
        assert!(matches!(of("x", &error), Trouble::Final(_)));
    }

    /// As HBase 2.6 says them through the gateway.
    #[test]
    fn a_changed_table_is_told_in_short() {
        let of_one = "org.apache.hadoop.hbase.regionserver.NoSuchColumnFamilyException: \
                      org.apache.hadoop.hbase.regionserver.NoSuchColumnFamilyException: Column family b does not exist in \
                      region t,,1.6d. in table 't', {TABLE_ATTRIBUTES => {METADATA => {}}}, {NAME => 'a'}\n\tat x";
        let of_many = "org.apache.hadoop.hbase.client.RetriesExhaustedWithDetailsException: Failed 1 action: \
                       org.apache.hadoop.hbase.regionserver.NoSuchColumnFamilyException: Column family b does not exist in \
                       region t,,1.6d. in table 't', {TABLE_ATTRIBUTES => {METADATA => {}}}\n\tat x";
        let end = "org.apache.hadoop.hbase.regionserver.NoSuchColumnFamilyException: Column family b does not exist in \
                   region t,,1.6d. in table 't'; somebody changed the table; restore the family, or begin with a new store";
        for message in [of_one, of_many] {
            let Trouble::Final(text) = of("x", &io_error(message)) else { panic!() };
            assert!(text.ends_with(end), "{text}");
        }
    }

    #[test]
    fn what_somebody_can_mend_is_waited_for() {
        for (message, help) in [
            (
                "org.apache.hadoop.hbase.security.AccessDeniedException: Insufficient permissions (user=thrift, action=WRITE)",
                "; give the gateway's user the right (hbase shell: grant 'USER', 'RWXC', 'TABLE'); it is tried again until then",
            ),
            (
                "org.apache.hadoop.hbase.TableNotEnabledException: t is disabled.",
                "; somebody disabled the table (hbase shell: enable 'TABLE'); it is tried again until then",
            ),
            ("org.apache.hadoop.hbase.NotServingRegionException: t,,1.6d. is not online on localhost", ""),
            ("org.apache.hadoop.hbase.RegionTooBusyException: Over memstore limit=512.0M", ""),
            (
                "org.apache.hadoop.hbase.quotas.SpaceLimitingException: NO_WRITES Puts are disallowed",
                "; the table's or the namespace's quota is full (hbase shell: list_quotas); it is tried again until there is room",
            ),
            (
                "org.apache.hadoop.hdfs.protocol.DSQuotaExceededException: The DiskSpace quota of /hbase is exceeded",
                "; a quota of HBase or of its file system is full; it is tried again until there is room",
            ),
            (
                "java.io.IOException: No space left on device",
                "; a disk of HBase is full; it is tried again until there is room",
            ),
        ] {
            let error = io_error(&format!("{message}\n\tat a.b.C"));
            assert_eq!(passing(&error), format!("HBase at two:9090, x: {message}{help}"));
            assert!(!spoils(&error));
        }
    }

    #[test]
    fn another_gateway_is_asked_where_this_one_may_be_to_blame() {
        let lost = "org.apache.hadoop.hbase.client.RetriesExhaustedException: Zookeeper LIST could not be completed in 10000 ms";
        assert!(doubtful(&io_error(lost)));
        assert!(doubtful(&thrift::Error::from(std::io::Error::from_raw_os_error(11))));
        assert!(!doubtful(&io_error("org.apache.hadoop.hbase.TableNotEnabledException: t is disabled.")));
        assert!(!doubtful(&thrift::Error::User(Box::new(IllegalArgument { message: None }))));
    }

    #[test]
    fn a_time_out_spoils_the_connection() {
        let error = thrift::Error::from(std::io::Error::from_raw_os_error(11));
        assert!(spoils(&error));
        assert_eq!(
            passing(&error),
            "HBase at two:9090, x: no answer within 30s; HBase behind the gateway may be away, the gateway stuck, or the table disabled"
        );
    }

    #[test]
    fn an_answer_to_another_question_spoils_the_connection() {
        let of_kind = |kind| thrift::Error::Application(ApplicationError::new(kind, "m"));
        assert!(spoils(&of_kind(ApplicationErrorKind::BadSequenceId)));
        assert!(!spoils(&of_kind(ApplicationErrorKind::InternalError)));
        let other = of_kind(ApplicationErrorKind::UnknownMethod);
        assert!(spoils(&other));
        assert!(passing(&other).contains("not the gateway of HBase's first interface"));
        let end = thrift::Error::Transport(TransportError::new(TransportErrorKind::EndOfFile, "m"));
        assert_eq!(passing(&end), "HBase at two:9090, x: the gateway closed the connection");
        assert!(spoils(&end));
    }
}
