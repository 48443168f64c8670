//! From the settings file to a pipeline that is ready to run.

mod problems;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use clickmill_plugin::{Engine, Loader, WasmPlugins};
use clickmill_settings::{Config, Origin, Rollup, Source};
use clickmill_tasks::{Plan, PlanError, RollupSpec, env::Plugins};

pub use self::problems::Problem;
use crate::{components, error::Error};

/// Reads and validates the settings. With what is wrong in them it is said which components are not there: who mends the one
/// need not come back for the other.
pub fn settings(path: &Path) -> Result<Config, Error> {
    let unreadable = |error| Error::NoSettings { path: path.display().to_string(), error };
    let bytes = std::fs::read(path).map_err(unreadable)?;
    let name = path.display().to_string();
    let text = clickmill_settings::decode(&name, &bytes).map_err(|fault| Error::Settings(vec![fault]))?;
    let base = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    clickmill_settings::parse(&name, text, base).map_err(|mut faults| {
        faults.extend(problems::missing_components(&Origin::new(&name, text), base));
        faults.sort_by_key(|fault| (fault.line, fault.column));
        Error::Settings(faults)
    })
}

/// The plugins of the settings, compiled, and the plan that they make.
pub struct Pipeline {
    pub plugins: Arc<WasmPlugins>,
    pub plan: Arc<Plan>,
}

pub fn pipeline(config: &Config) -> Result<Pipeline, Error> {
    let engine = engine()?;
    let cache = cache_folder();
    let loader = Loader { engine: &engine, shipped: components::DEFAULTS, cache: cache.as_deref() };
    let plugins = WasmPlugins::load(loader, &config.pipeline)
        .map_err(|errors| Error::Pipeline(problems::of_plugins(loader, config, errors)))?;
    let plan = plan(&plugins, &config.pipeline.rollups)
        .map_err(|errors| Error::Pipeline(problems::of_plans(&config.origin, &errors)))?;
    Ok(Pipeline { plugins: Arc::new(plugins), plan: Arc::new(plan) })
}

pub fn engine() -> Result<Engine, Error> {
    Engine::new().map_err(|error| Error::Other(error.to_string()))
}

fn plan(plugins: &WasmPlugins, rollups: &[Rollup]) -> Result<Plan, Vec<PlanError>> {
    let windows =
        |rollup: &Rollup| rollup.windows.iter().map(|window| (window.name.clone(), window.millis)).collect();
    let spec = |rollup: &Rollup| RollupSpec {
        name: rollup.name.clone(),
        by: rollup.by.clone(),
        windows: windows(rollup),
        metrics: rollup.metrics.clone(),
    };
    Plan::new(plugins.descriptions(), &rollups.iter().map(spec).collect::<Vec<_>>())
}

/// Where compiled plugins are kept between starts: the user's cache folder; nowhere where there is none.
pub fn cache_folder() -> Option<PathBuf> {
    let named = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    named("XDG_CACHE_HOME")
        .or_else(|| named("HOME").map(|home| home.join(".cache")))
        .map(|cache| cache.join("clickmill"))
}

/// What a store is bound to, as people name it.
pub fn source_name(config: &Config) -> (String, String) {
    match &config.source {
        Source::Files(files) => (format!("the files {}", files.paths.join(", ")), String::new()),
        Source::Generate(generate) => (format!("generated traffic of seed {}", generate.seed), String::new()),
        Source::Kafka(kafka) => (format!("the topic `{}`", kafka.topic), kafka.group.clone()),
    }
}
