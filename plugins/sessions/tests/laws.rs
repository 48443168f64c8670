//! `sessions` as an operator of the contract, against a model that keeps every event and sorts.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use std::collections::BTreeMap;

use plugin_sessions::bindings::clickmill::plugin::columns::{Data, Failure, Values};
use plugin_sessions::{Derived, Extent, Guest, GuestSlots, Plugin, Slots};
use proptest::prelude::*;

const GAP: i64 = 100;

fn slots() -> Slots {
    Slots::new(format!(r#"{{"gap": "{GAP}ms"}}"#))
}

#[derive(Clone, Copy, Debug)]
struct Click {
    slot: u32,
    time: i64,
    origin: u64,
}

/// Sums of the weights of equal rows (time, origin, duration); none is zero.
type Sums = BTreeMap<(i64, u64, i64), i64>;

fn add(sums: &mut Sums, derived: &Derived) {
    let [durations, weights] = &derived.columns[..] else { panic!("two columns") };
    let (Data::Integers(durations), Data::Integers(weights)) = (&durations.data, &weights.data) else {
        panic!("two columns of integers")
    };
    assert_eq!([derived.origins.len(), durations.len(), weights.len()], [derived.times.len(); 3]);
    for row in 0..durations.len() {
        let key = (derived.times[row], derived.origins[row], durations[row]);
        let sum = sums.entry(key).or_insert(0);
        *sum += weights[row];
        if *sum == 0 {
            sums.remove(&key);
        }
    }
}

fn model(clicks: &[Click]) -> Sums {
    let mut sums = Sums::new();
    let mut by_slot = BTreeMap::<u32, Vec<Click>>::new();
    clicks.iter().for_each(|click| by_slot.entry(click.slot).or_default().push(*click));
    for clicks in by_slot.values_mut() {
        clicks.sort_by_key(|click| click.time);
        for pair in clicks.windows(2) {
            let duration = pair[1].time - pair[0].time;
            if duration <= GAP {
                *sums.entry((pair[0].time, pair[0].origin, duration)).or_insert(0) += 1;
            }
        }
    }
    sums
}

fn process(slots: &Slots, clicks: &[Click], horizon: i64) -> Derived {
    let times = clicks.iter().map(|click| click.time).collect();
    let origins = clicks.iter().map(|click| click.origin).collect();
    slots.process(times, origins, vec![], clicks.iter().map(|click| click.slot).collect(), horizon).unwrap()
}

/// What happens after a batch.
#[derive(Clone, Debug)]
enum Step {
    Nothing,
    SaveAdded,
    SaveWhole,
    /// Save the slots by what `added` says of each, throw the instance away and restore another.
    Restart {
        added: bool,
    },
    /// Save one slot whole, clear it, restore it.
    Evict(u32),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Nothing),
        2 => Just(Step::SaveAdded),
        1 => Just(Step::SaveWhole),
        2 => any::<bool>().prop_map(|added| Step::Restart { added }),
        1 => (0u32..4).prop_map(Step::Evict),
    ]
}

/// Every blob of every slot that is needed to restore it.
#[derive(Default)]
struct Log(BTreeMap<u32, Vec<Vec<u8>>>);

impl Log {
    fn save(&mut self, slots: &Slots, which: &[u32], horizon: i64, extent: Extent) {
        let saved = slots.save(which.to_vec(), horizon, extent).unwrap();
        let mut start = 0;
        for (slot, &end) in which.iter().zip(&saved.ends) {
            let blobs = self.0.entry(*slot).or_default();
            if extent == Extent::Whole {
                blobs.clear();
            }
            blobs.push(saved.bytes[start..end as usize].to_vec());
            start = end as usize;
        }
    }

    fn restore(&self, slots: &Slots, which: &[u32]) {
        for slot in which {
            for blob in &self.0[slot] {
                let states = Values { ends: vec![blob.len() as u32], bytes: blob.clone() };
                slots.restore(vec![*slot], states, 1).unwrap();
            }
        }
    }
}

