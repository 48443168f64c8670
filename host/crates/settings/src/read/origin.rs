//! Where the parts of a pipeline stand in the file that it was read from: what only loading finds (a plugin that is no component,
//! a column that nothing makes) is told in the form of the file's own faults.
//!
//! Places are looked up in the text when there is something to tell, so that the values of a configuration stay plain. It
//! deliberately judges nothing: whoever asks brings the message.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::joined;
use super::pipeline::{is_path, name_of};
use super::reader::Span;
use super::syntax;
use crate::fault::{Fault, Place};
use crate::pipeline::Kind;
use crate::schema::{ENRICHER, LIMITS, METRIC, OPERATOR, PARSER, ROLLUP, Section};

/// The file that a configuration was read from, if it was.
#[derive(Clone, Default)]
pub struct Origin(Option<Arc<Source>>);

struct Source {
    file: String,
    text: String,
}

/// A part of a pipeline that a file may have: plugins by their kinds and names in it.
#[derive(Clone, Copy, Debug)]
pub enum Part<'n> {
    /// What says which component a plugin is. There is one parser, whatever its name.
    Plugin(Kind, &'n str),
    /// The parameters of a plugin, or one of them: its names, outermost first, joined by dots.
    Param(Kind, &'n str, &'n str),
    /// The path of a file that a plugin may read, by the name under which it asks for it.
    Grant(Kind, &'n str, &'n str),
    /// A plugin's own limits.
    OwnLimits(Kind, &'n str),
    /// `[limits]`
    Limits,
    /// A rollup, by its name.
    Rollup(&'n str),
    /// A column that a rollup groups by.
    Column(&'n str, &'n str),
    /// A metric that a rollup names.
    Metric(&'n str, &'n str),
}

/// A component that a file names by its path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedComponent {
    /// What the plugin does.
    pub kind: Kind,
    /// What the pipeline calls it.
    pub name: String,
    /// Its path, relative ones below the folder of the file.
    pub path: PathBuf,
}

impl Origin {
    /// A file as it was named to `parse`, and its text.
    pub fn new(file: &str, text: &str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        Self(Some(Arc::new(Source { file: file.to_owned(), text: text.to_owned() })))
    }

    /// Something wrong with the first of these parts that the file has; none where it has none of them.
    pub fn fault(&self, parts: &[Part<'_>], message: &str, help: &str) -> Option<Fault> {
        let place = self.place()?;
        let span = self.look(|root| parts.iter().find_map(|part| span(root, part)))??;
        Some(place.fault(span, message, help))
    }

    /// The components that the file names by their paths, also where much else is wrong with it; `base` is as for `parse`.
    pub fn components(&self, base: &Path) -> Vec<NamedComponent> {
        let named = |root: &DeTable<'_>| {
            let mut all = Vec::new();
            for kind in [Kind::Parser, Kind::Enricher, Kind::Operator, Kind::Metric] {
                for (table, _) in tables(root, section(kind)) {
                    let written = table.get("plugin").and_then(|value| value.get_ref().as_str());
                    if let (Some(written), Some(name)) =
                        (written.filter(|text| is_path(text)), name_of(table))
                    {
                        all.push(NamedComponent { kind, name, path: joined(base, written) });
                    }
                }
            }
            all
        };
        self.look(named).unwrap_or_default()
    }

    fn place(&self) -> Option<Place<'_>> {
        self.0.as_ref().map(|source| Place { file: &source.file, text: &source.text })
    }

    /// What `find` finds in the file, as far as its TOML can be read.
    fn look<T>(&self, find: impl FnOnce(&DeTable<'_>) -> T) -> Option<T> {
        let place = self.place()?;
        let sound = syntax::check(place).blanked(place.text);
        let (root, _) = DeTable::parse_recoverable(&sound);
        Some(find(root.get_ref()))
    }
}

/// Where a configuration was read from is no part of what it says.
impl PartialEq for Origin {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Origin").field(&self.0.as_ref().map(|source| &source.file)).finish()
    }
}

