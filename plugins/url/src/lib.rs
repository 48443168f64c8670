//! `url`, an enricher: replaces the column `url` by the canonical URL, or refuses the row as `invalid-url`.
//!
//! Parameters: `drop` and `keep` list query names, of which a `*` at the end makes a prefix; dropped is what
//! tracks a visitor by default or is in `drop`, unless it is in `keep`. `keep_fragment` (false) keeps what
//! follows `#`. `trailing_slash` is `keep` (the default) or `drop`.

pub mod bindings;
mod canonical;
mod percent;
mod plain;
mod rules;

use plugin_support::blobs::{Blobs, BlobsBuilder};
use plugin_support::valid::{Validity, ValidityBuilder};

use bindings::clickmill::plugin::columns::{
    About, Column, Data, Failure, Field, Input, Kind, Reject, Shape, Values,
};
pub use bindings::exports::clickmill::plugin::enricher::{Enriched, Guest, GuestInstance, Info};
use canonical::append_canonical;
use rules::Rules;

const COLUMN: &str = "url";

/// The plugin.
pub struct Plugin;

impl Guest for Plugin {
    type Instance = Instance;

    fn describe(params: String) -> Result<Info, String> {
        Rules::read(&params).map_err(|error| error.to_string())?;
        Ok(Info {
            about: About {
                name: "url".into(),
                version: env!("CARGO_PKG_VERSION").into(),
                summary: "Canonical URLs.".into(),
                licence: env!("CARGO_PKG_LICENSE").into(),
            },
            inputs: vec![Input { column: COLUMN.into(), shape: Shape::Plain, required: true }],
            outputs: vec![Field {
                name: COLUMN.into(),
                kind: Kind::Text,
                unit: String::new(),
                family: "click_data".into(),
                doc: "Canonical URL of the page.".into(),
            }],
        })
    }
}

/// The rules, ready to be used.
pub struct Instance {
    rules: Rules,
}

impl GuestInstance for Instance {
    fn new(params: String) -> Self {
        Self { rules: Rules::read(&params).unwrap_or_default() }
    }

    fn enrich(&self, inputs: Vec<Column>, wanted: Vec<String>) -> Result<Enriched, Failure> {
        let [Column { data: Data::Text(text), valid }] = &inputs[..] else {
            return Err(fault("the input must be one column of plain text"));
        };
        if let Some(unknown) = wanted.iter().find(|name| *name != COLUMN) {
            return Err(fault(format_args!("no output is called `{unknown}`")));
        }
        let rows = text.ends.len();
        Blobs::new(&text.bytes, &text.ends, rows).map_err(fault)?;
        let values =
            std::str::from_utf8(&text.bytes).map_err(|error| fault(format_args!("the column: {error}")))?;
        let valid = Validity::new(valid, rows).map_err(fault)?;
        let mut urls = BlobsBuilder::with_capacity(rows, text.bytes.len());
        let mut nulls = ValidityBuilder::default();
        let mut rejects = Vec::new();
        let mut start = 0;
        for (row, &end) in text.ends.iter().enumerate() {
            let value = values.get(start..end as usize);
            let value = value.ok_or_else(|| fault(format_args!("row {row} is no UTF-8")))?;
            start = end as usize;
            if valid.is_valid(row) {
                if let Err(invalid) = append_canonical(value, &self.rules, &mut urls.bytes) {
                    rejects.push(Reject {
                        row: row as u32,
                        reason: "invalid-url".into(),
                        message: invalid.to_string(),
                        at: invalid.at(),
                    });
                }
            } else {
                nulls.set_null(row, rows);
            }
            urls.end().map_err(fault)?;
        }
        let (bytes, ends) = urls.finish();
        let column = Column { data: Data::Text(Values { bytes, ends }), valid: nulls.finish() };
        Ok(Enriched { columns: vec![column; wanted.len().min(1)], rejects })
    }
}

fn fault(reason: impl std::fmt::Display) -> Failure {
    Failure::Call(format!("url: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(values: &[&str], valid: Vec<u8>) -> Column {
        let mut builder = BlobsBuilder::default();
        for value in values {
            builder.bytes.extend_from_slice(value.as_bytes());
            builder.end().unwrap();
        }
        let (bytes, ends) = builder.finish();
        Column { data: Data::Text(Values { bytes, ends }), valid }
    }

    fn instance() -> Instance {
        Instance::new(String::new())
    }

    #[test]
    fn each_row_has_its_url_or_its_reject() {
        let input = text(&["http://E.x", "ftp://e.x", "", "https://e.x/?gclid=1"], vec![0b1011]);
        let enriched = instance().enrich(vec![input], vec![COLUMN.into()]).unwrap();
        let [Column { data: Data::Text(urls), valid }] = &enriched.columns[..] else {
            panic!("one column of text")
        };
        let urls: Vec<_> = Blobs::new(&urls.bytes, &urls.ends, 4).unwrap().iter().collect();
        assert_eq!(urls, [&b"http://e.x/"[..], b"", b"", b"https://e.x/"]);
        assert_eq!(valid, &[0b1011]);
        let [reject] = &enriched.rejects[..] else { panic!("one reject") };
        assert_eq!((reject.row, reject.reason.as_str(), reject.at), (1, "invalid-url", Some(0)));
        assert_eq!(reject.message, "the scheme is `ftp`, not `http` or `https`");
    }

    #[test]
    fn rejects_come_whether_the_column_is_wanted_or_not() {
        let enriched = instance().enrich(vec![text(&["/a"], vec![])], vec![]).unwrap();
        assert_eq!((enriched.columns.len(), enriched.rejects.len()), (0, 1));
    }

    #[test]
    fn other_inputs_and_outputs_fail_the_call() {
        let fails = |inputs, wanted: &str| {
            matches!(instance().enrich(inputs, vec![wanted.into()]), Err(Failure::Call(_)))
        };
        assert!(fails(vec![], COLUMN));
        assert!(fails(vec![Column { data: Data::Reals(vec![]), valid: vec![] }], COLUMN));
        assert!(fails(vec![text(&["http://e.x"], vec![])], "host"));
        assert!(fails(vec![text(&["http://e.x"], vec![0, 0])], COLUMN));
        let broken = Values { bytes: vec![0xff], ends: vec![1] };
        assert!(fails(vec![Column { data: Data::Text(broken), valid: vec![] }], COLUMN));
    }

    #[test]
    fn it_replaces_the_column_it_reads() {
        let info = Plugin::describe(String::new()).unwrap();
        assert_eq!(info.inputs[0].column, info.outputs[0].name);
        assert!(Plugin::describe(r#"{"trailing": 1}"#.into()).unwrap_err().contains("`trailing`"));
    }
}
