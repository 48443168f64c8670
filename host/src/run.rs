//! `clickmill run`: reads events, stores them, and keeps the answer up to date.

use std::{
    collections::BTreeMap,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use clickmill_embedded::Written;
use clickmill_hbase::Absent;
use clickmill_settings::{Config, Source};
use clickmill_tasks::{
    Ended, Progress,
    env::{Source as _, Trouble},
    meta::Meta,
    name::TaskId,
    quiet::Rows,
};
use tokio::sync::watch;

use crate::{
    ConfigArg,
    assigned::{self, Assigned},
    error::Error,
    host::Host,
    idle, load,
    output::say,
    patience::Patience,
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
    let began = process.elapsed();
    let progress = Arc::new(Progress::default());
    let display = Display::start(progress.clone());
    let outcome = work(&args, &config, &progress, process).await;
    display.stop();
    let (rows, written) = outcome?;
    // A host that waits for more to come has been done since.
    let ended = progress.last_done().unwrap_or_else(|| process.elapsed());
    let own = Own::new(&progress, ended.saturating_sub(began), written);
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
    let mut signals = Signals::new()?;
    let (setup, logs) = tokio::select! {
        started = start(args, config, progress, process) => started?,
        () = signals.next() => return Err(Error::Stopped),
    };
    let (shared, meta) = (setup.shared.clone(), setup.meta.clone());
    let mut host = Host::new(setup);
    // Last: whoever has joined is given partitions, which nobody else reads then.
    let mut work = Assigned::new(&shared, &meta, shared.join()?, logs.clone());
    work.start(&mut host)?;
    let (count, counted) = watch::channel(0);
    let stopped = tokio::select! {
        () = signals.next() => Ok(()),
        stopped = wait(args, &shared, &meta, &logs, &mut host, &mut work, counted) => stopped,
        idle = idle(args, &shared, &meta, &logs, progress) => idle,
        never = progress::watch(&shared.source, progress) => match never {},
        never = assigned::watch(&shared.source, &count) => match never {},
    };
    let ended = tokio::select! {
        ended = stop(host, work, &shared) => ended,
        () = signals.next() => return Err(Error::Other(
            "stopped at once, as told twice: what was not committed is done again by the next host".into(),
        )),
    };
    stopped?;
    ended?;
    let written = match &shared.store {
        AnyStore::Embedded(store) => Some(store.written()),
        AnyStore::Hbase(_) => None,
    };
    let totals = rows(&shared.store).await;
    let totals = totals.map_err(|error| match error.is_passing() {
        true => Error::Other(format!("all has ended well, but the totals cannot be read: {error}")),
        false => error,
    });
    Ok((totals?, written))
}

/// Everything that the settings name is there and fits, however long that takes; and the log that each partition is to be read into.
async fn start(
    args: &Args,
    config: &Arc<Config>,
    progress: &Arc<Progress>,
    process: Instant,
) -> Result<(Setup, BTreeMap<u32, u32>), Error> {
    let patience = Patience::Endless(progress.clone());
    let setup = Setup::open(config, progress, &patience, process, Absent::Make).await?;
    let known = patience.ask(async || rows(&setup.shared.store).await).await?;
    patience.ask(async || setup.prepare_index(setup::missing(&known)).await).await?;
    let mut logs = current_logs(&known);
    if let Some(choice) = args.resume_at {
        resume(choice, &setup, &patience, &known, &mut logs).await?;
    }
    Ok((setup, logs))
}

/// Ends all tasks. The partitions go to others as soon as their own have ended: those of shards may take longer.
async fn stop(mut host: Host, work: Assigned, shared: &Shared) -> Result<(), Ended> {
    let partitions = host.stop_partitions().await;
    tracing::debug!("the tasks of partitions have ended");
    // Nobody is told of changes any more, so none is waited for.
    drop(work);
    if let AnySource::Kafka(source) = &shared.source {
        source.leave();
    }
    let all = host.stop().await;
    partitions.and(all)
}

/// Until a topic was done for as long as was asked for; never, where that was not asked.
async fn idle(
    args: &Args,
    shared: &Shared,
    meta: &Meta,
    logs: &BTreeMap<u32, u32>,
    progress: &Progress,
) -> Result<(), Error> {
    match (&shared.source, args.until_idle) {
        (AnySource::Kafka(_), Some(time)) => idle::idle(shared, meta, logs, progress, time).await,
        _ => std::future::pending().await,
    }
}

/// Until all is done, or a task fails.
async fn wait(
    args: &Args,
    shared: &Shared,
    meta: &Meta,
    logs: &BTreeMap<u32, u32>,
    host: &mut Host,
    work: &mut Assigned,
    mut counted: watch::Receiver<u32>,
) -> Result<(), Error> {
    let mut idle_since: Option<Instant> = None;
    let mut failed: Option<Failed> = None;
    let follows = matches!(&shared.config.source, Source::Files(files) if files.follow);
    let kafka = matches!(&shared.source, AnySource::Kafka(_));
    let mut tick = tokio::time::interval(if follows { SLOW_TICK } else { TICK });
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            end = host.next_end() => match end {
                Some((TaskId::Partition(id), Ok(()))) => {
                    work.ended(id);
                    work.handed_over(host);
                    work.settle(host)?;
                }
                Some((_, Ok(()))) => work.settle(host)?,
                None => {}
                Some((TaskId::Partition(_), Err(ended))) if failed.is_none() && !kafka => {
                    host.leave_partitions();
                    failed = Some(Failed { ended, until: Instant::now() + GRACE });
                }
                Some((_, Err(ended))) => return Err(failed.map_or(ended, |first| first.ended).into()),
            },
            change = work.next_change() => work.change(host, change)?,
            Ok(()) = counted.changed() => {
                let partitions = *counted.borrow_and_update();
                work.counted(host, partitions)?;
            }
            _ = tick.tick(), if !kafka => {
                if let Some(first) = &failed {
                    let done = !host.runs_partitions() && is_answered(shared, meta).await?;
                    if done || Instant::now() > first.until {
                        return Err(first.ended.clone().into());
                    }
                    continue;
                }
                if follows {
                    work.start_found(host)?;
                }
                if !host.has_all_shards(meta.shards) {
                    continue;
                }
                match args.until_idle {
                    Some(time) if follows => {
                        match passing(idle::is_idle(shared, meta, logs).await)? {
                            Some(at) if at >= *idle_since.get_or_insert(at) + time => return Ok(()),
                            Some(_) => {}
                            None => idle_since = None,
                        }
                    }
                    _ if follows => {}
                    _ => {
                        if work.all_ended() && is_answered(shared, meta).await? {
                            return Ok(());
                        }
                    }
                }
            }
        }
    }
}

