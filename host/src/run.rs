//! `clickmill run`: reads events, stores them, and keeps the answer up to date.

use std::{
    collections::BTreeMap,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use clickmill_elasticsearch::Missing;
use clickmill_embedded::Written;
use clickmill_kafka::Partition;
use clickmill_settings::{Config, Source, Store};
use clickmill_tasks::{
    Bounds, Ended, Exchange, Progress,
    env::{Source as _, Store as _},
    meta::{self, Meta},
    name::{PartitionId, TaskId},
    quiet::Rows,
    row::{PartitionRow, Position, Row, ShardRow},
};

use crate::{
    ConfigArg,
    assigned::Assigned,
    error::Error,
    host::{Host, Setup},
    load,
    progress::{self, Display},
    reading,
    summary::{self, Own},
    world::{self, AnyIndex, AnySource, AnyStore, Shared, World, random},
};

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    config: ConfigArg,
    /// Waits for more at the end of the files, and reads new ones.
    #[arg(long)]
    follow: bool,
    /// Ends when there was nothing left to do for this long, whoever owns the partitions: "10s".
    #[arg(long, value_name = "TIME", value_parser = duration)]
    until_idle: Option<Duration>,
    /// Where partitions go on whose position their source does not have any more: at the earliest record that is there, at the
    /// end, or with a new log, whose records count as others.
    #[arg(long, value_enum, value_name = "CHOICE")]
    resume_at: Option<ResumeAt>,
    /// What the last line on stdout is: a table of the first rows and a balance, or one JSON object.
    #[arg(long, value_enum, default_value = "text")]
    summary: Summary,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Summary {
    Text,
    Json,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum ResumeAt {
    Earliest,
    Latest,
    NewLog,
}

pub fn duration(text: &str) -> Result<Duration, String> {
    clickmill_settings::parse_duration(text).map_err(|error| error.to_string())
}

/// `process` is when this process began.
pub fn run(args: Args, process: Instant) -> Result<ExitCode, Error> {
    let mut config = load::settings(&args.config.config)?;
    if args.follow {
        match &mut config.source {
            Source::Files(files) => files.follow = true,
            other => {
                let text = format!("--follow is for files; the source is `{}`", other.kind());
                return Err(Error::Usage(text));
            }
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::io("no runtime can be started"))?;
    runtime.block_on(run_all(args, Arc::new(config), process))
}

async fn run_all(args: Args, config: Arc<Config>, process: Instant) -> Result<ExitCode, Error> {
    let began = Instant::now();
    let progress = Arc::new(Progress::default());
    let display = Display::start(progress.clone());
    let outcome = work(&args, &config, &progress, process).await;
    display.stop();
    let (rows, written) = outcome?;
    let own = Own::new(&progress, began.elapsed(), written);
    match args.summary {
        Summary::Json => println!("{}", own.json(&rows.counters())),
        Summary::Text => summary::print(&config, &progress, &own, &rows)?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn work(
    args: &Args,
    config: &Arc<Config>,
    progress: &Arc<Progress>,
    process: Instant,
) -> Result<(Rows, Option<Written>), Error> {
    let pipeline = load::pipeline(config)?;
    let (shared, changes) = Shared::open(config.clone(), pipeline.plugins.clone(), true, process).await?;
    let env = shared.world()?;
    let meta = open_meta(config, &shared, &env).await?;
    prepare_index(&env, &pipeline, &meta).await?;
    let setup = Setup {
        shared: shared.clone(),
        plan: pipeline.plan.clone(),
        meta: meta.clone(),
        bounds: Bounds {
            interval: config.commit.interval,
            commit_records: config.commit.max_records,
            buckets: meta.buckets as usize,
            commit_bytes: usize::try_from(config.commit.max_bytes).unwrap_or(usize::MAX),
            keys: usize::try_from(config.state.keys).unwrap_or(usize::MAX),
            groups: usize::try_from(config.state.groups).unwrap_or(usize::MAX),
            ..Bounds::default()
        },
        retention: config.retention().map(|time| i64::try_from(time.as_millis()).unwrap_or(i64::MAX)),
        progress: progress.clone(),
        exchange: Arc::new(Exchange::default()),
    };
    let mut logs = current_logs(&shared.store).await?;
    if let Some(choice) = args.resume_at {
        resume(choice, &setup, &mut logs).await?;
    }
    let mut host = Host::new(setup);
    let mut work = Assigned::new(&shared, &meta, changes, logs);
    work.start(&mut host)?;
    let stopped = tokio::select! {
        stopped = wait(args, &shared, &meta, &mut host, &mut work) => stopped,
        never = progress::watch(&shared.source, progress) => match never {},
    };
    let ended = host.stop().await;
    stopped?;
    ended?;
    let written = match &shared.store {
        AnyStore::Embedded(store) => Some(store.written()),
        AnyStore::Hbase(_) => None,
    };
    Ok((rows(&shared.store).await?, written))
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
        definition: serde_json::to_value(&definition).unwrap_or_default(),
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

/// Makes the index where it is absent. Once a shard has a row it may have documents: then an index that is gone was deleted.
async fn prepare_index(env: &World, pipeline: &load::Pipeline, meta: &Meta) -> Result<(), Error> {
    if let AnyIndex::Elasticsearch(index) = &env.index {
        let identity = u128::from_str_radix(&meta.identity, 16)
            .map_err(|error| Error::Other(format!("the store's identity is damaged: {error}")))?;
        let missing = match rows(&env.shared.store).await?.shards.is_empty() {
            true => Missing::Create,
            false => Missing::Refuse,
        };
        index.prepare(identity, &reading::specs(&pipeline.plan), missing).await?;
    }
    Ok(())
}

/// Until all is done, a signal comes, or a task fails.
async fn wait(
    args: &Args,
    shared: &Shared,
    meta: &Meta,
    host: &mut Host,
    work: &mut Assigned,
) -> Result<(), Error> {
    let mut signals = Signals::new()?;
    let mut idle_since: Option<Instant> = None;
    let mut failed: Option<Failed> = None;
    let follows = matches!(&shared.config.source, Source::Files(files) if files.follow);
    let kafka = matches!(&shared.source, AnySource::Kafka(_));
    let mut tick = tokio::time::interval(if kafka || follows { SLOW_TICK } else { TICK });
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = signals.next() => return Ok(()),
            end = host.next_end() => match end {
                Some((TaskId::Partition(id), Ok(()))) => {
                    work.ended(id);
                    work.handed_over(host);
                    work.settle(host).await?;
                }
                Some((_, Ok(()))) => work.settle(host).await?,
                None => {}
                Some((TaskId::Partition(_), Err(ended))) if failed.is_none() && work.is_alone() => {
                    host.leave_partitions();
                    failed = Some(Failed { ended, until: Instant::now() + GRACE });
                }
                Some((_, Err(ended))) => return Err(failed.map_or(ended, |first| first.ended).into()),
            },
            change = work.next_change() => work.change(host, change).await?,
            _ = tick.tick() => {
                if let Some(first) = &failed {
                    let rows = rows(&shared.store).await?;
                    if Instant::now() > first.until || (!host.runs_partitions() && rows.answered(meta.shards)) {
                        return Err(first.ended.clone().into());
                    }
                    continue;
                }
                if follows {
                    work.start_found(host)?;
                }
                let idle = match &shared.source {
                    _ if follows && args.until_idle.is_none() => false,
                    AnySource::Kafka(source) if args.until_idle.is_some() => {
                        let rows = rows(&shared.store).await?;
                        at_end(&rows, &source.partitions().await?) && rows.answered(meta.shards)
                    }
                    AnySource::Kafka(_) => false,
                    _ if follows => rows(&shared.store).await?.answered(meta.shards),
                    _ => {
                        let begun = work.all_ended() && host.has_all_shards(meta.shards);
                        begun && rows(&shared.store).await?.answered(meta.shards)
                    }
                };
                if !idle {
                    idle_since = None;
                    continue;
                }
                let since = *idle_since.get_or_insert_with(Instant::now);
                match args.until_idle {
                    Some(time) if (kafka || follows) && since.elapsed() < time => {}
                    _ => return Ok(()),
                }
            }
        }
    }
}

/// A partition of files or made-up traffic that cannot go on. What it and the others have committed still becomes part of the
/// answer, if the index takes it within some time.
struct Failed {
    ended: Ended,
    until: Instant,
}

const GRACE: Duration = Duration::from_secs(10);

/// How often it is asked whether all is done: at the end of input soon, on a cluster at leisure.
const TICK: Duration = Duration::from_millis(10);
const SLOW_TICK: Duration = Duration::from_millis(200);

/// The newest log of each partition that has a row.
async fn current_logs(store: &AnyStore) -> Result<BTreeMap<u32, u32>, Error> {
    let partitions = rows(store).await?.partitions;
    Ok(partitions.into_keys().map(|id| (id.partition, id.log)).collect())
}

/// Moves partitions whose position does not fit their source on, as chosen. One that fits is left alone.
async fn resume(choice: ResumeAt, setup: &Setup, logs: &mut BTreeMap<u32, u32>) -> Result<(), Error> {
    let context = crate::host::context(setup.clone())?;
    for (id, row) in rows(&setup.shared.store).await?.partitions {
        if logs.get(&id.partition) != Some(&id.log) {
            continue;
        }
        let mut position = row.position;
        position.log_content = world::log_content(&setup.shared.store, &position).await?.map(Into::into);
        let Err(trouble) = setup.shared.source.open(id, &position).await else { continue };
        let next = match choice {
            ResumeAt::NewLog => {
                tracing::warn!("{trouble}; going on with log {} of partition {}", id.log + 1, id.partition);
                logs.insert(id.partition, id.log + 1);
                continue;
            }
            ResumeAt::Earliest => setup.shared.source.resume(id, &position, false).await?,
            ResumeAt::Latest => setup.shared.source.resume(id, &position, true).await?,
        };
        tracing::warn!("{trouble}; going on at offset {} as told", next.next);
        clickmill_tasks::reposition(&context, id, next).await?;
    }
    Ok(())
}

/// Every partition has a row that stands at the end that the broker names.
fn at_end(rows: &Rows, partitions: &[Partition]) -> bool {
    partitions.iter().all(|partition| {
        let number = partition.number;
        let logs = PartitionId { partition: number, log: 0 }..PartitionId { partition: number + 1, log: 0 };
        match rows.partitions.range(logs).next_back() {
            Some((_, row)) => row.position.next >= partition.end,
            None => partition.end == partition.low,
        }
    })
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

struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> Result<Signals, Error> {
        use tokio::signal::unix::{SignalKind, signal};
        let hear = |kind| signal(kind).map_err(Error::io("signals cannot be heard"));
        Ok(Signals { interrupt: hear(SignalKind::interrupt())?, terminate: hear(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
