//! `unique-users`, a metric: how many distinct users a group has.
//!
//! It reads one text column (`user_id`, or the one that parameter `column` names) as hashes of 64 bits; a
//! null counts nothing. Up to 1,024 distinct hashes in a group the number is exact, beyond it is an estimate
//! with a standard error of 0.81 %. Equal sets of users have equal state, byte for byte, however they came
//! together.

pub mod bindings;
mod sets;
mod sketch;

use std::cell::RefCell;

use plugin_support::blobs::{Blobs, BlobsBuilder};
use plugin_support::params::{ParamError, Params};
use plugin_support::valid::Validity;

use bindings::clickmill::plugin::columns::{About, Column, Data, Failure, Field, Input, Kind, Shape, Values};
pub use bindings::exports::clickmill::plugin::metric::{Guest, GuestSlots, Info, Rows};
pub use sets::EXACT;
use sets::{Saved, Sets};

/// The plugin.
pub struct Plugin;

impl Guest for Plugin {
    type Slots = Slots;

    fn describe(params: String) -> Result<Info, String> {
        let column = column(&params).map_err(|error| error.to_string())?;
        Ok(Info {
            about: About {
                name: "unique-users".into(),
                version: env!("CARGO_PKG_VERSION").into(),
                summary: "Number of distinct users.".into(),
                licence: env!("CARGO_PKG_LICENSE").into(),
            },
            over: Rows::Events,
            inputs: vec![Input { column, shape: Shape::Hash64, required: true }],
            outputs: vec![Field {
                name: "unique_users".into(),
                kind: Kind::Integer,
                unit: "1".into(),
                family: String::new(),
                doc: "Distinct users; exact up to 1,024, then an estimate with a standard error of 0.81 %."
                    .into(),
            }],
            state_version: 1,
        })
    }
}

/// The column that tells users apart: parameter `column`, else `user_id`.
fn column(params: &str) -> Result<String, ParamError> {
    let params = Params::read(params, &["column"])?;
    match params.text("column")? {
        None => Ok("user_id".into()),
        Some("") => Err(ParamError::Value { name: "column", reason: "is empty; name a column".into() }),
        Some(name) => Ok(name.into()),
    }
}

/// A set of hashes for each group.
pub struct Slots {
    sets: RefCell<Sets>,
}

impl GuestSlots for Slots {
    fn new(_params: String) -> Self {
        Self { sets: RefCell::default() }
    }

    fn update(&self, inputs: Vec<Column>, slots: Vec<u32>) -> Result<(), Failure> {
        let (hashes, valid) = hashes(&inputs, slots.len())?;
        let sets = &mut *self.sets.borrow_mut();
        if valid.is_all_valid() {
            for (slot, &hash) in slots.into_iter().zip(hashes) {
                sets.insert(slot, hash);
            }
        } else {
            for (row, (slot, &hash)) in slots.into_iter().zip(hashes).enumerate() {
                if valid.is_valid(row) {
                    sets.insert(slot, hash);
                }
            }
        }
        Ok(())
    }

    fn merge(&self, slots: Vec<u32>, states: Values, _version: u32) -> Result<(), Failure> {
        let blobs = Blobs::new(&states.bytes, &states.ends, slots.len()).map_err(fault)?;
        let named = |slot: &u32, reason: String| fault(format_args!("slot {slot}: {reason}"));
        let mut saved = Vec::with_capacity(slots.len());
        for (slot, blob) in slots.iter().zip(blobs.iter()) {
            saved.push(Saved::read(blob).map_err(|reason| named(slot, reason))?);
        }
        let sets = &mut *self.sets.borrow_mut();
        for (slot, saved) in slots.iter().zip(&saved) {
            sets.merge(*slot, saved).map_err(|reason| named(slot, reason))?;
        }
        Ok(())
    }

    fn save(&self, slots: Vec<u32>) -> Result<Values, Failure> {
        let sets = &mut *self.sets.borrow_mut();
        let mut blobs = BlobsBuilder::with_capacity(slots.len(), 18 * slots.len());
        for slot in slots {
            sets.save(slot, &mut blobs.bytes);
            blobs.end().map_err(fault)?;
        }
        let (bytes, ends) = blobs.finish();
        Ok(Values { bytes, ends })
    }

    fn evaluate(&self, slots: Vec<u32>) -> Result<Vec<Column>, Failure> {
        let sets = &*self.sets.borrow();
        let users = slots.into_iter().map(|slot| sets.count(slot)).collect();
        Ok(vec![Column { data: Data::Integers(users), valid: vec![] }])
    }

    fn clear(&self, slots: Vec<u32>) {
        let sets = &mut *self.sets.borrow_mut();
        slots.into_iter().for_each(|slot| sets.clear(slot));
    }

    fn reset(&self) {
        self.sets.borrow_mut().reset();
    }
}

fn hashes(inputs: &[Column], rows: usize) -> Result<(&[u64], Validity<'_>), Failure> {
    let [Column { data: Data::Unsigned(hashes), valid }] = inputs else {
        return Err(fault("the input must be one column of hashes"));
    };
    if hashes.len() != rows {
        return Err(fault(format_args!("{} hashes were given for {rows} rows", hashes.len())));
    }
    Ok((hashes, Validity::new(valid, rows).map_err(fault)?))
}

fn fault(reason: impl std::fmt::Display) -> Failure {
    Failure::Call(format!("unique-users: {reason}"))
}
