//! `clickmill check`: loads every plugin, asks each service for what the settings name, and says what is missing or would be better.
//! It makes an embedded store where there is none; it writes nothing else, reads no record of a topic and asks for no
//! right by using it, so one that is missing may be found by `run` first.

use std::{process::ExitCode, sync::Arc, time::Instant};

use clickmill_hbase::{Absent, HbaseStore};
use clickmill_settings::{Config, Hbase, Store};
use clickmill_tasks::{
    Plan,
    env::{Env, Source, Store as _},
    meta,
    name::{PartitionId, TaskId},
    row::Position,
};

use crate::{
    ConfigArg,
    error::Error,
    load,
    output::say,
    reading, setup,
    world::{AnyIndex, AnySource, AnyStore, Shared, rows},
};

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    config: ConfigArg,
}

pub fn check(args: Args) -> Result<ExitCode, Error> {
    let config = Arc::new(load::settings(&args.config.config)?);
    say(format_args!("settings  {}: good", args.config.config.display()))?;
    let pipeline = load::pipeline(&config)?;
    show(&pipeline.plan)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::io("no runtime can be started"))?;
    let Missing { gateways, tables } = runtime.block_on(services(&config, &pipeline))?;
    if gateways > 0 {
        return Err(Error::Other(format!(
            "no answer from {}; all else is there",
            counted(gateways, "gateway")
        )));
    }
    say(if tables > 0 { "all else is there" } else { "all is there" })?;
    Ok(ExitCode::SUCCESS)
}

fn show(plan: &Plan) -> Result<(), Error> {
    let columns: Vec<&str> = plan.stored.iter().map(|stored| &*stored.field.name).collect();
    say(format_args!("plugins   all load; stored columns: {}", columns.join(", ")))?;
    for rollup in &plan.rollups {
        let windows: Vec<&str> = rollup.windows.iter().map(|(name, _)| &**name).collect();
        let fields = rollup.metrics.iter().flat_map(|&metric| &plan.metrics[metric].outputs);
        let fields: Vec<&str> = fields.map(|field| &*field.name).collect();
        let by: Vec<&str> = rollup.by_names.iter().map(|name| &**name).collect();
        say(format_args!(
            "rollup    {} by {} in {}: {}",
            rollup.name,
            by.join(", "),
            windows.join(", "),
            fields.join(", ")
        ))?;
    }
    Ok(())
}

/// What is not there although everything works.
struct Missing {
    /// Gateways that do not answer although the store does.
    gateways: usize,
    /// Tables that `run` makes.
    tables: usize,
}

/// Tries each service.
async fn services(config: &Arc<Config>, pipeline: &load::Pipeline) -> Result<Missing, Error> {
    let silent = match &config.store {
        Store::Hbase(hbase) => gateways(hbase)?,
        Store::Embedded { .. } => 0,
    };
    let shared = Shared::open(config.clone(), pipeline.plugins.clone(), Instant::now(), Absent::Tell).await?;
    let env = shared.world();
    let known = shared.store.read_row(TaskId::Meta).await?.map(|row| meta::decode(&row)).transpose()?;
    let absent = match &shared.store {
        AnyStore::Embedded(_) => &[][..],
        AnyStore::Hbase(store) => store.absent(),
    };
    match (&known, absent) {
        (Some(known), _) => {
            say(format_args!("store     there, made for {}, {} shards", known.source, known.shards))?
        }
        (None, []) => say("store     there, empty")?,
        (None, tables) => say(format_args!(
            "store     not there yet: `clickmill run` makes {}, each in one region; where there are several region servers, \
             make them first (README.md has the commands)",
            tables.join(", ")
        ))?,
    }
    if known.is_some() {
        setup::open_meta(config, &shared, &env).await?;
    }
    match &shared.store {
        AnyStore::Embedded(_) => {
            if let Store::Embedded { path } = &config.store {
                say(format_args!("          in {}", path.display()))?;
            }
        }
        AnyStore::Hbase(store) => {
            let regions = store.regions().await?.len();
            if regions > 0 {
                say(format_args!("          events in {}", counted(regions, "region")))?;
            }
            for line in store.advice().await? {
                say(format_args!("          better: {line}"))?;
            }
        }
    }
    match &shared.source {
        AnySource::Files(source) => {
            let partitions = source.partitions()?;
            for &partition in &partitions {
                env.source().open(PartitionId { partition, log: 0 }, &Position::default()).await?;
            }
            say(format_args!("source    files, {}", counted(partitions.len(), "partition")))?;
        }
        AnySource::Generate(source) => {
            let partitions = source.partitions().len();
            say(format_args!("source    generated traffic, {}", counted(partitions, "partition")))?;
        }
        AnySource::Kafka(source) => {
            source.require_topic().await?;
            let partitions = source.partition_count().await? as usize;
            say(format_args!("source    a topic of {}", counted(partitions, "partition")))?;
            let kept = source.kept().await?;
            say(format_args!("          {}", kept.told))?;
            for line in kept.better {
                say(format_args!("          better: {line}"))?;
            }
        }
    }
    match &shared.index {
        AnyIndex::Embedded(_) => say("index     there, in the store")?,
        AnyIndex::Elasticsearch(index) => {
            let version = index.version().await?;
            let identity = known.and_then(|known| u128::from_str_radix(&known.identity, 16).ok());
            index
                .look(identity, &reading::specs(&pipeline.plan), setup::missing(&rows(&shared.store).await?))
                .await?;
            say(format_args!("index     Elasticsearch {version}, as it should be"))?;
            if !version.supported() {
                say("          clickmill is made for 8 and 9: other versions may do, but were not tried")?;
            }
        }
    }
    Ok(Missing { gateways: silent, tables: absent.len() })
}

/// Each gateway by itself, for a store opens where any of them answers; how many do not.
fn gateways(hbase: &Hbase) -> Result<usize, Error> {
    let asked = HbaseStore::gateways(hbase);
    if asked.len() > 1 {
        for (gateway, answer) in &asked {
            match answer {
                Ok(()) => say(format_args!("gateway   {gateway} answers"))?,
                Err(trouble) => say(format_args!("gateway   {gateway}: {trouble}"))?,
            }
        }
    }
    Ok(asked.iter().filter(|(_, answer)| answer.is_err()).count())
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}
