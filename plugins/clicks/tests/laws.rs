//! `clicks` as a metric of the contract: its laws, its numbers, its refusals.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use plugin_clicks::bindings::clickmill::plugin::columns::{Column, Data, Failure, Values};
use plugin_clicks::{Guest, GuestSlots, Plugin, Slots};
use plugin_support::laws::{self, Metric};
use proptest::prelude::*;

fn values(blobs: &[Vec<u8>]) -> Values {
    let (bytes, ends) = laws::joined(blobs);
    Values { bytes, ends }
}

fn clicks(slots: &Slots, which: &[u32]) -> Vec<i64> {
    let columns = slots.evaluate(which.to_vec()).unwrap();
    match &columns[..] {
        [Column { data: Data::Integers(clicks), valid }] if valid.is_empty() => clicks.clone(),
        other => panic!("one column of integers without nulls, not {other:?}"),
    }
}

impl Metric for UnderTest {
    type Row = ();
    type Answer = Vec<i64>;

    fn new() -> Self {
        Self(Slots::new(String::new()))
    }

    fn update(&self, rows: &[(u32, ())]) {
        self.0.update(vec![], rows.iter().map(|row| row.0).collect()).unwrap();
    }

    fn merge(&self, slots: &[u32], blobs: &[Vec<u8>]) {
        self.0.merge(slots.to_vec(), values(blobs), 1).unwrap();
    }

    fn save(&self, slots: &[u32]) -> Vec<Vec<u8>> {
        let saved = self.0.save(slots.to_vec()).unwrap();
        laws::parted(&saved.bytes, &saved.ends, slots.len())
    }

    fn evaluate(&self, slots: &[u32]) -> Self::Answer {
        clicks(&self.0, slots)
    }

    fn clear(&self, slots: &[u32]) {
        self.0.clear(slots.to_vec());
    }

    fn reset(&self) {
        self.0.reset();
    }
}

struct UnderTest(Slots);

proptest! {
    #[test]
    fn the_laws_hold(
        (rows, shuffled) in prop::collection::vec((0u32..20_000, Just(())), 0..200)
            .prop_flat_map(|rows| (Just(rows.clone()), Just(rows).prop_shuffle())),
        cuts in (0usize..200, 0usize..200),
    ) {
        laws::check::<UnderTest>(&rows, &shuffled, cuts);
    }

    #[test]
    fn any_bytes_are_a_counter_or_refused_by_slot(blob in prop::collection::vec(any::<u8>(), 0..12)) {
        let slots = Slots::new(String::new());
        slots.update(vec![], vec![7, 8]).unwrap();
        match slots.merge(vec![8, 7], values(&[vec![1], blob]), 1) {
            Ok(()) => {}
            Err(Failure::Call(message)) => {
                prop_assert!(message.starts_with("clicks: slot 7: "), "{}", message);
                prop_assert_eq!(clicks(&slots, &[7, 8]), [1, 1], "a refused call changes nothing");
            }
            Err(other) => prop_assert!(false, "{:?}", other),
        }
    }
}

#[test]
fn a_group_counts_its_rows() {
    let slots = Slots::new(String::new());
    slots.update(vec![], vec![0, 2, 2, 9000]).unwrap();
    assert_eq!(clicks(&slots, &[0, 1, 2, 9000, 1_000_000]), [1, 0, 2, 1, 0]);
}

#[test]
fn a_full_counter_stays_full() {
    let slots = Slots::new(String::new());
    let mut full = Vec::new();
    plugin_support::varint::put_u64(&mut full, u64::MAX);
    slots.merge(vec![0, 0], values(&[full.clone(), full]), 1).unwrap();
    assert_eq!(clicks(&slots, &[0]), [i64::MAX]);
}

#[test]
fn it_takes_no_parameters() {
    assert!(Plugin::describe(String::new()).is_ok());
    let error = Plugin::describe(r#"{"colour": "red"}"#.into()).unwrap_err();
    assert_eq!(error, "unknown parameter `colour`; this plugin takes none");
}
