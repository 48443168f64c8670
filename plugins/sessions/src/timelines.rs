//! The events of every key in their order: where a new one falls, and what must be kept of the others.

use plugin_support::segments::Segments;

use crate::event::{Decoder, Encoder, Event};
use crate::history::{Archive, History};
use crate::run::Neighbours;

/// The events of one key: the last apart, for most events come behind it.
#[derive(Clone, Copy, Default)]
enum Timeline {
    #[default]
    Empty,
    Seen {
        last: Event,
        earlier: History,
    },
}

/// The timelines of all slots.
pub struct Timelines {
    timelines: Segments<Timeline>,
    archive: Archive,
    /// Events before it make no difference to any that may still come.
    bound: i64,
}

impl Default for Timelines {
    fn default() -> Self {
        Self { timelines: Segments::new(), archive: Archive::default(), bound: i64::MIN }
    }
}

impl Timelines {
    /// Puts an event behind all of its slot that are no later, and says between which it lies.
    #[inline]
    pub fn insert(&mut self, slot: u32, event: Event) -> Neighbours {
        match self.timelines.reach(slot) {
            timeline @ Timeline::Empty => {
                *timeline = Timeline::Seen { last: event, earlier: History::Empty };
                Neighbours::default()
            }
            Timeline::Seen { last, earlier } if last.time() <= event.time() => {
                let before = std::mem::replace(last, event);
                earlier.push(&mut self.archive, before, self.bound);
                Neighbours { before: Some(before), after: None }
            }
            Timeline::Seen { last, earlier } => {
                let Neighbours { before, after } = earlier.insert(&mut self.archive, event, self.bound);
                Neighbours { before, after: after.or(Some(*last)) }
            }
        }
    }

    /// From now on events before the bound may be forgotten. A bound never falls.
    pub fn raise_bound(&mut self, bound: i64) {
        self.bound = self.bound.max(bound);
    }

    /// Appends all that must be kept of the slot; it is then as if it had been restored from that.
    pub fn save_whole(&mut self, slot: u32, bytes: &mut Vec<u8>) {
        let Some(timeline) = self.timelines.get_mut(slot) else { return };
        let Timeline::Seen { last, earlier } = timeline else { return };
        if last.time() < self.bound {
            earlier.clear(&mut self.archive);
            *timeline = Timeline::Empty;
            return;
        }
        earlier.forget(&mut self.archive, self.bound);
        let mut encoder = Encoder::new(bytes);
        earlier.each(&self.archive, |event| encoder.put(event));
        encoder.put(*last);
        earlier.settle(&mut self.archive, |_| {});
        last.settle();
    }

    /// Appends what came into the slot since it was saved or restored, as far as it must be kept.
    pub fn save_added(&mut self, slot: u32, bytes: &mut Vec<u8>) {
        let Some(Timeline::Seen { last, earlier }) = self.timelines.get_mut(slot) else { return };
        let mut encoder = Encoder::new(bytes);
        let mut put = |event: Event| {
            if event.time() >= self.bound {
                encoder.put(event);
            }
        };
        earlier.settle(&mut self.archive, &mut put);
        if last.is_fresh() {
            last.settle();
            put(*last);
        }
    }

    /// Adds what was saved to the slot.
    pub fn restore(&mut self, slot: u32, blob: &[u8]) -> Result<(), String> {
        for event in Decoder::new(blob) {
            self.insert(slot, event?);
        }
        Ok(())
    }

    /// Forgets the slot.
    pub fn clear(&mut self, slot: u32) {
        if let Some(timeline) = self.timelines.get_mut(slot) {
            if let Timeline::Seen { earlier, .. } = timeline {
                earlier.clear(&mut self.archive);
            }
            *timeline = Timeline::Empty;
        }
    }
}

const _: () = assert!(size_of::<Timeline>() <= 32);
