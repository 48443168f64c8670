//! What is wrong with a pipeline.

use clickmill_columns::Kind;
use thiserror::Error;

/// What does not fit together. `kind` of a plugin is the name of its table in the settings; `there` are the names that would
/// have done.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum PlanError {
    #[error("{kind} `{plugin}` needs the column `{column}`, which nothing before it makes")]
    NoColumn { kind: &'static str, plugin: String, column: String, there: Vec<String> },
    #[error("{kind} `{plugin}` wants the column `{column}` {wanted}, but it is `{is}`")]
    NotText { kind: &'static str, plugin: String, column: String, wanted: &'static str, is: Kind },
    #[error(
        "metric `{metric}` counts what operator `{operator}` derives, but there is no operator of that name"
    )]
    NoOperator { metric: String, operator: String, there: Vec<String> },
    #[error("metric `{metric}` needs the column `{column}`, which operator `{operator}` does not derive")]
    NotDerived { metric: String, operator: String, column: String, there: Vec<String> },
    #[error("rollup `{rollup}` groups by `{column}`, which nothing makes")]
    NoGroupColumn { rollup: String, column: String, there: Vec<String> },
    #[error("rollup `{rollup}` groups by `{column}`, but only text can be grouped by, and it is `{is}`")]
    GroupNotText { rollup: String, column: String, is: Kind },
    #[error("rollup `{rollup}` has no metric `{metric}` to use")]
    NoMetric { rollup: String, metric: String, there: Vec<String> },
    #[error("rollup `{rollup}`: the field `{field}` would come from both `{one}` and `{other}`")]
    FieldTwice { rollup: String, field: String, one: String, other: String },
    #[error("the parser makes no column `timestamp` that is an instant")]
    NoTimestamp,
}
