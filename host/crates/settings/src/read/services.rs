//! `[store]` and `[index]`.

use std::time::Duration;

use toml::Spanned;

use super::index_settings;
use super::names::{host_and_port, is_host, is_index_name, is_table_name, url_problem};
use super::reader::{Reader, Table};
use super::secret::secret;
use crate::config::{Credentials, Elasticsearch, Gateway, Hbase, Index, Layout, Store, Transport};
use crate::fault::quote;

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
    let layouts = [("fields", Layout::Fields), ("families", Layout::Families)];
    let connections =
        reader.whole(table, "connections", 1..=16).and_then(|number| usize::try_from(number).ok());
    Some(Store::Hbase(Hbase {
        gateways: gateways(reader, table),
        table: hbase_table(reader, table).unwrap_or(default.table),
        timeout: reader.duration(table, "timeout", TIMEOUT).unwrap_or(default.timeout),
        connections: connections.unwrap_or(default.connections),
        transport: reader.choice(table, "transport", &transports).unwrap_or_default(),
        layout: reader.choice(table, "layout", &layouts).unwrap_or_default(),
    }))
}

/// Those of `gateways`, or the one of `host` and `port`. All are read, for each may be faulty by itself.
fn gateways(reader: &mut Reader<'_>, table: &Table<'_>) -> Vec<Gateway> {
    let host = host(reader, table);
    let port = reader.whole(table, "port", 1..=65_535).and_then(|port| u16::try_from(port).ok());
    if table.get("gateways").is_none() {
        let default = Gateway::default();
        return vec![Gateway { host: host.unwrap_or(default.host), port: port.unwrap_or(default.port) }];
    }
    for key in ["host", "port"] {
        if let Some(value) = table.get(key) {
            reader.contradiction(
                value.span(),
                format!("`{key}` and `gateways` both say where the gateway is"),
                format!("remove `{key}`, and name its gateway in `gateways`"),
            );
        }
    }
    let mut gateways = Vec::new();
    for text in reader.texts(table, "gateways").unwrap_or_default() {
        let Some((host, port)) = host_and_port(text.get_ref()) else {
            reader.fault(
                text.span(),
                format!("{} is no address of a gateway", quote(text.get_ref())),
                "write host and port: `gateways = [\"one:9090\", \"two:9090\"]`",
            );
            continue;
        };
        let gateway = Gateway { host: host.to_owned(), port: port.unwrap_or(Gateway::DEFAULT_PORT) };
        if gateways.contains(&gateway) {
            reader.fault(
                text.span(),
                format!("the gateway {gateway} is given twice"),
                "name each gateway once: connections are spread evenly over those given",
            );
        } else {
            gateways.push(gateway);
        }
    }
    gateways
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
