//! What readers see of a store, also beside a running host: one consistent commit of each task.

use std::ops::ControlFlow;

use clickmill_elasticsearch::IndexSpec;
use clickmill_embedded::StoreReader;
use clickmill_hbase::{Absent, HbaseStore};
use clickmill_settings::{Config, Hbase, Index, Store};
use clickmill_tasks::{
    Fences, Plan,
    batch::DeadLetter,
    env::Store as _,
    name::{PART, PartName, PartitionId, TaskId},
    read::{DocumentFilter, StoredDocument, StoredEvent, Value},
    refused::RefusedDocument,
    row::{PartitionRow, Row, ShardRow},
};

use crate::{columns::Columns, error::Error, load};

/// The indices of a plan.
pub fn specs(plan: &Plan) -> Vec<IndexSpec> {
    let mut specs = Vec::new();
    for rollup in &plan.rollups {
        let fields: Vec<_> =
            rollup.metrics.iter().flat_map(|&metric| plan.metrics[metric].outputs.iter().cloned()).collect();
        for (window, window_millis) in &rollup.windows {
            specs.push(IndexSpec {
                rollup: rollup.name.clone(),
                window: window.clone(),
                window_millis: *window_millis,
                by: rollup.by_names.clone(),
                fields: fields.clone(),
            });
        }
    }
    specs
}

fn block_on<T>(future: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::io("no runtime can be started"))?;
    runtime.block_on(future)
}

/// The documents that the filter wants, in no order.
pub fn documents(config: &Config, filter: &DocumentFilter) -> Result<Vec<StoredDocument>, Error> {
    let mut documents: Vec<StoredDocument> = match (&config.index, &config.store) {
        (Index::Embedded { .. }, Store::Embedded { path }) => StoreReader::open(path)?.documents(filter)?,
        (Index::Embedded { .. }, Store::Hbase(_)) => {
            return Err(Error::Usage("an embedded index needs an embedded store".into()));
        }
        (Index::Elasticsearch(elasticsearch), _) => {
            let pipeline = load::pipeline(config)?;
            let index = clickmill_elasticsearch::ElasticsearchIndex::new(elasticsearch)?;
            index.documents(&specs(&pipeline.plan), filter).collect::<Result<_, _>>()?
        }
    };
    // A rollup that does not group by a column has no value of it to be asked for.
    documents.retain(|document| {
        let mut asked = filter.equal.iter().chain(&filter.prefix);
        asked.all(|(column, _)| document.by.iter().any(|(name, _)| **name == **column))
    });
    Ok(documents)
}

/// The groups of a rollup and window with the most of the first field, most first.
pub fn top(config: &Config, rollup: &str, window: &str, most: usize) -> Result<Vec<StoredDocument>, Error> {
    let filter =
        DocumentFilter { rollup: Some(rollup.into()), window: Some(window.into()), ..Default::default() };
    let mut documents = documents(config, &filter)?;
    let first =
        |document: &StoredDocument| document.fields.first().map_or(0.0, |(_, value)| as_number(value));
    documents.sort_by(|a, b| {
        first(b).total_cmp(&first(a)).then_with(|| a.start.cmp(&b.start)).then_with(|| a.by.cmp(&b.by))
    });
    documents.truncate(most);
    Ok(documents)
}

pub fn as_number(value: &Value) -> f64 {
    match value {
        Value::Integer(number) => *number as f64,
        Value::Unsigned(number) => *number as f64,
        Value::Real(number) => *number,
        Value::Boolean(value) => f64::from(*value),
        _ => f64::NEG_INFINITY,
    }
}

/// All events that are true, until `each` breaks.
pub fn events(config: &Config, mut each: impl FnMut(StoredEvent) -> ControlFlow<()>) -> Result<(), Error> {
    match &config.store {
        Store::Embedded { path } => Ok(StoreReader::open(path)?.events(each)?),
        Store::Hbase(hbase) => {
            let pipeline = load::pipeline(config)?;
            let fields: Vec<_> = pipeline.plan.stored.iter().map(|stored| stored.field.clone()).collect();
            let reader = clickmill_hbase::Reader::new(hbase);
            for (id, next, fences) in partitions(hbase)? {
                for event in reader.events(id, &fences, 0..next, &fields) {
                    if each(event?).is_break() {
                        return Ok(());
                    }
                }
            }
            Ok(())
        }
    }
}

/// The columns of stored events.
pub fn event_columns(config: &Config) -> Result<Columns, Error> {
    match &config.store {
        Store::Embedded { path } => Ok(StoreReader::open(path)?.event_columns()?.into_iter().collect()),
        Store::Hbase(_) => {
            let plan = load::pipeline(config)?.plan;
            Ok(plan.stored.iter().map(|stored| &*stored.field.name).collect())
        }
    }
}

