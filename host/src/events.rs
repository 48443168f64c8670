//! `clickmill events`: prints stored events.

use std::{ops::ControlFlow, process::ExitCode};

use clickmill_tasks::read::StoredEvent;

use crate::{
    error::Error,
    listing::{self, Listing},
    load,
    output::Flat,
    reading,
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
    let mut listing = Listing::new(&args.listing);
    let (mut found, mut any) = (0u64, false);
    let mut unknown: Vec<&String> = args.r#where.iter().map(|(column, _)| column).collect();
    reading::events(&config, |event| {
        unknown.retain(|column| event.cells.iter().all(|(name, _)| **name != **column));
        any = true;
        if !wanted(&args, &event) {
            return ControlFlow::Continue(());
        }
        if args.count {
            found += 1;
            return ControlFlow::Continue(());
        }
        listing.print(flat(event))
    })?;
    // A column that no event has is a mistake, not an empty answer.
    if let (true, Some(column)) = (any, unknown.first()) {
        return Err(Error::Usage(format!("no column `{column}`; `check` shows those that are stored")));
    }
    if args.count {
        println!("{found}");
    } else {
        listing.finish()?;
    }
    Ok(ExitCode::SUCCESS)
}

fn wanted(args: &Args, event: &StoredEvent) -> bool {
    let has = |(column, value): &(String, String)| {
        let cell = event.cells.iter().find(|(name, _)| **name == **column);
        cell.is_some_and(|(_, cell)| cell.as_deref() == Some(value))
    };
    args.listing.wants(event.partition.partition) && args.r#where.iter().all(has)
}

fn flat(event: StoredEvent) -> Flat {
    let mut flat: Flat =
        vec![("partition".into(), event.partition.partition.into()), ("offset".into(), event.offset.into())];
    flat.extend(event.cells.into_iter().map(|(name, value)| (name, value.into())));
    flat
}
