//! How rows are printed: a table for people, one JSON object a line or CSV for programs. And the one way to stdout.
//!
//! Who closes stdout has seen enough, which is no error: rows end there, and what a command says beside its work is dropped.

use std::{
    fmt,
    io::{self, BufWriter, StdoutLock, Write},
};

use serde_json::{Map, Value};

use crate::{
    columns::{Columns, Flat},
    error::Error,
    table::Table,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    Table,
    /// One JSON object a line.
    Ndjson,
    Csv,
}

const UNWRITABLE: &str = "the output cannot be written";

/// Prints text as it is. A command that has other work goes on with it where nobody reads this any more.
pub fn print(text: fmt::Arguments) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    match out.write_fmt(text).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        printed => printed.map_err(Error::io(UNWRITABLE)),
    }
}

/// Prints a line: `println!`, but for its panic where stdout is closed.
pub fn say(line: impl fmt::Display) -> Result<(), Error> {
    print(format_args!("{line}\n"))
}

/// Prints rows as they come. A table is printed at the end, since its columns are as wide as their widest value.
pub struct Printer {
    format: Format,
    out: BufWriter<StdoutLock<'static>>,
    columns: Columns,
    table: Table,
    header: bool,
}

impl Printer {
    pub fn new(format: Format, columns: Columns) -> Printer {
        let out = BufWriter::new(io::stdout().lock());
        Printer { format, out, table: Table::new(&columns), columns, header: false }
    }

    /// Columns that a table goes without.
    pub fn hide(&mut self, names: &[&'static str]) {
        self.table.hide(names);
    }

    pub fn print(&mut self, row: Flat) -> Result<(), Error> {
        let values = self.columns.place(row)?;
        let names = || self.columns.names().iter().map(|name| name.to_string());
        match self.format {
            Format::Ndjson => {
                let object: Map<String, Value> = names().zip(values).collect();
                writeln!(self.out, "{}", Value::Object(object))
            }
            Format::Csv => {
                let mut lines = String::new();
                if !std::mem::replace(&mut self.header, true) {
                    lines += &csv(names());
                }
                lines += &csv(values.iter().map(text));
                self.out.write_all(lines.as_bytes())
            }
            Format::Table => {
                self.table.push(values);
                Ok(())
            }
        }
        .map_err(Error::io(UNWRITABLE))
    }

    pub fn finish(mut self) -> Result<(), Error> {
        let table = match self.format {
            Format::Table => write!(self.out, "{}", self.table),
            _ => Ok(()),
        };
        table.and_then(|()| self.out.flush()).map_err(Error::io(UNWRITABLE))
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
pub fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
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
