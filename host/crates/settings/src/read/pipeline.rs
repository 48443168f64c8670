//! The plugins' tables, `[pipeline]` and `[[rollup]]`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::limits;
use super::names::{is_column, is_name, is_taken};
use super::reader::{Reader, Span, Table, type_name};
use crate::config::Limits;
use crate::fault::{alternatives, nearest, quote};
use crate::pipeline::{Kind, Pipeline, PluginRef, PluginUse, Rollup, SHIPPED, Window, shipped};
use crate::quantity::parse_duration;
use crate::schema::{ENRICHER, LIMITS, METRIC, OPERATOR, PARSER, PIPELINE, ROLLUP, Section};

/// Most plugins of a kind, and most rollups.
const MOST: usize = 64;
/// Most columns of a group, and most windows of a rollup.
const MOST_PARTS: usize = 16;
/// Longest window, in days.
const LONGEST_WINDOW: i64 = 36_500;
/// What windows are whole multiples of, in milliseconds: a document bears its start in whole seconds.
const SECOND: i64 = 1_000;

/// `None` only where a fault was found.
pub(super) fn read(reader: &mut Reader<'_>, root: &DeTable<'_>, general: &Limits) -> Option<Pipeline> {
    let table = reader.table(root, &PIPELINE);
    reader.known(&table, None);
    let defaults = reader.flag(&table, "defaults").unwrap_or(true);

    let parser_table = reader.table(root, &PARSER);
    let parser = match parser_table.table {
        Some(_) => plugin(reader, &parser_table, Kind::Parser, general).map(|(parser, _)| parser),
        None => shipped(Kind::Parser, general).next(),
    };
    let enrichers = plugins(reader, root, &ENRICHER, Kind::Enricher, defaults, general);
    let operators = plugins(reader, root, &OPERATOR, Kind::Operator, defaults, general);
    let metrics = plugins(reader, root, &METRIC, Kind::Metric, defaults, general);
    let names =
        metrics.as_ref().map(|metrics| Vec::from_iter(metrics.iter().map(|metric| metric.name.clone())));
    if names.as_ref().is_some_and(Vec::is_empty) {
        reader.contradiction(
            table.span_of("defaults"),
            "there is no metric: documents would be empty",
            "add one: `[[metric]]` with `plugin = \"clicks\"`",
        );
    }
    let rollups = rollups(reader, root, names.as_deref());
    Some(Pipeline {
        parser: parser?,
        enrichers: enrichers?,
        operators: operators?,
        metrics: metrics?,
        rollups: rollups?,
    })
}

/// The defaults of a kind, and what the file puts in their place or behind them.
fn plugins(
    reader: &mut Reader<'_>,
    root: &DeTable<'_>,
    section: &'static Section,
    kind: Kind,
    defaults: bool,
    general: &Limits,
) -> Option<Vec<PluginUse>> {
    let mut all: Vec<_> = shipped(kind, general).filter(|_| defaults).collect();
    let mut given: Vec<String> = Vec::new();
    let mut sound = true;
    for table in reader.tables(root, section) {
        let Some((plugin, span)) = plugin(reader, &table, kind, general) else {
            sound = false;
            continue;
        };
        if given.contains(&plugin.name) {
            let message = format!("there are two of the name {} in {}", quote(&plugin.name), section.title());
            reader.fault(span, message, "give one of them another `name`");
            continue;
        }
        given.push(plugin.name.clone());
        match all.iter_mut().find(|other| other.name == plugin.name) {
            Some(default) => *default = plugin,
            None => all.push(plugin),
        }
    }
    too_many(reader, root, section, all.len());
    sound.then_some(all)
}

fn too_many(reader: &mut Reader<'_>, root: &DeTable<'_>, section: &'static Section, number: usize) {
    if number > MOST {
        let span = root.get(section.name).map(Spanned::span).unwrap_or_default();
        reader.fault(
            span,
            format!("there are {number} of {}", section.title()),
            format!("at most {MOST} are possible"),
        );
    }
}

