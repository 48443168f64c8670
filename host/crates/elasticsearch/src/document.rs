//! A document as JSON, in the order of the contract.

use clickmill_columns::{Column, Data, Kind, document_id, format_instant};
use clickmill_tasks::batch::DocumentBatch;
use serde::de::IgnoredAny;

/// Appends the two lines of a bulk request that offer a document.
pub(crate) fn push_item(lines: &mut Vec<u8>, batch: &DocumentBatch, row: usize) {
    let start = format_instant(batch.starts[row], false);
    let group = batch.by.iter().map(|(_, column)| column.text(row));
    let id = document_id(&batch.rollup, &batch.window, &start, group);
    let action =
        format!(r#"{{"index":{{"_id":"{id}","version":{},"version_type":"external"}}}}"#, batch.version);
    lines.extend_from_slice(action.as_bytes());
    lines.push(b'\n');
    let end = format_instant(batch.starts[row].saturating_add(batch.window_millis), false);
    lines.push(b'{');
    push_name(lines, "@timestamp");
    push_text(lines, start.as_bytes());
    for (name, value) in [("rollup", &*batch.rollup), ("window", &*batch.window), ("window_end", &*end)] {
        lines.push(b',');
        push_name(lines, name);
        push_text(lines, value.as_bytes());
    }
    for (name, column) in &batch.by {
        lines.push(b',');
        push_name(lines, name);
        push_value(lines, Kind::Text, column, row);
    }
    for (field, column) in &batch.fields {
        lines.push(b',');
        push_name(lines, &field.name);
        push_value(lines, field.kind, column, row);
    }
    lines.extend_from_slice(b"}\n");
}

fn push_name(lines: &mut Vec<u8>, name: &str) {
    push_text(lines, name.as_bytes());
    lines.push(b':');
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
        let mut lines = Vec::new();
        push_item(&mut lines, &batch, 0);
        let id = document_id(
            "url-country",
            "1h",
            "2026-03-01T10:00:00Z",
            [Some(&b"http://x/\""[..]), Some(b"DE")],
        );
        let expected = format!(
            "{{\"index\":{{\"_id\":\"{id}\",\"version\":7,\"version_type\":\"external\"}}}}\n{}\n",
            concat!(
                r#"{"@timestamp":"2026-03-01T10:00:00Z","rollup":"url-country","window":"1h","#,
                r#""window_end":"2026-03-01T11:00:00Z","url":"http://x/\"","country":"DE","clicks":12,"#,
                r#""avg_time_seconds":null,"total_time_seconds":345.0,"broken":null,"#,
                r#""last":"1970-01-01T00:00:00.001Z","top":[1, 2],"no":"[1,"}"#
            )
        );
        assert_eq!(String::from_utf8(lines).unwrap(), expected);
    }
}
