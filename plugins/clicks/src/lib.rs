//! `clicks`, a metric: how many events a group has.
//!
//! It reads no column. A slot is a counter, its blob the counter as a varint, empty for zero. A counter that
//! is full stays full.

pub mod bindings;

use std::cell::RefCell;

use plugin_support::blobs::{Blobs, BlobsBuilder};
use plugin_support::params::Params;
use plugin_support::segments::Segments;
use plugin_support::varint;

use bindings::clickmill::plugin::columns::{About, Column, Data, Failure, Field, Kind, Values};
pub use bindings::exports::clickmill::plugin::metric::{Guest, GuestSlots, Info, Rows};

/// The plugin.
pub struct Plugin;

impl Guest for Plugin {
    type Slots = Slots;

    fn describe(params: String) -> Result<Info, String> {
        Params::read(&params, &[]).map_err(|error| error.to_string())?;
        Ok(Info {
            about: About {
                name: "clicks".into(),
                version: env!("CARGO_PKG_VERSION").into(),
                summary: "Number of events.".into(),
                licence: env!("CARGO_PKG_LICENSE").into(),
            },
            over: Rows::Events,
            inputs: vec![],
            outputs: vec![Field {
                name: "clicks".into(),
                kind: Kind::Integer,
                unit: "1".into(),
                family: String::new(),
                doc: "Events, of every type.".into(),
            }],
            state_version: 1,
        })
    }
}

/// A counter for each group.
pub struct Slots {
    counters: RefCell<Segments<u64>>,
}

impl GuestSlots for Slots {
    fn new(_params: String) -> Self {
        Self { counters: RefCell::default() }
    }

    fn update(&self, _inputs: Vec<Column>, slots: Vec<u32>) -> Result<(), Failure> {
        let counters = &mut *self.counters.borrow_mut();
        for slot in slots {
            add(counters.reach(slot), 1);
        }
        Ok(())
    }

    fn merge(&self, slots: Vec<u32>, states: Values, _version: u32) -> Result<(), Failure> {
        let blobs = Blobs::new(&states.bytes, &states.ends, slots.len()).map_err(fault)?;
        let mut counts = Vec::with_capacity(slots.len());
        for (slot, blob) in slots.iter().zip(blobs.iter()) {
            counts.push(decode(blob).map_err(|reason| fault(format_args!("slot {slot}: {reason}")))?);
        }
        let counters = &mut *self.counters.borrow_mut();
        for (slot, count) in slots.into_iter().zip(counts) {
            add(counters.reach(slot), count);
        }
        Ok(())
    }

    fn save(&self, slots: Vec<u32>) -> Result<Values, Failure> {
        let counters = &*self.counters.borrow();
        let mut blobs = BlobsBuilder::with_capacity(slots.len(), 2 * slots.len());
        for slot in slots {
            match counters.get(slot) {
                0 => {}
                count => varint::put_u64(&mut blobs.bytes, count),
            }
            blobs.end().map_err(fault)?;
        }
        let (bytes, ends) = blobs.finish();
        Ok(Values { bytes, ends })
    }

    fn evaluate(&self, slots: Vec<u32>) -> Result<Vec<Column>, Failure> {
        let counters = &*self.counters.borrow();
        let clicks = slots.into_iter().map(|slot| i64::try_from(counters.get(slot)).unwrap_or(i64::MAX));
        Ok(vec![Column { data: Data::Integers(clicks.collect()), valid: vec![] }])
    }

    fn clear(&self, slots: Vec<u32>) {
        let counters = &mut *self.counters.borrow_mut();
        for slot in slots {
            if let Some(counter) = counters.get_mut(slot) {
                *counter = 0;
            }
        }
    }

    fn reset(&self) {
        self.counters.borrow_mut().reset();
    }
}

#[inline]
fn add(counter: &mut u64, count: u64) {
    *counter = counter.saturating_add(count);
}

fn decode(mut blob: &[u8]) -> Result<u64, String> {
    if blob.is_empty() {
        return Ok(0);
    }
    let count = varint::take_u64(&mut blob).map_err(|error| format!("the state is no counter: {error}"))?;
    if count == 0 || !blob.is_empty() {
        return Err("the state is no counter: it is zero, or more follows".into());
    }
    Ok(count)
}

fn fault(reason: impl std::fmt::Display) -> Failure {
    Failure::Call(format!("clicks: {reason}"))
}