/// A plugin, and where its name stands or comes from.
fn plugin(
    reader: &mut Reader<'_>,
    table: &Table<'_>,
    kind: Kind,
    general: &Limits,
) -> Option<(PluginUse, Span)> {
    reader.known(table, None);
    let reference = match table.get("plugin") {
        None if kind == Kind::Parser => Some(PluginRef::Shipped("json".to_owned())),
        None => {
            reader.required(table, "plugin", "\"…\"");
            None
        }
        Some(_) => component(reader, table, kind),
    };
    let name = match reader.text(table, "name") {
        Some(name) => Some((*name.get_ref()).to_owned()),
        None => reference.as_ref().and_then(|_| name_of(table.table?)),
    };
    let span = if table.get("name").is_some() { table.span_of("name") } else { table.span_of("plugin") };
    let name = name.filter(|name| {
        let fits = is_name(name);
        if !fits {
            let message = format!("{} is no name of a plugin in the pipeline", quote(name));
            let help = "give a `name` of lower-case letters, digits and `-`, at most 64";
            reader.fault(span.clone(), message, help);
        }
        fits
    });
    let params = params(reader, table);
    let files = files(reader, table);
    let limits = own_limits(reader, table, general);
    Some((PluginUse { name: name?, plugin: reference?, params, files, limits }, span))
}

fn component(reader: &mut Reader<'_>, table: &Table<'_>, kind: Kind) -> Option<PluginRef> {
    let text = reader.text(table, "plugin")?;
    let written = *text.get_ref();
    if is_path(written) {
        return reader.as_path(text).map(PluginRef::Path);
    }
    let of_kind: Vec<_> = SHIPPED.iter().filter(|(_, of)| *of == kind).map(|(name, _)| *name).collect();
    let (message, help) = match SHIPPED.iter().find(|(name, _)| *name == written) {
        Some((name, of)) if *of == kind => return Some(PluginRef::Shipped((*name).to_owned())),
        Some((name, of)) => (
            format!("`{name}` is a plugin of kind `{of}`, not `{kind}`"),
            format!("choose {}", alternatives(&of_kind)),
        ),
        None => (
            format!("there is no plugin {}", quote(written)),
            match nearest(written, of_kind.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!(
                    "choose {}; the path of a component has a `/` in it or ends in `.wasm`",
                    alternatives(&of_kind)
                ),
            },
        ),
    };
    reader.fault(text.span(), message, help);
    None
}

/// Whether the text that names a component is its path, not the name of a shipped one.
pub(crate) fn is_path(written: &str) -> bool {
    written.contains('/') || written.ends_with(".wasm")
}

/// What the pipeline calls the plugin of a table: its `name`, or what its component is called; none where neither is a text. A
/// parser that is not named is `json`.
pub(super) fn name_of(table: &DeTable<'_>) -> Option<String> {
    if let Some(name) = table.get("name") {
        return name.get_ref().as_str().map(str::to_owned);
    }
    let written = table.get("plugin").map_or(Some("json"), |plugin| plugin.get_ref().as_str())?;
    if !is_path(written) {
        return Some(written.to_owned());
    }
    let file = Path::new(written).file_name().unwrap_or_default().to_string_lossy();
    Some(file.strip_suffix(".wasm").unwrap_or(&file).to_owned())
}

fn params(reader: &mut Reader<'_>, table: &Table<'_>) -> String {
    match table.get("params") {
        None => String::new(),
        Some(value) if value.get_ref().is_table() => {
            json(reader, value).map(|params| params.to_string()).unwrap_or_default()
        }
        Some(value) => {
            let message = format!("`params` takes a table, not {}", type_name(value.get_ref()));
            reader.fault(value.span(), message, "write `params = { name = value }`");
            String::new()
        }
    }
}

