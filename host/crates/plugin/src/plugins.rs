//! The plugins of a pipeline, loaded once: every fault of every plugin is found before the first record is read.

use std::{
    fs,
    path::Path,
    sync::{Arc, OnceLock},
};

use clickmill_columns::Field;
use clickmill_settings::{Kind, Pipeline, PluginRef, PluginUse};
use clickmill_tasks::env::{CallError, Described, Descriptions, Plugins};
use xxhash_rust::xxh3::xxh3_128;

use crate::{
    cache,
    engine::Engine,
    enricher::{EnricherPlugin, WasmEnricher},
    error::{Fault, LoadError, no_component},
    guest::Plugin,
    metric::{MetricPlugin, WasmMetric},
    operator::{OperatorPlugin, WasmOperator},
    parser::{ParserPlugin, Pool, WasmParser},
    state::Files,
};

/// The components that a binary carries, by name.
pub type Shipped<'a> = &'a [(&'a str, &'a [u8])];

/// Where components come from and where their compiled form is kept.
#[derive(Clone, Copy)]
pub struct Loader<'a> {
    pub engine: &'a Engine,
    pub shipped: Shipped<'a>,
    /// Folder of compiled components; none keeps none.
    pub cache: Option<&'a Path>,
}

/// The plugins of a pipeline, ready to run.
pub struct WasmPlugins {
    descriptions: Descriptions,
    parser: Arc<ParserPlugin>,
    pool: OnceLock<Arc<Pool>>,
    enrichers: Vec<EnricherPlugin>,
    operators: Vec<OperatorPlugin>,
    metrics: Vec<MetricPlugin>,
}

impl WasmPlugins {
    /// Loads every plugin of the pipeline, or says what is wrong with each that cannot be used.
    pub fn load(loader: Loader, pipeline: &Pipeline) -> Result<WasmPlugins, Vec<LoadError>> {
        let mut errors = Vec::new();
        let parser = keep(&mut errors, loader.load(Kind::Parser, &pipeline.parser, ParserPlugin::load));
        let (enrichers, enricher_infos) =
            loader.load_all(&mut errors, Kind::Enricher, &pipeline.enrichers, EnricherPlugin::load);
        let (operators, operator_infos) =
            loader.load_all(&mut errors, Kind::Operator, &pipeline.operators, OperatorPlugin::load);
        let (metrics, metric_infos) =
            loader.load_all(&mut errors, Kind::Metric, &pipeline.metrics, MetricPlugin::load);
        match parser {
            Some((parser, parser_info)) if errors.is_empty() => Ok(WasmPlugins {
                descriptions: Descriptions {
                    parser: parser_info,
                    enrichers: enricher_infos,
                    operators: operator_infos,
                    metrics: metric_infos,
                },
                parser: Arc::new(parser),
                pool: OnceLock::new(),
                enrichers,
                operators,
                metrics,
            }),
            _ => Err(errors),
        }
    }

    fn pool(&self) -> Result<Arc<Pool>, CallError> {
        if let Some(pool) = self.pool.get() {
            return Ok(pool.clone());
        }
        let pool = Pool::start(self.parser.clone())
            .map_err(|error| CallError::Call(format!("the parser's threads cannot be started: {error}")))?;
        Ok(self.pool.get_or_init(|| Arc::new(pool)).clone())
    }
}

/// What became of a plugin: the plugin itself, and what it says.
type Loaded<P, I> = (P, Described<I>);

fn keep<T>(errors: &mut Vec<LoadError>, loaded: Result<T, LoadError>) -> Option<T> {
    loaded.map_err(|error| errors.push(error)).ok()
}

