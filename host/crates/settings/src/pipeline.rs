//! The pipeline as validated: which plugins there are, with which parameters, and which rollups they are asked for.
//!
//! The defaults are the shipped plugins; a file adds to them, replaces them by name, or does without them.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use crate::config::Limits;

/// What a plugin does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Payloads to columns.
    Parser,
    /// Columns to more columns.
    Enricher,
    /// Events of a key to derived rows.
    Operator,
    /// Rows of a group to numbers.
    Metric,
}

impl Kind {
    /// The word for it, which is also its table in the file: `parser`, `enricher`, `operator` or `metric`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Parser => "parser",
            Self::Enricher => "enricher",
            Self::Operator => "operator",
            Self::Metric => "metric",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The plugins that the binary carries, in the order in which the default pipeline uses them.
pub const SHIPPED: [(&str, Kind); 6] = [
    ("json", Kind::Parser),
    ("url", Kind::Enricher),
    ("sessions", Kind::Operator),
    ("clicks", Kind::Metric),
    ("unique-users", Kind::Metric),
    ("time-on-page", Kind::Metric),
];

/// The plugins and what they are asked for. Within each kind, names are unique.
#[derive(Clone, Debug, PartialEq)]
pub struct Pipeline {
    /// Makes events of payloads. Default `json`.
    pub parser: PluginUse,
    /// Run in this order over each event. Default `url`.
    pub enrichers: Vec<PluginUse>,
    /// Run over each key's events. Default `sessions`.
    pub operators: Vec<PluginUse>,
    /// Run over each group's rows. Default `clicks`, `unique-users`, `time-on-page`.
    pub metrics: Vec<PluginUse>,
    /// What documents there are. Default `url-country`, by `url` and `country`, in `1m`, `1h` and `1d`.
    pub rollups: Vec<Rollup>,
}

impl Default for Pipeline {
    fn default() -> Self {
        let limits = Limits::default();
        let mut parser = Vec::from_iter(shipped(Kind::Parser, &limits));
        let metrics = Vec::from_iter(shipped(Kind::Metric, &limits));
        Self {
            parser: parser.remove(0),
            enrichers: shipped(Kind::Enricher, &limits).collect(),
            operators: shipped(Kind::Operator, &limits).collect(),
            rollups: vec![Rollup::url_country(metrics.iter().map(|metric| metric.name.clone()).collect())],
            metrics,
        }
    }
}

/// The shipped plugins of a kind under these limits, in their order.
pub(crate) fn shipped(kind: Kind, limits: &Limits) -> impl Iterator<Item = PluginUse> + '_ {
    SHIPPED.iter().filter(move |(_, of)| *of == kind).map(|(name, _)| PluginUse {
        name: (*name).to_owned(),
        plugin: PluginRef::Shipped((*name).to_owned()),
        params: String::new(),
        files: BTreeMap::new(),
        limits: limits.clone(),
    })
}

/// A plugin in its place in the pipeline.
#[derive(Clone, Debug, PartialEq)]
pub struct PluginUse {
    /// What the pipeline calls it: lower-case letters, digits and `-`, at most 64 bytes. Default: the plugin's name, or
    /// its file's less `.wasm`.
    pub name: String,
    /// Which component.
    pub plugin: PluginRef,
    /// Its parameters as a JSON object, names sorted; empty where none were given.
    pub params: String,
    /// Files that it may read, by the name under which it asks for them.
    pub files: BTreeMap<String, PathBuf>,
    /// What one instance may use: its own limits, and the general ones for the rest.
    pub limits: Limits,
}

/// Which component a plugin is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PluginRef {
    /// One that the binary carries; one of [`SHIPPED`].
    Shipped(String),
    /// A component in a file.
    Path(PathBuf),
}

impl fmt::Display for PluginRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shipped(name) => f.write_str(name),
            Self::Path(path) => path.display().fmt(f),
        }
    }
}

/// Documents: one for each group of these columns' values and each window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rollup {
    /// Lower-case letters, digits and `-`; part of the index's name.
    pub name: String,
    /// The columns that make the group, in the order of the document's identity; at least one, distinct.
    pub by: Vec<String>,
    /// From the smallest to the greatest, at least one, no two of one size. Default `1m`, `1h`, `1d`.
    pub windows: Vec<Window>,
    /// Names of metrics, in the pipeline's order; at least one. Default: all.
    pub metrics: Vec<String>,
}

impl Rollup {
    /// The default rollup, with these metrics.
    pub(crate) fn url_country(metrics: Vec<String>) -> Self {
        Self {
            name: "url-country".to_owned(),
            by: vec!["url".to_owned(), "country".to_owned()],
            windows: Window::defaults(),
            metrics,
        }
    }

    /// The windows (by their place in `windows`) in chains in which each is a multiple of the one before, smallest first.
    /// Only the first of a chain needs slots of its own for new rows; the others merge what those saved.
    pub fn chains(&self) -> Vec<Vec<usize>> {
        let mut chains: Vec<Vec<usize>> = Vec::new();
        for (place, window) in self.windows.iter().enumerate() {
            let fits = |chain: &&mut Vec<usize>| {
                let last = chain.last().and_then(|&last| self.windows.get(last));
                last.is_some_and(|last| window.millis % last.millis == 0)
            };
            match chains.iter_mut().find(fits) {
                Some(chain) => chain.push(place),
                None => chains.push(vec![place]),
            }
        }
        chains
    }
}

/// A tumbling window, aligned to 1970-01-01T00:00:00Z.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// As written: `1m`. Part of the index's name and of a document's identity.
    pub name: String,
    /// Its size in milliseconds: whole seconds, at least one.
    pub millis: i64,
}

impl Window {
    pub(crate) fn defaults() -> Vec<Self> {
        [("1m", 60_000), ("1h", 3_600_000), ("1d", 86_400_000)]
            .map(|(name, millis)| Self { name: name.to_owned(), millis })
            .to_vec()
    }
}