fn run(clicks: &[Click], batches: &[(usize, Step)], lag: i64) -> Result<(), TestCaseError> {
    let all: Vec<u32> = (0..4).collect();
    let mut state = slots();
    let mut log = Log::default();
    let mut sums = Sums::new();
    let (mut done, mut horizon) = (0, i64::MIN);
    let mut batches = batches.iter().cycle();
    while done < clicks.len() {
        let Some((size, step)) = batches.next() else { break };
        let end = (done + size).min(clicks.len());
        let least = clicks[end..].iter().map(|click| click.time).min().unwrap_or(i64::MAX);
        horizon = horizon.max(least.saturating_sub(lag));
        add(&mut sums, &process(&state, &clicks[done..end], horizon));
        prop_assert_eq!(&sums, &model(&clicks[..end]));
        match step {
            Step::Nothing => {}
            Step::SaveAdded => log.save(&state, &all, horizon, Extent::Added),
            Step::SaveWhole => log.save(&state, &all, horizon, Extent::Whole),
            Step::Restart { added } => {
                let extent = if *added { Extent::Added } else { Extent::Whole };
                log.save(&state, &all, horizon, extent);
                let restored = slots();
                log.restore(&restored, &all);
                let whole = |slots: &Slots| slots.save(all.clone(), horizon, Extent::Whole).unwrap();
                let (old, new) = (whole(&state), whole(&restored));
                prop_assert_eq!((old.bytes, old.ends), (new.bytes, new.ends));
                log.save(&restored, &all, horizon, Extent::Whole);
                state = restored;
            }
            Step::Evict(slot) => {
                log.save(&state, &[*slot], horizon, Extent::Whole);
                state.clear(vec![*slot]);
                log.restore(&state, &[*slot]);
            }
        }
        done = end;
    }
    Ok(())
}