impl Loader<'_> {
    fn load_all<P, I>(
        self,
        errors: &mut Vec<LoadError>,
        kind: Kind,
        uses: &[PluginUse],
        load: impl Fn(Arc<Plugin>) -> Result<(P, I), Fault>,
    ) -> (Vec<P>, Vec<Described<I>>) {
        uses.iter().filter_map(|plugin| keep(errors, self.load(kind, plugin, &load))).unzip()
    }

    fn load<P, I>(
        self,
        kind: Kind,
        plugin: &PluginUse,
        load: impl Fn(Arc<Plugin>) -> Result<(P, I), Fault>,
    ) -> Result<Loaded<P, I>, LoadError> {
        let loaded = self.component(&plugin.plugin).and_then(|found| {
            let files = files(plugin)?;
            let limits = plugin.limits.clone();
            let made = Plugin::new(&found.component, kind, &plugin.name, &plugin.params, limits, files)?;
            let (made, info) = load(Arc::new(made))?;
            Ok((made, Described { name: plugin.name.clone(), digest: found.digest, info }))
        });
        loaded.map_err(|fault| LoadError {
            plugin: plugin.name.clone(),
            file: plugin.plugin.to_string(),
            fault,
        })
    }

    /// The compiled component that is meant, and the digest of its bytes.
    pub(crate) fn component(self, plugin: &PluginRef) -> Result<Found, Fault> {
        let read;
        let bytes = match plugin {
            PluginRef::Path(path) => {
                read = fs::read(path).map_err(|error| Fault::Unreadable(error.to_string()))?;
                &read[..]
            }
            PluginRef::Shipped(name) => {
                let shipped = self.shipped.iter().find(|(shipped, _)| shipped == name);
                let names = || self.shipped.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
                shipped.ok_or_else(|| Fault::NotShipped(names()))?.1
            }
        };
        if let Some(fault) = no_component(bytes) {
            return Err(fault);
        }
        let compiled = cache::component(self.engine, bytes, self.cache)
            .map_err(|error| Fault::Damaged(error.root_cause().to_string()))?;
        Ok(Found {
            component: compiled.component,
            cached: compiled.cached,
            digest: format!("{:032x}", xxh3_128(bytes)),
            size: bytes.len(),
        })
    }
}

/// A component as it was found.
pub(crate) struct Found {
    pub component: wasmtime::component::Component,
    /// Whether it was compiled by an earlier start.
    pub cached: bool,
    /// XXH3, 128 bits, of its bytes, in lower-case hex.
    pub digest: String,
    pub size: usize,
}

fn files(plugin: &PluginUse) -> Result<Files, Fault> {
    let mut files = Files::new();
    for (name, path) in &plugin.files {
        let bytes = fs::read(path).map_err(|error| Fault::GrantUnreadable {
            name: name.clone(),
            path: path.display().to_string(),
            error: error.to_string(),
        })?;
        files.insert(name.clone(), bytes.into());
    }
    Ok(files)
}

fn pick(fields: &[Field], wanted: &[usize]) -> Result<Vec<Field>, CallError> {
    let field = |&number: &usize| {
        fields.get(number).cloned().ok_or_else(|| CallError::Call(format!("there is no output {number}")))
    };
    wanted.iter().map(field).collect()
}

fn numbered<T>(all: &[T], number: usize) -> Result<&T, CallError> {
    all.get(number).ok_or_else(|| CallError::Call(format!("there is no plugin {number} of this kind")))
}

impl Plugins for WasmPlugins {
    type Parser = WasmParser;
    type Enricher = WasmEnricher;
    type Operator = WasmOperator;
    type Metric = WasmMetric;

    fn descriptions(&self) -> &Descriptions {
        &self.descriptions
    }

    fn parser(&self, wanted: &[usize]) -> Result<WasmParser, CallError> {
        let wanted = pick(&self.descriptions.parser.info.outputs, wanted)?;
        Ok(WasmParser::new(self.pool()?, wanted.into()))
    }

    fn enricher(&self, enricher: usize, wanted: &[usize]) -> Result<WasmEnricher, CallError> {
        let plugin = numbered(&self.enrichers, enricher)?;
        let info = &numbered(&self.descriptions.enrichers, enricher)?.info;
        plugin.start(&pick(&info.outputs, wanted)?)
    }

    fn operator(&self, operator: usize) -> Result<WasmOperator, CallError> {
        let info = &numbered(&self.descriptions.operators, operator)?.info;
        numbered(&self.operators, operator)?.start(&info.outputs)
    }

    fn metric(&self, metric: usize) -> Result<WasmMetric, CallError> {
        let info = &numbered(&self.descriptions.metrics, metric)?.info;
        numbered(&self.metrics, metric)?.start(&info.outputs)
    }
}
