//! `clickmill dead-letters`: prints records that are no events, and documents that the index refused; and why.

use std::{collections::BTreeMap, ops::ControlFlow, process::ExitCode};

use base64::{Engine, prelude::BASE64_STANDARD};
use clickmill_columns::format_instant;
use clickmill_settings::Config;
use clickmill_tasks::{batch::DeadLetter, refused::RefusedDocument};

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
    let mut listing = Listing::new(&args.listing);
    if args.documents {
        return documents(listing, args.count, &config);
    }
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

fn documents(mut listing: Listing, count: bool, config: &Config) -> Result<ExitCode, Error> {
    let refused = reading::refused(config)?;
    if count {
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
        if listing.print(vec![("reason".into(), reason.into()), ("count".into(), count.into())]).is_break() {
            break;
        }
    }
}

fn flat_document(config: &Config, shard: u32, document: RefusedDocument) -> Flat {
    let RefusedDocument { id, rollup, window, start, by, version, message } = document;
    let known = config.pipeline.rollups.iter().find(|known| known.name == rollup);
    let names = known.map(|known| &known.by[..]).unwrap_or_default();
    let mut flat: Flat = vec![
        ("shard".into(), shard.into()),
        ("id".into(), id.into()),
        ("@timestamp".into(), format_instant(start, false).into()),
        ("rollup".into(), rollup.into()),
        ("window".into(), window.into()),
    ];
    flat.extend(names.iter().zip(by).map(|(name, value)| (name.as_str().into(), value.into())));
    flat.push(("version".into(), version.into()));
    flat.push(("message".into(), message.into()));
    flat
}

fn flat(letter: DeadLetter) -> Flat {
    let (value, base64) = match String::from_utf8(letter.value) {
        Ok(text) => (Some(text), None),
        Err(error) => (None, Some(BASE64_STANDARD.encode(error.as_bytes()))),
    };
    vec![
        ("source".into(), letter.source.to_string().into()),
        ("partition".into(), letter.partition.partition.into()),
        ("offset".into(), letter.offset.into()),
        ("time".into(), letter.time.map(|time| format_instant(time, true)).into()),
        ("reason".into(), letter.reason.into()),
        ("message".into(), letter.message.into()),
        ("at".into(), letter.at.into()),
        ("plugin".into(), Some(letter.plugin).filter(|plugin| !plugin.is_empty()).into()),
        ("digest".into(), Some(letter.digest).filter(|digest| !digest.is_empty()).into()),
        ("length".into(), letter.length.into()),
        ("value".into(), value.into()),
        ("value_base64".into(), base64.into()),
    ]
}
