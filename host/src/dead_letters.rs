//! `clickmill dead-letters`: prints records that are no events, and documents that the index refused; and why.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
    process::ExitCode,
    sync::Arc,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use clickmill_columns::format_instant;
use clickmill_settings::Config;
use clickmill_tasks::{batch::DeadLetter, refused::RefusedDocument};
use serde_json::Value;

use crate::{
    columns::{Columns, Flat},
    error::Error,
    listing::{self, Listing},
    load, reading,
};

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    listing: listing::Args,
    /// Documents that the index refused for good, and why, instead of records. Of each shard the newest 1,000 are kept, each until
    /// the index takes a later version.
    #[arg(long, conflicts_with_all = ["reason", "partition"])]
    documents: bool,
    /// Only this reason: "invalid-json".
    #[arg(long)]
    reason: Option<String>,
    /// Prints only how many there are of each reason.
    #[arg(long)]
    count: bool,
}

pub fn dead_letters(args: Args) -> Result<ExitCode, Error> {
    let config = load::settings(&args.listing.config.config)?;
    if args.documents {
        return documents(&args, &config);
    }
    let columns = if args.count { Columns::from_iter(COUNTS) } else { Columns::from_iter(LETTER) };
    let mut listing = Listing::new(&args.listing, columns);
    let mut reasons: BTreeMap<String, u64> = BTreeMap::new();
    reading::dead_letters(&config, |letter| {
        let reason = args.reason.as_ref().is_none_or(|reason| *reason == letter.reason);
        if !reason || !args.listing.wants(letter.partition.partition) {
            return ControlFlow::Continue(());
        }
        if args.count {
            *reasons.entry(letter.reason).or_default() += 1;
            return ControlFlow::Continue(());
        }
        listing.print(flat(letter))
    })?;
    print_counts(&mut listing, reasons.into_iter());
    listing.finish()?;
    Ok(ExitCode::SUCCESS)
}

fn documents(args: &Args, config: &Config) -> Result<ExitCode, Error> {
    let refused = reading::refused(config)?;
    let columns = match args.count {
        true => Columns::from_iter(COUNTS),
        false => document_columns(config, refused.iter().map(|(_, document)| document)),
    };
    let mut listing = Listing::new(&args.listing, columns);
    if args.count {
        // What the index says begins with the kind of the error.
        let mut reasons: BTreeMap<&str, u64> = BTreeMap::new();
        for (_, document) in &refused {
            let reason = document.message.split_once(':').map_or(&*document.message, |(kind, _)| kind);
            *reasons.entry(reason).or_default() += 1;
        }
        print_counts(&mut listing, reasons.into_iter().map(|(reason, count)| (reason.to_owned(), count)));
    } else {
        for (shard, document) in refused {
            if listing.print(flat_document(config, shard, document)).is_break() {
                break;
            }
        }
    }
    listing.finish()?;
    Ok(ExitCode::SUCCESS)
}

fn print_counts(listing: &mut Listing, reasons: impl Iterator<Item = (String, u64)>) {
    for (reason, count) in reasons {
        let row = COUNTS.map(Arc::from).into_iter().zip([reason.into(), count.into()]);
        if listing.print(row.collect()).is_break() {
            break;
        }
    }
}

const COUNTS: [&str; 2] = ["reason", "count"];

/// What every refused document has, before and after the columns that its rollup groups by.
const DOCUMENT: ([&str; 5], [&str; 2]) =
    (["shard", "id", "@timestamp", "rollup", "window"], ["version", "message"]);

fn document_columns<'a>(config: &Config, refused: impl Iterator<Item = &'a RefusedDocument>) -> Columns {
    let mut columns = Columns::from_iter(DOCUMENT.0);
    let rollups: BTreeSet<&str> = refused.map(|document| &*document.rollup).collect();
    for rollup in config.pipeline.rollups.iter().filter(|rollup| rollups.contains(&*rollup.name)) {
        columns.extend(rollup.by.iter().map(String::as_str));
    }
    columns.extend(DOCUMENT.1);
    columns
}

fn flat_document(config: &Config, shard: u32, document: RefusedDocument) -> Flat {
    let RefusedDocument { id, rollup, window, start, by, version, message } = document;
    let known = config.pipeline.rollups.iter().find(|known| known.name == rollup);
    let names = known.map(|known| &known.by[..]).unwrap_or_default();
    let (before, after) = DOCUMENT;
    let values = [
        shard.into(),
        id.into(),
        format_instant(start, false).into(),
        Value::from(rollup),
        Value::from(window),
    ];
    let mut flat: Flat = before.map(Arc::from).into_iter().zip(values).collect();
    flat.extend(names.iter().zip(by).map(|(name, value)| (name.as_str().into(), value.into())));
    flat.extend(after.map(Arc::from).into_iter().zip([version.into(), message.into()]));
    flat
}

const LETTER: [&str; 12] = [
    "source",
    "partition",
    "offset",
    "time",
    "reason",
    "message",
    "at",
    "plugin",
    "digest",
    "length",
    "value",
    "value_base64",
];

fn flat(letter: DeadLetter) -> Flat {
    let (value, base64) = match String::from_utf8(letter.value) {
        Ok(text) => (Some(text), None),
        Err(error) => (None, Some(BASE64_STANDARD.encode(error.as_bytes()))),
    };
    let values = [
        letter.source.to_string().into(),
        letter.partition.partition.into(),
        letter.offset.into(),
        letter.time.map(|time| format_instant(time, true)).into(),
        letter.reason.into(),
        letter.message.into(),
        letter.at.into(),
        Some(letter.plugin).filter(|plugin| !plugin.is_empty()).into(),
        Some(letter.digest).filter(|digest| !digest.is_empty()).into(),
        letter.length.into(),
        value.into(),
        base64.into(),
    ];
    LETTER.map(Arc::from).into_iter().zip(values).collect()
}
