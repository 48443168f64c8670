//! What `run` says at its end.

use std::{
    fmt::{self, Write},
    time::Duration,
};

use clickmill_embedded::Written;
use clickmill_settings::{Config, Index};
use clickmill_tasks::{Progress, quiet::Rows, row::Counters};
use serde_json::json;

use crate::{answer, error::Error, output, reading, table::Table};

/// What this process committed.
pub struct Own {
    records: u64,
    events: u64,
    dead_letters: u64,
    skipped: u64,
    refused: u64,
    elapsed: Duration,
    /// From the beginning of the process until its first record was read; none where it read none.
    first_record: Option<Duration>,
    /// Where the store is embedded.
    written: Option<Written>,
}

impl Own {
    pub fn new(progress: &Progress, elapsed: Duration, written: Option<Written>) -> Own {
        Own {
            records: Progress::get(&progress.records),
            events: Progress::get(&progress.events),
            dead_letters: Progress::get(&progress.dead_letters),
            skipped: Progress::get(&progress.skipped),
            refused: Progress::get(&progress.refused),
            elapsed,
            first_record: progress.first_read.get().copied(),
            written,
        }
    }

    fn rate(&self) -> f64 {
        self.events as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }

    pub fn json(&self, total: &Counters) -> serde_json::Value {
        json!({
            "records": self.records,
            "events": self.events,
            "dead_letters": self.dead_letters,
            "skipped": self.skipped,
            "documents_refused": self.refused,
            "elapsed_seconds": micros(self.elapsed),
            "first_record_seconds": self.first_record.map(micros),
            "events_per_second": (self.rate() * 10.0).round() / 10.0,
            "total": {
                "records": total.records,
                "events": total.events,
                "dead_letters": total.dead(),
                "skipped": total.skipped,
                "dead_letters_by_reason": total.dead_letters,
            },
            "written": self.written.map(|written| json!({
                "event_rows": written.event_rows,
                "event_bytes": written.event_bytes,
                "documents": written.documents,
                "document_bytes": written.document_bytes,
                "syncs": written.syncs,
            })),
        })
    }
}

/// Seconds, to the microsecond.
fn micros(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e6
}

/// The first rows of the answer, what could not be used, and the balance.
pub fn print(config: &Config, progress: &Progress, own: &Own, rows: &Rows) -> Result<(), Error> {
    let mut text = String::new();
    // To memory: nothing can fail.
    let _ = write(&mut text, first(config)?, progress, own, rows);
    output::print(format_args!("{text}"))
}

/// The first rows of the answer, and what they are; none where another service has them, or there are none.
fn first(config: &Config) -> Result<Option<(String, Table)>, Error> {
    const SHOWN: usize = 10;
    if matches!(config.index, Index::Embedded { .. })
        && let Some(rollup) = config.pipeline.rollups.first()
        && let Some(window) = rollup.windows.last()
    {
        let first = reading::top(config, &rollup.name, &window.name, SHOWN)?;
        if !first.is_empty() {
            let heading =
                format!("{} by {}, the first of {}", window.name, rollup.by.join(" and "), rollup.name);
            let columns = answer::columns(&config.pipeline.rollups, &first);
            let mut table = Table::new(&columns);
            table.hide(&["rollup", "window", "window_end"]);
            for document in &first {
                table.push(columns.place(answer::flat(document))?);
            }
            return Ok(Some((heading, table)));
        }
    }
    Ok(None)
}

fn write(
    out: &mut impl Write,
    first: Option<(String, Table)>,
    progress: &Progress,
    own: &Own,
    rows: &Rows,
) -> fmt::Result {
    if let Some((heading, table)) = first {
        writeln!(out, "{heading}:\n\n{table}")?;
    }
    for (field, count) in progress.unusable_fields() {
        writeln!(out, "{field}: {count} values could not be used and count as absent")?;
    }
    let refused: u64 = rows.shards.values().map(|row| row.refused).sum();
    if refused > 0 {
        writeln!(
            out,
            "documents refused by the index: {refused}; `clickmill dead-letters --documents` shows why"
        )?;
    }
    let total = rows.counters();
    for (reason, count) in &total.dead_letters {
        writeln!(out, "{reason}: {count} dead letters")?;
    }
    writeln!(
        out,
        "{} records = {} events + {} dead letters + {} skipped",
        total.records,
        total.events,
        total.dead(),
        total.skipped
    )?;
    let earlier =
        if total.records == own.records { String::new() } else { format!("{} records now: ", own.records) };
    writeln!(out, "{earlier}{:.1} s, {:.0} events/s", own.elapsed.as_secs_f64(), own.rate())
}
