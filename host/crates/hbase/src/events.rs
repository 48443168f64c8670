//! Events as rows: a cell for each field, or one for each column family. What is written is made of the batch alone, byte for
//! byte; what is read is in either layout, whatever the settings say, so a reader needs none.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use clickmill_columns::{Family, Field};
use clickmill_settings::Layout;
use clickmill_tasks::batch::{EventBatch, StoredColumn};

use crate::{cells::push_text, keys, message::Message};

/// The column of a family's cell. No field has this name: those begin with a letter.
const JSON: &str = "_json";
/// A family whose JSON would be longer has a cell for each field, in either layout: so no cell is larger than a field, and what
/// is too large for a message or for HBase does not depend on the layout.
const LONGEST_JSON: usize = 1 << 20;

/// How the events of a batch are written.
pub(crate) struct Format {
    /// The fields' columns in the order of the batch, then the families'.
    pub(crate) names: Vec<Vec<u8>>,
    /// `"name":` of each field, as JSON; the fields of each family, with the number of its column. Empty where each field has a cell.
    labels: Vec<Vec<u8>>,
    families: Vec<(usize, Vec<usize>)>,
}

impl Format {
    pub(crate) fn new(columns: &[StoredColumn], layout: Layout) -> Format {
        let mut names: Vec<Vec<u8>> = columns.iter().map(|stored| column(&stored.field)).collect();
        let (mut labels, mut families) = (Vec::new(), Vec::new());
        if layout == Layout::Families {
            labels.extend(columns.iter().map(|stored| {
                let mut label = Vec::new();
                push_string(&mut label, stored.field.name.as_bytes());
                label.push(b':');
                label
            }));
            for family in Family::ALL {
                let fields = columns.iter().enumerate().filter(|(_, stored)| stored.field.family == family);
                families.push((names.len(), fields.map(|(at, _)| at).collect()));
                names.push(json_column(family));
            }
        }
        Format { names, labels, families }
    }

    /// Appends the event number `at` of the batch.
    pub(crate) fn push(&self, message: &mut Message, batch: &EventBatch, at: usize) {
        let (Some(&offset), Some(&row)) = (batch.offsets.get(at), batch.rows.get(at)) else { return };
        message.begin_row(keys::event(batch.partition, offset));
        if self.families.is_empty() {
            self.push_fields(message, batch, row, 0..batch.columns.len());
        }
        for (column, fields) in &self.families {
            let mut fits = true;
            message.cell(*column, self.name(*column), |out| {
                let start = out.len();
                let there = self.push_json(out, batch, row, fields);
                fits = out.len() - start <= LONGEST_JSON;
                there && fits
            });
            if !fits {
                self.push_fields(message, batch, row, fields.iter().copied());
            }
        }
    }

    fn push_fields(
        &self,
        message: &mut Message,
        batch: &EventBatch,
        row: u32,
        fields: impl Iterator<Item = usize>,
    ) {
        for field in fields {
            let Some(stored) = batch.columns.get(field) else { continue };
            message.cell(field, self.name(field), |out| {
                push_text(out, stored.field.kind, &stored.column, row as usize)
            });
        }
    }

    /// Whether any field is there.
    fn push_json(&self, out: &mut Vec<u8>, batch: &EventBatch, row: u32, fields: &[usize]) -> bool {
        let mut text = Vec::new();
        let mut before = b'{';
        for &field in fields {
            let (Some(stored), Some(label)) = (batch.columns.get(field), self.labels.get(field)) else {
                continue;
            };
            text.clear();
            if push_text(&mut text, stored.field.kind, &stored.column, row as usize) {
                out.push(before);
                out.extend_from_slice(label);
                push_string(out, &text);
                before = b',';
            }
        }
        let any = before == b',';
        if any {
            out.push(b'}');
        }
        any
    }

    fn name(&self, column: usize) -> &[u8] {
        self.names.get(column).map_or(&[], Vec::as_slice)
    }
}

fn push_string(out: &mut Vec<u8>, text: &[u8]) {
    // Columns of text are UTF-8; nothing fails that is written to memory.
    let _ = serde_json::to_writer(out, &String::from_utf8_lossy(text));
}

