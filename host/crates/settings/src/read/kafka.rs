//! `[source]` of kind `kafka`, and which properties of librdkafka it may not set.

use std::collections::BTreeMap;

use toml::de::{DeTable, DeValue};

use super::names::is_address;
use super::reader::{Reader, Span, Table, type_name, written};
use super::secret::kept_elsewhere;
use crate::config::{Kafka, Secret, Start};
use crate::fault::quote;

/// Properties that have a key of their own here.
const NAMED: [(&str, &str); 4] = [
    ("bootstrap.servers", "brokers"),
    ("metadata.broker.list", "brokers"),
    ("group.id", "group"),
    ("auto.offset.reset", "start"),
];

/// Properties that the host sets, and why no other value is right.
const OWNED: [(&str, &str); 14] = [
    ("enable.auto.commit", "the store keeps positions"),
    ("auto.commit.enable", "the store keeps positions"),
    ("auto.commit.interval.ms", "the store keeps positions"),
    ("enable.auto.offset.store", "the store keeps positions"),
    ("offset.store.method", "the store keeps positions"),
    ("offset.store.path", "the store keeps positions"),
    ("offset.store.sync.interval.ms", "the store keeps positions"),
    ("isolation.level", "aborted transactions are never read"),
    ("enable.partition.eof", "the end of a partition is what the broker names as its end"),
    ("partition.assignment.strategy", "handing over a partition depends on it"),
    ("group.protocol", "handing over a partition depends on it"),
    ("group.remote.assignor", "handing over a partition depends on it"),
    // A static member does not leave when it ends, so nobody else gets its partitions before its session is over.
    ("group.instance.id", "handing over a partition depends on it"),
    // A follower that lags names an end of its own, and what lies between the two would be taken for a hole.
    ("client.rack", "records are read from the broker that names the partition's end"),
];

/// Properties whose last part is `file`: `a.b.file = "…"` is no secret of the property `a.b`.
const FILES: [&str; 3] = [
    "sasl.oauthbearer.assertion.file",
    "sasl.oauthbearer.assertion.jwt.template.file",
    "sasl.oauthbearer.assertion.private.key.file",
];

/// A topic; where a value is faulty, its default.
pub(super) fn read(reader: &mut Reader<'_>, table: &Table<'_>) -> Kafka {
    let default = Kafka::default();
    Kafka {
        brokers: brokers(reader, table).unwrap_or(default.brokers),
        topic: topic(reader, table).unwrap_or(default.topic),
        group: reader.text(table, "group").map_or(default.group, |group| (*group.get_ref()).to_owned()),
        start: reader
            .choice(table, "start", &[("earliest", Start::Earliest), ("latest", Start::Latest)])
            .unwrap_or_default(),
        options: options(reader, table),
    }
}

fn brokers(reader: &mut Reader<'_>, table: &Table<'_>) -> Option<String> {
    let text = reader.text(table, "brokers")?;
    let brokers: Vec<_> = text.get_ref().split(',').map(str::trim).collect();
    for broker in &brokers {
        let address = broker.split_once("://").map_or(*broker, |(_, address)| address);
        if !is_address(address) {
            reader.fault(
                text.span(),
                format!("{} is no address of a broker", quote(broker)),
                "write `host:port`, several with commas: `brokers = \"localhost:9092\"`",
            );
            return None;
        }
    }
    Some(brokers.join(","))
}

fn topic(reader: &mut Reader<'_>, table: &Table<'_>) -> Option<String> {
    let text = reader.text(table, "topic")?;
    let topic = *text.get_ref();
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if topic.len() > 249 || topic == "." || topic == ".." || !topic.bytes().all(legal) {
        reader.fault(
            text.span(),
            format!("{} is no name of a topic", quote(topic)),
            "write the name of one topic: letters, digits, `.`, `_` and `-`, at most 249",
        );
        return None;
    }
    Some(topic.to_owned())
}

fn options(reader: &mut Reader<'_>, table: &Table<'_>) -> BTreeMap<String, Secret> {
    let mut options = BTreeMap::new();
    if let Some(value) = table.get("options") {
        match value.get_ref() {
            DeValue::Table(table) => collect(reader, "", table, &mut options),
            other => reader.fault(
                value.span(),
                format!("`options` takes a table, not {}", type_name(other)),
                "begin the table with a line `[source.options]`",
            ),
        }
    }
    options
}

/// A property is written in quotes or not: `"security.protocol"` is one key of TOML, `security.protocol` a table in a table. A
/// table of `file` or `env` says where its value is kept.
fn collect(
    reader: &mut Reader<'_>,
    prefix: &str,
    table: &DeTable<'_>,
    options: &mut BTreeMap<String, Secret>,
) {
    for (key, value) in table.iter() {
        let name = format!("{prefix}{}", key.get_ref());
        let value = match value.get_ref() {
            DeValue::Table(inner) if says_where(&name, inner) => {
                match kept_elsewhere(reader, &name, inner, value.span()) {
                    Some(secret) => secret,
                    None => continue,
                }
            }
            DeValue::Table(table) => {
                collect(reader, &format!("{name}."), table, options);
                continue;
            }
            DeValue::String(text) => Secret::Text(text.as_ref().to_owned()),
            DeValue::Datetime(_) | DeValue::Array(_) => {
                let message = format!("{} takes a string, not {}", quote(&name), type_name(value.get_ref()));
                reader.fault(value.span(), message, "write the property's value as a string");
                continue;
            }
            other => Secret::Text(written(other).unwrap_or_default()),
        };
        if refuse(reader, key.span(), &name) {
            continue;
        }
        if options.insert(name.clone(), value).is_some() {
            reader.fault(key.span(), format!("{} is given twice", quote(&name)), "keep one of the two");
        }
    }
}

fn says_where(name: &str, table: &DeTable<'_>) -> bool {
    !table.is_empty()
        && table.iter().all(|(key, _)| matches!(key.get_ref().as_ref(), "file" | "env"))
        && !FILES.contains(&format!("{name}.file").as_str())
}

fn refuse(reader: &mut Reader<'_>, span: Span, name: &str) -> bool {
    let named = NAMED.iter().find(|(property, _)| *property == name);
    let owned = OWNED.iter().find(|(property, _)| *property == name);
    if let Some((_, key)) = named {
        reader.fault(
            span,
            format!("`{name}` cannot be an option"),
            format!("give `{key}` in [source] instead"),
        );
    } else if let Some((_, reason)) = owned {
        reader.fault(span, format!("`{name}` cannot be set: {reason}"), "remove it");
    }
    named.is_some() || owned.is_some()
}
