//! The laws that the contract asks of every metric, for the property tests of the plugins.
//!
//! A plugin's test implements [`Metric`] by its own generated types and hands in random rows.

use std::fmt::Debug;

use crate::blobs::{Blobs, BlobsBuilder};

/// Blobs as the contract has values: all bytes, and where each ends.
pub fn joined(blobs: &[Vec<u8>]) -> (Vec<u8>, Vec<u32>) {
    let mut builder = BlobsBuilder::default();
    for blob in blobs {
        builder.bytes.extend_from_slice(blob);
        assert!(builder.end().is_ok(), "the blobs are too large for one call");
    }
    builder.finish()
}

/// The blobs of values, of which there must be so many.
pub fn parted(bytes: &[u8], ends: &[u32], rows: usize) -> Vec<Vec<u8>> {
    match Blobs::new(bytes, ends, rows) {
        Ok(blobs) => blobs.iter().map(<[u8]>::to_vec).collect(),
        Err(error) => panic!("{error}"),
    }
}

/// A metric's slots, without the generated types. A failure panics.
pub trait Metric {
    /// What one row of the inputs holds.
    type Row: Clone;
    /// The outputs, to be compared and printed.
    type Answer: PartialEq + Debug;

    /// Fresh slots.
    fn new() -> Self;
    /// Counts the rows, each into its slot.
    fn update(&self, rows: &[(u32, Self::Row)]);
    /// Adds the blobs to the slots.
    fn merge(&self, slots: &[u32], blobs: &[Vec<u8>]);
    /// One blob a slot.
    fn save(&self, slots: &[u32]) -> Vec<Vec<u8>>;
    /// The outputs of the slots.
    fn evaluate(&self, slots: &[u32]) -> Self::Answer;
    /// Empties the slots.
    fn clear(&self, slots: &[u32]);
    /// Empties every slot.
    fn reset(&self);
}

/// Checks every law on these rows: `shuffled` are the same rows in another order, `cuts` say where batches
/// end.
pub fn check<M: Metric>(rows: &[(u32, M::Row)], shuffled: &[(u32, M::Row)], cuts: (usize, usize)) {
    let mut slots: Vec<u32> = rows.iter().map(|row| row.0).collect();
    slots.sort_unstable();
    slots.dedup();
    slots.push(slots.last().map_or(0, |last| last + 1));
    let slots = &slots[..];

    let whole = M::new();
    whole.update(rows);
    let blobs = whole.save(slots);
    let answer = whole.evaluate(slots);
    let same = |metric: &M, law: &str| {
        assert_eq!(metric.save(slots), blobs, "{law}: bytes");
        assert_eq!(metric.evaluate(slots), answer, "{law}: outputs");
    };
    same(&whole, "saving and evaluating change nothing");
    assert!(blobs[slots.len() - 1].is_empty(), "a slot that was never used saves as an empty blob");

    let (first, second) = (cuts.0.min(shuffled.len()), cuts.1.min(shuffled.len()));
    let (first, second) = (first.min(second), first.max(second));
    let parts = [&shuffled[..first], &shuffled[first..second], &shuffled[second..]];
    let split = M::new();
    parts.iter().for_each(|part| split.update(part));
    same(&split, "splitting and reordering");

    let saved = parts.map(|part| {
        let metric = M::new();
        metric.update(part);
        metric.save(slots)
    });
    let merged = |order: &[&Vec<Vec<u8>>]| {
        let metric = M::new();
        order.iter().for_each(|blobs| metric.merge(slots, blobs));
        metric
    };
    let [a, b, c] = &saved;
    same(&merged(&[a, b, c]), "merging is the sum");
    same(&merged(&[c, a, b]), "merging is commutative");
    same(&merged(&[&merged(&[a, b]).save(slots), c]), "merging is associative, left");
    same(&merged(&[a, &merged(&[b, c]).save(slots)]), "merging is associative, right");
    same(&merged(&[&blobs, &vec![Vec::new(); slots.len()]]), "the empty state is neutral");
    same(&merged(&[&blobs]), "what was saved comes back");

    let several = M::new();
    let thrice: Vec<u32> = slots.iter().flat_map(|&slot| [slot; 3]).collect();
    let interleaved: Vec<Vec<u8>> =
        (0..slots.len()).flat_map(|at| [c[at].clone(), a[at].clone(), b[at].clone()]).collect();
    several.merge(&thrice, &interleaved);
    same(&several, "a slot may occur several times");

    let updated = merged(&[b, c]);
    updated.update(parts[0]);
    same(&updated, "rows count into merged slots");

    let empty = vec![Vec::<u8>::new(); slots.len()];
    several.clear(slots);
    assert_eq!(several.save(slots), empty, "cleared slots are empty");
    several.update(rows);
    same(&several, "cleared slots serve again");
    several.reset();
    assert_eq!(several.save(slots), empty, "reset empties every slot");
    several.update(shuffled);
    same(&several, "slots serve again after a reset");
}
