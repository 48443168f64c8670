use clickmill_columns::{Column, Values};
use clickmill_tasks::env::{CallError, Metric};
use plugin_clicks::GuestSlots as _;
use plugin_time_on_page::GuestSlots as _;
use plugin_unique_users::GuestSlots as _;

use super::{copied, unknown};

/// One of the default metrics.
pub enum NativeMetric {
    Clicks(plugin_clicks::Slots),
    UniqueUsers(Box<plugin_unique_users::Slots>),
    TimeOnPage(plugin_time_on_page::Slots),
}

/// The same call of whichever metric it is, where it is wanted with the plugin's bridge at hand.
macro_rules! call {
    ($metric:expr, $slots:ident => $call:expr) => {
        match $metric {
            NativeMetric::Clicks($slots) => $call,
            NativeMetric::UniqueUsers($slots) => $call,
            NativeMetric::TimeOnPage($slots) => $call,
        }
    };
    ($metric:expr, $bridge:ident, $slots:ident => $call:expr) => {
        match $metric {
            NativeMetric::Clicks($slots) => {
                use super::bridge::clicks as $bridge;
                $call
            }
            NativeMetric::UniqueUsers($slots) => {
                use super::bridge::unique_users as $bridge;
                $call
            }
            NativeMetric::TimeOnPage($slots) => {
                use super::bridge::time_on_page as $bridge;
                $call
            }
        }
    };
}

impl NativeMetric {
    pub fn new(name: &str) -> Result<NativeMetric, CallError> {
        match name {
            "clicks" => Ok(NativeMetric::Clicks(plugin_clicks::Slots::new(String::new()))),
            "unique-users" => {
                Ok(NativeMetric::UniqueUsers(Box::new(plugin_unique_users::Slots::new(String::new()))))
            }
            "time-on-page" => Ok(NativeMetric::TimeOnPage(plugin_time_on_page::Slots::new(String::new()))),
            _ => unknown(name),
        }
    }
}

impl Metric for NativeMetric {
    async fn update(&mut self, inputs: &[Column], slots: &[u32], _patient: bool) -> Result<(), CallError> {
        call!(self, bridge, metric => {
            let (inputs, slots) = copied(|| (bridge::copy_columns(inputs), slots.to_vec()));
            metric.update(inputs, slots).map_err(bridge::error)
        })
    }

    async fn merge(&mut self, slots: &[u32], states: &Values, version: u32) -> Result<(), CallError> {
        call!(self, bridge, metric => {
            let (slots, states) = copied(|| (slots.to_vec(), bridge::copy_values(states)));
            metric.merge(slots, states, version).map_err(bridge::error)
        })
    }

    async fn save(&mut self, slots: &[u32]) -> Result<Values, CallError> {
        let slots = copied(|| slots.to_vec());
        call!(self, bridge, metric => bridge::values(metric.save(slots).map_err(bridge::error)?))
    }

    async fn evaluate(&mut self, slots: &[u32]) -> Result<Vec<Column>, CallError> {
        let slots = copied(|| slots.to_vec());
        call!(self, bridge, metric => bridge::columns(metric.evaluate(slots).map_err(bridge::error)?, None))
    }

    async fn clear(&mut self, slots: &[u32]) -> Result<(), CallError> {
        let slots = copied(|| slots.to_vec());
        call!(self, metric => metric.clear(slots));
        Ok(())
    }

    async fn reset(&mut self) -> Result<(), CallError> {
        call!(self, metric => metric.reset());
        Ok(())
    }
}
