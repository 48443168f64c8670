//! `[index.settings]`: settings of Elasticsearch's indices, and which of them no host could live with.

use std::collections::BTreeMap;

use toml::de::{DeTable, DeValue};

use super::reader::{Reader, Table, type_name, written};
use crate::fault::quote;

/// Beginnings of names that are refused whatever their value, and why.
const REFUSED: [(&str, &str); 7] = [
    ("default_pipeline", "a pipeline may change documents or drop them"),
    ("final_pipeline", "a pipeline may change documents or drop them"),
    ("blocks.", "the host must be able to write"),
    ("lifecycle.", "a policy would roll over or delete indices that the host corrects documents in"),
    ("mode", "it would leave out parts of documents, or refuse to correct them"),
    ("mapping.", "it may leave out fields, and the host makes the mapping"),
    ("verified_before_close", "the index must be open"),
];

/// Below `mapping.`, but harmless.
const LIMITS: [&str; 2] = ["mapping.total_fields.limit", "mapping.field_name_length.limit"];

/// Why an index must not have this setting; `name` is without `index.`.
pub fn refused(name: &str, value: &str) -> Option<&'static str> {
    if name == "translog.durability" && value != "request" {
        return Some("documents that were acknowledged could be lost");
    }
    if LIMITS.contains(&name) || name.ends_with("_pipeline") && value == "_none" {
        return None;
    }
    let fits = |beginning: &str| name == beginning || beginning.ends_with('.') && name.starts_with(beginning);
    // The usual one.
    if name == "mode" && value == "standard" {
        return None;
    }
    REFUSED.iter().find(|(beginning, _)| fits(beginning)).map(|(_, reason)| *reason)
}

/// The settings of the table over `default`.
pub(super) fn read(
    reader: &mut Reader<'_>,
    table: &Table<'_>,
    default: BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut settings = BTreeMap::new();
    if let Some(value) = table.get("settings") {
        match value.get_ref() {
            DeValue::Table(table) => collect(reader, "", table, &mut settings),
            other => reader.fault(
                value.span(),
                format!("`settings` takes a table, not {}", type_name(other)),
                "begin the table with a line `[index.settings]`",
            ),
        }
    }
    for (name, value) in default {
        settings.entry(name).or_insert(value);
    }
    settings
}

/// As with librdkafka's properties, a name is written in quotes or not.
fn collect(
    reader: &mut Reader<'_>,
    prefix: &str,
    table: &DeTable<'_>,
    settings: &mut BTreeMap<String, String>,
) {
    for (key, value) in table.iter() {
        let written_name = format!("{prefix}{}", key.get_ref());
        let name = written_name.strip_prefix("index.").unwrap_or(&written_name).to_owned();
        let text = match value.get_ref() {
            DeValue::Table(table) => {
                collect(reader, &format!("{written_name}."), table, settings);
                continue;
            }
            DeValue::String(text) => text.as_ref().to_owned(),
            DeValue::Datetime(_) | DeValue::Array(_) => {
                let message = format!("{} takes a string, not {}", quote(&name), type_name(value.get_ref()));
                reader.fault(value.span(), message, "write the setting's value as a string");
                continue;
            }
            other => written(other).unwrap_or_default(),
        };
        if let Some(reason) = refused(&name, &text) {
            reader.fault(key.span(), format!("`{name}` cannot be {}: {reason}", quote(&text)), "remove it");
        } else if settings.insert(name.clone(), text).is_some() {
            reader.fault(key.span(), format!("{} is given twice", quote(&name)), "keep one of the two");
        }
    }
}