/// A value of TOML as JSON: dates and times become text.
fn json(reader: &mut Reader<'_>, value: &Spanned<DeValue<'_>>) -> Option<serde_json::Value> {
    let refused = |reader: &mut Reader<'_>, what: &str| {
        reader.fault(
            value.span(),
            format!("a parameter cannot be {what}"),
            "parameters are handed over as JSON: use a string",
        );
        None
    };
    Some(match value.get_ref() {
        DeValue::String(text) => text.as_ref().into(),
        DeValue::Boolean(flag) => (*flag).into(),
        DeValue::Datetime(datetime) => datetime.to_string().into(),
        DeValue::Integer(integer) => match i64::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(number) => number.into(),
            Err(_) => return refused(reader, "a whole number beyond 64 bits"),
        },
        DeValue::Float(float) => match float.as_str().parse().ok().and_then(serde_json::Number::from_f64) {
            Some(number) => number.into(),
            None => return refused(reader, "an infinite number or none"),
        },
        DeValue::Array(array) => {
            let values: Vec<_> = array.iter().map(|value| json(reader, value)).collect();
            values.into_iter().collect::<Option<Vec<_>>>()?.into()
        }
        DeValue::Table(table) => {
            let fields: Vec<_> = table
                .iter()
                .map(|(key, value)| Some((key.get_ref().to_string(), json(reader, value)?)))
                .collect();
            serde_json::Value::Object(fields.into_iter().collect::<Option<_>>()?)
        }
    })
}

fn files(reader: &mut Reader<'_>, table: &Table<'_>) -> BTreeMap<String, PathBuf> {
    let mut files = BTreeMap::new();
    let Some(value) = table.get("files") else { return files };
    let DeValue::Table(inner) = value.get_ref() else {
        let message = format!("`files` takes a table, not {}", type_name(value.get_ref()));
        reader.fault(value.span(), message, "write `files = { name = \"path\" }`");
        return files;
    };
    for (key, value) in inner.iter() {
        let text = reader.as_text(key.get_ref(), value);
        if let Some(path) = text.and_then(|text| reader.as_path(text)) {
            files.insert(key.get_ref().to_string(), path);
        }
    }
    files
}

fn own_limits(reader: &mut Reader<'_>, table: &Table<'_>, general: &Limits) -> Limits {
    let Some(value) = table.get("limits") else { return general.clone() };
    match value.get_ref() {
        DeValue::Table(inner) => {
            limits(reader, &Table::new(&LIMITS, "`limits`".to_owned(), inner, value.span()), general)
        }
        other => {
            let message = format!("`limits` takes a table, not {}", type_name(other));
            reader.fault(value.span(), message, "write `limits = { memory = \"2GiB\" }`");
            general.clone()
        }
    }
}

/// `metrics` are the pipeline's, if they could be read.
fn rollups(reader: &mut Reader<'_>, root: &DeTable<'_>, metrics: Option<&[String]>) -> Option<Vec<Rollup>> {
    if !root.contains_key(ROLLUP.name) {
        return Some(vec![Rollup::url_country(metrics?.to_vec())]);
    }
    let tables = reader.tables(root, &ROLLUP);
    if let Some(value) = root.get(ROLLUP.name)
        && value.get_ref().as_array().is_some_and(|array| array.is_empty())
    {
        reader.fault(
            value.span(),
            "`rollup` is empty: there would be no documents",
            "remove it, or add a table `[[rollup]]`",
        );
    }
    let mut all: Vec<Rollup> = Vec::new();
    let mut sound = true;
    for table in tables {
        let Some(rollup) = rollup(reader, &table, metrics) else {
            sound = false;
            continue;
        };
        if all.iter().any(|other| other.name == rollup.name) {
            let message = format!("there are two rollups of the name {}", quote(&rollup.name));
            reader.fault(table.span_of("name"), message, "give one of them another `name`");
        }
        all.push(rollup);
    }
    too_many(reader, root, &ROLLUP, all.len());
    (sound && !all.is_empty()).then_some(all)
}

fn rollup(reader: &mut Reader<'_>, table: &Table<'_>, metrics: Option<&[String]>) -> Option<Rollup> {
    reader.known(table, None);
    reader.required(table, "name", "\"…\"");
    reader.required(table, "by", "[\"url\", \"country\"]");
    let name = reader.text(table, "name").filter(|name| {
        let fits = is_name(name.get_ref());
        if !fits {
            let message = format!("{} is no name of a rollup", quote(name.get_ref()));
            reader.fault(name.span(), message, "write lower-case letters, digits and `-`, at most 64");
        }
        fits
    });
    let by = columns(reader, table);
    let windows = match table.get("windows") {
        Some(_) => windows(reader, table),
        None => Some(Window::defaults()),
    };
    let metrics = match table.get("metrics") {
        Some(_) => chosen(reader, table, metrics),
        None => metrics.map(<[String]>::to_vec),
    };
    Some(Rollup { name: (*name?.get_ref()).to_owned(), by: by?, windows: windows?, metrics: metrics? })
}

