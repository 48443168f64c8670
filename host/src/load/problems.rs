//! What is wrong with a pipeline, each with its place in the settings file, and all of it at once: also what is wrong with the
//! plan beside plugins that cannot be used, as far as that can be judged without them.

use std::{fmt, path::Path};

use clickmill_plugin::{Fault as PluginFault, LoadError, Loader, WasmPlugins};
use clickmill_settings::{Config, Fault, Kind, Origin, Part, Pipeline, PluginUse, alternatives, nearest};
use clickmill_tasks::PlanError;

use super::plan;

/// Something wrong with a pipeline.
#[derive(Debug)]
pub enum Problem {
    /// With a place in the settings file.
    Placed(Fault),
    /// With something that no file says.
    Plain { message: String, help: String },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::Placed(fault) => fault.fmt(f),
            Problem::Plain { message, help } if help.is_empty() => f.write_str(message),
            Problem::Plain { message, help } => write!(f, "{message}\nhelp: {help}"),
        }
    }
}

/// What is wrong with plugins, and with the plan of the others.
pub fn of_plugins(loader: Loader<'_>, config: &Config, errors: Vec<LoadError>) -> Vec<Problem> {
    let broken = with_kinds(&config.pipeline, errors);
    let rest = without(&config.pipeline, &broken);
    let errors = WasmPlugins::load(loader, &rest)
        .ok()
        .and_then(|plugins| plan(&plugins, &rest.rollups).err())
        .unwrap_or_default();
    let lacks = |kinds: &[Kind]| broken.iter().any(|(kind, _)| kinds.contains(kind));
    let believable = |error: &PlanError| match error {
        PlanError::NoTimestamp => !lacks(&[Kind::Parser]),
        PlanError::NoOperator { .. } => !lacks(&[Kind::Operator]),
        PlanError::NotText { .. } | PlanError::GroupNotText { .. } => !lacks(&[Kind::Parser, Kind::Enricher]),
        // What is not there may be what the others would have made, unless it is a name that is there, misspelt.
        PlanError::NoColumn { column, there, .. } | PlanError::NoGroupColumn { column, there, .. } => {
            !lacks(&[Kind::Parser, Kind::Enricher]) || near(column, there).is_some()
        }
        PlanError::NotDerived { .. } | PlanError::NoMetric { .. } | PlanError::FieldTwice { .. } => true,
    };
    let plugins = broken.iter().flat_map(|(kind, error)| of_plugin(&config.origin, *kind, error));
    let errors: Vec<PlanError> = errors.into_iter().filter(believable).collect();
    in_order(plugins.chain(of_plans(&config.origin, &errors)).collect())
}

/// What is wrong with a plan, without what only follows: a metric that lacks its operator is missing in its rollups, too.
pub fn of_plans(origin: &Origin, errors: &[PlanError]) -> Vec<Problem> {
    let lacks_operator = |name: &str| {
        errors.iter().any(|error| matches!(error, PlanError::NoOperator { metric, .. } if metric == name))
    };
    let follows =
        |error: &PlanError| matches!(error, PlanError::NoMetric { metric, .. } if lacks_operator(metric));
    in_order(errors.iter().filter(|error| !follows(error)).map(|error| of_plan(origin, error)).collect())
}

/// Components that a faulty file names and that are not there.
pub fn missing_components(origin: &Origin, base: &Path) -> Vec<Fault> {
    let mut faults = Vec::new();
    for component in origin.components(base) {
        let Err(error) = std::fs::metadata(&component.path) else { continue };
        let error = LoadError {
            plugin: component.name,
            file: component.path.display().to_string(),
            fault: PluginFault::Unreadable(error.to_string()),
        };
        let part = Part::Plugin(component.kind, &error.plugin);
        faults.extend(origin.fault(&[part], &error.to_string(), &error.fault.help()));
    }
    faults
}

/// Those with a place in the order of the file, then the others.
fn in_order(mut problems: Vec<Problem>) -> Vec<Problem> {
    problems.sort_by_key(|problem| match problem {
        Problem::Placed(fault) => (fault.line, fault.column),
        Problem::Plain { .. } => (usize::MAX, 0),
    });
    problems
}

fn plugins(pipeline: &Pipeline) -> impl Iterator<Item = (Kind, &PluginUse)> {
    let of = |kind: Kind| move |plugin| (kind, plugin);
    std::iter::once((Kind::Parser, &pipeline.parser))
        .chain(pipeline.enrichers.iter().map(of(Kind::Enricher)))
        .chain(pipeline.operators.iter().map(of(Kind::Operator)))
        .chain(pipeline.metrics.iter().map(of(Kind::Metric)))
}

/// Each error with the kind of its plugin. Errors come in the order of the pipeline; plugins of several kinds may share a name.
fn with_kinds(pipeline: &Pipeline, errors: Vec<LoadError>) -> Vec<(Kind, LoadError)> {
    let mut plugins = plugins(pipeline);
    let mut broken = Vec::new();
    for error in errors {
        let found = plugins.find(|(kind, plugin)| {
            let other = matches!(&error.fault, PluginFault::OtherKind { wanted, .. } if wanted != kind);
            plugin.name == error.plugin && plugin.plugin.to_string() == error.file && !other
        });
        broken.extend(found.map(|(kind, _)| (kind, error)));
    }
    broken
}

