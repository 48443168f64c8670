//! `time-on-page` as a metric of the contract: its laws, its numbers, its refusals.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use plugin_support::laws::{self, Metric};
use plugin_support::varint::put_i64;
use plugin_time_on_page::bindings::clickmill::plugin::columns::{Column, Data, Failure, Values};
use plugin_time_on_page::{Guest, GuestSlots, Plugin, Rows, Slots};
use proptest::prelude::*;

fn values(blobs: &[Vec<u8>]) -> Values {
    let (bytes, ends) = laws::joined(blobs);
    Values { bytes, ends }
}

fn column(values: &[Option<i64>]) -> Column {
    let mut valid = vec![0; values.len().div_ceil(8)];
    for (row, _) in values.iter().enumerate().filter(|(_, value)| value.is_some()) {
        valid[row / 8] |= 1 << (row % 8);
    }
    Column { data: Data::Integers(values.iter().map(|value| value.unwrap_or(i64::MIN)).collect()), valid }
}

fn update(slots: &Slots, rows: &[(u32, Row)]) -> Result<(), Failure> {
    let durations: Vec<_> = rows.iter().map(|row| row.1.0).collect();
    let weights: Vec<_> = rows.iter().map(|row| row.1.1).collect();
    slots.update(vec![column(&durations), column(&weights)], rows.iter().map(|row| row.0).collect())
}

/// Mean, sum and number of one slot.
fn answer(slots: &Slots, slot: u32) -> (Option<f64>, f64, i64) {
    let columns = slots.evaluate(vec![slot]).unwrap();
    match &columns[..] {
        [
            Column { data: Data::Reals(means), valid },
            Column { data: Data::Reals(totals), .. },
            Column { data: Data::Integers(samples), .. },
        ] => ((valid != &[0]).then_some(means[0]), totals[0], samples[0]),
        other => panic!("mean, sum and number, not {other:?}"),
    }
}

/// A duration and a weight.
type Row = (Option<i64>, Option<i64>);

struct UnderTest(Slots);

impl Metric for UnderTest {
    type Row = Row;
    type Answer = Vec<(Option<f64>, f64, i64)>;

    fn new() -> Self {
        Self(Slots::new(String::new()))
    }

    fn update(&self, rows: &[(u32, Row)]) {
        update(&self.0, rows).unwrap();
    }

    fn merge(&self, slots: &[u32], blobs: &[Vec<u8>]) {
        self.0.merge(slots.to_vec(), values(blobs), 1).unwrap();
    }

    fn save(&self, slots: &[u32]) -> Vec<Vec<u8>> {
        let saved = self.0.save(slots.to_vec()).unwrap();
        laws::parted(&saved.bytes, &saved.ends, slots.len())
    }

    fn evaluate(&self, slots: &[u32]) -> Self::Answer {
        slots.iter().map(|&slot| answer(&self.0, slot)).collect::<Vec<_>>()
    }

    fn clear(&self, slots: &[u32]) {
        self.0.clear(slots.to_vec());
    }

    fn reset(&self) {
        self.0.reset();
    }
}

fn rows() -> impl Strategy<Value = Vec<(u32, Row)>> {
    let duration = prop_oneof![9 => (0i64..1_800_001).prop_map(Some), 1 => Just(None)];
    let weight =
        prop_oneof![4 => Just(Some(1)), 4 => Just(Some(-1)), 1 => Just(None), 1 => (-3i64..9).prop_map(Some)];
    prop::collection::vec((0u32..50, (duration, weight)), 0..150)
}