fn columns(reader: &mut Reader<'_>, table: &Table<'_>) -> Option<Vec<String>> {
    let found = reader.found.len();
    let texts = reader.texts(table, "by")?;
    let mut columns: Vec<String> = Vec::new();
    for text in &texts {
        let column = *text.get_ref();
        if !is_column(column) {
            let help = "write lower-case letters, digits and `_`, beginning with a letter";
            reader.fault(text.span(), format!("{} is no name of a column", quote(column)), help);
        } else if is_taken(column) {
            let message = format!("`{column}` is a field that every document has");
            reader.fault(text.span(), message, "group by another column");
        } else if columns.iter().any(|other| other == column) {
            reader.fault(text.span(), format!("the column `{column}` is named twice"), "name it once");
        }
        columns.push(column.to_owned());
    }
    few(reader, table, "by", columns.len());
    (reader.found.len() == found).then_some(columns)
}

fn windows(reader: &mut Reader<'_>, table: &Table<'_>) -> Option<Vec<Window>> {
    let found = reader.found.len();
    let texts = reader.texts(table, "windows")?;
    let mut windows: Vec<Window> = Vec::new();
    for text in &texts {
        let name = *text.get_ref();
        let millis = match parse_duration(name) {
            Ok(size) => i64::try_from(size.as_millis()).unwrap_or(i64::MAX),
            Err(error) => {
                reader.fault(text.span(), error.problem, error.help);
                continue;
            }
        };
        if !(SECOND..=LONGEST_WINDOW * 86_400_000).contains(&millis) || millis % SECOND != 0 {
            let help = format!("write whole seconds, from `1s` to `{LONGEST_WINDOW}d`");
            reader.fault(text.span(), format!("{} is no size of a window", quote(name)), help);
        } else if let Some(other) = windows.iter().find(|other| other.millis == millis) {
            let message = format!("the windows `{}` and `{name}` are of one size", other.name);
            reader.fault(text.span(), message, "keep one of them");
        }
        windows.push(Window { name: name.to_owned(), millis });
    }
    few(reader, table, "windows", windows.len());
    windows.sort_by_key(|window| window.millis);
    (reader.found.len() == found).then_some(windows)
}

fn few(reader: &mut Reader<'_>, table: &Table<'_>, key: &str, number: usize) {
    if number > MOST_PARTS {
        let message = format!("`{key}` has {number} entries");
        reader.fault(table.span_of(key), message, format!("at most {MOST_PARTS} are possible"));
    }
}

/// The metrics that a rollup names, in the pipeline's order.
fn chosen(reader: &mut Reader<'_>, table: &Table<'_>, metrics: Option<&[String]>) -> Option<Vec<String>> {
    let found = reader.found.len();
    let texts = reader.texts(table, "metrics")?;
    let metrics = metrics?;
    for (place, text) in texts.iter().enumerate() {
        let name = *text.get_ref();
        if texts.iter().take(place).any(|other| *other.get_ref() == name) {
            reader.fault(text.span(), format!("the metric {} is named twice", quote(name)), "name it once");
        } else if !metrics.iter().any(|metric| metric == name) {
            let names: Vec<_> = metrics.iter().map(String::as_str).collect();
            let help = match nearest(name, names.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("choose {}, or add one with `[[metric]]`", alternatives(&names)),
            };
            reader.contradiction(text.span(), format!("there is no metric {}", quote(name)), help);
        }
    }
    let named = |metric: &&String| texts.iter().any(|text| text.get_ref() == metric);
    (reader.found.len() == found).then(|| metrics.iter().filter(named).cloned().collect())
}
