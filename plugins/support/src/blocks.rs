//! Blocks of a few sizes, cut from segments and used again.
//!
//! A slot that outgrows its inline entry takes a block, and a larger one when it outgrows that. Blocks never
//! move; a freed one is handed out again for the same size.

use crate::segments::{SEGMENT, segment};

/// How large a block is: class 0 holds [`SMALLEST`] entries, each further one twice as many.
pub type Class = u8;

/// Entries of a block of class 0.
pub const SMALLEST: usize = 4;

/// The greatest class: one block fills a quarter of a segment.
pub const LARGEST: Class = 9;

/// A block: its place in units of [`SMALLEST`] entries. It is worth something only together with its class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Block(u32);

/// Entries of a block of this class.
#[inline]
pub const fn capacity(class: Class) -> usize {
    SMALLEST << class
}

/// The least class whose blocks hold so many entries, none if they are more than the largest holds.
pub fn class_for(entries: usize) -> Option<Class> {
    (0..=LARGEST).find(|&class| capacity(class) >= entries)
}

/// The blocks of one plugin instance.
pub struct Blocks<T> {
    segments: Vec<Box<[T; SEGMENT]>>,
    /// Segments in use; those from here on are kept for later.
    used: usize,
    classes: [Cut; LARGEST as usize + 1],
}

/// Where the next block of a class comes from.
#[derive(Default)]
struct Cut {
    free: Vec<Block>,
    /// The next unused block, and how many follow in its segment.
    next: u32,
    left: u32,
}

impl<T: Copy + Default> Default for Blocks<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Copy + Default> Blocks<T> {
    /// No blocks.
    pub fn new() -> Self {
        Self { segments: Vec::new(), used: 0, classes: Default::default() }
    }

    /// A block of this class. It holds whatever was in its memory before.
    #[inline]
    pub fn take(&mut self, class: Class) -> Block {
        let cut = &mut self.classes[class as usize];
        if let Some(block) = cut.free.pop() {
            return block;
        }
        if cut.left == 0 {
            self.cut_segment(class);
        }
        let cut = &mut self.classes[class as usize];
        let block = Block(cut.next);
        cut.next += 1 << class;
        cut.left -= 1;
        block
    }

    /// A block of this class in which every entry is the default.
    pub fn take_cleared(&mut self, class: Class) -> Block {
        let block = self.take(class);
        self.get_mut(block, class).fill(T::default());
        block
    }

    /// Gives a block back. Nobody may use it afterwards.
    pub fn free(&mut self, block: Block, class: Class) {
        self.classes[class as usize].free.push(block);
    }

    /// The entries of a block.
    #[inline]
    pub fn get(&self, block: Block, class: Class) -> &[T] {
        let (segment, from) = place(block);
        &self.segments[segment][from..from + capacity(class)]
    }

    /// The entries of a block, to be changed.
    #[inline]
    pub fn get_mut(&mut self, block: Block, class: Class) -> &mut [T] {
        let (segment, from) = place(block);
        &mut self.segments[segment][from..from + capacity(class)]
    }

    /// Moves a block's first `len` entries into a block of another class, in which they must fit, and frees
    /// the first.
    pub fn regrow(&mut self, block: Block, class: Class, len: usize, into: Class) -> Block {
        let new = self.take(into);
        let ((from, at), (to, onto)) = (place(block), place(new));
        if from == to {
            self.segments[from].copy_within(at..at + len, onto);
        } else if let Ok([source, target]) = self.segments.get_disjoint_mut([from, to]) {
            target[onto..onto + len].copy_from_slice(&source[at..at + len]);
        }
        self.free(block, class);
        new
    }

    /// Takes every block back at once. No memory goes back.
    pub fn reset(&mut self) {
        self.used = 0;
        for cut in &mut self.classes {
            cut.free.clear();
            cut.left = 0;
        }
    }

    #[cold]
    #[inline(never)]
    fn cut_segment(&mut self, class: Class) {
        if self.used == self.segments.len() {
            self.segments.push(segment());
        }
        let cut = &mut self.classes[class as usize];
        cut.next = (self.used * (SEGMENT / SMALLEST)) as u32;
        cut.left = (SEGMENT / capacity(class)) as u32;
        self.used += 1;
    }
}

#[inline]
fn place(block: Block) -> (usize, usize) {
    let entry = block.0 as usize * SMALLEST;
    (entry / SEGMENT, entry % SEGMENT)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_least_class_that_holds_them() {
        assert_eq!(class_for(0), Some(0));
        assert_eq!(class_for(4), Some(0));
        assert_eq!(class_for(5), Some(1));
        assert_eq!(class_for(2048), Some(LARGEST));
        assert_eq!(class_for(2049), None);
    }

    proptest! {
        #[test]
        fn blocks_keep_their_entries_and_never_overlap(
            steps in prop::collection::vec((0u8..=LARGEST, 0u8..12, any::<u16>()), 1..300)
        ) {
            let mut blocks = Blocks::<u64>::new();
            let mut live: Vec<(Block, Class, u64)> = Vec::new();
            for (number, (class, what, which)) in steps.into_iter().enumerate() {
                let mark = number as u64 + 1;
                let chosen = if live.is_empty() { 0 } else { which as usize % live.len() };
                match what {
                    0 if which % 8 == 0 => {
                        blocks.reset();
                        live.clear();
                    }
                    1..=3 if !live.is_empty() => {
                        let (block, class, _) = live.swap_remove(chosen);
                        blocks.free(block, class);
                    }
                    4..=5 if !live.is_empty() && live[chosen].1 < LARGEST => {
                        let (block, class, mark) = live[chosen];
                        let grown = blocks.regrow(block, class, capacity(class), class + 1);
                        blocks.get_mut(grown, class + 1)[capacity(class)..].fill(mark);
                        live[chosen] = (grown, class + 1, mark);
                    }
                    6 => {
                        let block = blocks.take_cleared(class);
                        prop_assert!(blocks.get(block, class).iter().all(|&entry| entry == 0));
                        live.push((block, class, 0));
                    }
                    _ => {
                        let block = blocks.take(class);
                        blocks.get_mut(block, class).fill(mark);
                        live.push((block, class, mark));
                    }
                }
                for &(block, class, mark) in &live {
                    prop_assert!(blocks.get(block, class).iter().all(|&entry| entry == mark));
                }
            }
        }
    }
}
