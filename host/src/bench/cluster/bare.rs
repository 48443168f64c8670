//! The bare loop: the event rows and the final documents of a run, written once more through the same connectors and nothing else.

use std::{collections::BTreeMap, rc::Rc, sync::Arc, time::Instant};

use clickmill_columns::{Column, Data, Field, Kind, Validity, Values};
use clickmill_elasticsearch::{ElasticsearchIndex, Missing};
use clickmill_hbase::{Absent, HbaseStore};
use clickmill_tasks::{
    batch::{DocumentBatch, EventBatch, StoredColumn},
    env::{Index as _, Indexed, Store as _, Trouble},
    name::PartitionId,
    read::{DocumentFilter, StoredDocument, StoredEvent, Value},
};
use futures_util::{StreamExt, TryStreamExt, stream};

use super::target::{Target, block_on};
use crate::{error::Error, load, reading};

/// As the tasks do it: rows of a batch, batches and requests under way.
const ROWS: usize = 4_096;
const WRITES: usize = 12;
const DOCUMENTS: usize = 65_536;
const REQUESTS: usize = 8;

/// What a run has written.
pub struct Written {
    events: Vec<Arc<EventBatch>>,
    documents: Vec<DocumentBatch>,
}

impl Written {
    pub fn read(target: &Target) -> Result<Written, Error> {
        let plan = load::pipeline(&target.config)?.plan;
        let fields: Vec<Arc<Field>> = plan.stored.iter().map(|stored| stored.field.clone()).collect();
        let mut rows: BTreeMap<PartitionId, Vec<StoredEvent>> = BTreeMap::new();
        reading::events(&target.config, |event| {
            rows.entry(event.partition).or_default().push(event);
            std::ops::ControlFlow::Continue(())
        })?;
        let mut events = Vec::new();
        for (partition, rows) in rows {
            events.extend(rows.chunks(ROWS).map(|rows| Arc::new(event_batch(partition, &fields, rows))));
        }
        let mut groups: BTreeMap<(Arc<str>, Arc<str>), Vec<StoredDocument>> = BTreeMap::new();
        for document in reading::documents(&target.config, &DocumentFilter::default())? {
            groups.entry((document.rollup.clone(), document.window.clone())).or_default().push(document);
        }
        let mut documents = Vec::new();
        for spec in reading::specs(&plan) {
            let group = groups.remove(&(spec.rollup.clone(), spec.window.clone())).unwrap_or_default();
            documents.extend(group.chunks(DOCUMENTS).map(|group| document_batch(&spec.fields, group)));
        }
        Ok(Written { events, documents })
    }

    pub fn events(&self) -> u64 {
        self.events.iter().map(|batch| batch.rows.len() as u64).sum()
    }

    pub fn documents(&self) -> u64 {
        self.documents.iter().map(|batch| batch.starts.len() as u64).sum()
    }
}

fn texts<'a>(rows: impl Iterator<Item = Option<&'a str>>) -> Column {
    let (mut text, mut valid) = (Values::new(), Vec::new());
    for row in rows {
        text.push(row.unwrap_or_default().as_bytes());
        valid.push(row.is_some());
    }
    Column { data: Data::Text(text), valid: Validity::from_fn(valid.len(), |row| valid[row]) }
}

fn event_batch(partition: PartitionId, fields: &[Arc<Field>], rows: &[StoredEvent]) -> EventBatch {
    let columns = fields.iter().enumerate().map(|(place, field)| {
        let cells = rows.iter().map(|row| row.cells.get(place).and_then(|(_, text)| text.as_deref()));
        StoredColumn {
            field: Arc::new(Field { kind: Kind::Text, ..(**field).clone() }),
            column: texts(cells),
        }
    });
    EventBatch {
        partition,
        fence: 1,
        rows: (0..rows.len() as u32).collect(),
        offsets: rows.iter().map(|row| row.offset).collect(),
        columns: columns.collect(),
    }
}

/// Documents of one rollup and window.
fn document_batch(fields: &[Arc<Field>], rows: &[StoredDocument]) -> DocumentBatch {
    let first = &rows[0];
    let by = (0..first.by.len())
        .map(|place| (first.by[place].0.clone(), texts(rows.iter().map(|row| row.by[place].1.as_deref()))));
    let fields = fields.iter().enumerate().map(|(place, field)| {
        let values = rows.iter().map(|row| row.fields.get(place).map_or(&Value::Null, |(_, value)| value));
        (field.clone(), column(field.kind, values.collect::<Vec<_>>().as_slice()))
    });
    DocumentBatch {
        shard: 0,
        rollup: first.rollup.clone(),
        window: first.window.clone(),
        window_millis: first.window_millis,
        version: 1,
        starts: rows.iter().map(|row| row.start).collect(),
        by: by.collect(),
        fields: fields.collect(),
    }
}

fn column(kind: Kind, values: &[&Value]) -> Column {
    let valid = Validity::from_fn(values.len(), |row| *values[row] != Value::Null);
    let data = match kind {
        Kind::Integer | Kind::Duration => {
            let integer = |value: &&Value| if let Value::Integer(number) = value { *number } else { 0 };
            Data::Integers(values.iter().map(integer).collect())
        }
        Kind::Unsigned => {
            let unsigned = |value: &&Value| if let Value::Unsigned(number) = value { *number } else { 0 };
            Data::Unsigned(values.iter().map(unsigned).collect())
        }
        Kind::Real => {
            let real = |value: &&Value| if let Value::Real(number) = value { *number } else { 0.0 };
            Data::Reals(values.iter().map(real).collect())
        }
        Kind::Boolean => Data::Booleans(values.iter().map(|value| **value == Value::Boolean(true)).collect()),
        Kind::Text | Kind::Instant | Kind::Json => {
            let text = |value: &&&Value| match **value {
                Value::Text(text) | Value::Json(text) => text.clone(),
                _ => String::new(),
            };
            let texts: Vec<String> = values.iter().map(|value| text(&value)).collect();
            Data::Text(texts.iter().map(String::as_bytes).collect())
        }
    };
    Column { data, valid }
}

/// Puts all rows and, beside them, all documents; the seconds that it took, without the making of tables and indices.
pub fn put(target: &Target, written: Written) -> Result<f64, Error> {
    let specs = reading::specs(&load::pipeline(&target.config)?.plan);
    block_on(async {
        let store = HbaseStore::open(&target.hbase, Absent::Make).await?;
        let index = ElasticsearchIndex::new(&target.elasticsearch)?;
        index.prepare(1, &specs, Missing::Create).await?;
        let began = Instant::now();
        let rows = stream::iter(written.events.into_iter().map(|batch| store.put_events(batch)))
            .buffer_unordered(WRITES)
            .try_collect::<()>();
        let documents = stream::iter(written.documents.into_iter().map(|batch| index.put(Rc::new(batch))))
            .buffer_unordered(REQUESTS)
            .try_for_each(|answers| async move {
                match answers.into_iter().find(|answer| *answer != Indexed::Acknowledged) {
                    None => Ok(()),
                    Some(answer) => Err(Trouble::Passing(format!("the bare loop: {answer:?}"))),
                }
            });
        futures_util::try_join!(rows, documents)?;
        Ok(began.elapsed().as_secs_f64())
    })?
}
