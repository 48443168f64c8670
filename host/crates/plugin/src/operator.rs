//! The slots of one operator of one task.

use std::sync::Arc;

use clickmill_columns::{Column, Field, OperatorInfo, Values};
use clickmill_tasks::env::{CallError, Derived, Extent, Operator};
use wasmtime::component::{ComponentExportIndex, Func, ResourceAny};

use crate::{
    check,
    contract::{RawDerived, RawFailure, RawOperatorInfo, RawValues, SentColumn, SentExtent, SentValues},
    error::Fault,
    guest::{Guest, Plugin},
    lower::{self, Lowered},
};

type Process<'a> = (ResourceAny, &'a [i64], &'a [u64], &'a [SentColumn<'a>], &'a [u32], i64);
type ProcessAnswer = (Result<RawDerived, RawFailure>,);
type Save<'a> = (ResourceAny, &'a [u32], i64, SentExtent);
type SaveAnswer = (Result<RawValues, RawFailure>,);
type Restore<'a> = (ResourceAny, &'a [u32], SentValues<'a>, u32);
type RestoreAnswer = (Result<(), RawFailure>,);
type Clear<'a> = (ResourceAny, &'a [u32]);

/// An operator that was found to be one.
pub struct OperatorPlugin {
    plugin: Arc<Plugin>,
    process: ComponentExportIndex,
    save: ComponentExportIndex,
    restore: ComponentExportIndex,
    clear: ComponentExportIndex,
}

impl OperatorPlugin {
    pub fn load(plugin: Arc<Plugin>) -> Result<(OperatorPlugin, OperatorInfo), Fault> {
        let [process, save, restore, clear] =
            ["process", "save", "restore", "clear"].map(|name| plugin.method(name));
        let info = check::operator(plugin.describe::<RawOperatorInfo>()?).map_err(Fault::Description)?;
        let operator =
            OperatorPlugin { plugin, process: process?, save: save?, restore: restore?, clear: clear? };
        let mut slots = operator.start(&[]).map_err(|error| Fault::Start(error.to_string()))?;
        slots.typecheck().map_err(Fault::Mismatch)?;
        Ok((operator, info))
    }

    /// An instance without slots, whose derived rows have these columns.
    pub fn start(&self, outputs: &[Field]) -> Result<WasmOperator, CallError> {
        let mut guest = Guest::start(&self.plugin)?;
        Ok(WasmOperator {
            process: guest.func(&self.process)?,
            save: guest.func(&self.save)?,
            restore: guest.func(&self.restore)?,
            clear: guest.func(&self.clear)?,
            guest,
            outputs: outputs.to_vec(),
        })
    }
}

/// An instance of an operator.
pub struct WasmOperator {
    guest: Guest,
    process: Func,
    save: Func,
    restore: Func,
    clear: Func,
    outputs: Vec<Field>,
}

impl WasmOperator {
    fn typecheck(&mut self) -> Result<(), String> {
        let of = |name: &'static str| move |error: String| format!("`{name}`: {error}");
        self.guest.typecheck::<Process, ProcessAnswer>(self.process).map_err(of("process"))?;
        self.guest.typecheck::<Save, SaveAnswer>(self.save).map_err(of("save"))?;
        self.guest.typecheck::<Restore, RestoreAnswer>(self.restore).map_err(of("restore"))?;
        self.guest.typecheck::<Clear, ()>(self.clear).map_err(of("clear"))
    }
}

impl Operator for WasmOperator {
    async fn process(
        &mut self,
        times: &[i64],
        origins: &[u64],
        inputs: &[Column],
        slots: &[u32],
        horizon: i64,
        patient: bool,
    ) -> Result<Derived, CallError> {
        let lowered = Lowered::new(inputs);
        let handle = self.guest.handle()?;
        let (answer,) = self.guest.call::<Process, ProcessAnswer>(
            self.process,
            "process",
            patient,
            (handle, times, origins, &lowered.columns(), slots, horizon),
        )?;
        let raw = self.guest.succeed("process", slots.len(), answer)?;
        check::derived(raw, &self.outputs).map_err(|what| self.guest.refuse("process", &what))
    }

    async fn save(&mut self, slots: &[u32], horizon: i64, extent: Extent) -> Result<Values, CallError> {
        let extent = match extent {
            Extent::Whole => SentExtent::Whole,
            Extent::Added => SentExtent::Added,
        };
        let handle = self.guest.handle()?;
        let (answer,) = self.guest.call::<Save, SaveAnswer>(
            self.save,
            "save",
            false,
            (handle, slots, horizon, extent),
        )?;
        let raw = self.guest.succeed("save", slots.len(), answer)?;
        check::values(raw, slots.len()).map_err(|what| self.guest.refuse("save", &what))
    }

    async fn restore(&mut self, slots: &[u32], states: &Values, version: u32) -> Result<(), CallError> {
        let handle = self.guest.handle()?;
        let params = (handle, slots, lower::values(states), version);
        let (answer,) = self.guest.call::<Restore, RestoreAnswer>(self.restore, "restore", false, params)?;
        self.guest.succeed("restore", slots.len(), answer)
    }

    async fn clear(&mut self, slots: &[u32]) -> Result<(), CallError> {
        let handle = self.guest.handle()?;
        self.guest.call::<Clear, ()>(self.clear, "clear", false, (handle, slots))
    }
}
