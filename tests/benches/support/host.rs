//! The whole embedded run with plugins of either sort: files as the source, store and index in a folder, the tasks on threads as the
//! binary has them.

use std::{
    cell::Cell,
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    rc::Rc,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use clickmill_columns::hash64;
use clickmill_embedded::{EmbeddedIndex, EmbeddedStore, FileSource, lines};
use clickmill_settings::{Config, Generate, Source};
use clickmill_tasks::{
    Bounds, Context, Ended, Exchange, Plan, Planted, Progress, RollupSpec,
    env::{Env, Plugins, Store as _},
    name::{PartitionId, TaskId},
    quiet::Rows,
    row::{PartitionRow, Row, ShardRow},
    run_partition, run_shard,
};

use super::Failed;

/// How often it is asked whether all is done, as the binary does.
const TICK: Duration = Duration::from_millis(10);

/// A file of made-up traffic.
pub fn stream(folder: &Path, events: u64) -> Result<PathBuf, Failed> {
    fs::create_dir_all(folder)?;
    let path = folder.join(format!("stream-{events}.jsonl"));
    let traffic = Generate { events: Some(events), users: 200_000, urls: 10_000, ..Generate::default() };
    let mut text = Vec::new();
    for line in lines(&traffic) {
        text.extend_from_slice(&line);
        text.push(b'\n');
    }
    fs::write(&path, text)?;
    Ok(path)
}

/// What a run cost.
#[allow(dead_code, reason = "who only records a run does not ask")]
pub struct Run {
    pub wall: Duration,
    /// Seconds of processor time of this process; not a number where the system does not say.
    pub cpu: f64,
}

/// Runs a file of `events` good events into an empty store until every document is acknowledged and every file that is due is merged. Loading the plugins
/// is not a part of it.
pub fn run<P>(plugins: &Arc<P>, file: &Path, events: u64, folder: &Path) -> Result<Run, Failed>
where
    P: Plugins + Send + Sync + 'static,
    P::Parser: Clone + 'static,
{
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    let config = Config::for_files(Path::new(""), vec![file.display().to_string()], folder.to_owned());
    let (began, cpu_before) = (Instant::now(), cpu());
    let host = Host::open(plugins.clone(), &config, began)?;
    let shards = host.shards;
    let tasks: Vec<_> = (0..shards)
        .map(TaskId::Shard)
        .chain([TaskId::Partition(PartitionId { partition: 0, log: 0 })])
        .map(|task| {
            let host = host.clone();
            (task, thread::spawn(move || host.run(task)))
        })
        .collect();
    let counters = tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
        loop {
            let of_shards = |task: &TaskId| matches!(task, TaskId::Shard(_));
            let ended = |wanted: bool| {
                tasks.iter().any(|(task, thread)| of_shards(task) == wanted && thread.is_finished())
            };
            if ended(true) {
                return Err(Failed::from("a shard ended before its time"));
            }
            if ended(false) {
                let rows = rows(&host.store).await?;
                if rows.answered(shards) {
                    return Ok(rows.counters());
                }
            }
            tokio::time::sleep(TICK).await;
        }
    });
    host.exchange.stop();
    for (task, thread) in tasks {
        thread.join().map_err(|_| format!("{task:?} panicked"))??;
    }
    host.store.merge();
    let (wall, cpu) = (began.elapsed(), cpu() - cpu_before);
    let (counters, written) = (counters?, host.store.written());
    match (counters.records, counters.events, written.event_rows) {
        made if made == (events, events, events) => Ok(Run { wall, cpu }),
        made => Err(format!("records, events and rows are {made:?}, where each must be {events}").into()),
    }
}

/// What the threads share.
struct Host<P> {
    plugins: Arc<P>,
    source: FileSource,
    store: EmbeddedStore,
    index: EmbeddedIndex,
    plan: Arc<Plan>,
    bounds: Bounds,
    exchange: Arc<Exchange>,
    progress: Arc<Progress>,
    shards: u32,
    began: Instant,
}

impl<P> Clone for Host<P> {
    fn clone(&self) -> Host<P> {
        Host {
            plugins: self.plugins.clone(),
            source: self.source.clone(),
            store: self.store.clone(),
            index: self.index.clone(),
            plan: self.plan.clone(),
            bounds: self.bounds.clone(),
            exchange: self.exchange.clone(),
            progress: self.progress.clone(),
            shards: self.shards,
            began: self.began,
        }
    }
}

