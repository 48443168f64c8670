//! Documents as rows of an output, whatever rollups they are of.

use clickmill_columns::format_instant;
use clickmill_settings::Rollup;
use clickmill_tasks::read::{StoredDocument, Value};
use serde_json::Number;

use crate::columns::{Columns, Flat};

const FIXED: [&str; 4] = ["@timestamp", "rollup", "window", "window_end"];

/// What every document has, then the grouping columns, then the fields; of several rollups in the order of the settings.
pub fn columns(rollups: &[Rollup], documents: &[StoredDocument]) -> Columns {
    let mut makes: Vec<Make> = Vec::new();
    for document in documents {
        match makes.iter_mut().find(|make| make.fits(document)) {
            Some(make) => make.version = make.version.max(document.version),
            None => makes.push(Make { document, version: document.version }),
        }
    }
    let place = |name: &str| rollups.iter().position(|rollup| rollup.name == *name).unwrap_or(rollups.len());
    // Documents come in no order, so nothing of theirs decides but what the store has: the newest fields come first.
    makes.sort_by_key(|make| {
        (place(&make.document.rollup), make.document.rollup.clone(), std::cmp::Reverse(make.version))
    });
    let mut columns = Columns::from_iter(FIXED);
    for make in &makes {
        columns.extend(make.document.by.iter().map(|(name, _)| name.clone()));
    }
    for make in &makes {
        columns.extend(make.document.fields.iter().map(|(name, _)| name.clone()));
    }
    columns
}

/// Documents of one rollup with the same names. An earlier version of a metric may have had other fields.
struct Make<'a> {
    document: &'a StoredDocument,
    /// The newest of them.
    version: u64,
}

impl Make<'_> {
    fn fits(&self, other: &StoredDocument) -> bool {
        let (by, fields) = (&self.document.by, &self.document.fields);
        self.document.rollup == other.rollup
            && by.iter().map(|(name, _)| name).eq(other.by.iter().map(|(name, _)| name))
            && fields.iter().map(|(name, _)| name).eq(other.fields.iter().map(|(name, _)| name))
    }
}

/// A document as the contract writes it, flat.
pub fn flat(document: &StoredDocument) -> Flat {
    let end = document.start.saturating_add(document.window_millis);
    let mut flat: Flat = vec![
        (FIXED[0].into(), format_instant(document.start, false).into()),
        (FIXED[1].into(), document.rollup.to_string().into()),
        (FIXED[2].into(), document.window.to_string().into()),
        (FIXED[3].into(), format_instant(end, false).into()),
    ];
    flat.extend(document.by.iter().map(|(name, value)| (name.clone(), value.clone().into())));
    flat.extend(document.fields.iter().map(|(name, field)| (name.clone(), value(field))));
    flat
}

fn value(value: &Value) -> serde_json::Value {
    match value {
        Value::Null => serde_json::Value::Null,
        Value::Integer(number) => (*number).into(),
        Value::Unsigned(number) => (*number).into(),
        Value::Real(number) => Number::from_f64(*number).map_or(serde_json::Value::Null, Into::into),
        Value::Boolean(value) => (*value).into(),
        Value::Text(text) => text.clone().into(),
        Value::Json(json) => serde_json::from_str(json).unwrap_or_else(|_| json.clone().into()),
    }
}
