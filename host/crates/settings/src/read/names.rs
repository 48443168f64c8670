//! Which texts are names and addresses. The rules are those of the service that a name is for.

use super::reader::{Reader, Table};
use crate::fault::quote;
use crate::pipeline::Rollup;

/// Longest name of an index, in bytes.
const INDEX_NAME: usize = 255;
/// Longest name of a plugin in the pipeline, of a rollup, of a column.
const NAME: usize = 64;
/// Fields of a document that are not the rollup's to give.
const DOCUMENT_FIELDS: [&str; 3] = ["rollup", "window", "window_end"];

/// Lower-case letters, digits and `-`, beginning with a letter or a digit.
pub(super) fn is_name(name: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=NAME).contains(&name.len()) && !name.starts_with('-') && name.bytes().all(legal)
}

/// A column: lower-case letters, digits and `_`, beginning with a letter.
pub(super) fn is_column(name: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    name.len() <= NAME && name.starts_with(|c: char| c.is_ascii_lowercase()) && name.bytes().all(legal)
}

/// Whether a document has a field of this name already.
pub(super) fn is_taken(column: &str) -> bool {
    DOCUMENT_FIELDS.contains(&column)
}

/// A name that Elasticsearch takes for an index, and that needs no escaping in a URL.
pub(super) fn is_index_name(name: &str) -> bool {
    let legal =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-' | b'.');
    let first = name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    name.len() <= INDEX_NAME && first && name.bytes().all(legal)
}

/// A table of HBase, with or without its namespace.
pub(super) fn is_table_name(name: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let legal = |byte: u8| word(byte) || matches!(byte, b'-' | b'.');
    let (namespace, table) =
        name.split_once(':').map_or((None, name), |(namespace, table)| (Some(namespace), table));
    let table_fits = table.bytes().next().is_some_and(word) && table.bytes().all(legal);
    let namespace_fits = namespace.is_none_or(|name| !name.is_empty() && name.bytes().all(word));
    table_fits && namespace_fits && name.len() <= 200
}

/// A host name or an address, without a port.
pub(super) fn is_host(host: &str) -> bool {
    host.parse::<std::net::IpAddr>().is_ok() || is_host_name(host)
}

fn is_host_name(host: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    (1..=253).contains(&host.len()) && host.bytes().all(legal)
}

/// A host with or without a port; an address of version 6 stands in brackets.
pub(super) fn is_address(address: &str) -> bool {
    host_and_port(address).is_some()
}

/// The parts of an address, as [`is_address`] takes it; the host without brackets.
pub(super) fn host_and_port(address: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match address.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, rest)) => {
            host.parse::<std::net::Ipv6Addr>().ok()?;
            (host, rest.strip_prefix(':').or((!rest.is_empty()).then_some("")))
        }
        None => {
            let (host, port) = address.rsplit_once(':').map_or((address, None), |(h, p)| (h, Some(p)));
            is_host_name(host).then_some((host, port))?
        }
    };
    let number = |port: &str| {
        let digits = port.bytes().all(|byte| byte.is_ascii_digit());
        port.parse::<u16>().ok().filter(|port| digits && *port > 0)
    };
    Some((host, port.map(|port| number(port).ok_or(())).transpose().ok()?))
}

/// Why a text is no URL of a service, and what would be right.
pub(super) fn url_problem(url: &str) -> Option<(String, &'static str)> {
    let example = "write `http://` or `https://`, the host and the port: `url = \"http://localhost:9200\"`";
    let Some(rest) = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://")) else {
        return Some((format!("{} is no `http` or `https` URL", quote(url)), example));
    };
    let authority = rest.split('/').next().unwrap_or_default();
    if authority.contains('@') {
        return Some((
            "`url` holds credentials, which would be shown in messages".to_owned(),
            "give `user` and `password` instead",
        ));
    }
    let legal = |c: char| c.is_ascii_graphic() && !matches!(c, '?' | '#' | '\\' | '"' | '<' | '>');
    if !is_address(authority) || !rest.chars().all(legal) {
        return Some((format!("{} is no URL of a service", quote(url)), example));
    }
    None
}

/// Faults names of indices that come out too long.
pub(super) fn check_indices(reader: &mut Reader<'_>, table: &Table<'_>, name: &str, rollups: &[Rollup]) {
    let all =
        rollups.iter().flat_map(|rollup| rollup.windows.iter().map(|window| (&rollup.name, &window.name)));
    let longest = all.map(|(rollup, window)| format!("{name}-{rollup}-{window}")).max_by_key(String::len);
    if let Some(longest) = longest.filter(|longest| longest.len() > INDEX_NAME) {
        reader.contradiction(
            table.span_of("name"),
            format!(
                "an index would be called {}: {} bytes, {INDEX_NAME} are allowed",
                quote(&longest),
                longest.len()
            ),
            "shorten the name of the index or of the rollup",
        );
    }
}
