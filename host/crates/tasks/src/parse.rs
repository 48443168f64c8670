//! Parsing ahead: a pure function of payloads, so batches are parsed before their turn, several at once. A record on which the
//! parser fails is found by halves and set aside; the rest is parsed as if it had been refused.

use std::sync::Arc;

use clickmill_columns::Values;

use crate::{
    batch::RawBatch,
    context::{Ended, blameless},
    env::{CallError, Parsed, Parser},
};

/// A batch and what the parser made of it.
pub(crate) struct ParsedBatch {
    pub raw: RawBatch,
    pub parsed: Parsed,
    /// Rows on which the parser failed, rising, and how.
    pub failed: Vec<(u32, String)>,
}

/// Begins at once, where the parser has threads for it.
pub(crate) fn parse<P: Parser>(
    parser: P,
    name: String,
    raw: RawBatch,
) -> impl Future<Output = Result<ParsedBatch, Ended>> {
    let first = parser.parse(raw.payloads.clone(), false);
    async move { surely(parser, name, raw, first.await).await }
}

async fn surely<P: Parser>(
    parser: P,
    name: String,
    raw: RawBatch,
    first: Result<Parsed, CallError>,
) -> Result<ParsedBatch, Ended> {
    let mut failed: Vec<(u32, String)> = Vec::new();
    let mut patient = false;
    let mut answer = first;
    let parsed = loop {
        match answer {
            Ok(parsed) => break parsed,
            Err(CallError::Row(row, message)) if new(&failed, row, raw.payloads.len()) => {
                failed.push((row, message));
            }
            Err(_) => match guilty(&parser, &raw.payloads, &failed, patient).await {
                Search::Guilty(row, error) => failed.push((row, error.to_string())),
                Search::Slow if !patient => patient = true,
                Search::Slow => {
                    let error = CallError::TimedOut("it takes too long whatever the record".into());
                    return Err(blameless(&name, error));
                }
                Search::Nobody(error) => return Err(blameless(&name, error)),
            },
        }
        failed.sort_unstable();
        answer = parser.parse(without(&raw.payloads, &failed), patient).await;
    };
    Ok(ParsedBatch { raw, parsed, failed })
}

fn new(failed: &[(u32, String)], row: u32, rows: usize) -> bool {
    (row as usize) < rows && failed.iter().all(|(known, _)| *known != row)
}

/// The payloads with an empty one in place of each that is set aside.
fn without(payloads: &Arc<Values>, failed: &[(u32, String)]) -> Arc<Values> {
    if failed.is_empty() {
        return payloads.clone();
    }
    masked(payloads, |row| failed.iter().all(|(known, _)| *known as usize != row))
}

fn masked(payloads: &Values, keep: impl Fn(usize) -> bool) -> Arc<Values> {
    let mut masked = Values::with_capacity(payloads.len(), payloads.bytes().len());
    for row in 0..payloads.len() {
        masked.push(if keep(row) { payloads.get(row) } else { b"" });
    }
    Arc::new(masked)
}

enum Search {
    Guilty(u32, CallError),
    /// No row fails alone: only more patience is left to try.
    Slow,
    /// It fails without any record.
    Nobody(CallError),
}

/// Looks for one row on which the parser fails.
async fn guilty<P: Parser>(
    parser: &P,
    payloads: &Arc<Values>,
    failed: &[(u32, String)],
    patient: bool,
) -> Search {
    if let Err(error) = parser.parse(masked(payloads, |_| false), true).await {
        return Search::Nobody(error);
    }
    let keep = |row: usize| failed.iter().all(|(known, _)| *known as usize != row);
    let (mut from, mut to) = (0, payloads.len());
    while to > from {
        let middle = if to - from == 1 { to } else { from + (to - from) / 2 };
        let part = masked(payloads, |row| row >= from && row < middle && keep(row));
        let alone = to - from == 1;
        match parser.parse(part, patient || alone).await {
            Err(error) if alone => return Search::Guilty(from as u32, error),
            Err(CallError::Row(row, message)) if (row as usize) < payloads.len() => {
                return Search::Guilty(row, CallError::Row(row, message));
            }
            Err(_) => to = middle,
            Ok(_) if alone => break,
            Ok(_) => from = middle,
        }
    }
    Search::Slow
}
