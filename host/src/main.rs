//! `clickmill`: a stream of web clicks in, answers out. Each subcommand has a file of its own; this one only chooses.

// Whatever goes to stdout goes through `output`, which knows what a closed pipe means.
#![warn(clippy::print_stdout)]

mod answer;
mod assigned;
mod bench;
mod check;
mod columns;
mod components;
mod dead_letters;
mod die;
mod error;
mod events;
mod generate;
mod host;
mod idle;
mod instant;
mod listing;
mod load;
mod output;
mod patience;
mod plugin;
mod progress;
mod query;
mod reading;
mod reindex;
mod run;
mod setup;
mod summary;
mod table;
mod world;

use std::{io::IsTerminal, path::PathBuf, process::ExitCode, time::Instant};

use clap::{Parser, Subcommand};

const EXIT_CODES: &str = "Exit codes: 0 all is done; 1 something went wrong while it ran; 2 the settings, the plugins or the \
     arguments are wrong. What is wrong is said on stderr.";

/// Turns a stream of web clicks into clicks, unique users and average time per URL and country; exact, whatever is killed.
#[derive(Parser)]
#[command(version, max_term_width = 100, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// Where the settings are.
#[derive(clap::Args, Clone)]
pub struct ConfigArg {
    /// The settings, a TOML file. Without it `clickmill.toml` is read.
    #[arg(long, value_name = "FILE", default_value = "clickmill.toml")]
    config: PathBuf,
}

#[derive(Subcommand)]
enum Command {
    /// Reads events, stores them, and keeps the answer up to date.
    Run(run::Args),
    /// Tries everything that the settings name, and says what is missing.
    Check(check::Args),
    /// Prints the answer: documents by window, URL and country.
    Query(query::Args),
    /// Prints stored events.
    Events(events::Args),
    /// Prints records that are no events, and why; or documents that the index refused.
    DeadLetters(dead_letters::Args),
    /// Sends every document to the index again, and makes an index again that was deleted.
    Reindex(reindex::Args),
    /// Makes believable traffic, as lines of JSON.
    Generate(generate::Args),
    /// Measures the whole run of a generated stream, beside other programs over the same file.
    Bench(bench::Args),
    /// What plugins there are, and what they say of themselves.
    #[command(subcommand)]
    Plugin(plugin::Command),
}

fn main() -> ExitCode {
    let began = Instant::now();
    let cli = Cli::parse();
    let filter = tracing_subscriber::EnvFilter::try_from_env("CLICKMILL_LOG");
    tracing_subscriber::fmt()
        .with_env_filter(filter.unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info")))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
        .with_target(false)
        .init();
    let done = match cli.command {
        Command::Run(args) => run::run(args, began),
        Command::Check(args) => check::check(args),
        Command::Query(args) => query::query(args),
        Command::Events(args) => events::events(args),
        Command::DeadLetters(args) => dead_letters::dead_letters(args),
        Command::Reindex(args) => reindex::reindex(args, began),
        Command::Generate(args) => generate::generate(args),
        Command::Bench(args) => bench::bench(args),
        Command::Plugin(command) => plugin::plugin(command),
    };
    match done {
        Ok(code) => code,
        Err(error) => error.report(),
    }
}