/// A pipeline without its broken plugins; for a broken parser stands the default one.
fn without(pipeline: &Pipeline, broken: &[(Kind, LoadError)]) -> Pipeline {
    let whole =
        |kind: Kind, name: &str| !broken.iter().any(|(of, error)| *of == kind && error.plugin == name);
    let mut rest = pipeline.clone();
    if !whole(Kind::Parser, &rest.parser.name) {
        rest.parser = Pipeline::default().parser;
    }
    rest.enrichers.retain(|plugin| whole(Kind::Enricher, &plugin.name));
    rest.operators.retain(|plugin| whole(Kind::Operator, &plugin.name));
    rest.metrics.retain(|plugin| whole(Kind::Metric, &plugin.name));
    for rollup in &mut rest.rollups {
        rollup.metrics.retain(|name| whole(Kind::Metric, name));
    }
    rest
}

fn problem(origin: &Origin, parts: &[Part<'_>], message: String, help: String) -> Problem {
    match origin.fault(parts, &message, &help) {
        Some(fault) => Problem::Placed(fault),
        None => Problem::Plain { message, help },
    }
}

/// A plugin may refuse several parameters, a line for each; all else is one problem.
fn of_plugin(origin: &Origin, kind: Kind, error: &LoadError) -> Vec<Problem> {
    let LoadError { plugin, fault, .. } = error;
    let part = Part::Plugin(kind, plugin);
    let parts = match fault {
        PluginFault::Params(refused) => {
            return refused.lines().map(|refused| of_param(origin, kind, plugin, refused)).collect();
        }
        PluginFault::GrantUnreadable { name, .. } => vec![Part::Grant(kind, plugin, name), part],
        PluginFault::Start(_) => vec![Part::OwnLimits(kind, plugin), part, Part::Limits],
        _ => vec![part],
    };
    vec![problem(origin, &parts, error.to_string(), fault.help())]
}

/// By custom a plugin names the parameter first, in backquotes, and says behind a semicolon what would be right. Only the
/// looks of the message depend on that.
fn of_param(origin: &Origin, kind: Kind, plugin: &str, refused: &str) -> Problem {
    let param = refused.split('`').nth(1).unwrap_or_default();
    let (what, help) = refused.split_once("; ").unwrap_or((refused, ""));
    let parts = [Part::Param(kind, plugin, param), Part::Plugin(kind, plugin)];
    problem(origin, &parts, format!("{kind} `{plugin}` refuses its parameters: {what}"), help.to_owned())
}

fn of_plan(origin: &Origin, error: &PlanError) -> Problem {
    const PARSER: Part<'static> = Part::Plugin(Kind::Parser, "");
    let (parts, help) = match error {
        PlanError::NoColumn { kind, plugin, column, there } => {
            (vec![Part::Plugin(kind_of(kind), plugin), PARSER], choice(column, there))
        }
        PlanError::NotText { kind, plugin, .. } => {
            (vec![Part::Plugin(kind_of(kind), plugin), PARSER], String::new())
        }
        PlanError::NoOperator { metric, operator, there } => {
            let help = match near(operator, there) {
                Some(near) => format!("give the operator `{near}` that `name`"),
                None => "add an `[[operator]]` of that name".to_owned(),
            };
            (vec![Part::Plugin(Kind::Metric, metric)], help)
        }
        PlanError::NotDerived { metric, operator, column, there } => (
            vec![Part::Plugin(Kind::Metric, metric), Part::Plugin(Kind::Operator, operator)],
            choice(column, there),
        ),
        PlanError::NoGroupColumn { rollup, column, there } => {
            (vec![Part::Column(rollup, column), PARSER], choice(column, there))
        }
        PlanError::GroupNotText { rollup, column, .. } => {
            (vec![Part::Column(rollup, column), PARSER], "group by a column of text".to_owned())
        }
        PlanError::NoMetric { rollup, metric, there } => {
            (vec![Part::Metric(rollup, metric), Part::Rollup(rollup)], choice(metric, there))
        }
        PlanError::FieldTwice { rollup, one, other, .. } => (
            vec![
                Part::Metric(rollup, other),
                Part::Plugin(Kind::Metric, other),
                Part::Plugin(Kind::Metric, one),
                Part::Rollup(rollup),
            ],
            "leave one of them out, or say in the `metrics` of each `[[rollup]]` which of them it has"
                .to_owned(),
        ),
        PlanError::NoTimestamp => (vec![PARSER], String::new()),
    };
    problem(origin, &parts, error.to_string(), help)
}

/// The kind of plugins whose tables bear this name.
fn kind_of(table: &str) -> Kind {
    let kinds = [Kind::Enricher, Kind::Operator, Kind::Metric];
    kinds.into_iter().find(|kind| kind.as_str() == table).unwrap_or(Kind::Parser)
}

fn near<'n>(name: &str, there: &'n [String]) -> Option<&'n str> {
    nearest(name, there.iter().map(String::as_str))
}

/// What would have done in the place of a name.
fn choice(name: &str, there: &[String]) -> String {
    let names: Vec<&str> = there.iter().map(String::as_str).collect();
    match near(name, there) {
        Some(near) => format!("did you mean `{near}`?"),
        None if names.is_empty() => "there is none".to_owned(),
        None => format!("choose {}", alternatives(&names)),
    }
}
