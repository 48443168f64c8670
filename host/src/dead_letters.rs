//! `clickmill dead-letters`: prints records that are no events, and documents that the index refused; and why.

use std::{collections::BTreeMap, ops::ControlFlow, process::ExitCode};

use base64::{Engine, prelude::BASE64_STANDARD};
use clickmill_columns::format_instant;
use clickmill_settings::Config;
use clickmill_tasks::{batch::DeadLetter, refused::RefusedDocument};

use crate::{
    ConfigArg,
    error::Error,
    load,
    output::{Flat, Format, Printer},
    reading,
};

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    config: ConfigArg,
    /// Documents that the index refused for good, and why, instead of records. Of each shard the newest 1,000 are kept, each until
    /// the index takes a later version.
    #[arg(long, conflicts_with_all = ["reason", "partition"])]
    documents: bool,
    /// Only this reason: "invalid-json".
    #[arg(long)]
    reason: Option<String>,
    /// Only this partition.
    #[arg(long)]
    partition: Option<u32>,
    /// Prints only how many there are of each reason.
    #[arg(long)]
    count: bool,
    /// Rows at most; 0 is all.
    #[arg(long, default_value_t = 20)]
    limit: u64,
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

pub fn dead_letters(args: Args) -> Result<ExitCode, Error> {
    let config = load::settings(&args.config.config)?;
    if args.documents {
        return documents(&args, &config);
    }
    let mut printer = Printer::new(args.format);
    let (mut found, mut failed) = (0u64, None);
    let mut reasons: BTreeMap<String, u64> = BTreeMap::new();
    reading::dead_letters(&config, |letter| {
        let reason = args.reason.as_ref().is_none_or(|reason| *reason == letter.reason);
        let partition = args.partition.is_none_or(|partition| partition == letter.partition.partition);
        if !reason || !partition {
            return ControlFlow::Continue(());
        }
        found += 1;
        if args.count {
            *reasons.entry(letter.reason).or_default() += 1;
        } else if let Err(error) = printer.print(flat(letter)) {
            failed = Some(error);
            return ControlFlow::Break(());
        }
        match !args.count && found == args.limit {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    })?;
    if let Some(error) = failed {
        return Err(error);
    }
    for (reason, count) in reasons {
        printer.print(vec![("reason".into(), reason.into()), ("count".into(), count.into())])?;
    }
    printer.finish()?;
    Ok(ExitCode::SUCCESS)
}

fn documents(args: &Args, config: &Config) -> Result<ExitCode, Error> {
    let refused = reading::refused(config)?;
    let mut printer = Printer::new(args.format);
    if args.count {
        // What the index says begins with the kind of the error.
        let mut reasons: BTreeMap<&str, u64> = BTreeMap::new();
        for (_, document) in &refused {
            let reason = document.message.split_once(':').map_or(&*document.message, |(kind, _)| kind);
            *reasons.entry(reason).or_default() += 1;
        }
        for (reason, count) in reasons {
            printer.print(vec![("reason".into(), reason.into()), ("count".into(), count.into())])?;
        }
    } else {
        let most =
            if args.limit == 0 { usize::MAX } else { usize::try_from(args.limit).unwrap_or(usize::MAX) };
        for (shard, document) in refused.into_iter().take(most) {
            printer.print(flat_document(config, shard, document))?;
        }
    }
    printer.finish()?;
    Ok(ExitCode::SUCCESS)
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
