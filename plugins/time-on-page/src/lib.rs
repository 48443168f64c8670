//! `time-on-page`, a metric over an operator's derived rows: their sum, number and mean.
//!
//! Inputs are `time_on_page` (a duration) and `weight` (1 where it is absent); a row counts `weight` times,
//! and a row without a duration not at all. A slot is the sum in milliseconds and the number of samples, both
//! exact; either may be below zero for a while, where a part of the rows only takes back what another part
//! gave. A number beyond 64 bits is a failure of the row or slot that brings it there.
//!
//! `avg_time_seconds` is `total_ms as f64 / (time_samples as f64 * 1000.0)`, which rounds once for sums below
//! 2^53 ms, and null without samples; `total_time_seconds` is `total_ms as f64 / 1000.0`.

pub mod bindings;

use std::cell::RefCell;

use plugin_support::blobs::{Blobs, BlobsBuilder};
use plugin_support::params::{ParamError, Params};
use plugin_support::segments::Segments;
use plugin_support::valid::{Validity, ValidityBuilder};
use plugin_support::varint::{self, VarintError};

use bindings::clickmill::plugin::columns::{About, Column, Data, Failure, Field, Input, Kind, Shape, Values};
pub use bindings::exports::clickmill::plugin::metric::{Guest, GuestSlots, Info, Rows};

/// The plugin.
pub struct Plugin;

impl Guest for Plugin {
    type Slots = Slots;

    fn describe(params: String) -> Result<Info, String> {
        let operator = operator(&params).map_err(|error| error.to_string())?;
        let input = |column: &str, required| Input { column: column.into(), shape: Shape::Plain, required };
        let field = |name: &str, kind, unit: &str, doc: &str| Field {
            name: name.into(),
            kind,
            unit: unit.into(),
            family: String::new(),
            doc: doc.into(),
        };
        Ok(Info {
            about: About {
                name: "time-on-page".into(),
                version: env!("CARGO_PKG_VERSION").into(),
                summary: "Mean, sum and number of measured times on page.".into(),
                licence: env!("CARGO_PKG_LICENSE").into(),
            },
            over: Rows::Derived(operator),
            inputs: vec![input("time_on_page", true), input("weight", false)],
            outputs: vec![
                field(
                    "avg_time_seconds",
                    Kind::Real,
                    "s",
                    "Mean of the measured times; null if none was measured.",
                ),
                field("total_time_seconds", Kind::Real, "s", "Sum of the measured times."),
                field("time_samples", Kind::Integer, "1", "Number of measured times."),
            ],
            state_version: 1,
        })
    }
}

/// The operator whose rows count: parameter `operator`, else `sessions`.
fn operator(params: &str) -> Result<String, ParamError> {
    let params = Params::read(params, &["operator"])?;
    match params.text("operator")? {
        None => Ok("sessions".into()),
        Some("") => Err(ParamError::Value { name: "operator", reason: "is empty; name an operator".into() }),
        Some(name) => Ok(name.into()),
    }
}

/// What a group has measured.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Times {
    total_ms: i64,
    samples: i64,
}

impl Times {
    /// The sum, none if a number would not fit.
    #[inline]
    fn plus(self, other: Self) -> Option<Self> {
        Some(Self {
            total_ms: self.total_ms.checked_add(other.total_ms)?,
            samples: self.samples.checked_add(other.samples)?,
        })
    }

    fn encode(self, bytes: &mut Vec<u8>) {
        if self != Self::default() {
            varint::put_i64(bytes, self.total_ms);
            varint::put_i64(bytes, self.samples);
        }
    }

    fn decode(mut blob: &[u8]) -> Result<Self, String> {
        if blob.is_empty() {
            return Ok(Self::default());
        }
        let wrong = |error: VarintError| format!("the state is no sum and number: {error}");
        let times = Self {
            total_ms: varint::take_i64(&mut blob).map_err(wrong)?,
            samples: varint::take_i64(&mut blob).map_err(wrong)?,
        };
        if !blob.is_empty() || times == Self::default() {
            return Err("the state is no sum and number: both are zero, or more follows".into());
        }
        Ok(times)
    }
}

/// Sum and number for each group.
pub struct Slots {
    times: RefCell<Segments<Times>>,
}

impl Slots {
    /// Adds all, or, at the first that does not fit, none; then its index is the error.
    fn add(&self, slots: &[u32], increments: impl Fn(usize) -> Option<Times>) -> Result<(), usize> {
        let times = &mut *self.times.borrow_mut();
        for (row, &slot) in slots.iter().enumerate() {
            let entry = times.reach(slot);
            match increments(row).and_then(|increment| entry.plus(increment)) {
                Some(sum) => *entry = sum,
                None => {
                    for (undone, &slot) in slots.iter().enumerate().take(row) {
                        let increment = increments(undone).unwrap_or_default();
                        let entry = times.reach(slot);
                        entry.total_ms = entry.total_ms.wrapping_sub(increment.total_ms);
                        entry.samples = entry.samples.wrapping_sub(increment.samples);
                    }
                    return Err(row);
                }
            }
        }
        Ok(())
    }
}

