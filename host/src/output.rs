//! How rows are printed: a table for people, one JSON object a line or CSV for programs.

use std::{
    io::{self, BufWriter, StdoutLock, Write},
    sync::Arc,
};

use clickmill_columns::format_instant;
use clickmill_tasks::read::{StoredDocument, Value};
use serde_json::{Map, Number};

use crate::{error::Error, table::Table};

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    Table,
    /// One JSON object a line.
    Ndjson,
    Csv,
}

/// A row: names and values, the same names in each row of an output.
pub type Flat = Vec<(Arc<str>, serde_json::Value)>;

/// Prints rows as they come. A table is printed at the end, since its columns are as wide as their widest value.
pub struct Printer {
    format: Format,
    out: BufWriter<StdoutLock<'static>>,
    table: Table,
    header: bool,
}

impl Printer {
    pub fn new(format: Format) -> Printer {
        Printer { format, out: BufWriter::new(io::stdout().lock()), table: Table::default(), header: false }
    }

    pub fn print(&mut self, row: Flat) -> Result<(), Error> {
        let names = || row.iter().map(|(name, _)| name.to_string());
        match self.format {
            Format::Ndjson => {
                let object: Map<String, serde_json::Value> =
                    row.into_iter().map(|(name, value)| (name.to_string(), value)).collect();
                writeln!(self.out, "{}", serde_json::Value::Object(object))
            }
            Format::Csv => {
                let mut lines = String::new();
                if !std::mem::replace(&mut self.header, true) {
                    lines += &csv(names());
                }
                lines += &csv(row.iter().map(|(_, value)| text(value)));
                self.out.write_all(lines.as_bytes())
            }
            Format::Table => {
                self.table.push(row);
                Ok(())
            }
        }
        .map_err(Error::io("the output cannot be written"))
    }

    pub fn finish(mut self) -> Result<(), Error> {
        let table = match self.format {
            Format::Table => write!(self.out, "{}", self.table),
            _ => Ok(()),
        };
        table.and_then(|()| self.out.flush()).map_err(Error::io("the output cannot be written"))
    }
}

fn csv(fields: impl Iterator<Item = String>) -> String {
    let quoted = |field: String| match field.contains(['"', ',', '\n', '\r']) {
        true => format!("\"{}\"", field.replace('"', "\"\"")),
        false => field,
    };
    let mut line = fields.map(quoted).collect::<Vec<_>>().join(",");
    line.push('\n');
    line
}

/// A value as text; null is empty.
pub fn text(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Null => String::new(),
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A document as the contract writes it, flat.
pub fn document(document: &StoredDocument) -> Flat {
    let end = document.start.saturating_add(document.window_millis);
    let mut flat: Flat = vec![
        ("@timestamp".into(), format_instant(document.start, false).into()),
        ("rollup".into(), document.rollup.to_string().into()),
        ("window".into(), document.window.to_string().into()),
        ("window_end".into(), format_instant(end, false).into()),
    ];
    flat.extend(document.by.iter().map(|(name, value)| (name.clone(), value.clone().into())));
    flat.extend(document.fields.iter().map(|(name, field)| (name.clone(), value(field))));
    flat
}

pub fn value(value: &Value) -> serde_json::Value {
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

/// A number with commas.
pub fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bytes as people read them.
pub fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{:.0} KiB", bytes as f64 / 1024.0),
        1_048_576..1_073_741_824 => format!("{:.0} MiB", bytes as f64 / 1_048_576.0),
        _ => format!("{:.1} GiB", bytes as f64 / 1_073_741_824.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_commas() {
        assert_eq!(
            [number(0), number(999), number(1000), number(1_234_567)],
            ["0", "999", "1,000", "1,234,567"]
        );
    }

    #[test]
    fn csv_quotes_what_needs_it() {
        assert_eq!(csv(["a".into(), "b,c".into(), "d\"e".into()].into_iter()), "a,\"b,c\",\"d\"\"e\"\n");
    }
}
