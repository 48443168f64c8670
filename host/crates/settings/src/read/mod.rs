//! From text to configuration: the syntax, then each table, then what must fit together. All faults come back at once,
//! in the order of the file.

mod index_settings;
mod kafka;
mod names;
mod origin;
pub(crate) mod pipeline;
mod reader;
mod secret;
mod services;
mod source;
mod syntax;

use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::de::{DeTable, DeValue};

use crate::config::{Commit, Config, Index, Limits, State, Store};
use crate::fault::{Fault, Place, alternatives, nearest, quote};
use crate::schema::{COMMIT, INDEX, LIMITS, SECTIONS, SOURCE, STATE, STORE};
pub use index_settings::refused as refused_setting;
pub use origin::{NamedComponent, Origin, Part};
use reader::{LARGEST, Reader, Table, elsewhere};

/// Reads a configuration.
///
/// `file` is what faults call it; `base` is the folder below which its relative paths lie. The faults are all that the file
/// has, in its order; where its TOML is broken, what cannot be judged without the broken part is left out.
pub fn parse(file: &str, text: &str, base: &Path) -> Result<Config, Vec<Fault>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let place = Place { file, text };
    let broken = syntax::check(place);
    let sound = broken.blanked(text);
    let (root, _) = DeTable::parse_recoverable(&sound);
    let mut reader = Reader { place, base, found: Vec::new() };
    let config = read(&mut reader, root.get_ref());
    let found = reader.found;
    match config {
        Some(config) if broken.faults.is_empty() && found.is_empty() => {
            Ok(Config { origin: Origin::new(file, text), ..config })
        }
        _ => Err(broken.and(found)),
    }
}

/// The text of a file's bytes; a configuration is UTF-8.
pub fn decode<'b>(file: &str, bytes: &'b [u8]) -> Result<&'b str, Fault> {
    std::str::from_utf8(bytes).map_err(|error| {
        let valid = bytes.get(..error.valid_up_to()).unwrap_or_default();
        let text = std::str::from_utf8(valid).unwrap_or_default();
        let message = format!("the file is not UTF-8 from byte {} on", valid.len());
        Place { file, text }.fault(text.len()..text.len(), message, "save it as UTF-8")
    })
}

/// `None` only where a fault was found.
fn read(reader: &mut Reader<'_>, root: &DeTable<'_>) -> Option<Config> {
    unknown_tables(reader, root);
    let source_table = reader.table(root, &SOURCE);
    if !root.contains_key(SOURCE.name) {
        reader.contradiction(
            0..0,
            "there is no [source]: nothing says where records come from",
            "add a table `[source]` with `paths = [\"data/*.jsonl\"]`, or with another `kind`",
        );
    }
    let source = source::read(reader, &source_table);
    let store_table = reader.table(root, &STORE);
    let store = services::store(reader, &store_table);
    let index_table = reader.table(root, &INDEX);
    let index = services::index(reader, &index_table);
    let commit = commit(reader, root);
    let state = state(reader, root);
    let limits_table = reader.table(root, &LIMITS);
    let limits = limits(reader, &limits_table, &Limits::default());
    let pipeline = pipeline::read(reader, root, &limits);

    if let (Some(Index::Embedded { .. }), Some(Store::Hbase(_))) = (&index, &store) {
        let table = if index_table.get("kind").is_some() { &index_table } else { &store_table };
        reader.contradiction(
            table.span_of("kind"),
            "an embedded index needs an embedded store",
            "set `kind = \"elasticsearch\"` in [index], or `kind = \"embedded\"` in [store]",
        );
    }
    if let (Some(index), Some(pipeline)) = (&index, &pipeline) {
        names::check_indices(reader, &index_table, index.name(), &pipeline.rollups);
    }
    Some(Config {
        source: source?,
        store: store?,
        index: index?,
        commit,
        state,
        limits,
        pipeline: pipeline?,
        origin: Origin::default(),
    })
}

/// A path as written below the folder of the file, without steps that lead nowhere: `./a` below `.` is `./a`.
fn joined(base: &Path, written: &str) -> PathBuf {
    base.join(written).components().collect()
}

fn unknown_tables(reader: &mut Reader<'_>, root: &DeTable<'_>) {
    for (name, value) in root.iter() {
        let (span, name) = (name.span(), name.get_ref().as_ref());
        if SECTIONS.iter().any(|section| section.name == name) {
            continue;
        }
        let is_table = matches!(value.get_ref(), DeValue::Table(_) | DeValue::Array(_));
        let near = nearest(name, SECTIONS.iter().map(|section| section.name));
        let near = near.and_then(|near| SECTIONS.iter().find(|section| section.name == near));
        let known = || {
            let titles: Vec<_> = SECTIONS.iter().map(|section| section.title()).collect();
            format!("it takes {}", alternatives(&titles.iter().map(String::as_str).collect::<Vec<_>>()))
        };
        let help = match near {
            Some(near) if is_table => format!("did you mean `{}`?", near.title()),
            _ => elsewhere(name).filter(|_| !is_table).unwrap_or_else(known),
        };
        let what = if is_table { "table" } else { "key" };
        reader.fault(span, format!("the file has no {what} {}", quote(name)), help);
    }
}

fn commit(reader: &mut Reader<'_>, root: &DeTable<'_>) -> Commit {
    let table = reader.table(root, &COMMIT);
    reader.known(&table, None);
    let default = Commit::default();
    let interval = Duration::from_millis(1)..=Duration::from_secs(3_600);
    Commit {
        interval: reader.duration(&table, "interval", interval).unwrap_or(default.interval),
        max_bytes: reader.size(&table, "max_bytes", 1..=4 << 30).unwrap_or(default.max_bytes),
        max_records: reader.whole(&table, "max_records", 1..=LARGEST).unwrap_or(default.max_records),
    }
}

fn state(reader: &mut Reader<'_>, root: &DeTable<'_>) -> State {
    let table = reader.table(root, &STATE);
    reader.known(&table, None);
    let range = Duration::from_secs(1)..=Duration::from_secs(36_500 * 86_400);
    State {
        retention: reader.duration(&table, "retention", range),
        keys: reader.whole(&table, "keys", 1000..=LARGEST).unwrap_or(State::default().keys),
        groups: reader.whole(&table, "groups", 1000..=LARGEST).unwrap_or(State::default().groups),
    }
}

/// The limits of a table, and the others from `general`.
fn limits(reader: &mut Reader<'_>, table: &Table<'_>, general: &Limits) -> Limits {
    reader.known(table, None);
    let call = Duration::from_millis(1)..=Duration::from_secs(3_600);
    Limits {
        memory: reader.size(table, "memory", 64 << 10..=4 << 30).unwrap_or(general.memory),
        call: reader.duration(table, "call", call).unwrap_or(general.call),
        reply: reader.size(table, "reply", 1 << 10..=4 << 30).unwrap_or(general.reply),
    }
}
