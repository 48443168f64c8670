//! Settings with another source and store, or with other names in the same services, as text.

use std::path::Path;

use toml::{Table, Value};

use crate::read::pipeline::is_path;

/// The tables that name plugins.
const PLUGINS: [&str; 4] = ["parser", "enricher", "operator", "metric"];

/// Settings that read these files into the embedded store at `store`, and are else as `text` says, which is valid and may be empty.
/// Files that plugins are made of or may read are named below `base`, for the new settings may lie in another folder.
pub fn retarget(text: &str, base: &Path, files: &[String], store: &str) -> Result<String, toml::de::Error> {
    let mut settings = below(text, base)?;
    let mut source = Table::new();
    source.insert("kind".into(), "files".into());
    source.insert("paths".into(), files.to_vec().into());
    settings.insert("source".into(), source.into());
    settings.insert("store".into(), Table::from_iter([("path".to_owned(), store.into())]).into());
    settings.remove("index");
    Ok(settings.to_string())
}

/// Settings of the same services with another topic, and a group, tables and indices of this name, else as `text` says, which is
/// valid. Files are named below `base`.
pub fn renamed(text: &str, base: &Path, topic: &str, name: &str) -> Result<String, toml::de::Error> {
    let mut settings = below(text, base)?;
    for (table, key, name) in [
        ("source", "topic", topic),
        ("source", "group", name),
        ("source", "start", "earliest"),
        ("store", "table", name),
        ("index", "name", name),
    ] {
        if let Some(Value::Table(table)) = settings.get_mut(table) {
            table.insert(key.into(), name.into());
        }
    }
    let services =
        settings.iter_mut().filter(|(table, _)| ["source", "store", "index"].contains(&table.as_str()));
    for (_, service) in services {
        secrets_below(service, base);
    }
    Ok(settings.to_string())
}

/// Names files of certificates and secrets, at any depth, below `base`.
fn secrets_below(value: &mut Value, base: &Path) {
    let Value::Table(table) = value else { return };
    for (key, value) in table.iter_mut() {
        match value {
            Value::String(path) if matches!(key.as_str(), "file" | "ca_file") => {
                *path = base.join(&*path).display().to_string();
            }
            other => secrets_below(other, base),
        }
    }
}

/// Settings whose plugins, and the files that those may read, are named below `base`.
fn below(text: &str, base: &Path) -> Result<Table, toml::de::Error> {
    let mut settings: Table = text.trim_start_matches('\u{feff}').parse()?;
    let kinds = settings.iter_mut().filter(|(kind, _)| PLUGINS.contains(&kind.as_str()));
    for plugin in kinds.flat_map(|(_, value)| tables(value)) {
        if let Some(Value::String(written)) = plugin.get_mut("plugin")
            && is_path(written)
        {
            *written = base.join(&*written).display().to_string();
        }
        if let Some(Value::Table(granted)) = plugin.get_mut("files") {
            for (_, file) in granted.iter_mut() {
                if let Value::String(file) = file {
                    *file = base.join(&*file).display().to_string();
                }
            }
        }
    }
    Ok(settings)
}

/// `[x]` or `[[x]]`.
fn tables(value: &mut Value) -> Vec<&mut Table> {
    match value {
        Value::Table(table) => vec![table],
        Value::Array(all) => all.iter_mut().filter_map(Value::as_table_mut).collect(),
        _ => Vec::new(),
    }
}
