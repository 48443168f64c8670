//! `sessions`, an operator: the time from each event of a user to the user's next one.
//!
//! "Next" is by time, and among equal times by arrival. A time is measured if it is at most the gap
//! (parameter `gap`, `30m`); a row about the earlier event then has it as `time_on_page`, with `weight` 1. An
//! event that arrives between two others takes their row back with `weight` -1 and gives two in its place,
//! however late it is.
//!
//! A slot holds the times and origins of a user's events, as far as an event that may still come can lie
//! within the gap of them. `save` of extent `added` writes what came since the last save only.

pub mod bindings;
mod event;
mod gap;
mod history;
mod run;
mod timelines;

use std::cell::RefCell;

use plugin_support::blobs::{Blobs, BlobsBuilder};

use bindings::clickmill::plugin::columns::{About, Column, Data, Failure, Field, Kind, Values};
pub use bindings::exports::clickmill::plugin::operator::{Derived, Extent, Guest, GuestSlots, Info};
use event::{Decoder, Event, TIME_LIMIT};
use timelines::Timelines;

/// The plugin.
pub struct Plugin;

impl Guest for Plugin {
    type Slots = Slots;

    fn describe(params: String) -> Result<Info, String> {
        let gap = gap::read(&params).map_err(|error| error.to_string())?;
        let field = |name: &str, kind, unit: &str, doc: &str| Field {
            name: name.into(),
            kind,
            unit: unit.into(),
            family: String::new(),
            doc: doc.into(),
        };
        Ok(Info {
            about: About {
                name: "sessions".into(),
                version: env!("CARGO_PKG_VERSION").into(),
                summary: "Times from each event of a user to the next one.".into(),
                licence: env!("CARGO_PKG_LICENSE").into(),
            },
            key: vec!["user_id".into()],
            inputs: vec![],
            outputs: vec![
                field("time_on_page", Kind::Duration, "ms", "Time to the user's next event."),
                field("weight", Kind::Integer, "1", "1, or -1 where an equal row is taken back."),
            ],
            reach: gap,
            state_version: 1,
        })
    }
}

/// The events of each user.
pub struct Slots {
    gap: i64,
    timelines: RefCell<Timelines>,
}

impl GuestSlots for Slots {
    fn new(params: String) -> Self {
        Self { gap: gap::of(&params), timelines: RefCell::default() }
    }

    fn process(
        &self,
        times: Vec<i64>,
        origins: Vec<u64>,
        _inputs: Vec<Column>,
        slots: Vec<u32>,
        horizon: i64,
    ) -> Result<Derived, Failure> {
        let rows = slots.len();
        if times.len() != rows || origins.len() != rows {
            return Err(fault(format_args!(
                "{} times and {} origins were given for {rows} rows",
                times.len(),
                origins.len()
            )));
        }
        if let Some(row) = times.iter().position(|time| time.unsigned_abs() > TIME_LIMIT as u64) {
            return Err(Failure::Row((
                row as u32,
                format!("sessions: the time {} is out of range", times[row]),
            )));
        }
        let timelines = &mut *self.timelines.borrow_mut();
        let mut found = Intervals::with_capacity(self.gap, rows);
        for ((slot, time), origin) in slots.into_iter().zip(times).zip(origins) {
            let event = Event::fresh(time, origin);
            let around = timelines.insert(slot, event);
            match (around.before, around.after) {
                (None, None) => {}
                (Some(before), None) => found.push(before, event, 1),
                (None, Some(after)) => found.push(event, after, 1),
                (Some(before), Some(after)) => {
                    found.push(before, after, -1);
                    found.push(before, event, 1);
                    found.push(event, after, 1);
                }
            }
        }
        timelines.raise_bound(horizon.saturating_sub(self.gap));
        Ok(found.into_derived())
    }

    fn save(&self, slots: Vec<u32>, horizon: i64, extent: Extent) -> Result<Values, Failure> {
        let timelines = &mut *self.timelines.borrow_mut();
        timelines.raise_bound(horizon.saturating_sub(self.gap));
        let mut blobs = BlobsBuilder::with_capacity(slots.len(), 16 * slots.len());
        for slot in slots {
            match extent {
                Extent::Whole => timelines.save_whole(slot, &mut blobs.bytes),
                Extent::Added => timelines.save_added(slot, &mut blobs.bytes),
            }
            blobs.end().map_err(fault)?;
        }
        let (bytes, ends) = blobs.finish();
        Ok(Values { bytes, ends })
    }

    fn restore(&self, slots: Vec<u32>, states: Values, _version: u32) -> Result<(), Failure> {
        let blobs = Blobs::new(&states.bytes, &states.ends, slots.len()).map_err(fault)?;
        let named = |slot: u32, reason: String| fault(format_args!("slot {slot}: {reason}"));
        for (&slot, blob) in slots.iter().zip(blobs.iter()) {
            if let Some(reason) = Decoder::new(blob).find_map(Result::err) {
                return Err(named(slot, reason));
            }
        }
        let timelines = &mut *self.timelines.borrow_mut();
        for (&slot, blob) in slots.iter().zip(blobs.iter()) {
            timelines.restore(slot, blob).map_err(|reason| named(slot, reason))?;
        }
        Ok(())
    }

    fn clear(&self, slots: Vec<u32>) {
        let timelines = &mut *self.timelines.borrow_mut();
        slots.into_iter().for_each(|slot| timelines.clear(slot));
    }
}

/// Rows about the earlier event of each interval that is no longer than the gap.
struct Intervals {
    gap: i64,
    times: Vec<i64>,
    origins: Vec<u64>,
    durations: Vec<i64>,
    weights: Vec<i64>,
}

impl Intervals {
    fn with_capacity(gap: i64, rows: usize) -> Self {
        Self {
            gap,
            times: Vec::with_capacity(rows),
            origins: Vec::with_capacity(rows),
            durations: Vec::with_capacity(rows),
            weights: Vec::with_capacity(rows),
        }
    }

    #[inline]
    fn push(&mut self, from: Event, to: Event, weight: i64) {
        let duration = to.time() - from.time();
        if duration <= self.gap {
            self.times.push(from.time());
            self.origins.push(from.origin);
            self.durations.push(duration);
            self.weights.push(weight);
        }
    }

    fn into_derived(self) -> Derived {
        let column = |integers| Column { data: Data::Integers(integers), valid: vec![] };
        Derived {
            times: self.times,
            origins: self.origins,
            columns: vec![column(self.durations), column(self.weights)],
        }
    }
}

fn fault(reason: impl std::fmt::Display) -> Failure {
    Failure::Call(format!("sessions: {reason}"))
}