fn column(field: &Field) -> Vec<u8> {
    format!("{}:{}", field.family.name(), field.name).into_bytes()
}

fn json_column(family: Family) -> Vec<u8> {
    format!("{}:{JSON}", family.name()).into_bytes()
}

/// What is read of events: some fields, in the order wanted.
pub(crate) struct Wanted {
    fields: Vec<(Arc<str>, Vec<u8>, Family)>,
}

/// The name and text of each wanted field.
pub(crate) type Texts = Vec<(Arc<str>, Option<String>)>;

impl Wanted {
    pub(crate) fn new(fields: &[Arc<Field>]) -> Wanted {
        let fields = fields.iter().map(|field| (Arc::from(field.name.as_str()), column(field), field.family));
        Wanted { fields: fields.collect() }
    }

    /// The fields of a row's cells. A cell that is damaged is named.
    pub(crate) fn texts(&self, mut cells: BTreeMap<Vec<u8>, Vec<u8>>) -> Result<Texts, String> {
        let objects: Vec<(Family, Vec<u8>)> = Family::ALL
            .into_iter()
            .filter_map(|family| Some((family, cells.remove(&json_column(family))?)))
            .collect();
        let mut families = Vec::new();
        for (family, object) in &objects {
            let fields: BTreeMap<Cow<'_, str>, Cow<'_, str>> = serde_json::from_slice(object)
                .map_err(|error| format!("the cell {}:{JSON} is damaged: {error}", family.name()))?;
            families.push((*family, fields));
        }
        let texts = self.fields.iter().map(|(name, column, of)| {
            let of_family = families.iter_mut().find(|(family, _)| family == of);
            let text = match of_family.and_then(|(_, fields)| fields.remove(&**name)) {
                Some(text) => Some(text.into_owned()),
                None => cells.remove(column).map(|text| String::from_utf8_lossy(&text).into_owned()),
            };
            (name.clone(), text)
        });
        Ok(texts.collect())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use clickmill_columns::{Column, Data, Kind, Validity, Values};
    use clickmill_tasks::name::PartitionId;
    use proptest::prelude::*;

    use super::*;

    const P: PartitionId = PartitionId { partition: 1, log: 0 };

    pub(crate) fn field(name: &str, kind: Kind, family: Family) -> Arc<Field> {
        Arc::new(Field { name: name.into(), kind, unit: String::new(), family, doc: String::new() })
    }

    /// A column of text; none is null.
    fn text(name: &str, family: Family, values: &[Option<String>]) -> StoredColumn {
        let data: Values = values.iter().map(|value| value.as_deref().unwrap_or("null").as_bytes()).collect();
        let valid = Validity::from_fn(values.len(), |row| values[row].is_some());
        StoredColumn {
            field: field(name, Kind::Text, family),
            column: Column { data: Data::Text(data), valid },
        }
    }

    fn batch(columns: Vec<StoredColumn>) -> EventBatch {
        let rows = columns.first().map_or(0, |stored| stored.column.rows());
        let offsets = (0..rows as i64).map(|row| row + 10).collect();
        EventBatch { partition: P, fence: 3, offsets, rows: (0..rows as u32).collect(), columns }
    }

    /// The cells of each row, by the names of their columns.
    fn rows(batch: &EventBatch, layout: Layout) -> Vec<BTreeMap<Vec<u8>, Vec<u8>>> {
        let format = Format::new(&batch.columns, layout);
        (0..batch.offsets.len())
            .map(|at| {
                let mut message = Message::default();
                format.push(&mut message, batch, at);
                message.shown(&format.names)
            })
            .collect()
    }

    fn shown(rows: &BTreeMap<Vec<u8>, Vec<u8>>) -> Vec<(String, String)> {
        let text = |bytes: &Vec<u8>| String::from_utf8(bytes.clone()).unwrap();
        rows.iter().map(|(column, value)| (text(column), text(value))).collect()
    }

    #[test]
    fn a_family_is_an_object_of_its_fields_that_are_there() {
        let some = |text: &str| vec![Some(text.to_owned())];
        let time = Column::new(Data::Integers(vec![1]));
        let batch = batch(vec![
            text("url", Family::ClickData, &some("https://a.example/\"\\\u{1}\u{7f}\u{2028}ä")),
            text("referrer", Family::ClickData, &[None]),
            text("browser", Family::UserAgentData, &some("")),
            StoredColumn { field: field("timestamp", Kind::Instant, Family::ClickData), column: time },
            text("city", Family::GeoData, &[None]),
        ]);
        let rows = rows(&batch, Layout::Families);
        assert_eq!(
            shown(&rows[0]),
            [
                (
                    "click_data:_json".to_owned(),
                    "{\"url\":\"https://a.example/\\\"\\\\\\u0001\u{7f}\u{2028}ä\",\"timestamp\":\"1970-01-01T00:00:00.001Z\"}"
                        .to_owned()
                ),
                ("user_agent_data:_json".to_owned(), "{\"browser\":\"\"}".to_owned()),
            ]
        );
    }

    #[test]
    fn a_family_that_is_too_long_has_a_cell_for_each_field() {
        let long = || vec![Some("\u{1}".repeat(LONGEST_JSON / 6))];
        let batch = batch(vec![
            text("url", Family::ClickData, &long()),
            text("browser", Family::UserAgentData, &[Some("x".to_owned())]),
            text("raw_url", Family::ClickData, &[Some(String::new())]),
        ]);
        let rows = rows(&batch, Layout::Families);
        let columns: Vec<_> = shown(&rows[0]).into_iter().map(|(column, _)| column).collect();
        assert_eq!(columns, ["click_data:raw_url", "click_data:url", "user_agent_data:_json"]);
        assert_eq!(read(&batch, Layout::Families), read(&batch, Layout::Fields));
    }

    #[test]
    fn a_damaged_cell_is_named() {
        let wanted = Wanted::new(&[field("url", Kind::Text, Family::ClickData)]);
        for damaged in ["", "{", "[1]", "{\"url\":1}", "{}x"] {
            let cells = BTreeMap::from([(b"click_data:_json".to_vec(), damaged.as_bytes().to_vec())]);
            let error = wanted.texts(cells).unwrap_err();
            assert!(error.starts_with("the cell click_data:_json is damaged: "), "{error}");
        }
    }

    fn read(batch: &EventBatch, layout: Layout) -> Vec<Texts> {
        let fields: Vec<_> = batch.columns.iter().map(|stored| stored.field.clone()).collect();
        let wanted = Wanted::new(&fields);
        rows(batch, layout).into_iter().map(|cells| wanted.texts(cells).unwrap()).collect()
    }

    /// Names of fields that plugins may give, and some that mean something elsewhere.
    fn names() -> impl Strategy<Value = String> {
        prop_oneof!["[a-z][a-z0-9_]{0,8}", Just("json".to_owned()), Just("url".to_owned())]
    }

    proptest! {
        #[test]
        fn both_layouts_read_back_what_was_there(
            names in proptest::collection::btree_set(names(), 1..6),
            rows in 1usize..4,
            seed: Vec<(Option<String>, u8)>,
        ) {
            let mut seed = seed.into_iter().cycle();
            let mut next = move || seed.next().unwrap_or((Some("\"\\\u{0}\u{1f}𝄞".to_owned()), 1));
            let columns: Vec<StoredColumn> = names
                .iter()
                .map(|name| {
                    let family = Family::ALL[usize::from(next().1) % 3];
                    text(name, family, &(0..rows).map(|_| next().0).collect::<Vec<_>>())
                })
                .collect();
            let batch = batch(columns);
            let expected: Vec<Texts> = (0..rows)
                .map(|row| {
                    let texts = batch.columns.iter().map(|stored| {
                        let text = stored.column.text(row).map(|text| String::from_utf8(text.to_vec()).unwrap());
                        (Arc::from(stored.field.name.as_str()), text)
                    });
                    texts.collect()
                })
                .collect();
            for layout in [Layout::Fields, Layout::Families] {
                prop_assert_eq!(&read(&batch, layout), &expected);
                // The same batch makes the same bytes.
                prop_assert_eq!(self::rows(&batch, layout), self::rows(&batch.clone(), layout));
            }
        }
    }
}