/// Whether the index has acknowledged everything that was committed. A store that is away does not say so.
async fn is_answered(shared: &Shared, meta: &Meta) -> Result<bool, Error> {
    passing(rows(&shared.store).await.map(|rows| rows.answered(meta.shards)))
}

/// What passes is no answer yet.
fn passing<T: Default>(answer: Result<T, Error>) -> Result<T, Error> {
    match answer {
        Err(error) if error.is_passing() => Ok(T::default()),
        answer => answer,
    }
}

/// A partition of files or made-up traffic that cannot go on. What it and the others have committed still becomes part of the
/// answer, if the index takes it within some time.
struct Failed {
    ended: Ended,
    until: Instant,
}

const GRACE: Duration = Duration::from_secs(10);

/// How often it is asked whether all is done: at the end of input soon, where more may come at leisure.
const TICK: Duration = Duration::from_millis(10);
const SLOW_TICK: Duration = Duration::from_millis(200);

/// The newest log of each partition that has a row.
fn current_logs(rows: &Rows) -> BTreeMap<u32, u32> {
    rows.partitions.keys().map(|id| (id.partition, id.log)).collect()
}

/// Moves partitions whose position does not fit their source on, as chosen. One that fits is left alone; where one of them cannot go
/// on as chosen, for offsets never go back, that is an error and none is moved.
async fn resume(
    choice: ResumeAt,
    setup: &Setup,
    patience: &Patience,
    rows: &Rows,
    logs: &mut BTreeMap<u32, u32>,
) -> Result<(), Error> {
    let (context, source) = (setup.clone().context()?, &setup.shared.source);
    let there = patience.ask(async || Ok(source.partitions().await?)).await?;
    let mut moves = Vec::new();
    for (&id, row) in &rows.partitions {
        if logs.get(&id.partition) != Some(&id.log) {
            continue;
        }
        if there.as_ref().is_some_and(|there| !there.contains(&id.partition)) {
            tracing::warn!("the topic has no partition {} any more; what was read of it stays", id.partition);
            continue;
        }
        let mut position = row.position.clone();
        let content = patience.ask(async || world::log_content(&setup.shared.store, &position).await).await?;
        position.log_content = content.map(Into::into);
        let open = async || match source.open(id, &position).await {
            Ok(_) => Ok(None),
            Err(Trouble::Final(misfit)) => Ok(Some(misfit)),
            Err(passing) => Err(passing.into()),
        };
        let Some(misfit) = patience.ask(open).await? else { continue };
        let end = match choice {
            ResumeAt::NewLog => {
                tracing::warn!("{misfit}; going on with log {} of partition {}", id.log + 1, id.partition);
                logs.insert(id.partition, id.log + 1);
                continue;
            }
            ResumeAt::Earliest => false,
            ResumeAt::Latest => true,
        };
        let next = patience.ask(async || Ok(source.resume(id, &position, end).await?)).await?;
        if next.next < position.next {
            return Err(Error::Other(format!(
                "{misfit}. `{}` cannot be chosen here: it is offset {}, before the position, and records would count twice. No \
                 partition was moved",
                if end { "latest" } else { "earliest" },
                next.next
            )));
        }
        moves.push((id, misfit, next));
    }
    for (id, misfit, next) in moves {
        tracing::warn!("{misfit}; going on at offset {} as told", next.next);
        clickmill_tasks::reposition(&context, id, next).await?;
    }
    Ok(())
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