impl<P> Host<P>
where
    P: Plugins + 'static,
    P::Parser: Clone + 'static,
{
    fn open(plugins: Arc<P>, config: &Config, began: Instant) -> Result<Host<P>, Failed> {
        let (Source::Files(files), clickmill_settings::Store::Embedded { path }) =
            (&config.source, &config.store)
        else {
            return Err("the whole run is one of files into an embedded store".into());
        };
        let store = EmbeddedStore::open(path)?;
        let rollups = config.pipeline.rollups.iter().map(|rollup| RollupSpec {
            name: rollup.name.clone(),
            by: rollup.by.clone(),
            windows: rollup.windows.iter().map(|window| (window.name.clone(), window.millis)).collect(),
            metrics: rollup.metrics.clone(),
        });
        let plan = Plan::new(plugins.descriptions(), &Vec::from_iter(rollups));
        let plan = plan.map_err(|errors| errors.iter().map(ToString::to_string).collect::<String>())?;
        Ok(Host {
            plugins,
            source: FileSource::new(files, [])?,
            index: EmbeddedIndex::new(&store)?,
            store,
            plan: Arc::new(plan),
            bounds: Bounds {
                interval: config.commit.interval,
                commit_records: config.commit.max_records,
                commit_bytes: usize::try_from(config.commit.max_bytes)?,
                ..Bounds::default()
            },
            exchange: Arc::default(),
            progress: Arc::default(),
            shards: thread::available_parallelism().map_or(2, usize::from).max(2) as u32,
            began,
        })
    }

    /// Runs a task to its end, on this thread.
    fn run(self, task: TaskId) -> Result<(), Failed> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        let context = Rc::new(Context {
            plan: self.plan.clone(),
            bounds: self.bounds.clone(),
            exchange: self.exchange.clone(),
            progress: self.progress.clone(),
            shards: self.shards,
            epoch: 1,
            retention: None,
            planted: Planted::default(),
            host: 0,
            env: World { host: self, random: Cell::new(0) },
        });
        let ended: Result<(), Ended> = runtime.block_on(async {
            match task {
                TaskId::Partition(id) => run_partition(context, id, 0, true, &|| false).await,
                TaskId::Shard(shard) => run_shard(context, shard, &|| false).await,
                TaskId::Meta => Ok(()),
            }
        });
        Ok(ended?)
    }
}

/// The world of one thread's task.
struct World<P> {
    host: Host<P>,
    random: Cell<u64>,
}

impl<P: Plugins> Env for World<P> {
    type Source = FileSource;
    type Store = EmbeddedStore;
    type Index = EmbeddedIndex;
    type Plugins = P;

    fn source(&self) -> &FileSource {
        &self.host.source
    }

    fn store(&self) -> &EmbeddedStore {
        &self.host.store
    }

    fn index(&self) -> &EmbeddedIndex {
        &self.host.index
    }

    fn plugins(&self) -> &P {
        &self.host.plugins
    }

    fn now(&self) -> Duration {
        self.host.began.elapsed()
    }

    async fn sleep(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    fn random(&self) -> u64 {
        self.random.set(self.random.get() + 1);
        let drawn = [self.random.get(), std::ptr::from_ref(self).addr() as u64];
        hash64(&drawn.map(u64::to_le_bytes).concat())
    }
}

async fn rows(store: &EmbeddedStore) -> Result<Rows, Failed> {
    let mut rows = Rows { partitions: BTreeMap::new(), shards: BTreeMap::new() };
    for task in store.tasks().await? {
        let Some(bytes) = store.read_row(task).await? else { continue };
        match task {
            TaskId::Partition(id) => drop(rows.partitions.insert(id, PartitionRow::decode(task, &bytes)?)),
            TaskId::Shard(shard) => drop(rows.shards.insert(shard, ShardRow::decode(task, &bytes)?)),
            TaskId::Meta => {}
        }
    }
    Ok(rows)
}

/// Seconds of processor time that this process has taken, as Linux counts it (proc(5): fields 14 and 15, in ticks of 10 ms).
fn cpu() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields).split_whitespace();
    let ticks: Vec<f64> = fields.skip(11).take(2).filter_map(|field| field.parse().ok()).collect();
    if ticks.len() == 2 { ticks.iter().sum::<f64>() / 100.0 } else { f64::NAN }
}
