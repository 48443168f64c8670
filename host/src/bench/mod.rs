//! `clickmill bench`: the whole run of a generated stream, everything stored. Figures are ratios of runs that took turns, so that a
//! machine that others use, too, tells the same.

mod cluster;
mod flat;
mod like;
mod measure;
mod program;
mod second;
mod whole;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use serde_json::Value;

use crate::{error::Error, generate::setting};

#[derive(clap::Args)]
pub struct Args {
    /// Settings whose plugins, rollups, limits and commits are measured, instead of the default ones; the stream and the store
    /// are the bench's own.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Events of the stream [default: 2000000; with --flat 1000000, and ten times as many].
    #[arg(long, value_parser = setting("events"), allow_negative_numbers = true)]
    events: Option<u64>,
    /// Users of the stream [default: 200000; with --flat 50000].
    #[arg(long, value_parser = setting("users"), allow_negative_numbers = true)]
    users: Option<u64>,
    /// URLs of the stream [default: 10000; with --flat 100].
    #[arg(long, value_parser = setting("urls"), allow_negative_numbers = true)]
    urls: Option<u64>,
    /// Rounds; each runs clickmill and every peer once.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// A program to compare with: it gets the file as its last argument and prints the seconds that it took, with its own
    /// start-up left out. tests/peers/ has some. May be given several times.
    #[arg(long, value_name = "COMMAND")]
    peer: Vec<String>,
    /// Measures instead whether an event costs the same in a stream that is ten times as long: the same users and groups in
    /// the same span of time, only more events.
    #[arg(long, conflicts_with = "peer")]
    flat: bool,
    /// Measures instead on the cluster of the settings: beside a bare loop that does the same writes, how long handing over takes,
    /// and how long it takes until a record's document can be searched. Topics, tables and indices named bench_… are made, and
    /// stay. [default: 600000 events of 60000 users on 2000 URLs]
    #[arg(long, requires = "config", conflicts_with_all = ["peer", "flat"])]
    cluster: bool,
    /// Where the stream and the stores are made.
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
    /// Also writes the figures as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

pub fn bench(args: Args) -> Result<ExitCode, Error> {
    let folder = args.folder.clone().unwrap_or_else(|| std::env::temp_dir().join("clickmill-bench"));
    std::fs::create_dir_all(&folder).map_err(failed(&folder))?;
    let like = like::Like::read(args.config.as_deref())?;
    let figures: Value = match (args.flat, args.cluster) {
        (true, _) => flat::bench(&args, &folder, &like)?,
        (_, true) => cluster::bench(&args, &folder, &like)?,
        _ => whole::bench(&args, &folder, &like)?,
    };
    if let Some(path) = &args.json {
        std::fs::write(path, figures.to_string()).map_err(failed(path))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What went wrong with a file or folder of the bench.
fn failed(path: &Path) -> impl FnOnce(std::io::Error) -> Error + use<> {
    Error::io(path.display().to_string())
}