/// Clicks that come in order, or in the reverse one, but for a disorder of so many milliseconds; times tie often.
fn clicks(count: impl Into<proptest::collection::SizeRange>, keys: u32) -> impl Strategy<Value = Vec<Click>> {
    let pace = prop_oneof![4 => 0i64..60, 1 => -60i64..0];
    (prop_oneof![Just(0i64), 1i64..50, 50i64..5000], pace).prop_flat_map({
        let count = count.into();
        move |(disorder, pace)| {
            prop::collection::vec((0..keys, 0..=disorder, 0u64..1000), count.clone()).prop_map(
                move |clicks| {
                    let click = |(at, (slot, late, origin)): (usize, (u32, i64, u64))| Click {
                        slot,
                        time: at as i64 * pace / 4 - late,
                        origin,
                    };
                    clicks.into_iter().enumerate().map(click).collect()
                },
            )
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn rows_sum_to_the_model_for_many_users(
        clicks in clicks(0..200, 4),
        batches in prop::collection::vec((1usize..40, step()), 1..12),
        lag in prop_oneof![Just(0), 0i64..500, Just(i64::MAX)],
    ) {
        run(&clicks, &batches, lag)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn rows_sum_to_the_model_for_one_long_history(
        clicks in clicks(600..3000, 1),
        batches in prop::collection::vec((100usize..900, step()), 1..8),
        lag in prop_oneof![Just(0), 0i64..500, Just(i64::MAX)],
    ) {
        run(&clicks, &batches, lag)?;
    }

    #[test]
    fn splitting_changes_no_row(clicks in clicks(0..500, 4), size in 1usize..60) {
        let (whole, split) = (slots(), slots());
        let rows = |derived: &Derived| format!("{derived:?}");
        let mut parts = Sums::new();
        let mut batch = Sums::new();
        add(&mut batch, &process(&whole, &clicks, i64::MIN));
        clicks.chunks(size).for_each(|clicks| add(&mut parts, &process(&split, clicks, i64::MIN)));
        prop_assert_eq!(batch, parts);
        let again = slots();
        prop_assert_eq!(rows(&process(&again, &clicks, i64::MIN)), rows(&process(&slots(), &clicks, i64::MIN)));
    }

    #[test]
    fn any_bytes_are_a_state_or_refused_by_slot(blob in prop::collection::vec(any::<u8>(), 0..40)) {
        let state = slots();
        process(&state, &[Click { slot: 7, time: 5, origin: 5 }, Click { slot: 8, time: 5, origin: 5 }], i64::MIN);
        let whole = |state: &Slots| state.save(vec![7, 8], i64::MIN, Extent::Whole).unwrap().bytes;
        let before = whole(&state);
        let good = [2, 0];
        let states = Values { bytes: [&good[..], &blob].concat(), ends: vec![2, 2 + blob.len() as u32] };
        match state.restore(vec![8, 7], states, 1) {
            Ok(()) => {}
            Err(Failure::Call(message)) => {
                prop_assert!(message.starts_with("sessions: slot 7: "), "{}", message);
                prop_assert_eq!(whole(&state), before, "a refused call changes nothing");
            }
            Err(other) => prop_assert!(false, "{:?}", other),
        }
    }
}

#[test]
fn a_history_that_widens_at_both_ends_stays_in_order() {
    let mut random = 1u64;
    let clicks: Vec<_> = (1..20_000i64)
        .map(|width| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let time = (random >> 33) as i64 % (2 * width) - width;
            Click { slot: 0, time, origin: random >> 50 }
        })
        .collect();
    let state = slots();
    let mut sums = Sums::new();
    for batch in clicks.chunks(1000) {
        add(&mut sums, &process(&state, batch, i64::MIN));
    }
    assert!(sums == model(&clicks), "the rows are those of the model");
}

fn click(time: i64, origin: u64) -> Click {
    Click { slot: 0, time, origin }
}

fn rows(derived: &Derived) -> Vec<(i64, u64, i64, i64)> {
    let [durations, weights] = &derived.columns[..] else { panic!("two columns") };
    let (Data::Integers(durations), Data::Integers(weights)) = (&durations.data, &weights.data) else {
        panic!("two columns of integers")
    };
    (0..durations.len())
        .map(|at| (derived.times[at], derived.origins[at], durations[at], weights[at]))
        .collect()
}

#[test]
fn a_time_of_exactly_the_gap_is_measured_and_none_longer() {
    let slots = slots();
    let derived = process(&slots, &[click(0, 1), click(GAP, 2), click(2 * GAP + 1, 3)], i64::MIN);
    assert_eq!(rows(&derived), [(0, 1, GAP, 1)]);
}

#[test]
fn an_event_between_two_splits_their_time() {
    let slots = slots();
    process(&slots, &[click(0, 1), click(100, 2)], i64::MIN);
    let derived = process(&slots, &[click(30, 3)], i64::MIN);
    assert_eq!(rows(&derived), [(0, 1, 100, -1), (0, 1, 30, 1), (30, 3, 70, 1)]);
}

#[test]
fn equal_times_keep_the_order_of_arrival_through_added_saves() {
    let first = slots();
    process(&first, &[click(5, 1), click(9, 9)], i64::MIN);
    let mut log = Log::default();
    log.save(&first, &[0], i64::MIN, Extent::Added);
    assert_eq!(rows(&process(&first, &[click(5, 2)], i64::MIN)), [(5, 1, 4, -1), (5, 1, 0, 1), (5, 2, 4, 1)]);
    log.save(&first, &[0], i64::MIN, Extent::Added);
    let second = slots();
    log.restore(&second, &[0]);
    assert_eq!(
        rows(&process(&second, &[click(5, 3)], i64::MIN)),
        [(5, 2, 4, -1), (5, 2, 0, 1), (5, 3, 4, 1)]
    );
}

#[test]
fn a_save_of_nothing_new_is_empty_and_the_forgotten_is_not_saved() {
    let slots = slots();
    process(&slots, &[click(0, 1), click(50, 2)], i64::MIN);
    let saved = |horizon, extent| slots.save(vec![0, 1], horizon, extent).unwrap();
    assert_eq!(saved(i64::MIN, Extent::Added).bytes.len(), 4);
    assert!(saved(i64::MIN, Extent::Added).bytes.is_empty());
    assert_eq!(
        saved(50 + GAP, Extent::Whole).bytes.len(),
        2,
        "the event at the horizon less the reach is kept"
    );
    assert!(saved(51 + GAP, Extent::Whole).bytes.is_empty());
    assert!(process(&slots, &[click(51 + GAP, 3)], 51 + GAP).times.is_empty());
}

#[test]
fn a_time_out_of_range_is_its_row_s_fault() {
    let slots = slots();
    let refused = |time| slots.process(vec![0, time], vec![1, 1], vec![], vec![0, 0], i64::MIN);
    assert!(matches!(refused(i64::MIN), Err(Failure::Row((1, _)))));
    assert!(matches!(refused(i64::MAX), Err(Failure::Row((1, _)))));
    assert!(matches!(slots.process(vec![0], vec![], vec![], vec![0], 0), Err(Failure::Call(_))));
    assert!(
        slots.save(vec![0], i64::MIN, Extent::Whole).unwrap().bytes.is_empty(),
        "nothing of the calls counted"
    );
}

#[test]
fn the_reach_is_the_gap() {
    let reach = |params: &str| Plugin::describe(params.into()).map(|info| info.reach);
    assert_eq!(reach(""), Ok(1_800_000));
    assert_eq!(reach(r#"{"gap": "1h"}"#), Ok(3_600_000));
    assert!(reach(r#"{"gab": "1h"}"#).unwrap_err().contains("`gab`"));
}
