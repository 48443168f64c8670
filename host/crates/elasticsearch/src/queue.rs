//! Pieces of documents that wait to be sent, and which of them go into the next bulk request. Pure: it is told what time it is.
//!
//! Shards take turns, a piece each, so that one with much to send does not keep the others waiting. An index that gives trouble
//! is asked alone, one request at a time and after a pause, so that the others' documents are not held up by it.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    ops::Bound,
    sync::Arc,
    time::{Duration, Instant},
};

use clickmill_tasks::env::Indexed;
use futures_channel::oneshot;

/// What is worth a request of its own while others are under way.
const WORTH_BYTES: usize = 512 << 10;
const WORTH_DOCUMENTS: usize = 2_000;
/// After so long a wait, anything is.
const PATIENCE: Duration = Duration::from_millis(100);
/// A request takes at most so many.
const MOST_DOCUMENTS: usize = 10_000;
const PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Documents of one shard and index.
pub(crate) struct Piece {
    pub(crate) shard: u32,
    pub(crate) index: Arc<str>,
    pub(crate) lines: Lines,
    pub(crate) reply: oneshot::Sender<Reply>,
    pub(crate) since: Instant,
}

/// Documents as lines of a bulk request.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Lines {
    pub(crate) bytes: Vec<u8>,
    /// Where each document ends.
    pub(crate) ends: Vec<usize>,
}

/// What became of a piece.
#[derive(Debug, PartialEq)]
pub(crate) enum Reply {
    /// One verdict a document.
    Judged(Vec<Indexed>),
    /// Smaller pieces are wanted: here it is again.
    TooLarge(Lines),
    /// None of it counts as done, for this reason.
    Failed(String),
}

#[derive(Default)]
pub(crate) struct Queue {
    shards: BTreeMap<u32, VecDeque<Piece>>,
    /// The shard whose turn it was last.
    last: u32,
    bytes: usize,
    documents: usize,
    troubled: HashMap<Arc<str>, Troubled>,
}

struct Troubled {
    times: u32,
    until: Instant,
    /// A request to it is under way.
    asked: bool,
}

impl Queue {
    pub(crate) fn push(&mut self, piece: Piece) {
        self.count(&piece, true);
        self.shards.entry(piece.shard).or_default().push_back(piece);
    }

