//! `unique-users` as a metric of the contract: its laws, its numbers, its refusals.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use std::collections::BTreeSet;

use plugin_support::laws::{self, Metric};
use plugin_unique_users::bindings::clickmill::plugin::columns::{Column, Data, Failure, Values};
use plugin_unique_users::{EXACT, Guest, GuestSlots, Plugin, Slots};
use proptest::prelude::*;

fn values(blobs: &[Vec<u8>]) -> Values {
    let (bytes, ends) = laws::joined(blobs);
    Values { bytes, ends }
}

fn update(slots: &Slots, rows: &[(u32, u64)]) {
    let hashes = rows.iter().map(|row| row.1).collect();
    let column = Column { data: Data::Unsigned(hashes), valid: vec![] };
    slots.update(vec![column], rows.iter().map(|row| row.0).collect()).unwrap();
}

fn users(slots: &Slots, which: &[u32]) -> Vec<i64> {
    match &slots.evaluate(which.to_vec()).unwrap()[..] {
        [Column { data: Data::Integers(users), valid }] if valid.is_empty() => users.clone(),
        other => panic!("one column of integers without nulls, not {other:?}"),
    }
}

struct UnderTest(Slots);

impl Metric for UnderTest {
    type Row = u64;
    type Answer = Vec<i64>;

    fn new() -> Self {
        Self(Slots::new(String::new()))
    }

    fn update(&self, rows: &[(u32, u64)]) {
        update(&self.0, rows);
    }

    fn merge(&self, slots: &[u32], blobs: &[Vec<u8>]) {
        self.0.merge(slots.to_vec(), values(blobs), 1).unwrap();
    }

    fn save(&self, slots: &[u32]) -> Vec<Vec<u8>> {
        let saved = self.0.save(slots.to_vec()).unwrap();
        laws::parted(&saved.bytes, &saved.ends, slots.len())
    }

    fn evaluate(&self, slots: &[u32]) -> Vec<i64> {
        users(&self.0, slots)
    }

    fn clear(&self, slots: &[u32]) {
        self.0.clear(slots.to_vec());
    }

    fn reset(&self) {
        self.0.reset();
    }
}

/// Hashes that collide: few, zero among them, equal in their low or high bits.
fn hash() -> impl Strategy<Value = u64> {
    prop_oneof![
        0u64..40,
        (0u64..40).prop_map(|high| high << 58),
        (0u64..40).prop_map(|n| n << 32 | 1),
        any::<u64>()
    ]
}