fn section(kind: Kind) -> &'static Section {
    match kind {
        Kind::Parser => &PARSER,
        Kind::Enricher => &ENRICHER,
        Kind::Operator => &OPERATOR,
        Kind::Metric => &METRIC,
    }
}

/// The tables of a section, `[x]` or `[[x]]`, each with its place.
fn tables<'a>(root: &'a DeTable<'a>, section: &Section) -> Vec<(&'a DeTable<'a>, Span)> {
    let values: &[Spanned<DeValue<'_>>] = match root.get(section.name) {
        Some(value) => value.get_ref().as_array().map_or(std::slice::from_ref(value), |array| array),
        None => &[],
    };
    values.iter().filter_map(|value| Some((value.get_ref().as_table()?, value.span()))).collect()
}

fn plugin<'a>(root: &'a DeTable<'a>, kind: Kind, name: &str) -> Option<(&'a DeTable<'a>, Span)> {
    let is = |table: &DeTable<'_>| kind == Kind::Parser || name_of(table).as_deref() == Some(name);
    tables(root, section(kind)).into_iter().find(|(table, _)| is(table))
}

fn rollup<'a>(root: &'a DeTable<'a>, name: &str) -> Option<(&'a DeTable<'a>, Span)> {
    let named = |table: &DeTable<'_>| table.get("name").is_some_and(|of| of.get_ref().as_str() == Some(name));
    tables(root, &ROLLUP).into_iter().find(|(table, _)| named(table))
}

/// The place of a part in the file; none where it has no such part.
fn span(root: &DeTable<'_>, part: &Part<'_>) -> Option<Span> {
    match *part {
        Part::Plugin(kind, name) => {
            let (table, header) = plugin(root, kind, name)?;
            let value = table.get("plugin").or_else(|| table.get("name"));
            Some(value.map_or(header, Spanned::span))
        }
        Part::Param(kind, name, param) => Some(param_span(plugin(root, kind, name)?.0.get("params")?, param)),
        Part::Grant(kind, name, file) => {
            let files = plugin(root, kind, name)?.0.get("files")?.get_ref().as_table()?;
            files.get(file).map(Spanned::span)
        }
        Part::OwnLimits(kind, name) => plugin(root, kind, name)?.0.get("limits").map(Spanned::span),
        Part::Limits => root.get(LIMITS.name).map(Spanned::span),
        Part::Rollup(name) => {
            let (table, header) = rollup(root, name)?;
            Some(table.get("name").map_or(header, Spanned::span))
        }
        Part::Column(name, column) => entry(rollup(root, name)?.0, "by", column),
        Part::Metric(name, metric) => entry(rollup(root, name)?.0, "metrics", metric),
    }
}

/// The entry of a list that is this text.
fn entry(table: &DeTable<'_>, key: &str, text: &str) -> Option<Span> {
    let list = table.get(key)?.get_ref().as_array()?;
    list.iter().find(|value| value.get_ref().as_str() == Some(text)).map(Spanned::span)
}

/// The value of a parameter; as far as there is none, what holds it. The key of one that is a table is pointed at: the table
/// may be many lines long.
fn param_span(params: &Spanned<DeValue<'_>>, names: &str) -> Span {
    let (mut at, mut span) = (params.get_ref().as_table(), params.span());
    let mut rest = names;
    while let Some(table) = at {
        // A name may have dots itself: the longest that fits is meant.
        let fits = |key: &str| {
            let behind = rest.strip_prefix(key)?;
            if behind.is_empty() { Some(behind) } else { behind.strip_prefix('.') }
        };
        let named = table.iter().filter_map(|(key, value)| Some((key, value, fits(key.get_ref())?)));
        let Some((key, value, behind)) = named.min_by_key(|(.., behind)| behind.len()) else { break };
        at = value.get_ref().as_table();
        span = if at.is_some() { key.span() } else { value.span() };
        rest = behind;
        if rest.is_empty() {
            break;
        }
    }
    span
}
