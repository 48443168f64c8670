//! `clickmill query`: prints the answer.

use std::{process::ExitCode, sync::Arc};

use clickmill_tasks::read::{DocumentFilter, StoredDocument, Value};

use crate::{
    ConfigArg,
    error::Error,
    load,
    output::{self, Format, Printer},
    reading,
};

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    config: ConfigArg,
    /// Only this rollup.
    #[arg(long)]
    rollup: Option<String>,
    /// Only this window: "1h".
    #[arg(long)]
    window: Option<String>,
    /// Only windows that start at this time or later: 2026-03-01, 2026-03-01T10:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = instant)]
    from: Option<i64>,
    /// Only windows that start before this time.
    #[arg(long, value_name = "TIME", value_parser = instant)]
    to: Option<i64>,
    /// Only URLs that begin so.
    #[arg(long, value_name = "PREFIX")]
    url: Option<String>,
    /// Only this country.
    #[arg(long)]
    country: Option<String>,
    /// Only groups whose column has this value; may be given several times.
    #[arg(long, value_name = "COLUMN=VALUE", value_parser = crate::events::equal)]
    r#where: Vec<(String, String)>,
    /// The field to sort by, the greatest first; with "+" in front the smallest first. By default the clicks, then the time.
    #[arg(long, value_name = "FIELD", allow_hyphen_values = true)]
    sort: Option<String>,
    /// Rows at most; 0 is all.
    #[arg(long, default_value_t = 20)]
    limit: usize,
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

/// A day or an RFC 3339 time, as milliseconds since 1970.
pub fn instant(text: &str) -> Result<i64, String> {
    let instant = match text.len() {
        10 => format!("{text}T00:00:00Z").parse::<jiff::Timestamp>(),
        _ => text.parse(),
    };
    let help = |_| "write a day as 2026-03-01 or a time as 2026-03-01T10:00:00Z".to_owned();
    instant.map(|instant| instant.as_millisecond()).map_err(help)
}

pub fn query(args: Args) -> Result<ExitCode, Error> {
    let config = load::settings(&args.config.config)?;
    let prefix = args.url.iter().map(|url| ("url".to_owned(), url.clone()));
    let country = args.country.iter().map(|country| ("country".to_owned(), country.to_uppercase()));
    let filter = DocumentFilter {
        rollup: args.rollup.clone(),
        window: args.window.clone(),
        from: args.from,
        to: args.to,
        equal: country.chain(args.r#where.clone()).collect(),
        prefix: prefix.collect(),
    };
    known(&config, &args)?;
    let mut documents = reading::documents(&config, &filter)?;
    if let Some(by) = &args.sort {
        sortable(&documents, by.strip_prefix('+').unwrap_or(by))?;
    }
    sort(&mut documents, args.sort.as_deref());
    if args.limit > 0 {
        documents.truncate(args.limit);
    }
    let mut printer = Printer::new(args.format);
    for found in &documents {
        printer.print(output::document(found))?;
    }
    printer.finish()?;
    Ok(ExitCode::SUCCESS)
}

/// A rollup, window or column that the settings do not have is a mistake, not an empty answer.
fn known(config: &clickmill_settings::Config, args: &Args) -> Result<(), Error> {
    let rollups = &config.pipeline.rollups;
    if let Some(name) = &args.rollup
        && rollups.iter().all(|rollup| rollup.name != *name)
    {
        let there: Vec<&str> = rollups.iter().map(|rollup| &*rollup.name).collect();
        return Err(Error::Usage(format!("no rollup `{name}`; there are: {}", there.join(", "))));
    }
    let mut windows = rollups.iter().flat_map(|rollup| &rollup.windows);
    if let Some(name) = &args.window
        && windows.all(|window| window.name != *name)
    {
        return Err(Error::Usage(format!("no rollup has a window `{name}`")));
    }
    let url = args.url.iter().map(|_| "url");
    let country = args.country.iter().map(|_| "country");
    let given = args.r#where.iter().map(|(column, _)| &**column);
    let mut columns: Vec<&str> =
        rollups.iter().flat_map(|rollup| &rollup.by).map(|column| &**column).collect();
    columns.sort_unstable();
    columns.dedup();
    match url.chain(country).chain(given).find(|column| !columns.contains(column)) {
        Some(column) => {
            Err(Error::Usage(format!("no column `{column}`; rollups are by: {}", columns.join(", "))))
        }
        None => Ok(()),
    }
}

/// A field that no document has sorts nothing.
fn sortable(documents: &[StoredDocument], by: &str) -> Result<(), Error> {
    let Some(first) = documents.first() else { return Ok(()) };
    let names = |document: &StoredDocument| -> Vec<Arc<str>> {
        output::document(document).into_iter().map(|(name, _)| name).collect()
    };
    if documents.iter().any(|document| names(document).iter().any(|name| **name == *by)) {
        return Ok(());
    }
    Err(Error::Usage(format!("no field `{by}`; there are: {}", names(first).join(", "))))
}

fn sort(documents: &mut [StoredDocument], by: Option<&str>) {
    let place = |a: &StoredDocument, b: &StoredDocument| {
        (&a.rollup, a.window_millis, a.start, &a.by).cmp(&(&b.rollup, b.window_millis, b.start, &b.by))
    };
    let (by, rising) = match by {
        Some(by) => (by.strip_prefix('+').unwrap_or(by), by.starts_with('+')),
        None => ("clicks", false),
    };
    documents.sort_by(|a, b| {
        let order = key(a, by).partial_cmp(&key(b, by)).unwrap_or(std::cmp::Ordering::Equal);
        let order = if rising { order } else { order.reverse() };
        order.then_with(|| place(a, b))
    });
}

/// What a document is sorted by: numbers by their value, text by its letters, and what is absent least.
#[derive(PartialEq, PartialOrd)]
enum Key {
    Absent,
    Number(f64),
    Text(String),
}

fn key(document: &StoredDocument, by: &str) -> Key {
    match by {
        "@timestamp" => return Key::Number(document.start as f64),
        "window_end" => return Key::Number(document.start.saturating_add(document.window_millis) as f64),
        "window" => return Key::Number(document.window_millis as f64),
        "rollup" => return Key::Text(document.rollup.to_string()),
        _ => {}
    }
    if let Some((_, value)) = document.by.iter().find(|(name, _)| &**name == by) {
        return value.clone().map_or(Key::Absent, Key::Text);
    }
    match document.fields.iter().find(|(name, _)| &**name == by) {
        Some((_, Value::Text(text) | Value::Json(text))) => Key::Text(text.clone()),
        Some((_, Value::Null)) | None => Key::Absent,
        Some((_, value)) => Key::Number(reading::as_number(value)),
    }
}