fn with_shuffle<T: Clone + std::fmt::Debug>(
    rows: impl Strategy<Value = Vec<T>>,
) -> impl Strategy<Value = (Vec<T>, Vec<T>)> {
    rows.prop_flat_map(|rows| (Just(rows.clone()), Just(rows).prop_shuffle()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn the_laws_hold_for_small_groups(
        (rows, shuffled) in with_shuffle(prop::collection::vec((0u32..12, hash()), 0..300)),
        cuts in (0usize..300, 0usize..300),
    ) {
        laws::check::<UnderTest>(&rows, &shuffled, cuts);
        let slots = Slots::new(String::new());
        update(&slots, &rows);
        for slot in 0..12 {
            let distinct: BTreeSet<_> = rows.iter().filter(|row| row.0 == slot).map(|row| row.1).collect();
            prop_assert_eq!(users(&slots, &[slot]), [distinct.len() as i64]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn the_laws_hold_about_the_limit_of_exactness(
        (rows, shuffled) in with_shuffle(
            (900usize..1300, any::<u64>()).prop_map(|(count, seed)| {
                (0..count as u64).map(|n| (3, (n ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect::<Vec<_>>()
            })
        ),
        cuts in (0usize..1300, 0usize..1300),
    ) {
        laws::check::<UnderTest>(&rows, &shuffled, cuts);
        let slots = Slots::new(String::new());
        update(&slots, &rows);
        let counted = users(&slots, &[3])[0];
        if rows.len() <= EXACT {
            prop_assert_eq!(counted, rows.len() as i64);
        } else {
            prop_assert!(counted > EXACT as i64);
            prop_assert!((counted as f64 / rows.len() as f64 - 1.0).abs() < 0.05);
        }
    }

    #[test]
    fn any_bytes_are_a_set_or_refused_by_slot(
        tag in 0u8..4, kind in 0u8..3, body in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        let slots = Slots::new(String::new());
        update(&slots, &[(7, 1), (8, 1)]);
        let before = slots.save(vec![7, 8]).unwrap().bytes;
        let mut one = vec![1];
        one.extend_from_slice(&9u64.to_le_bytes());
        let blob = [tag, kind].into_iter().chain(body).collect();
        match slots.merge(vec![8, 7], values(&[one, blob]), 1) {
            Ok(()) => {}
            Err(Failure::Call(message)) => {
                prop_assert!(message.starts_with("unique-users: slot 7: "), "{}", message);
                prop_assert_eq!(slots.save(vec![7, 8]).unwrap().bytes, before, "a refused call changes nothing");
            }
            Err(other) => prop_assert!(false, "{:?}", other),
        }
    }
}

#[test]
fn sets_that_no_save_makes_are_refused() {
    let slots = Slots::new(String::new());
    let set = |hashes: &[u64]| {
        [1].into_iter().chain(hashes.iter().flat_map(|hash| hash.to_le_bytes())).collect::<Vec<u8>>()
    };
    let refused = |blob: Vec<u8>| match slots.merge(vec![5], values(&[blob]), 1) {
        Err(Failure::Call(message)) => message,
        other => panic!("{other:?}"),
    };
    assert!(refused(set(&[2, 1])).contains("slot 5: the hashes of a set do not rise"));
    assert!(refused(set(&[1, 1])).contains("do not rise"));
    assert!(refused(set(&[])).contains("no set of hashes"));
    assert!(refused(set(&(0..1025).collect::<Vec<_>>())).contains("no set of hashes"));
    assert!(refused(vec![9]).contains("unknown kind 9"));
    assert!(refused(vec![2, 1, 0]).contains("bytes of registers"));
    assert!(refused(vec![2, 0, 0, 52]).contains("rank 52"));
    assert_eq!(users(&slots, &[5]), [0]);
}

#[test]
fn a_null_is_no_user() {
    let slots = Slots::new(String::new());
    let column = Column { data: Data::Unsigned(vec![1, 2, 3]), valid: vec![0b101] };
    slots.update(vec![column], vec![0, 0, 0]).unwrap();
    assert_eq!(users(&slots, &[0]), [2]);
}

#[test]
fn inputs_of_another_kind_or_length_fail_the_call() {
    let slots = Slots::new(String::new());
    let text = Column { data: Data::Text(Values { bytes: vec![], ends: vec![0] }), valid: vec![] };
    assert!(matches!(slots.update(vec![text], vec![0]), Err(Failure::Call(_))));
    let short = Column { data: Data::Unsigned(vec![1]), valid: vec![] };
    assert!(matches!(slots.update(vec![short], vec![0, 1]), Err(Failure::Call(_))));
    assert!(matches!(slots.update(vec![], vec![0]), Err(Failure::Call(_))));
}

#[test]
fn the_column_is_a_parameter() {
    let column = |params: &str| Plugin::describe(params.into()).map(|info| info.inputs[0].column.clone());
    assert_eq!(column(""), Ok("user_id".into()));
    assert_eq!(column(r#"{"column": "session_id"}"#), Ok("session_id".into()));
    assert!(column(r#"{"column": ""}"#).unwrap_err().contains("`column`"));
    assert!(column(r#"{"columns": "x"}"#).unwrap_err().contains("`columns`"));
}

#[test]
fn the_limit_of_exactness_is_1024_users() {
    let slots = Slots::new(String::new());
    let rows: Vec<_> = (0..EXACT as u64).map(|user| (0, user.wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect();
    update(&slots, &rows);
    assert_eq!(EXACT, 1024);
    assert_eq!(users(&slots, &[0]), [1024]);
    assert_eq!(slots.save(vec![0]).unwrap().bytes.len(), 1 + 8 * EXACT, "still a set");
    update(&slots, &[(0, 1)]);
    assert_eq!(slots.save(vec![0]).unwrap().bytes[0], 2, "one more makes a sketch");
}
