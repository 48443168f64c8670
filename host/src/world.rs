//! The real world of the tasks: whichever source, store and index the settings name, behind one type each. The only place that
//! knows every implementation.

use std::{
    cell::RefCell,
    hash::{BuildHasher, Hasher, RandomState},
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use clickmill_elasticsearch::ElasticsearchIndex;
use clickmill_embedded::{
    EmbeddedIndex, EmbeddedStore, FileReader, FileSource, GenerateReader, GenerateSource, ResumeAt,
};
use clickmill_hbase::{Absent, HbaseStore};
use clickmill_kafka::{Change, KafkaReader, KafkaSource};
use clickmill_plugin::WasmPlugins;
use clickmill_settings::{self as settings, Config};
use clickmill_tasks::{
    Left, Point,
    batch::{DeadLetter, DocumentBatch, EventBatch},
    env::{ColdCell, ColdPage, Env, Fetched, Index, Indexed, Reader, Source, Store, Trouble},
    name::{PART, PartName, PartitionId, TaskId},
    quiet::Rows,
    row::{PartitionRow, Position, Row, ShardRow},
};
use futures_channel::mpsc::UnboundedReceiver;

use crate::{die::Die, error::Error};

/// What threads share; each makes a [`World`] of it.
#[derive(Clone)]
pub struct Shared {
    pub config: Arc<Config>,
    pub plugins: Arc<WasmPlugins>,
    pub source: AnySource,
    pub store: AnyStore,
    pub index: AnyIndex,
    die: Option<Arc<Die>>,
    /// When the process began: time in a world is counted from here.
    began: Instant,
}

/// Tells which partitions of a topic this process is to read.
pub type Changes = UnboundedReceiver<Change>;

impl Shared {
    /// Opens everything that the settings name; `absent` is what to do about a store in HBase that is not there.
    pub async fn open(
        config: Arc<Config>,
        plugins: Arc<WasmPlugins>,
        began: Instant,
        absent: Absent,
    ) -> Result<Shared, Error> {
        let elasticsearch = match &config.index {
            settings::Index::Embedded { .. } => None,
            settings::Index::Elasticsearch(index) => {
                Some(AnyIndex::Elasticsearch(ElasticsearchIndex::new(index)?))
            }
        };
        let (store, embedded) = match &config.store {
            settings::Store::Embedded { path } => {
                let store = EmbeddedStore::open(path)?;
                let embedded = match elasticsearch {
                    None => Some(AnyIndex::Embedded(EmbeddedIndex::new(&store)?)),
                    Some(_) => None,
                };
                (AnyStore::Embedded(store), embedded)
            }
            settings::Store::Hbase(hbase) => {
                (AnyStore::Hbase(Arc::new(HbaseStore::open(hbase, absent).await?)), None)
            }
        };
        let none = || Error::Other("an embedded index needs an embedded store".into());
        let index = elasticsearch.or(embedded).ok_or_else(none)?;
        let source = match &config.source {
            settings::Source::Files(files) => {
                let logs = file_logs(&store).await?;
                let known = logs.iter().map(|(partition, log)| (*partition, log.as_deref()));
                AnySource::Files(FileSource::new(files, known)?)
            }
            settings::Source::Generate(generate) => AnySource::Generate(GenerateSource::new(generate)),
            settings::Source::Kafka(kafka) => AnySource::Kafka(Arc::new(KafkaSource::new(kafka)?)),
        };
        let die = Die::from_environment()?.map(Arc::new);
        Ok(Shared { config, plugins, source, store, index, die, began })
    }

    /// Joins Kafka's consumer group, where a topic is shared with other hosts. Who has joined is given partitions, which nobody else
    /// reads then. An embedded store is one host's, which reads all partitions: half of them would be half an answer.
    pub fn join(&self) -> Result<Option<Changes>, Trouble> {
        match (&self.source, &self.store) {
            (AnySource::Kafka(source), AnyStore::Hbase(_)) => source.join().map(Some),
            _ => Ok(None),
        }
    }

    /// Partitions of files and of made-up traffic, as far as they are there; a topic's are told by the group.
    pub fn ready_partitions(&self) -> Result<Vec<u32>, Trouble> {
        match &self.source {
            AnySource::Files(source) => source.partitions(),
            AnySource::Generate(source) => Ok(source.partitions()),
            AnySource::Kafka(_) => Ok(Vec::new()),
        }
    }

    /// A world for one thread.
    pub fn world(&self) -> World {
        World { shared: self.clone(), random: RefCell::default() }
    }
}

/// The world of the tasks of one thread.
pub struct World {
    pub shared: Shared,
    random: RefCell<u64>,
}

impl Env for World {
    type Source = AnySource;
    type Store = AnyStore;
    type Index = AnyIndex;
    type Plugins = WasmPlugins;

    fn source(&self) -> &AnySource {
        &self.shared.source
    }

    fn store(&self) -> &AnyStore {
        &self.shared.store
    }

    fn index(&self) -> &AnyIndex {
        &self.shared.index
    }

    fn plugins(&self) -> &WasmPlugins {
        &self.shared.plugins
    }

    fn now(&self) -> Duration {
        self.shared.began.elapsed()
    }

    async fn sleep(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    fn reached(&self, task: TaskId, point: Point) {
        if let Some(die) = &self.shared.die {
            die.reached(task, point);
        }
    }

    fn random(&self) -> u64 {
        let mut counter = self.random.borrow_mut();
        *counter += 1;
        random(*counter)
    }
}

/// A random number: the hash of a number under keys that the system drew.
pub fn random(of: u64) -> u64 {
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u64(of);
    hasher.finish()
}

/// The segments of each file log that the store knows.
async fn file_logs(store: &AnyStore) -> Result<Vec<(u32, Option<Vec<u8>>)>, Error> {
    let mut logs = Vec::new();
    for (id, row) in rows(store).await?.partitions {
        logs.push((id.partition, log_content(store, &row.position).await?));
    }
    Ok(logs)
}

/// The rows of all tasks.
pub async fn rows(store: &AnyStore) -> Result<Rows, Error> {
    let mut rows = Rows::default();
    for task in store.tasks().await? {
        let Some(bytes) = store.read_row(task).await? else { continue };
        let damaged = |error: clickmill_tasks::row::RowError| Error::Other(error.to_string());
        match task {
            TaskId::Partition(id) => {
                rows.partitions.insert(id, PartitionRow::decode(task, &bytes).map_err(damaged)?);
            }
            TaskId::Shard(shard) => {
                rows.shards.insert(shard, ShardRow::decode(task, &bytes).map_err(damaged)?);
            }
            TaskId::Meta => {}
        }
    }
    Ok(rows)
}

/// What the source must know beside the offset, from its block.
pub async fn log_content(store: &AnyStore, position: &Position) -> Result<Option<Vec<u8>>, Error> {
    let mut content = None;
    for part in position.log.iter().flat_map(|log| log.parts(PART)) {
        let part = store.get_part(part).await?.ok_or_else(|| {
            Error::Other("the files of a position are missing in the store; restore it from a copy".into())
        })?;
        content.get_or_insert_with(Vec::new).extend_from_slice(&part);
    }
    Ok(content)
}

#[derive(Clone)]
pub enum AnySource {
    Files(FileSource),
    Generate(GenerateSource),
    Kafka(Arc<KafkaSource>),
}

pub enum AnyReader {
    Files(FileReader),
    Generate(GenerateReader),
    Kafka(KafkaReader),
}

impl AnySource {
    /// What it has and was not read yet, where that can be known.
    pub async fn left(&self) -> Option<Left> {
        match self {
            AnySource::Files(source) => source.left().map(Left::Bytes),
            AnySource::Generate(_) => None,
            // A reader that cannot reach the broker says so itself.
            AnySource::Kafka(source) => source.lag().await.ok().map(Left::Records),
        }
    }

    /// The numbers of its partitions, where they can become fewer.
    pub async fn partitions(&self) -> Result<Option<Vec<u32>>, Trouble> {
        match self {
            AnySource::Files(_) | AnySource::Generate(_) => Ok(None),
            AnySource::Kafka(source) => {
                let partitions = source.partitions().await?;
                Ok(Some(partitions.iter().map(|partition| partition.number).collect()))
            }
        }
    }

    /// The position at the earliest record that is there, or at the end, for one that does not fit any more.
    pub async fn resume(&self, id: PartitionId, position: &Position, end: bool) -> Result<Position, Trouble> {
        let at = |next| Position { next, ..Position::default() };
        match self {
            AnySource::Files(source) => {
                source.resume(id, position, if end { ResumeAt::Latest } else { ResumeAt::Earliest })
            }
            AnySource::Generate(_) => Ok(at(position.next)),
            AnySource::Kafka(source) => {
                let partitions = source.partitions().await?;
                let found = partitions.iter().find(|partition| partition.number == id.partition);
                let gone = || Trouble::Final(format!("the topic has no partition {}", id.partition));
                let found = found.ok_or_else(gone)?;
                Ok(at(if end { found.end } else { found.low }))
            }
        }
    }
}

impl Source for AnySource {
    type Reader = AnyReader;

    async fn open(&self, partition: PartitionId, position: &Position) -> Result<AnyReader, Trouble> {
        Ok(match self {
            AnySource::Files(source) => AnyReader::Files(source.open(partition, position).await?),
            AnySource::Generate(source) => AnyReader::Generate(source.open(partition, position).await?),
            AnySource::Kafka(source) => AnyReader::Kafka(source.open(partition, position).await?),
        })
    }
}

impl Reader for AnyReader {
    async fn next(&mut self, wait: Duration) -> Result<Fetched, Trouble> {
        match self {
            AnyReader::Files(reader) => reader.next(wait).await,
            AnyReader::Generate(reader) => reader.next(wait).await,
            AnyReader::Kafka(reader) => reader.next(wait).await,
        }
    }

    fn committed(&mut self, next: i64) {
        match self {
            AnyReader::Files(reader) => reader.committed(next),
            AnyReader::Generate(reader) => reader.committed(next),
            AnyReader::Kafka(reader) => reader.committed(next),
        }
    }
}

#[derive(Clone)]
pub enum AnyStore {
    Embedded(EmbeddedStore),
    Hbase(Arc<HbaseStore>),
}

macro_rules! store {
    ($self:ident, $store:ident => $call:expr) => {
        match $self {
            AnyStore::Embedded($store) => $call,
            AnyStore::Hbase($store) => $call,
        }
    };
}

impl Store for AnyStore {
    async fn read_row(&self, task: TaskId) -> Result<Option<Vec<u8>>, Trouble> {
        store!(self, store => store.read_row(task).await)
    }

    async fn swap_row(&self, task: TaskId, old: Option<&[u8]>, new: &[u8]) -> Result<bool, Trouble> {
        store!(self, store => store.swap_row(task, old, new).await)
    }

    async fn tasks(&self) -> Result<Vec<TaskId>, Trouble> {
        store!(self, store => store.tasks().await)
    }

    async fn put_part(&self, name: PartName, bytes: Arc<[u8]>) -> Result<(), Trouble> {
        store!(self, store => store.put_part(name, bytes).await)
    }

    async fn get_part(&self, name: PartName) -> Result<Option<Arc<[u8]>>, Trouble> {
        store!(self, store => store.get_part(name).await)
    }

    async fn list_parts(&self, task: TaskId) -> Result<Vec<PartName>, Trouble> {
        store!(self, store => store.list_parts(task).await)
    }

    async fn delete_parts(&self, names: &[PartName]) -> Result<(), Trouble> {
        store!(self, store => store.delete_parts(names).await)
    }

    async fn put_events(&self, batch: Arc<EventBatch>) -> Result<(), Trouble> {
        store!(self, store => store.put_events(batch).await)
    }

    fn settle(&self, task: TaskId) {
        store!(self, store => store.settle(task));
    }

    async fn put_dead_letters(&self, letters: Rc<[DeadLetter]>) -> Result<(), Trouble> {
        store!(self, store => store.put_dead_letters(letters).await)
    }

    async fn freeze(&self, task: TaskId, commit: u64, cells: Rc<[ColdCell]>) -> Result<(), Trouble> {
        store!(self, store => store.freeze(task, commit, cells).await)
    }

    async fn thaw(&self, task: TaskId, names: Rc<[Vec<u8>]>) -> Result<Vec<Option<Vec<u8>>>, Trouble> {
        store!(self, store => store.thaw(task, names).await)
    }

    async fn frozen(&self, task: TaskId, from: &[u8], most: usize) -> Result<ColdPage, Trouble> {
        store!(self, store => store.frozen(task, from, most).await)
    }
}

#[derive(Clone)]
pub enum AnyIndex {
    Embedded(EmbeddedIndex),
    Elasticsearch(ElasticsearchIndex),
}

impl Index for AnyIndex {
    async fn put(&self, batch: Rc<DocumentBatch>) -> Result<Vec<Indexed>, Trouble> {
        match self {
            AnyIndex::Embedded(index) => index.put(batch).await,
            AnyIndex::Elasticsearch(index) => index.put(batch).await,
        }
    }
}
