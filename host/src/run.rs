//! `clickmill run`: reads events, stores them, and keeps the answer up to date.

use std::{
    collections::BTreeMap,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use clickmill_embedded::Written;
use clickmill_kafka::Partition;
use clickmill_settings::{Config, Source};
use clickmill_tasks::{
    Ended, Progress,
    env::Source as _,
    meta::Meta,
    name::{PartitionId, TaskId},
    quiet::Rows,
};

use crate::{
    ConfigArg,
    assigned::Assigned,
    error::Error,
    host::Host,
    load,
    output::say,
    progress::{self, Display},
    setup::{self, Setup},
    summary::{self, Own},
    world::{self, AnySource, AnyStore, Shared, rows},
};

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    config: ConfigArg,
    /// Waits for more at the end of the files, and reads new ones.
    #[arg(long)]
    follow: bool,
    /// Ends when there was nothing left to do for this long, whoever owns the partitions: "10s". For a topic, and for files with
    /// --follow.
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
    let ends = match &config.source {
        Source::Files(files) => !files.follow,
        Source::Generate(_) => true,
        Source::Kafka(_) => false,
    };
    if args.until_idle.is_some() && ends {
        let text = format!(
            "--until-idle is for a source that does not end by itself: a topic, or files with --follow; this one is `{}`",
            config.source.kind()
        );
        return Err(Error::Usage(text));
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
        Summary::Json => say(own.json(&rows.counters()))?,
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
    let (setup, changes) = Setup::open(config, progress, true, process).await?;
    let (shared, meta) = (setup.shared.clone(), setup.meta.clone());
    setup.prepare_index(setup::missing(&shared).await?).await?;
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
    let context = setup.clone().context()?;
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
