//! The slots of one metric of one task.

use std::sync::Arc;

use clickmill_columns::{Column, Field, MetricInfo, Values};
use clickmill_tasks::env::{CallError, Metric};
use wasmtime::component::{ComponentExportIndex, Func, ResourceAny};

use crate::{
    check,
    contract::{RawColumn, RawFailure, RawMetricInfo, RawValues, SentColumn, SentValues},
    error::Fault,
    guest::{Guest, Plugin},
    lower::{self, Lowered},
};

type Update<'a> = (ResourceAny, &'a [SentColumn<'a>], &'a [u32]);
type Merge<'a> = (ResourceAny, &'a [u32], SentValues<'a>, u32);
type Nothing = (Result<(), RawFailure>,);
type OfSlots<'a> = (ResourceAny, &'a [u32]);
type SaveAnswer = (Result<RawValues, RawFailure>,);
type EvaluateAnswer = (Result<Vec<RawColumn>, RawFailure>,);
type Reset = (ResourceAny,);

/// A metric that was found to be one.
pub struct MetricPlugin {
    plugin: Arc<Plugin>,
    update: ComponentExportIndex,
    merge: ComponentExportIndex,
    save: ComponentExportIndex,
    evaluate: ComponentExportIndex,
    clear: ComponentExportIndex,
    reset: ComponentExportIndex,
}

impl MetricPlugin {
    /// Reads what the component says of its metric, and starts an instance once: what does not fit is found here and not amid
    /// records. Faults: an export or a type is not the contract's, its parameters are refused, its description cannot be, or it
    /// does not start.
    pub fn load(plugin: Arc<Plugin>) -> Result<(MetricPlugin, MetricInfo), Fault> {
        let [update, merge, save, evaluate, clear, reset] =
            ["update", "merge", "save", "evaluate", "clear", "reset"].map(|name| plugin.method(name));
        let info = check::metric(plugin.describe::<RawMetricInfo>()?).map_err(Fault::Description)?;
        let metric = MetricPlugin {
            plugin,
            update: update?,
            merge: merge?,
            save: save?,
            evaluate: evaluate?,
            clear: clear?,
            reset: reset?,
        };
        let mut slots = metric.start(&[]).map_err(|error| Fault::Start(error.to_string()))?;
        slots.typecheck().map_err(Fault::Mismatch)?;
        Ok((metric, info))
    }

    /// An instance without slots, which evaluates to these columns.
    pub fn start(&self, outputs: &[Field]) -> Result<WasmMetric, CallError> {
        let mut guest = Guest::start(&self.plugin)?;
        Ok(WasmMetric {
            update: guest.func(&self.update)?,
            merge: guest.func(&self.merge)?,
            save: guest.func(&self.save)?,
            evaluate: guest.func(&self.evaluate)?,
            clear: guest.func(&self.clear)?,
            reset: guest.func(&self.reset)?,
            guest,
            outputs: outputs.to_vec(),
        })
    }
}

/// An instance of a metric.
pub struct WasmMetric {
    guest: Guest,
    update: Func,
    merge: Func,
    save: Func,
    evaluate: Func,
    clear: Func,
    reset: Func,
    outputs: Vec<Field>,
}

impl WasmMetric {
    fn typecheck(&mut self) -> Result<(), String> {
        let of = |name: &'static str| move |error: String| format!("`{name}`: {error}");
        self.guest.typecheck::<Update, Nothing>(self.update).map_err(of("update"))?;
        self.guest.typecheck::<Merge, Nothing>(self.merge).map_err(of("merge"))?;
        self.guest.typecheck::<OfSlots, SaveAnswer>(self.save).map_err(of("save"))?;
        self.guest.typecheck::<OfSlots, EvaluateAnswer>(self.evaluate).map_err(of("evaluate"))?;
        self.guest.typecheck::<OfSlots, ()>(self.clear).map_err(of("clear"))?;
        self.guest.typecheck::<Reset, ()>(self.reset).map_err(of("reset"))
    }
}

impl Metric for WasmMetric {
    async fn update(&mut self, inputs: &[Column], slots: &[u32], patient: bool) -> Result<(), CallError> {
        let lowered = Lowered::new(inputs);
        let handle = self.guest.handle()?;
        let params = (handle, &*lowered.columns(), slots);
        let (answer,) = self.guest.call::<Update, Nothing>(self.update, "update", patient, params)?;
        self.guest.succeed("update", slots.len(), answer)
    }

    async fn merge(&mut self, slots: &[u32], states: &Values, version: u32) -> Result<(), CallError> {
        let handle = self.guest.handle()?;
        let params = (handle, slots, lower::values(states), version);
        let (answer,) = self.guest.call::<Merge, Nothing>(self.merge, "merge", false, params)?;
        self.guest.succeed("merge", slots.len(), answer)
    }

    async fn save(&mut self, slots: &[u32]) -> Result<Values, CallError> {
        let handle = self.guest.handle()?;
        let (answer,) = self.guest.call::<OfSlots, SaveAnswer>(self.save, "save", false, (handle, slots))?;
        let raw = self.guest.succeed("save", slots.len(), answer)?;
        check::values(raw, slots.len()).map_err(|what| self.guest.refuse("save", &what))
    }

    async fn evaluate(&mut self, slots: &[u32]) -> Result<Vec<Column>, CallError> {
        let handle = self.guest.handle()?;
        let (answer,) =
            self.guest.call::<OfSlots, EvaluateAnswer>(self.evaluate, "evaluate", false, (handle, slots))?;
        let raw = self.guest.succeed("evaluate", slots.len(), answer)?;
        check::columns(raw, slots.len(), &self.outputs).map_err(|what| self.guest.refuse("evaluate", &what))
    }

    async fn clear(&mut self, slots: &[u32]) -> Result<(), CallError> {
        let handle = self.guest.handle()?;
        self.guest.call::<OfSlots, ()>(self.clear, "clear", false, (handle, slots))
    }

    async fn reset(&mut self) -> Result<(), CallError> {
        let handle = self.guest.handle()?;
        self.guest.call::<Reset, ()>(self.reset, "reset", false, (handle,))
    }
}
