//! The earlier events of one key, ordered by time, and among equal times by arrival.
//!
//! A short history is one run, whose block is replaced by a larger one as it grows. A long one is a list of
//! runs with the first time of each: a late event is found by two binary searches and moves the events of one
//! block at most, however long the history is. Whoever names a bound says that events before it may be
//! forgotten.

use plugin_support::blocks::{self, Blocks, Class};

use crate::event::Event;
use crate::run::{Neighbours, Run};

/// The class of the blocks of a long history: 256 events.
const CHUNK: Class = 6;

/// The memory of all histories.
#[derive(Default)]
pub struct Archive {
    blocks: Blocks<Event>,
    long: Vec<Vec<Chunk>>,
    /// Numbers of long histories that nobody has.
    unused: Vec<u32>,
}

/// A run of a long history.
#[derive(Clone, Copy)]
struct Chunk {
    /// Time of the first event; of no meaning in the first chunk, where every earlier event belongs too.
    first: i64,
    run: Run,
}

/// The earlier events of one key.
#[derive(Clone, Copy, Default)]
pub enum History {
    /// There are none.
    #[default]
    Empty,
    Short(Run),
    /// The number of the list of chunks, which has one at least.
    Long(u32),
}

impl History {
    /// Appends an event that is no earlier than the others.
    #[inline]
    pub fn push(&mut self, archive: &mut Archive, event: Event, bound: i64) {
        if let Self::Short(run) = self
            && run.push(&mut archive.blocks, event)
        {
            return;
        }
        self.push_slowly(archive, event, bound);
    }

    #[inline(never)]
    fn push_slowly(&mut self, archive: &mut Archive, event: Event, bound: i64) {
        match self {
            Self::Long(number) => {
                push_long(&mut archive.long[*number as usize], &mut archive.blocks, event, bound)
            }
            _ => {
                self.make_room(archive, bound);
                self.push(archive, event, bound);
            }
        }
    }

    /// Puts an event behind all that are no later, and says between which it lies.
    pub fn insert(&mut self, archive: &mut Archive, event: Event, bound: i64) -> Neighbours {
        match self {
            Self::Short(run) if !run.is_full() => {
                let place = run.place(&archive.blocks, event.time());
                let neighbours = run.neighbours(&archive.blocks, place);
                run.insert(&mut archive.blocks, place, event);
                neighbours
            }
            Self::Long(number) => {
                insert_long(&mut archive.long[*number as usize], &mut archive.blocks, event)
            }
            _ => {
                self.make_room(archive, bound);
                self.insert(archive, event, bound)
            }
        }
    }

    /// Makes an empty or full short history one with room, or a long one.
    fn make_room(&mut self, archive: &mut Archive, bound: i64) {
        match self {
            Self::Empty => *self = Self::Short(Run::new(&mut archive.blocks, 0)),
            Self::Short(run) => {
                let quarter = blocks::capacity(run.class()) / 4;
                let last_of_quarter = run.events(&archive.blocks).get(quarter - 1);
                if last_of_quarter.is_some_and(|event| event.time() < bound) {
                    let old = run.count_before(&archive.blocks, bound);
                    run.forget(&mut archive.blocks, old);
                } else if run.class() < CHUNK {
                    run.grow(&mut archive.blocks);
                } else {
                    let number = archive.unused.pop().unwrap_or_else(|| {
                        archive.long.push(Vec::new());
                        archive.long.len() as u32 - 1
                    });
                    archive.long[number as usize].push(Chunk { first: i64::MIN, run: *run });
                    *self = Self::Long(number);
                }
            }
            Self::Long(_) => {}
        }
    }

