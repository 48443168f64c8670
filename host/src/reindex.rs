//! `clickmill reindex`: every document is sent to the index again, under a new version. The shards do that themselves, whenever they
//! run; here they are only told, and an index that was deleted is made again.

use std::{process::ExitCode, sync::Arc, time::Instant};

use clickmill_elasticsearch::Missing;
use clickmill_hbase::Absent;
use clickmill_settings::Config;
use clickmill_tasks::Progress;

use crate::{ConfigArg, error::Error, load, output::say, patience::Patience, reading, setup::Setup, world};

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    config: ConfigArg,
}

pub fn reindex(args: Args, process: Instant) -> Result<ExitCode, Error> {
    let config = Arc::new(load::settings(&args.config.config)?);
    // To open an embedded store is to make it where there is none.
    if reading::is_empty(&config)? {
        say("the store is empty: there is nothing to send")?;
        return Ok(ExitCode::SUCCESS);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::io("no runtime can be started"))?;
    let shards = runtime.block_on(tell(&config, process))?;
    say(format_args!("{shards} shards send all their documents again, each as soon as a host runs it"))?;
    Ok(ExitCode::SUCCESS)
}

/// Tells every shard that has begun; how many they are.
async fn tell(config: &Arc<Config>, process: Instant) -> Result<usize, Error> {
    let progress = Arc::new(Progress::default());
    let setup = Setup::open(config, &progress, &Patience::None, process, Absent::Refuse).await?;
    let shards = world::rows(&setup.shared.store).await?.shards;
    // The index last: until all shards are told it is still known that it was deleted. One that runs elsewhere tries until then.
    let context = setup.clone().context()?;
    for &shard in shards.keys() {
        clickmill_tasks::reindex(&context, shard).await?;
    }
    setup.prepare_index(Missing::Create).await?;
    Ok(shards.len())
}
