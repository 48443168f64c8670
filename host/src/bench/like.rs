//! Settings to measure: as a file says, but for what the bench has of its own.

use std::path::Path;

use toml::{Table, Value};

use super::failed;
use crate::{error::Error, load};

/// The tables that name plugins.
const PLUGINS: [&str; 4] = ["parser", "enricher", "operator", "metric"];

/// The settings of a file that is valid, without source, store and index; none where no file is given. Files that plugins are made
/// of or may read are named by their whole paths, for the settings will lie in another folder.
pub fn like(path: Option<&Path>) -> Result<Table, Error> {
    let Some(path) = path else { return Ok(Table::new()) };
    load::settings(path)?;
    let text = std::fs::read_to_string(path).map_err(failed(path))?;
    let mut settings: Table = text
        .trim_start_matches('\u{feff}')
        .parse()
        .map_err(|error| Error::Other(format!("{}: {error}", path.display())))?;
    for own in ["source", "store", "index"] {
        settings.remove(own);
    }
    let whole = path.canonicalize().map_err(failed(path))?;
    let base = whole.parent().unwrap_or(Path::new("/"));
    let kinds = settings.iter_mut().filter(|(kind, _)| PLUGINS.contains(&kind.as_str()));
    for plugin in kinds.flat_map(|(_, value)| tables(value)) {
        // What is no path is the name of a default plugin.
        let is_path = |written: &str| written.contains('/') || written.ends_with(".wasm");
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
