use clickmill_columns::{Column, Values};
use clickmill_tasks::env::{CallError, Derived, Extent, Operator};
use plugin_sessions::{GuestSlots, Slots};

use super::{bridge::sessions as bridge, copied, unknown};

/// The operator `sessions`.
pub struct NativeOperator(Slots);

impl NativeOperator {
    pub fn new(name: &str) -> Result<NativeOperator, CallError> {
        match name {
            "sessions" => Ok(NativeOperator(Slots::new(String::new()))),
            _ => unknown(name),
        }
    }
}

impl Operator for NativeOperator {
    async fn process(
        &mut self,
        times: &[i64],
        origins: &[u64],
        inputs: &[Column],
        slots: &[u32],
        horizon: i64,
        _patient: bool,
    ) -> Result<Derived, CallError> {
        let (times, origins, inputs, slots) =
            copied(|| (times.to_vec(), origins.to_vec(), bridge::copy_columns(inputs), slots.to_vec()));
        let derived = self.0.process(times, origins, inputs, slots, horizon).map_err(bridge::error)?;
        let columns = bridge::columns(derived.columns, None)?;
        Ok(Derived { times: derived.times, origins: derived.origins, columns })
    }

    async fn save(&mut self, slots: &[u32], horizon: i64, extent: Extent) -> Result<Values, CallError> {
        let extent = match extent {
            Extent::Whole => plugin_sessions::Extent::Whole,
            Extent::Added => plugin_sessions::Extent::Added,
        };
        let slots = copied(|| slots.to_vec());
        bridge::values(self.0.save(slots, horizon, extent).map_err(bridge::error)?)
    }

    async fn restore(&mut self, slots: &[u32], states: &Values, version: u32) -> Result<(), CallError> {
        let (slots, states) = copied(|| (slots.to_vec(), bridge::copy_values(states)));
        self.0.restore(slots, states, version).map_err(bridge::error)
    }

    async fn clear(&mut self, slots: &[u32]) -> Result<(), CallError> {
        let slots = copied(|| slots.to_vec());
        self.0.clear(slots);
        Ok(())
    }
}
