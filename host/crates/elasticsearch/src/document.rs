//! A document as JSON, in the order of the contract.

use std::ops::Range;

use clickmill_columns::{Column, Data, Kind, document_id, format_instant};
use clickmill_tasks::batch::DocumentBatch;
use serde::de::IgnoredAny;

use crate::queue::Lines;

/// Encodes the documents of a batch, one after the other, as lines of a bulk request.
pub(crate) struct Encoder<'a> {
    batch: &'a DocumentBatch,
    next: usize,
    /// What is the same for all: the action's line up to the `_id` and from there on, and the document between its two instants.
    action: (Vec<u8>, Vec<u8>),
    middle: Vec<u8>,
    /// `,"name":` of each grouping column and field.
    by: Vec<Vec<u8>>,
    fields: Vec<Vec<u8>>,
    /// The last start, and it and its window's end in text: neighbours mostly have the same.
    start: Option<(i64, String, String)>,
}

impl<'a> Encoder<'a> {
    pub(crate) fn new(batch: &'a DocumentBatch, index: &str) -> Encoder<'a> {
        let mut head = b"{\"index\":{\"_index\":".to_vec();
        push_text(&mut head, index.as_bytes());
        head.extend_from_slice(b",\"_id\":\"");
        let tail = format!("\",\"version\":{},\"version_type\":\"external\"}}}}\n", batch.version);
        let mut middle = b"\"".to_vec();
        for (name, value) in [("rollup", &batch.rollup), ("window", &batch.window)] {
            middle.extend_from_slice(&named(name));
            push_text(&mut middle, value.as_bytes());
        }
        middle.extend_from_slice(&named("window_end"));
        middle.push(b'"');
        Encoder {
            batch,
            next: 0,
            action: (head, tail.into_bytes()),
            middle,
            by: batch.by.iter().map(|(name, _)| named(name)).collect(),
            fields: batch.fields.iter().map(|(field, _)| named(&field.name)).collect(),
            start: None,
        }
    }

    /// The next rows, as many as fit, and one in any case; none at the end.
    pub(crate) fn next(&mut self, bytes: usize, documents: usize) -> Option<(Range<usize>, Lines)> {
        let from = self.next;
        let mut lines = Lines::default();
        while self.next < self.batch.starts.len() && lines.ends.len() < documents {
            let before = lines.bytes.len();
            self.push(&mut lines.bytes, self.next);
            if lines.bytes.len() > bytes && before > 0 {
                lines.bytes.truncate(before);
                break;
            }
            lines.ends.push(lines.bytes.len());
            self.next += 1;
        }
        (self.next > from).then_some((from..self.next, lines))
    }

    /// No more rows are wanted.
    pub(crate) fn end(&mut self) {
        self.next = self.batch.starts.len();
    }

    fn push(&mut self, lines: &mut Vec<u8>, row: usize) {
        let batch = self.batch;
        let instant = batch.starts[row];
        if self.start.as_ref().is_none_or(|(of, ..)| *of != instant) {
            let end = instant.saturating_add(batch.window_millis);
            self.start = Some((instant, format_instant(instant, false), format_instant(end, false)));
        }
        let Some((_, start, end)) = &self.start else { return };
        let group = batch.by.iter().map(|(_, column)| column.text(row));
        let id = document_id(&batch.rollup, &batch.window, start, group);
        for part in
            [&self.action.0[..], id.as_bytes(), &self.action.1, b"{\"@timestamp\":\"", start.as_bytes()]
        {
            lines.extend_from_slice(part);
        }
        for part in [&self.middle[..], end.as_bytes(), b"\""] {
            lines.extend_from_slice(part);
        }
        for (name, (_, column)) in self.by.iter().zip(&batch.by) {
            lines.extend_from_slice(name);
            push_value(lines, Kind::Text, column, row);
        }
        for (name, (field, column)) in self.fields.iter().zip(&batch.fields) {
            lines.extend_from_slice(name);
            push_value(lines, field.kind, column, row);
        }
        lines.extend_from_slice(b"}\n");
    }
}

/// `,"name":`
fn named(name: &str) -> Vec<u8> {
    let mut bytes = vec![b','];
    push_text(&mut bytes, name.as_bytes());
    bytes.push(b':');
    bytes
}

fn push_value(lines: &mut Vec<u8>, kind: Kind, column: &Column, row: usize) {
    if !column.valid.get(row) {
        return lines.extend_from_slice(b"null");
    }
    match &column.data {
        Data::Integers(values) if kind == Kind::Instant => {
            push_text(lines, format_instant(values[row], true).as_bytes());
        }
        Data::Integers(values) => push_json(lines, &values[row]),
        Data::Unsigned(values) => push_json(lines, &values[row]),
        Data::Booleans(values) => push_json(lines, &values[row]),
        // JSON has no infinity and no NaN; they become null.
        Data::Reals(values) => push_json(lines, &values[row]),
        Data::Text(_) | Data::Places { .. } | Data::Coded { .. } => {
            let text = column.text(row).unwrap_or_default();
            if kind == Kind::Json { push_raw(lines, text) } else { push_text(lines, text) }
        }
    }
}

fn push_text(lines: &mut Vec<u8>, text: &[u8]) {
    push_json(lines, &String::from_utf8_lossy(text));
}

fn push_json(lines: &mut Vec<u8>, value: &(impl serde::Serialize + ?Sized)) {
    let before = lines.len();
    if serde_json::to_writer(&mut *lines, value).is_err() {
        lines.truncate(before);
        lines.extend_from_slice(b"null");
    }
}

/// Text that is JSON; what is none after all, as a string.
fn push_raw(lines: &mut Vec<u8>, text: &[u8]) {
    if serde_json::from_slice::<IgnoredAny>(text).is_ok() {
        // A line feed ends an item. In JSON it is white space, for none is in a string.
        lines.extend(text.iter().map(|&byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte }));
    } else {
        push_text(lines, text);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use clickmill_columns::{Family, Field, Validity};

    use super::*;

    #[test]
    fn a_document_is_as_the_contract_says() {
        let text = |text: &str| Column::new(Data::Text([text.as_bytes()].into_iter().collect()));
        let field = |name: &str, kind| {
            Arc::new(Field {
                name: name.into(),
                kind,
                unit: String::new(),
                family: Family::ClickData,
                doc: String::new(),
            })
        };
        let null = Column { data: Data::Reals(vec![0.0]), valid: Validity::from_fn(1, |_| false) };
        let batch = DocumentBatch {
            shard: 0,
            rollup: "url-country".into(),
            window: "1h".into(),
            window_millis: 3_600_000,
            version: 7,
            starts: vec![1_772_359_200_000],
            by: vec![("url".into(), text("http://x/\"")), ("country".into(), text("DE"))],
            fields: vec![
                (field("clicks", Kind::Unsigned), Column::new(Data::Unsigned(vec![12]))),
                (field("avg_time_seconds", Kind::Real), null),
                (field("total_time_seconds", Kind::Real), Column::new(Data::Reals(vec![345.0]))),
                (field("broken", Kind::Real), Column::new(Data::Reals(vec![f64::NAN]))),
                (field("last", Kind::Instant), Column::new(Data::Integers(vec![1]))),
                (field("top", Kind::Json), text("[1,\n2]")),
                (field("no", Kind::Json), text("[1,")),
            ],
        };
        let mut encoder = Encoder::new(&batch, "an-index");
        let Some((rows, lines)) = encoder.next(1, 1) else { panic!() };
        assert_eq!((rows, &*lines.ends), (0..1, &[lines.bytes.len()][..]));
        assert!(encoder.next(1, 1).is_none());
        let id = document_id(
            "url-country",
            "1h",
            "2026-03-01T10:00:00Z",
            [Some(&b"http://x/\""[..]), Some(b"DE")],
        );
        let expected = format!(
            "{{\"index\":{{\"_index\":\"an-index\",\"_id\":\"{id}\",\"version\":7,\"version_type\":\"external\"}}}}\n{}\n",
            concat!(
                r#"{"@timestamp":"2026-03-01T10:00:00Z","rollup":"url-country","window":"1h","#,
                r#""window_end":"2026-03-01T11:00:00Z","url":"http://x/\"","country":"DE","clicks":12,"#,
                r#""avg_time_seconds":null,"total_time_seconds":345.0,"broken":null,"#,
                r#""last":"1970-01-01T00:00:00.001Z","top":[1, 2],"no":"[1,"}"#
            )
        );
        assert_eq!(String::from_utf8(lines.bytes).unwrap(), expected);
    }
}
