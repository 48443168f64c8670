//! `clickmill dead-letters`: prints records that are no events, and why.

use std::{collections::BTreeMap, ops::ControlFlow, process::ExitCode};

use base64::{Engine, prelude::BASE64_STANDARD};
use clickmill_columns::format_instant;
use clickmill_tasks::batch::DeadLetter;

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