impl GuestSlots for Slots {
    fn new(_params: String) -> Self {
        Self { times: RefCell::default() }
    }

    fn update(&self, inputs: Vec<Column>, slots: Vec<u32>) -> Result<(), Failure> {
        let rows = slots.len();
        let [durations, weights] = &inputs[..] else {
            return Err(fault(format_args!("{} columns were given for the two inputs", inputs.len())));
        };
        let (durations, measured) = integers("time_on_page", durations, rows)?;
        let weights =
            if is_all_null(weights, rows) { None } else { Some(integers("weight", weights, rows)?) };
        self.add(&slots, |row| {
            if !measured.is_valid(row) {
                return Some(Times::default());
            }
            let weight = match &weights {
                Some((weights, valid)) if valid.is_valid(row) => weights[row],
                _ => 1,
            };
            Some(Times { total_ms: durations[row].checked_mul(weight)?, samples: weight })
        })
        .map_err(|row| Failure::Row((row as u32, "time-on-page: the group's sum is beyond 64 bits".into())))
    }

    fn merge(&self, slots: Vec<u32>, states: Values, _version: u32) -> Result<(), Failure> {
        let blobs = Blobs::new(&states.bytes, &states.ends, slots.len()).map_err(fault)?;
        let mut parts = Vec::with_capacity(slots.len());
        for (slot, blob) in slots.iter().zip(blobs.iter()) {
            parts.push(Times::decode(blob).map_err(|reason| fault(format_args!("slot {slot}: {reason}")))?);
        }
        self.add(&slots, |row| Some(parts[row]))
            .map_err(|row| fault(format_args!("slot {}: the sum is beyond 64 bits", slots[row])))
    }

    fn save(&self, slots: Vec<u32>) -> Result<Values, Failure> {
        let times = &*self.times.borrow();
        let mut blobs = BlobsBuilder::with_capacity(slots.len(), 5 * slots.len());
        for slot in slots {
            times.get(slot).encode(&mut blobs.bytes);
            blobs.end().map_err(fault)?;
        }
        let (bytes, ends) = blobs.finish();
        Ok(Values { bytes, ends })
    }

    fn evaluate(&self, slots: Vec<u32>) -> Result<Vec<Column>, Failure> {
        let times = &*self.times.borrow();
        let rows = slots.len();
        let (mut means, mut totals, mut samples) =
            (Vec::with_capacity(rows), Vec::with_capacity(rows), Vec::with_capacity(rows));
        let mut valid = ValidityBuilder::default();
        for (row, slot) in slots.into_iter().enumerate() {
            let Times { total_ms, samples: count } = times.get(slot);
            if count > 0 {
                means.push(total_ms as f64 / (count as f64 * 1000.0));
            } else {
                means.push(0.0);
                valid.set_null(row, rows);
            }
            totals.push(total_ms as f64 / 1000.0);
            samples.push(count);
        }
        let whole = |data| Column { data, valid: vec![] };
        Ok(vec![
            Column { data: Data::Reals(means), valid: valid.finish() },
            whole(Data::Reals(totals)),
            whole(Data::Integers(samples)),
        ])
    }

    fn clear(&self, slots: Vec<u32>) {
        let times = &mut *self.times.borrow_mut();
        for slot in slots {
            if let Some(entry) = times.get_mut(slot) {
                *entry = Times::default();
            }
        }
    }

    fn reset(&self) {
        self.times.borrow_mut().reset();
    }
}

/// A column that nobody makes may be of any kind.
fn is_all_null(column: &Column, rows: usize) -> bool {
    rows == 0 || (column.valid.len() == rows.div_ceil(8) && column.valid.iter().all(|&bits| bits == 0))
}

fn integers<'a>(name: &str, column: &'a Column, rows: usize) -> Result<(&'a [i64], Validity<'a>), Failure> {
    let Data::Integers(integers) = &column.data else {
        return Err(fault(format_args!("column `{name}` must be a duration or an integer")));
    };
    if integers.len() != rows {
        return Err(fault(format_args!("column `{name}` has {} values for {rows} rows", integers.len())));
    }
    let valid = Validity::new(&column.valid, rows)
        .map_err(|error| fault(format_args!("column `{name}`: {error}")))?;
    Ok((integers, valid))
}

fn fault(reason: impl std::fmt::Display) -> Failure {
    Failure::Call(format!("time-on-page: {reason}"))
}
