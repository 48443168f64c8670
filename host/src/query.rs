//! `clickmill query`: prints the answer.

use std::{
    cmp::Ordering,
    io::{self, Write},
    process::ExitCode,
};

use clickmill_settings::Config;
use clickmill_tasks::read::{DocumentFilter, StoredDocument, Value};

use crate::{
    ConfigArg, answer,
    columns::Columns,
    error::Error,
    instant::instant,
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
    let documents = reading::documents(&config, &filter)?;
    let columns = answer::columns(&config.pipeline.rollups, &documents);
    if let Some(by) = &args.sort {
        sortable(&columns, by.strip_prefix('+').unwrap_or(by), documents.is_empty())?;
    }
    let shown = first(&documents, args.sort.as_deref(), args.limit);
    let mut printer = Printer::new(args.format, columns);
    printer.hide(&known_by(&config, &args));
    for found in &shown {
        printer.print(answer::flat(found))?;
    }
    printer.finish()?;
    if args.format == Format::Table && shown.len() < documents.len() {
        let [shown, all] = [shown.len(), documents.len()].map(|count| output::number(count as u64));
        // Where nobody hears it, nothing is lost.
        let _ = writeln!(io::stderr(), "{shown} of {all} rows; --limit 0 shows all");
    }
    Ok(ExitCode::SUCCESS)
}

/// What a table need not say: a window's end follows from its start, and the rest is in the question or in the settings.
fn known_by(config: &Config, args: &Args) -> Vec<&'static str> {
    let mut names = vec!["window_end"];
    if args.rollup.is_some() || config.pipeline.rollups.len() == 1 {
        names.push("rollup");
    }
    if args.window.is_some() {
        names.push("window");
    }
    names
}

/// A rollup, window or column that the settings do not have is a mistake, not an empty answer.
fn known(config: &Config, args: &Args) -> Result<(), Error> {
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
fn sortable(columns: &Columns, by: &str, empty: bool) -> Result<(), Error> {
    if empty || columns.contains(by) {
        return Ok(());
    }
    Err(Error::Usage(format!("no field `{by}`; there are: {}", columns.names().join(", "))))
}

/// The documents to print, in order; `most` 0 is all.
fn first<'a>(documents: &'a [StoredDocument], by: Option<&str>, most: usize) -> Vec<&'a StoredDocument> {
    let (by, rising) = match by {
        Some(by) => (by.strip_prefix('+').unwrap_or(by), by.starts_with('+')),
        None => ("clicks", false),
    };
    let order = |(a, one): &(Key, &StoredDocument), (b, other): &(Key, &StoredDocument)| {
        let order = if rising { a.cmp(b) } else { b.cmp(a) };
        order.then_with(|| place(one).cmp(&place(other)))
    };
    let mut keyed: Vec<_> = documents.iter().map(|document| (key(document, by), document)).collect();
    if most > 0 && most < keyed.len() {
        keyed.select_nth_unstable_by(most, order);
        keyed.truncate(most);
    }
    keyed.sort_unstable_by(order);
    keyed.into_iter().map(|(_, document)| document).collect()
}

/// No two documents have the same.
fn place(document: &StoredDocument) -> impl Ord {
    (&document.rollup, document.window_millis, document.start, &document.by)
}

/// What a document is sorted by: numbers by their value, text by its letters, and what is absent least.
enum Key<'a> {
    Absent,
    Number(f64),
    Text(&'a str),
}

impl Key<'_> {
    fn rank(&self) -> u8 {
        match self {
            Key::Absent => 0,
            Key::Number(_) => 1,
            Key::Text(_) => 2,
        }
    }

    fn cmp(&self, other: &Key) -> Ordering {
        match (self, other) {
            (Key::Number(a), Key::Number(b)) => a.total_cmp(b),
            (Key::Text(a), Key::Text(b)) => a.cmp(b),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

fn key<'a>(document: &'a StoredDocument, by: &str) -> Key<'a> {
    match by {
        "@timestamp" => return Key::Number(document.start as f64),
        "window_end" => return Key::Number(document.start.saturating_add(document.window_millis) as f64),
        "window" => return Key::Number(document.window_millis as f64),
        "rollup" => return Key::Text(&document.rollup),
        _ => {}
    }
    if let Some((_, value)) = document.by.iter().find(|(name, _)| &**name == by) {
        return value.as_deref().map_or(Key::Absent, Key::Text);
    }
    match document.fields.iter().find(|(name, _)| &**name == by) {
        Some((_, Value::Text(text) | Value::Json(text))) => Key::Text(text),
        Some((_, Value::Null)) | None => Key::Absent,
        Some((_, value)) => Key::Number(reading::as_number(value)),
    }
}
