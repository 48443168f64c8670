//! `clickmill events`: prints stored events.

use std::{ops::ControlFlow, process::ExitCode};

use clickmill_settings::Config;
use clickmill_tasks::read::StoredEvent;

use crate::{
    columns::{Columns, Flat},
    error::Error,
    listing::{self, Listing},
    load, output, reading,
};

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    listing: listing::Args,
    /// Only events whose column has this value; may be given several times.
    #[arg(long, value_name = "COLUMN=VALUE", value_parser = equal)]
    r#where: Vec<(String, String)>,
    /// Prints only how many there are.
    #[arg(long)]
    count: bool,
}

pub fn equal(text: &str) -> Result<(String, String), String> {
    let (column, value) = text.split_once('=').ok_or("write COLUMN=VALUE")?;
    Ok((column.to_owned(), value.to_owned()))
}

pub fn events(args: Args) -> Result<ExitCode, Error> {
    let config = load::settings(&args.listing.config.config)?;
    if args.count {
        output::say(count(&config, &args)?)?;
    } else {
        print(&config, &args)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn count(config: &Config, args: &Args) -> Result<u64, Error> {
    let (mut found, mut any) = (0, false);
    let mut unknown: Vec<&str> = args.r#where.iter().map(|(column, _)| &**column).collect();
    reading::events(config, |event| {
        any = true;
        unknown.retain(|column| event.cells.iter().all(|(name, _)| **name != **column));
        found += u64::from(wanted(args, &event));
        ControlFlow::Continue(())
    })?;
    match unknown.first() {
        Some(column) if any => Err(no_column(column)),
        _ => Ok(found),
    }
}

fn print(config: &Config, args: &Args) -> Result<(), Error> {
    let stored = reading::event_columns(config)?;
    let unknown = args.r#where.iter().find(|(column, _)| !stored.contains(column));
    if let (Some((column, _)), false) = (unknown, stored.names().is_empty()) {
        return Err(no_column(column));
    }
    let mut columns = Columns::from_iter(PLACE);
    columns.extend(stored.names().iter().cloned());
    let mut listing = Listing::new(&args.listing, columns);
    reading::events(config, |event| match wanted(args, &event) {
        true => listing.print(flat(event)),
        false => ControlFlow::Continue(()),
    })?;
    listing.finish()
}

/// A column that no event has is a mistake, not an empty answer.
fn no_column(column: &str) -> Error {
    Error::Usage(format!("no column `{column}`; `check` shows those that are stored"))
}

fn wanted(args: &Args, event: &StoredEvent) -> bool {
    let has = |(column, value): &(String, String)| {
        let cell = event.cells.iter().find(|(name, _)| **name == **column);
        cell.is_some_and(|(_, cell)| cell.as_deref() == Some(value))
    };
    args.listing.wants(event.partition.partition) && args.r#where.iter().all(has)
}

const PLACE: [&str; 2] = ["partition", "offset"];

fn flat(event: StoredEvent) -> Flat {
    let mut flat: Flat =
        vec![(PLACE[0].into(), event.partition.partition.into()), (PLACE[1].into(), event.offset.into())];
    flat.extend(event.cells.into_iter().map(|(name, value)| (name, value.into())));
    flat
}
