//! A growable vector of slots that never moves what it holds.
//!
//! It grows by segments of [`SEGMENT`] entries. A plain `Vec` copies everything when it doubles, and in a
//! WebAssembly memory every copy faults in fresh pages.

/// Entries of one segment.
pub const SEGMENT: usize = 8192;

/// Slots `0..len()`, each made from `T::default()` the first time an index at or beyond it is reached.
///
/// [`Segments::reset`] costs the same for any length: what lies beyond the length is made anew only when it
/// is reached again, right before it is written, and no memory goes back.
pub struct Segments<T> {
    segments: Vec<Box<[T; SEGMENT]>>,
    len: usize,
}

impl<T: Copy + Default> Default for Segments<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Copy + Default> Segments<T> {
    /// No slots.
    pub const fn new() -> Self {
        Self { segments: Vec::new(), len: 0 }
    }

    /// One more than the greatest index reached since the last [`Segments::reset`].
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no index was reached since the last [`Segments::reset`].
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The slot, which is the default if it was never reached.
    #[inline]
    pub fn get(&self, slot: u32) -> T {
        let index = slot as usize;
        match self.segments.get(index / SEGMENT) {
            Some(segment) if index < self.len => segment[index % SEGMENT],
            _ => T::default(),
        }
    }

    /// The slot, to be changed; the vector grows to hold it.
    #[inline]
    pub fn reach(&mut self, slot: u32) -> &mut T {
        let index = slot as usize;
        if index >= self.len {
            self.grow(index + 1);
        }
        &mut self.segments[index / SEGMENT][index % SEGMENT]
    }

    /// The slot, to be changed, if it was reached before.
    #[inline]
    pub fn get_mut(&mut self, slot: u32) -> Option<&mut T> {
        let index = slot as usize;
        if index >= self.len {
            return None;
        }
        self.segments.get_mut(index / SEGMENT).map(|segment| &mut segment[index % SEGMENT])
    }

    /// Every slot is the default again.
    pub fn reset(&mut self) {
        self.len = 0;
    }

    #[cold]
    #[inline(never)]
    fn add_segments(&mut self, count: usize) {
        while self.segments.len() < count {
            self.segments.push(segment());
        }
    }

    fn grow(&mut self, len: usize) {
        if len > self.segments.len() * SEGMENT {
            self.add_segments(len.div_ceil(SEGMENT));
        }
        while self.len < len {
            let (segment, from) = (self.len / SEGMENT, self.len % SEGMENT);
            let upto = (len - segment * SEGMENT).min(SEGMENT);
            self.segments[segment][from..upto].fill(T::default());
            self.len = segment * SEGMENT + upto;
        }
    }
}

/// A segment of defaults, made on the heap: it is too large for the stack of a plugin.
pub(crate) fn segment<T: Copy + Default>() -> Box<[T; SEGMENT]> {
    match vec![T::default(); SEGMENT].into_boxed_slice().try_into() {
        Ok(segment) => segment,
        Err(_) => unreachable!("a vector of SEGMENT entries has SEGMENT entries"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn behaves_as_a_map_with_defaults(steps in prop::collection::vec((0u32..40_000, 0u64..9, 0u8..20), 1..80)) {
            let mut segments = Segments::new();
            let mut model = std::collections::BTreeMap::new();
            for (slot, value, what) in steps {
                if what == 0 {
                    segments.reset();
                    model.clear();
                } else {
                    *segments.reach(slot) += value;
                    *model.entry(slot).or_insert(0) += value;
                }
                prop_assert_eq!(segments.len(), model.keys().next_back().map_or(0, |last| *last as usize + 1));
                for probe in [slot, slot / 2, slot + 1, slot ^ 8192, 39_999] {
                    let expected = model.get(&probe).copied().unwrap_or_default();
                    prop_assert_eq!(segments.get(probe), expected);
                    prop_assert_eq!(
                        segments.get_mut(probe).map_or(0, |value| *value), expected);
                }
            }
        }
    }
}
