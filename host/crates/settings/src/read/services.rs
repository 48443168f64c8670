//! `[store]` and `[index]`.

use std::path::PathBuf;
use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;

use super::index_settings;
use super::names::{is_host, is_index_name, is_table_name, url_problem};
use super::reader::{Reader, Table, type_name};
use crate::config::{Credentials, Elasticsearch, Hbase, Index, Secret, Store, Transport};
use crate::fault::quote;
use crate::schema::SECRET;

const TIMEOUT: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(600);

/// `None` where the kind is faulty.
pub(super) fn store(reader: &mut Reader<'_>, table: &Table<'_>) -> Option<Store> {
    let embedded = match table.get("kind") {
        Some(_) => reader.choice(table, "kind", &[("embedded", true), ("hbase", false)]),
        None => Some(true),
    };
    reader.known(table, embedded.map(|embedded| if embedded { "embedded" } else { "hbase" }));
    if embedded? {
        let default = reader.base.join("clickmill.db");
        return Some(Store::Embedded { path: reader.path(table, "path").unwrap_or(default) });
    }
    let default = Hbase::default();
    let transports = [("buffered", Transport::Buffered), ("framed", Transport::Framed)];
    let port = reader.whole(table, "port", 1..=65_535).and_then(|port| u16::try_from(port).ok());
    let connections =
        reader.whole(table, "connections", 1..=16).and_then(|number| usize::try_from(number).ok());
    Some(Store::Hbase(Hbase {
        host: host(reader, table).unwrap_or(default.host),
        port: port.unwrap_or(default.port),
        table: hbase_table(reader, table).unwrap_or(default.table),
        timeout: reader.duration(table, "timeout", TIMEOUT).unwrap_or(default.timeout),
        connections: connections.unwrap_or(default.connections),
        transport: reader.choice(table, "transport", &transports).unwrap_or_default(),
    }))
}

fn host(reader: &mut Reader<'_>, table: &Table<'_>) -> Option<String> {
    let text = reader.text(table, "host")?;
    if !is_host(text.get_ref()) {
        let message = format!("{} is no host name or address", quote(text.get_ref()));
        reader.fault(
            text.span(),
            message,
            "write it without scheme and port: `host = \"localhost\"`, `port = 9090`",
        );
        return None;
    }
    Some((*text.get_ref()).to_owned())
}

fn hbase_table(reader: &mut Reader<'_>, table: &Table<'_>) -> Option<String> {
    let text = reader.text(table, "table")?;
    if !is_table_name(text.get_ref()) {
        let message = format!("{} is no name of a table", quote(text.get_ref()));
        let help = "write letters, digits, `_`, `-` and `.`, beginning with a letter, a digit or `_`; a namespace before a `:`";
        reader.fault(text.span(), message, help);
        return None;
    }
    Some((*text.get_ref()).to_owned())
}

/// `None` where the kind is faulty.
pub(super) fn index(reader: &mut Reader<'_>, table: &Table<'_>) -> Option<Index> {
    let embedded = match table.get("kind") {
        Some(_) => reader.choice(table, "kind", &[("embedded", true), ("elasticsearch", false)]),
        None => Some(true),
    };
    reader.known(table, embedded.map(|embedded| if embedded { "embedded" } else { "elasticsearch" }));
    let name = index_name(reader, table).unwrap_or_else(|| Index::DEFAULT_NAME.to_owned());
    if embedded? {
        return Some(Index::Embedded { name });
    }
    let default = Elasticsearch::default();
    Some(Index::Elasticsearch(Elasticsearch {
        url: url(reader, table).unwrap_or(default.url),
        name,
        credentials: credentials(reader, table),
        ca_file: reader.path(table, "ca_file"),
        timeout: reader.duration(table, "timeout", TIMEOUT).unwrap_or(default.timeout),
        settings: index_settings::read(reader, table, default.settings),
    }))
}

fn index_name(reader: &mut Reader<'_>, table: &Table<'_>) -> Option<String> {
    let text = reader.text(table, "name")?;
    if !is_index_name(text.get_ref()) {
        let message = format!("{} is no name of an index", quote(text.get_ref()));
        reader.fault(
            text.span(),
            message,
            "write lower-case letters, digits, `_`, `-` and `.`, beginning with a letter or a digit",
        );
        return None;
    }
    Some((*text.get_ref()).to_owned())
}

fn url(reader: &mut Reader<'_>, table: &Table<'_>) -> Option<String> {
    let text = reader.text(table, "url")?;
    if let Some((message, help)) = url_problem(text.get_ref()) {
        reader.fault(text.span(), message, help);
        return None;
    }
    Some(text.get_ref().trim_end_matches('/').to_owned())
}

fn credentials(reader: &mut Reader<'_>, table: &Table<'_>) -> Credentials {
    let user = reader.text(table, "user");
    let password = secret(reader, table, "password");
    let api_key = secret(reader, table, "api_key");
    let given = |key: &str| table.get(key).map(Spanned::span);
    match (given("user"), given("password"), given("api_key")) {
        (Some(span), _, Some(_)) | (None, Some(span), Some(_)) => {
            reader.contradiction(
                span,
                "the credentials are given twice: a user with a password, and an API key",
                "remove `api_key`, or both `user` and `password`",
            );
        }
        (Some(span), None, None) => {
            reader.contradiction(
                span,
                "`user` needs a `password`",
                "add `password = { file = \"…\" }`, or `{ env = \"…\" }`",
            );
        }
        (None, Some(span), None) => {
            reader.contradiction(span, "`password` needs a `user`", "add `user = \"…\"`")
        }
        (Some(_), Some(_), None) | (None, None, _) => {}
    }
    match (user, password, api_key) {
        (Some(user), Some(password), None) => {
            Credentials::Basic { user: (*user.get_ref()).to_owned(), password }
        }
        (None, None, Some(api_key)) => Credentials::ApiKey(api_key),
        _ => Credentials::None,
    }
}

fn secret(reader: &mut Reader<'_>, table: &Table<'_>, key: &str) -> Option<Secret> {
    let value = table.get(key)?;
    let help = format!(
        "write `{key} = {{ file = \"…\" }}`, `{key} = {{ env = \"…\" }}`, or the secret itself as a string"
    );
    match value.get_ref() {
        DeValue::String(text) if !text.is_empty() => Some(Secret::Text(text.as_ref().to_owned())),
        DeValue::Table(inner) => {
            let inner = Table::new(&SECRET, format!("`{key}`"), inner, value.span());
            let found = reader.found.len();
            reader.known(&inner, None);
            let file: Option<PathBuf> = reader.path(&inner, "file");
            let env = reader.text(&inner, "env");
            match (inner.get("file"), inner.get("env")) {
                (None, None) if reader.found.len() > found => None,
                (Some(_), Some(_)) | (None, None) => {
                    reader.fault(value.span(), format!("`{key}` takes one of `file` and `env`"), help);
                    None
                }
                _ => file.map(Secret::File).or(env.map(|env| Secret::Env((*env.get_ref()).to_owned()))),
            }
        }
        DeValue::String(_) => {
            reader.fault(value.span(), format!("`{key}` is empty"), help);
            None
        }
        other => {
            reader.fault(value.span(), format!("`{key}` takes a secret, not {}", type_name(other)), help);
            None
        }
    }
}