    /// Forgets all events before the bound.
    pub fn forget(&mut self, archive: &mut Archive, bound: i64) {
        match self {
            Self::Empty => {}
            Self::Short(run) => {
                let old = run.count_before(&archive.blocks, bound);
                run.forget(&mut archive.blocks, old);
                if run.is_empty() {
                    self.clear(archive);
                }
            }
            Self::Long(number) => {
                let chunks = &mut archive.long[*number as usize];
                forget_chunks(chunks, &mut archive.blocks, bound);
                if let Some(Chunk { run, .. }) = chunks.first_mut() {
                    let old = run.count_before(&archive.blocks, bound);
                    run.forget(&mut archive.blocks, old);
                }
                match chunks[..] {
                    [] => self.clear(archive),
                    [Chunk { run, .. }] => {
                        chunks.clear();
                        archive.unused.push(*number);
                        *self = Self::Short(run);
                    }
                    _ => {}
                }
            }
        }
    }

    /// Takes all events in their order.
    pub fn each(&self, archive: &Archive, mut each: impl FnMut(Event)) {
        match self {
            Self::Empty => {}
            Self::Short(run) => run.events(&archive.blocks).iter().copied().for_each(each),
            Self::Long(number) => {
                for chunk in &archive.long[*number as usize] {
                    chunk.run.events(&archive.blocks).iter().copied().for_each(&mut each);
                }
            }
        }
    }

    /// Takes each fresh event once, in their order; afterwards none is fresh.
    pub fn settle(&mut self, archive: &mut Archive, mut each: impl FnMut(Event)) {
        match self {
            Self::Empty => {}
            Self::Short(run) => run.settle(&mut archive.blocks, &mut each),
            Self::Long(number) => {
                for chunk in archive.long[*number as usize].iter_mut().filter(|chunk| chunk.run.has_fresh()) {
                    chunk.run.settle(&mut archive.blocks, &mut each);
                }
            }
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self, archive: &mut Archive) {
        match self {
            Self::Empty => {}
            Self::Short(run) => run.free(&mut archive.blocks),
            Self::Long(number) => {
                for chunk in std::mem::take(&mut archive.long[*number as usize]) {
                    chunk.run.free(&mut archive.blocks);
                }
                archive.unused.push(*number);
            }
        }
        *self = Self::Empty;
    }
}

/// Forgets the first chunks, as far as all their events are before the bound.
fn forget_chunks(chunks: &mut Vec<Chunk>, blocks: &mut Blocks<Event>, bound: i64) {
    let is_old = |chunk: &&Chunk| chunk.run.events(blocks).last().is_none_or(|last| last.time() < bound);
    let old = chunks.iter().take_while(is_old).count();
    for chunk in chunks.drain(..old) {
        chunk.run.free(blocks);
    }
}

fn push_long(chunks: &mut Vec<Chunk>, blocks: &mut Blocks<Event>, event: Event, bound: i64) {
    if let Some(chunk) = chunks.last_mut()
        && chunk.run.push(blocks, event)
    {
        return;
    }
    forget_chunks(chunks, blocks, bound);
    let mut run = Run::new(blocks, CHUNK);
    run.push(blocks, event);
    chunks.push(Chunk { first: event.time(), run });
}

fn insert_long(chunks: &mut Vec<Chunk>, blocks: &mut Blocks<Event>, event: Event) -> Neighbours {
    let time = event.time();
    let mut at = chunks.get(1..).map_or(0, |later| later.partition_point(|chunk| chunk.first <= time));
    let mut place = chunks[at].run.place(blocks, time);
    let mut neighbours = chunks[at].run.neighbours(blocks, place);
    if neighbours.after.is_none() {
        neighbours.after = chunks.get(at + 1).and_then(|next| next.run.events(blocks).first()).copied();
    }
    if chunks[at].run.is_full() {
        let rest = chunks[at].run.split(blocks);
        let first = rest.events(blocks).first().map_or(time, Event::time);
        chunks.insert(at + 1, Chunk { first, run: rest });
        let half = chunks[at].run.events(blocks).len();
        if place > half {
            (at, place) = (at + 1, place - half);
        }
    }
    chunks[at].run.insert(blocks, place, event);
    neighbours
}
