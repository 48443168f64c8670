//! Events in order, in one block: by time, and among equal times by arrival.

use plugin_support::blocks::{self, Block, Blocks, Class};

use crate::event::Event;

/// A block and how many of its first entries are in use.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    block: Block,
    len: u16,
    /// How many of the events are fresh.
    fresh: u16,
    class: Class,
}

/// The events between which another one came to lie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Neighbours {
    /// The last that is no later.
    pub before: Option<Event>,
    /// The first that is later.
    pub after: Option<Event>,
}

impl Run {
    /// No events, and room for as many as a block of this class holds.
    pub fn new(blocks: &mut Blocks<Event>, class: Class) -> Self {
        Self { block: blocks.take(class), len: 0, fresh: 0, class }
    }

    /// Its block's class.
    pub fn class(&self) -> Class {
        self.class
    }

    /// Whether no event is left.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether the block is used up.
    pub fn is_full(&self) -> bool {
        self.len as usize == blocks::capacity(self.class)
    }

    /// Whether an event came since the last save.
    pub fn has_fresh(&self) -> bool {
        self.fresh > 0
    }

    /// Its events.
    #[inline]
    pub fn events<'a>(&self, blocks: &'a Blocks<Event>) -> &'a [Event] {
        &blocks.get(self.block, self.class)[..self.len as usize]
    }

    fn events_mut<'a>(&self, blocks: &'a mut Blocks<Event>) -> &'a mut [Event] {
        &mut blocks.get_mut(self.block, self.class)[..self.len as usize]
    }

    /// Appends an event that is no earlier than the others, if there is room.
    #[inline]
    pub fn push(&mut self, blocks: &mut Blocks<Event>, event: Event) -> bool {
        match blocks.get_mut(self.block, self.class).get_mut(self.len as usize) {
            None => false,
            Some(place) => {
                *place = event;
                self.len += 1;
                self.fresh += u16::from(event.is_fresh());
                true
            }
        }
    }

    /// How many events are no later.
    pub fn place(&self, blocks: &Blocks<Event>, time: i64) -> usize {
        self.events(blocks).partition_point(|event| event.time() <= time)
    }

    /// How many events are earlier.
    pub fn count_before(&self, blocks: &Blocks<Event>, bound: i64) -> usize {
        self.events(blocks).partition_point(|event| event.time() < bound)
    }

    /// The events on both sides of a place.
    pub fn neighbours(&self, blocks: &Blocks<Event>, place: usize) -> Neighbours {
        let events = self.events(blocks);
        Neighbours {
            before: place.checked_sub(1).and_then(|before| events.get(before)).copied(),
            after: events.get(place).copied(),
        }
    }

    /// Puts an event at its place. The run is not full.
    pub fn insert(&mut self, blocks: &mut Blocks<Event>, place: usize, event: Event) {
        self.len += 1;
        self.fresh += u16::from(event.is_fresh());
        let events = self.events_mut(blocks);
        events.copy_within(place..events.len() - 1, place + 1);
        events[place] = event;
    }

    /// Forgets its first events.
    pub fn forget(&mut self, blocks: &mut Blocks<Event>, count: usize) {
        let events = self.events_mut(blocks);
        let fresh = events[..count].iter().filter(|event| event.is_fresh()).count();
        events.copy_within(count.., 0);
        self.len -= count as u16;
        self.fresh -= fresh as u16;
    }

    /// Moves into a block of twice the size.
    pub fn grow(&mut self, blocks: &mut Blocks<Event>) {
        self.block = blocks.regrow(self.block, self.class, self.len as usize, self.class + 1);
        self.class += 1;
    }

    /// Keeps the first half and returns the rest.
    pub fn split(&mut self, blocks: &mut Blocks<Event>) -> Self {
        let mut rest = Self::new(blocks, self.class);
        let half = self.len / 2;
        for at in half..self.len {
            let event = self.events(blocks)[at as usize];
            rest.push(blocks, event);
        }
        self.len = half;
        self.fresh -= rest.fresh;
        rest
    }

    /// Takes each fresh event once, in their order; afterwards none is fresh.
    pub fn settle(&mut self, blocks: &mut Blocks<Event>, each: &mut impl FnMut(Event)) {
        let mut left = std::mem::take(&mut self.fresh);
        let events = self.events_mut(blocks);
        let mut first = events.len();
        while left > 0 && first > 0 {
            first -= 1;
            left -= u16::from(events[first].is_fresh());
        }
        for event in events[first..].iter_mut().filter(|event| event.is_fresh()) {
            event.settle();
            each(*event);
        }
    }

    /// Gives the block back.
    pub fn free(self, blocks: &mut Blocks<Event>) {
        blocks.free(self.block, self.class);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_counts_its_fresh_events(steps in prop::collection::vec((0u8..8, 0i64..50, any::<bool>()), 1..200)) {
            let mut blocks = Blocks::default();
            let mut run = Run::new(&mut blocks, 3);
            for (what, time, fresh) in steps {
                let mut taken = Vec::new();
                match what {
                    0 => {
                        let old = run.count_before(&blocks, time);
                        run.forget(&mut blocks, old);
                    }
                    1 => {
                        let rest = run.split(&mut blocks);
                        prop_assert_eq!(usize::from(rest.fresh), count_fresh(&rest, &blocks));
                        rest.free(&mut blocks);
                    }
                    2 => {
                        let fresh = count_fresh(&run, &blocks);
                        run.settle(&mut blocks, &mut |event| taken.push(event.time()));
                        prop_assert_eq!(taken.len(), fresh);
                        prop_assert!(taken.is_sorted());
                    }
                    _ if run.is_full() => {}
                    _ => {
                        let event = if fresh { Event::fresh(time, 7) } else { Event::saved(time, 7) };
                        let place = run.place(&blocks, time);
                        run.insert(&mut blocks, place, event);
                    }
                }
                prop_assert_eq!(usize::from(run.fresh), count_fresh(&run, &blocks));
                prop_assert!(run.events(&blocks).is_sorted_by_key(Event::time));
            }
        }
    }

    fn count_fresh(run: &Run, blocks: &Blocks<Event>) -> usize {
        run.events(blocks).iter().filter(|event| event.is_fresh()).count()
    }
}
