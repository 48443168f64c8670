//! What is known of a component without putting it into a pipeline.

use std::{collections::BTreeMap, sync::Arc};

use clickmill_columns::{EnricherInfo, MetricInfo, OperatorInfo, ParserInfo};
use clickmill_settings::{Kind, Limits, PluginRef};

use crate::{
    enricher::EnricherPlugin, error::LoadError, guest::Plugin, metric::MetricPlugin,
    operator::OperatorPlugin, parser::ParserPlugin, plugins::Loader, world,
};

/// What a plugin says of itself.
#[derive(Clone, Debug)]
pub enum Info {
    Parser(ParserInfo),
    Enricher(EnricherInfo),
    Operator(OperatorInfo),
    Metric(MetricInfo),
}

/// A component, looked at from outside.
#[derive(Clone, Debug)]
pub struct Inspection {
    pub kind: Kind,
    pub info: Info,
    /// The interfaces that it imports.
    pub imports: Vec<String>,
    /// Of the component, in bytes.
    pub size: usize,
    /// XXH3, 128 bits, of its bytes, in lower-case hex.
    pub digest: String,
    /// Whether an earlier start had compiled it already.
    pub cached: bool,
}

/// Loads a component as a pipeline would, with these parameters (JSON, or empty) and without granted files.
pub fn inspect(loader: Loader, plugin: &PluginRef, params: &str) -> Result<Inspection, LoadError> {
    let inspected = loader.component(plugin).and_then(|found| {
        let names = world::Names::of(&found.component);
        let kind = names.kind()?;
        let made =
            Plugin::new(&found.component, kind, "inspected", params, Limits::default(), BTreeMap::new())?;
        let made = Arc::new(made);
        let info = match kind {
            Kind::Parser => Info::Parser(ParserPlugin::load(made)?.1),
            Kind::Enricher => Info::Enricher(EnricherPlugin::load(made)?.1),
            Kind::Operator => Info::Operator(OperatorPlugin::load(made)?.1),
            Kind::Metric => Info::Metric(MetricPlugin::load(made)?.1),
        };
        Ok(Inspection {
            kind,
            info,
            imports: names.imports,
            size: found.size,
            digest: found.digest,
            cached: found.cached,
        })
    });
    inspected.map_err(|fault| LoadError { plugin: plugin.to_string(), file: plugin.to_string(), fault })
}