/// All dead letters that are true, until `each` breaks.
pub fn dead_letters(
    config: &Config,
    mut each: impl FnMut(DeadLetter) -> ControlFlow<()>,
) -> Result<(), Error> {
    match &config.store {
        Store::Embedded { path } => Ok(StoreReader::open(path)?.dead_letters(each)?),
        Store::Hbase(hbase) => {
            let reader = clickmill_hbase::Reader::new(hbase);
            for (id, next, fences) in partitions(hbase)? {
                for letter in reader.dead_letters(id, &fences, 0..next) {
                    if each(letter?).is_break() {
                        return Ok(());
                    }
                }
            }
            Ok(())
        }
    }
}

/// The documents that the index refused for good, each with its shard.
pub fn refused(config: &Config) -> Result<Vec<(u32, RefusedDocument)>, Error> {
    let blocks = again(|| match &config.store {
        Store::Embedded { path } => {
            let reader = StoreReader::open(path)?;
            refusals(&reader.rows()?, |part| Ok(reader.part(part)?))
        }
        Store::Hbase(hbase) => {
            let (store, rows) = hbase_rows(hbase)?;
            refusals(&rows, |part| hbase_part(&store, part))
        }
    })?;
    let mut all = Vec::new();
    for (shard, block) in blocks {
        let documents = clickmill_tasks::refused::documents(&block);
        let documents = documents.map_err(|error| Error::Other(format!("shard {shard}: {error}")))?;
        all.extend(documents.into_iter().map(|document| (shard, document)));
    }
    Ok(all)
}

/// Whether nothing was ever run on the store. Fails where there is none.
pub fn is_empty(config: &Config) -> Result<bool, Error> {
    let rows = match &config.store {
        Store::Embedded { path } => StoreReader::open(path)?.rows()?,
        Store::Hbase(hbase) => hbase_rows(hbase)?.1,
    };
    Ok(rows.is_empty())
}

/// How often what is read beside a running host is read again.
const TRIES: usize = 10;

/// Reads rows and their blocks. A block that is gone by the time that it is read (none) belongs to a row that has changed meanwhile.
fn again<T>(read: impl Fn() -> Result<Option<T>, Error>) -> Result<T, Error> {
    for _ in 0..TRIES {
        if let Some(read) = read()? {
            return Ok(read);
        }
    }
    Err(Error::Other("the store changes faster than it can be read; try again".into()))
}

/// A task's row, as the store has it.
type TaskRow = (TaskId, Vec<u8>);
/// A shard, and the content of its block of refused documents.
type RefusedBlock = (u32, Vec<u8>);
/// A partition, its next offset and its fence history.
type History = (PartitionId, i64, Fences);

/// The content of the shards' blocks of refused documents; none where one of them is gone.
fn refusals(
    rows: &[TaskRow],
    part: impl Fn(PartName) -> Result<Option<Vec<u8>>, Error>,
) -> Result<Option<Vec<RefusedBlock>>, Error> {
    let mut blocks = Vec::new();
    for (task, row) in rows {
        let TaskId::Shard(shard) = *task else { continue };
        let row = ShardRow::decode(task, row).map_err(|error| Error::Other(error.to_string()))?;
        let Some(block) = row.refusals else { continue };
        let Some(content) = block.content(PART, &part)? else { return Ok(None) };
        blocks.push((shard, content));
    }
    Ok(Some(blocks))
}

fn partitions(hbase: &Hbase) -> Result<Vec<History>, Error> {
    again(|| {
        let (store, rows) = hbase_rows(hbase)?;
        histories(&rows, |part| hbase_part(&store, part))
    })
}

/// None where a block is gone.
fn histories(
    rows: &[TaskRow],
    part: impl Fn(PartName) -> Result<Option<Vec<u8>>, Error>,
) -> Result<Option<Vec<History>>, Error> {
    let mut all = Vec::new();
    for (task, row) in rows {
        let TaskId::Partition(id) = *task else { continue };
        let row = PartitionRow::decode(task, row).map_err(|error| Error::Other(error.to_string()))?;
        let older = match &row.older_fences {
            Some(block) => block.content(PART, &part)?,
            None => Some(Vec::new()),
        };
        let Some(older) = older else { return Ok(None) };
        let fences = Fences::new(&row, &older);
        let fences = fences.map_err(|error| Error::Other(format!("partition {id}: {error}")))?;
        all.push((id, row.position.next, fences));
    }
    Ok(Some(all))
}

fn hbase_rows(hbase: &Hbase) -> Result<(HbaseStore, Vec<TaskRow>), Error> {
    block_on(async {
        let store = HbaseStore::open(hbase, Absent::Refuse).await?;
        let mut rows = Vec::new();
        for task in store.tasks().await? {
            rows.extend(store.read_row(task).await?.map(|row| (task, row)));
        }
        Ok((store, rows))
    })
}

fn hbase_part(store: &HbaseStore, part: PartName) -> Result<Option<Vec<u8>>, Error> {
    block_on(async { Ok(store.get_part(part).await?.map(|part| part.to_vec())) })
}
