//! Settings with another source and store, as text.

use std::path::Path;

use toml::{Table, Value};

use crate::read::pipeline::is_path;

/// The tables that name plugins.
const PLUGINS: [&str; 4] = ["parser", "enricher", "operator", "metric"];

/// Settings that read these files into the embedded store at `store`, and are else as `text` says, which is valid and may be empty.
/// Files that plugins are made of or may read are named below `base`, for the new settings may lie in another folder.
pub fn retarget(text: &str, base: &Path, files: &[String], store: &str) -> Result<String, toml::de::Error> {
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
    let mut source = Table::new();
    source.insert("kind".into(), "files".into());
    source.insert("paths".into(), files.to_vec().into());
    settings.insert("source".into(), source.into());
    settings.insert("store".into(), Table::from_iter([("path".to_owned(), store.into())]).into());
    settings.remove("index");
    Ok(settings.to_string())
}

/// `[x]` or `[[x]]`.
fn tables(value: &mut Value) -> Vec<&mut Table> {
    match value {
        Value::Table(table) => vec![table],
        Value::Array(all) => all.iter_mut().filter_map(Value::as_table_mut).collect(),
        _ => Vec::new(),
    }
}