    /// Puts pieces back that were taken in this order.
    pub(crate) fn put_back(&mut self, pieces: Vec<Piece>) {
        for piece in pieces.into_iter().rev() {
            self.count(&piece, true);
            self.shards.entry(piece.shard).or_default().push_front(piece);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.shards.is_empty()
    }

    /// Whether to send although other requests are under way. Small pieces wait for each other, as long as there is something to
    /// wait for.
    pub(crate) fn worth(&self, now: Instant) -> bool {
        let oldest = self.shards.values().flatten().map(|piece| piece.since).min();
        self.bytes >= WORTH_BYTES
            || self.documents >= WORTH_DOCUMENTS
            || oldest.is_some_and(|since| now.duration_since(since) >= PATIENCE)
    }

    /// The pieces of the next request, of at most this size where they are several; none if none may be sent now.
    pub(crate) fn take(&mut self, now: Instant, most_bytes: usize) -> Vec<Piece> {
        let mut pieces: Vec<Piece> = Vec::new();
        let (mut bytes, mut documents) = (0, 0);
        let mut passed = 0;
        while passed < self.shards.len() {
            let after = (Bound::Excluded(self.last), Bound::Unbounded);
            let next = self.shards.range(after).next().or(self.shards.iter().next());
            let Some((&shard, _)) = next else { break };
            let before = std::mem::replace(&mut self.last, shard);
            let Some(piece) = self.take_of(shard, pieces.first(), now) else {
                passed += 1;
                continue;
            };
            // Whoever asked has gone: its documents will be offered anew.
            if piece.reply.is_canceled() {
                continue;
            }
            bytes += piece.lines.bytes.len();
            documents += piece.lines.ends.len();
            if !pieces.is_empty() && (bytes > most_bytes || documents > MOST_DOCUMENTS) {
                self.put_back(vec![piece]);
                // Its turn is the next one.
                self.last = before;
                break;
            }
            passed = 0;
            pieces.push(piece);
        }
        if let Some(troubled) = pieces.first().and_then(|piece| self.troubled.get_mut(&piece.index)) {
            troubled.asked = true;
        }
        pieces
    }

    /// The first piece of a shard that may go beside `first`.
    fn take_of(&mut self, shard: u32, first: Option<&Piece>, now: Instant) -> Option<Piece> {
        let fits = |piece: &Piece| match (self.troubled.get(&piece.index), first) {
            (None, None) => true,
            (None, Some(first)) => !self.troubled.contains_key(&first.index),
            (Some(troubled), None) => !troubled.asked && troubled.until <= now,
            (Some(_), Some(first)) => first.index == piece.index,
        };
        let pieces = self.shards.get_mut(&shard)?;
        let place = pieces.iter().position(fits)?;
        let piece = pieces.remove(place)?;
        if pieces.is_empty() {
            self.shards.remove(&shard);
        }
        self.count(&piece, false);
        Some(piece)
    }

    fn count(&mut self, piece: &Piece, more: bool) {
        let (bytes, documents) = (piece.lines.bytes.len(), piece.lines.ends.len());
        if more {
            self.bytes += bytes;
            self.documents += documents;
        } else {
            self.bytes = self.bytes.saturating_sub(bytes);
            self.documents = self.documents.saturating_sub(documents);
        }
    }

    /// All is well with an index again.
    pub(crate) fn well(&mut self, index: &str) {
        self.troubled.remove(index);
    }

    /// An index, or a request that it was in, gave trouble.
    pub(crate) fn trouble(&mut self, index: &Arc<str>, now: Instant) {
        let troubled =
            self.troubled.entry(index.clone()).or_insert(Troubled { times: 0, until: now, asked: false });
        troubled.until = now + (PAUSE * 2u32.pow(troubled.times.min(8))).min(LONGEST_PAUSE);
        troubled.times += 1;
        troubled.asked = false;
    }

    /// A request to this index ended without saying anything of it.
    pub(crate) fn answered(&mut self, index: &str) {
        if let Some(troubled) = self.troubled.get_mut(index) {
            troubled.asked = false;
        }
    }
}

impl Lines {
    /// Two halves, each with one document at least; a single document is not halved.
    pub(crate) fn halve(mut self) -> (Lines, Lines) {
        let place = self.ends.len() / 2;
        let Some(&end) = place.checked_sub(1).and_then(|last| self.ends.get(last)) else {
            return (self, Lines::default());
        };
        let ends = self.ends.split_off(place).into_iter().map(|of| of - end).collect();
        let bytes = self.bytes.split_off(end);
        (self, Lines { bytes, ends })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    /// Pieces of a thousand bytes and ten documents, and those who wait for them.
    fn queue(pieces: &[(u32, &str)], now: Instant) -> (Queue, Vec<oneshot::Receiver<Reply>>) {
        let mut queue = Queue::default();
        let mut waiting = Vec::new();
        for (shard, index) in pieces {
            let (reply, receiver) = oneshot::channel();
            let lines = Lines { bytes: vec![b'x'; 1000], ends: (1..=10).map(|n| n * 100).collect() };
            queue.push(Piece { shard: *shard, index: (*index).into(), lines, reply, since: now });
            waiting.push(receiver);
        }
        (queue, waiting)
    }

    fn take(queue: &mut Queue, now: Instant, most: usize) -> Vec<(u32, String)> {
        queue.take(now, most).iter().map(|piece| (piece.shard, piece.index.to_string())).collect()
    }

    fn named(pieces: &[(u32, &str)]) -> Vec<(u32, String)> {
        pieces.iter().map(|(shard, index)| (*shard, (*index).to_owned())).collect()
    }

    #[test]
    fn shards_take_turns_and_go_together() {
        let now = Instant::now();
        let (mut queue, _waiting) = queue(&[(0, "a"), (0, "b"), (0, "a"), (7, "a"), (9, "b")], now);
        assert_eq!(take(&mut queue, now, 2_500), named(&[(7, "a"), (9, "b")]));
        assert_eq!(take(&mut queue, now, MIB), named(&[(0, "a"), (0, "b"), (0, "a")]));
        assert!(queue.is_empty() && queue.bytes == 0 && queue.documents == 0);
    }

    #[test]
    fn a_piece_that_is_too_large_for_a_request_goes_alone() {
        let now = Instant::now();
        let (mut queue, _waiting) = queue(&[(0, "a"), (1, "a")], now);
        assert_eq!(take(&mut queue, now, 10), named(&[(1, "a")]));
        assert_eq!(take(&mut queue, now, 10), named(&[(0, "a")]));
    }

    #[test]
    fn small_pieces_wait_for_each_other_but_not_for_long() {
        let now = Instant::now();
        let (few, _waiting) = queue(&[(0, "a"), (1, "b")], now);
        assert!(!few.worth(now));
        assert!(few.worth(now + PATIENCE));
        let (many, _waiting) = queue(&vec![(0, "a"); WORTH_DOCUMENTS / 10], now);
        assert!(many.worth(now));
    }

    #[test]
    fn an_index_in_trouble_is_asked_alone_after_a_pause_and_once_at_a_time() {
        let now = Instant::now();
        let (mut queue, _waiting) = queue(&[(1, "bad"), (1, "a"), (2, "bad"), (2, "a"), (3, "bad")], now);
        queue.trouble(&"bad".into(), now);
        assert_eq!(take(&mut queue, now, MIB), named(&[(1, "a"), (2, "a")]));
        assert_eq!(take(&mut queue, now, MIB), []);
        let later = now + PAUSE;
        assert_eq!(take(&mut queue, later, 2_000), named(&[(3, "bad"), (1, "bad")]));
        assert_eq!(take(&mut queue, later, MIB), []);
        queue.well("bad");
        assert_eq!(take(&mut queue, later, MIB), named(&[(2, "bad")]));
    }

    #[test]
    fn pauses_grow() {
        let now = Instant::now();
        let (mut queue, _waiting) = queue(&[(1, "bad")], now);
        for _ in 0..20 {
            queue.trouble(&"bad".into(), now);
        }
        assert_eq!(take(&mut queue, now + LONGEST_PAUSE - PAUSE, MIB), []);
        assert_eq!(take(&mut queue, now + LONGEST_PAUSE, MIB), named(&[(1, "bad")]));
    }

    #[test]
    fn what_nobody_waits_for_is_dropped() {
        let now = Instant::now();
        let (mut queue, mut waiting) = queue(&[(1, "a"), (2, "a"), (3, "a")], now);
        drop(waiting.remove(1));
        assert_eq!(take(&mut queue, now, MIB), named(&[(1, "a"), (3, "a")]));
        assert!(queue.is_empty());
    }

    #[test]
    fn lines_are_halved_between_documents() {
        let lines = Lines { bytes: b"aabbbc".to_vec(), ends: vec![2, 5, 6] };
        let (left, right) = lines.halve();
        assert_eq!(left, Lines { bytes: b"aa".to_vec(), ends: vec![2] });
        assert_eq!(right, Lines { bytes: b"bbbc".to_vec(), ends: vec![3, 4] });
    }
}