proptest! {
    #[test]
    fn the_laws_hold(
        (rows, shuffled) in rows().prop_flat_map(|rows| (Just(rows.clone()), Just(rows).prop_shuffle())),
        cuts in (0usize..150, 0usize..150),
    ) {
        laws::check::<UnderTest>(&rows, &shuffled, cuts);
    }

    #[test]
    fn it_is_the_sum_over_the_weighted_rows(rows in rows()) {
        let slots = Slots::new(String::new());
        update(&slots, &rows).unwrap();
        for slot in 0..50 {
            let measured = rows.iter().filter(|row| row.0 == slot)
                .filter_map(|row| row.1.0.map(|duration| (duration, row.1.1.unwrap_or(1))));
            let (total, samples) = measured.fold((0, 0), |sum, row| (sum.0 + row.0 * row.1, sum.1 + row.1));
            let mean = (samples > 0).then(|| total as f64 / (samples as f64 * 1000.0));
            prop_assert_eq!(answer(&slots, slot), (mean, total as f64 / 1000.0, samples));
        }
    }

    #[test]
    fn any_bytes_are_a_state_or_refused_by_slot(blob in prop::collection::vec(any::<u8>(), 0..22)) {
        let slots = Slots::new(String::new());
        update(&slots, &[(7, (Some(5), None)), (8, (Some(6), None))]).unwrap();
        match slots.merge(vec![8, 7], values(&[vec![2, 2], blob]), 1) {
            Ok(()) => {}
            Err(Failure::Call(message)) => {
                prop_assert!(message.starts_with("time-on-page: slot 7: "), "{}", message);
                prop_assert_eq!(answer(&slots, 8), (Some(0.006), 0.006, 1), "a refused call changes nothing");
            }
            Err(other) => prop_assert!(false, "{:?}", other),
        }
    }
}

#[test]
fn a_group_that_measured_nothing_has_no_mean_and_no_time() {
    let slots = Slots::new(String::new());
    assert_eq!(answer(&slots, 3), (None, 0.0, 0));
    update(&slots, &[(3, (Some(1500), Some(1))), (3, (Some(1500), Some(-1)))]).unwrap();
    assert_eq!(answer(&slots, 3), (None, 0.0, 0));
    assert!(slots.save(vec![3]).unwrap().bytes.is_empty());
}

#[test]
fn a_weight_that_nobody_makes_is_one() {
    let slots = Slots::new(String::new());
    let missing = Column { data: Data::Reals(vec![0.0; 2]), valid: vec![0] };
    slots.update(vec![column(&[Some(1000), Some(2000)]), missing], vec![0, 0]).unwrap();
    assert_eq!(answer(&slots, 0), (Some(1.5), 3.0, 2));
}

#[test]
fn a_sum_beyond_64_bits_fails_by_its_row_and_changes_nothing() {
    let slots = Slots::new(String::new());
    update(&slots, &[(0, (Some(7), None))]).unwrap();
    let rows = [(0, (Some(i64::MAX - 7), None)), (1, (Some(1), None)), (0, (Some(1), None))];
    assert!(
        matches!(update(&slots, &rows), Err(Failure::Row((2, message))) if message.contains("beyond 64 bits"))
    );
    assert!(matches!(update(&slots, &[(0, (Some(i64::MAX), Some(2)))]), Err(Failure::Row((0, _)))));
    assert_eq!((answer(&slots, 0), answer(&slots, 1)), ((Some(0.007), 0.007, 1), (None, 0.0, 0)));

    let mut blob = Vec::new();
    put_i64(&mut blob, i64::MAX);
    put_i64(&mut blob, 1);
    let refused = slots.merge(vec![4, 0], values(&[blob.clone(), blob]), 1);
    assert!(matches!(refused, Err(Failure::Call(message)) if message.contains("slot 0")));
    assert_eq!(answer(&slots, 4), (None, 0.0, 0));
}

#[test]
fn the_operator_is_a_parameter() {
    let over = |params: &str| match Plugin::describe(params.into()) {
        Ok(info) => match info.over {
            Rows::Derived(operator) => Ok(operator),
            Rows::Events => panic!("it counts derived rows"),
        },
        Err(error) => Err(error),
    };
    assert_eq!(over(""), Ok("sessions".into()));
    assert_eq!(over(r#"{"operator": "visits"}"#), Ok("visits".into()));
    assert!(over(r#"{"operator": ""}"#).unwrap_err().contains("`operator`"));
    assert!(over(r#"{"operators": "visits"}"#).unwrap_err().contains("`operators`"));
}
