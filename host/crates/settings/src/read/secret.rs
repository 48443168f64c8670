//! A secret: its text, or where to read it. Nothing is read here.

use std::path::PathBuf;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::reader::{Reader, Span, Table, type_name};
use crate::config::Secret;
use crate::schema::SECRET;

/// The secret under `key`, which may also be its text.
pub(super) fn secret(reader: &mut Reader<'_>, table: &Table<'_>, key: &str) -> Option<Secret> {
    let value = table.get(key)?;
    match value.get_ref() {
        DeValue::String(text) if !text.is_empty() => Some(Secret::Text(text.as_ref().to_owned())),
        DeValue::Table(inner) => kept_elsewhere(reader, key, inner, value.span()),
        DeValue::String(_) => {
            reader.fault(value.span(), format!("`{key}` is empty"), help(key));
            None
        }
        other => {
            let message = format!("`{key}` takes a secret, not {}", type_name(other));
            reader.fault(value.span(), message, help(key));
            None
        }
    }
}

/// The secret that `{ file = "…" }` or `{ env = "…" }` stands for.
pub(super) fn kept_elsewhere(
    reader: &mut Reader<'_>,
    key: &str,
    inner: &DeTable<'_>,
    span: Span,
) -> Option<Secret> {
    let inner = Table::new(&SECRET, format!("`{key}`"), inner, span.clone());
    let found = reader.found.len();
    reader.known(&inner, None);
    let file: Option<PathBuf> = reader.path(&inner, "file");
    let env = reader.text(&inner, "env");
    match (inner.get("file"), inner.get("env")) {
        (None, None) if reader.found.len() > found => None,
        (Some(_), Some(_)) | (None, None) => {
            reader.fault(span, format!("`{key}` takes one of `file` and `env`"), help(key));
            None
        }
        _ => {
            file.map(Secret::File).or(env.map(|env: Spanned<&str>| Secret::Env((*env.get_ref()).to_owned())))
        }
    }
}

fn help(key: &str) -> String {
    // A name with dots is one key only in quotes.
    let written = if key.contains('.') { format!("\"{key}\"") } else { key.to_owned() };
    format!(
        "write `{written} = {{ file = \"…\" }}`, `{written} = {{ env = \"…\" }}`, or the secret itself as a string"
    )
}
