//! From the settings to all that tasks need: what `run`, which runs them, and `reindex`, which only tells them something, have in
//! common.

use std::{collections::BTreeMap, rc::Rc, sync::Arc, time::Instant};

use clickmill_elasticsearch::Missing;
use clickmill_hbase::Absent;
use clickmill_settings::{Config, Store};
use clickmill_tasks::{
    Bounds, Context, Exchange, Plan, Planted, Progress,
    env::{Source as _, Store as _},
    meta::{self, Meta},
    name::{PartitionId, TaskId},
    quiet::Rows,
    row::Position,
};

use crate::{
    error::Error,
    load,
    patience::Patience,
    reading,
    world::{AnyIndex, AnySource, Shared, World, random},
};

/// Documents that may wait for an index that is away, over all shards: they stay in memory. And in one shard at least.
const WAITING: usize = 2_000_000;
const LEAST_WAITING: usize = 10_000;

/// What all threads are told.
#[derive(Clone)]
pub struct Setup {
    pub shared: Shared,
    pub plan: Arc<Plan>,
    pub meta: Meta,
    pub bounds: Bounds,
    pub retention: Option<i64>,
    pub progress: Arc<Progress>,
    pub exchange: Arc<Exchange>,
}

impl Setup {
    /// Loads the plugins, opens all services and binds the store to the settings. `process` is when this process began; `absent`
    /// is what to do about a store in HBase that is not there.
    pub async fn open(
        config: &Arc<Config>,
        progress: &Arc<Progress>,
        patience: &Patience,
        process: Instant,
        absent: Absent,
    ) -> Result<Setup, Error> {
        let pipeline = load::pipeline(config)?;
        let plugins = &pipeline.plugins;
        let shared = patience
            .ask(async || Shared::open(config.clone(), plugins.clone(), process, absent).await)
            .await?;
        let world = shared.world();
        let meta = patience.ask(async || open_meta(config, &shared, &world).await).await?;
        Ok(Setup {
            shared,
            plan: pipeline.plan,
            bounds: Bounds {
                interval: config.commit.interval,
                commit_records: config.commit.max_records,
                buckets: meta.buckets as usize,
                commit_bytes: usize::try_from(config.commit.max_bytes).unwrap_or(usize::MAX),
                keys: usize::try_from(config.state.keys).unwrap_or(usize::MAX),
                groups: usize::try_from(config.state.groups).unwrap_or(usize::MAX),
                waiting: (WAITING / meta.shards.max(1) as usize).max(LEAST_WAITING),
                ..Bounds::default()
            },
            meta,
            retention: config.retention().map(|time| i64::try_from(time.as_millis()).unwrap_or(i64::MAX)),
            progress: progress.clone(),
            exchange: Arc::new(Exchange::default()),
        })
    }

    /// Makes or checks the index, where another service has it.
    pub async fn prepare_index(&self, missing: Missing) -> Result<(), Error> {
        if let AnyIndex::Elasticsearch(index) = &self.shared.index {
            let identity = u128::from_str_radix(&self.meta.identity, 16)
                .map_err(|error| Error::Other(format!("the store's identity is damaged: {error}")))?;
            index.prepare(identity, &reading::specs(&self.plan), missing).await?;
        }
        Ok(())
    }

    /// What the tasks of one thread share.
    pub fn context(self) -> Result<Rc<Context<World>>, Error> {
        Ok(Rc::new(Context {
            env: self.shared.world(),
            plan: self.plan,
            bounds: self.bounds,
            exchange: self.exchange,
            progress: self.progress,
            shards: self.meta.shards,
            epoch: 1,
            retention: self.retention,
            planted: Planted::default(),
            host: 0,
        }))
    }
}

/// What an index that is not there means. Once a shard has a row it may have documents: then an index that is gone was deleted.
pub fn missing(rows: &Rows) -> Missing {
    if rows.shards.is_empty() { Missing::Create } else { Missing::Refuse }
}

/// The store's own row, made where there is none.
pub async fn open_meta(config: &Config, shared: &Shared, env: &World) -> Result<Meta, Error> {
    let (source, group) = load::source_name(config);
    let beginnings = match &shared.source {
        AnySource::Kafka(source) => source.start_offsets().await?.into_iter().collect(),
        _ => BTreeMap::new(),
    };
    let shards = match &config.store {
        Store::Embedded { .. } => std::thread::available_parallelism().map_or(2, usize::from).max(2) as u32,
        Store::Hbase(_) => (beginnings.len() as u32).max(16),
    };
    let definition = config.definition();
    let new = Meta {
        format: meta::FORMAT,
        identity: format!("{:016x}{:016x}", random(1), random(2)),
        source,
        group,
        shards,
        buckets: Bounds::default().buckets as u32,
        beginnings,
        definition: serde_json::to_value(&definition).map_err(|error| {
            Error::Other(format!("the settings cannot be written into the store: {error}"))
        })?,
    };
    if shared.store.read_row(TaskId::Meta).await?.is_none() {
        // A store is bound to its source: one that cannot be read must not be it.
        for partition in shared.ready_partitions()?.into_iter().take(1) {
            shared.source.open(PartitionId { partition, log: 0 }, &Position::default()).await?;
        }
    }
    let meta = meta::open(env, &new).await?;
    let known: clickmill_settings::Definition = serde_json::from_value(meta.definition.clone())
        .map_err(|error| Error::Other(format!("the store's definition is damaged: {error}")))?;
    let differences = definition.differences(&known);
    if !differences.is_empty() {
        return Err(Error::Changed(differences));
    }
    Ok(meta)
}
