//! Sends what waits in bulk requests: documents of several shards and indices together, several requests at once, as many as
//! Elasticsearch is quick to answer. Nothing is retried here.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use clickmill_tasks::env::Indexed;
use elasticsearch::http::Method;
use tokio::{sync::Notify, time::timeout};

use crate::{
    answer::{Answer, NoAnswer},
    bulk::{FILTER, Outcome, Verdicts, judge},
    client::{Client, Requests},
    limit::{Limit, Pace, Ticket},
    queue::{Piece, Queue, Reply},
};

/// Bytes in a bulk request of several pieces: half of what was too large, and a little more with each one that was not.
const BULK_BYTES: usize = 4 << 20;
/// An answer that comes so soon says that more would be taken.
const QUICK: Duration = Duration::from_secs(1);
/// How often to look whether something that waits may be sent.
const TICK: Duration = Duration::from_millis(20);

/// Shared by all who put documents.
pub(crate) struct Sender {
    queue: Mutex<Waiting>,
    wake: Notify,
    bulk_bytes: AtomicUsize,
}

#[derive(Default)]
struct Waiting {
    queue: Queue,
    limit: Limit,
    /// Nothing is sent before.
    rest: Option<Instant>,
}

/// What there is to do.
enum Next {
    Send(Vec<Piece>, Ticket),
    /// Something waits, and may be sent soon.
    Soon,
    Nothing,
}

impl Sender {
    /// Its work is done on the client's runtime, and ends with it. `patience` is how long a request may take.
    pub(crate) fn new(client: &Client, patience: Duration) -> Arc<Sender> {
        let sender = Arc::new(Sender {
            queue: Mutex::default(),
            wake: Notify::new(),
            bulk_bytes: AtomicUsize::new(BULK_BYTES),
        });
        // An index whose shards are away must not keep the answer for the others back until it is too late for them.
        let path = format!("/_bulk?timeout={}ms&{FILTER}", patience.as_millis() / 2);
        client.runtime().spawn(work(sender.clone(), client.requests(), path.into()));
        sender
    }

    /// What a piece may hold at most.
    pub(crate) fn bulk_bytes(&self) -> usize {
        self.bulk_bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn push(&self, piece: Piece) {
        self.lock().queue.push(piece);
        self.wake.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self, now: Instant) -> Next {
        let mut waiting = self.lock();
        if waiting.queue.is_empty() {
            return Next::Nothing;
        }
        let resting = waiting.rest.is_some_and(|until| until > now);
        let may = waiting.limit.idle() || waiting.limit.free() && waiting.queue.worth(now);
        if resting || !may {
            return Next::Soon;
        }
        let pieces = waiting.queue.take(now, self.bulk_bytes());
        match pieces.is_empty() {
            true => Next::Soon,
            false => Next::Send(pieces, waiting.limit.start()),
        }
    }

    fn answered(
        &self,
        answer: Result<Answer, NoAnswer>,
        pieces: Vec<Piece>,
        ticket: Ticket,
        took: Duration,
        doing: &str,
    ) {
        let counts: Vec<usize> = pieces.iter().map(|piece| piece.lines.ends.len()).collect();
        let late = answer.as_ref().is_err_and(|none| none.late);
        let outcome = match answer {
            Ok(answer) => judge(&answer, &counts, doing),
            Err(none) => Outcome::Failed { text: none.text, overloaded: true },
        };
        let pace = match &outcome {
            Outcome::Failed { overloaded: true, .. } | Outcome::Judged { overloaded: true, .. } => {
                Pace::Overloaded
            }
            Outcome::Judged { .. } if took <= QUICK => Pace::Quick,
            _ => Pace::Slow,
        };
        let now = Instant::now();
        let mut waiting = self.lock();
        let rest = waiting.limit.end(ticket, pace);
        // A good answer to what was sent before says nothing against a rest: it ends by itself.
        if !rest.is_zero() {
            waiting.rest = waiting.rest.max(Some(now + rest));
        }
        match outcome {
            Outcome::Judged { verdicts, .. } => {
                let bytes = self.bulk_bytes();
                self.bulk_bytes.store((bytes + bytes / 16 + 1).min(BULK_BYTES), Ordering::Relaxed);
                judged(&mut waiting.queue, pieces, verdicts, doing, now);
            }
            Outcome::TooLarge(text) => self.too_large(&mut waiting.queue, pieces, text, now),
            Outcome::Failed { text, .. } => {
                for piece in pieces {
                    // Which index is to blame is not known: each is asked alone until it answers.
                    match late {
                        true => waiting.queue.trouble(&piece.index, now),
                        false => waiting.queue.answered(&piece.index),
                    }
                    let _ = piece.reply.send(Reply::Failed(text.clone()));
                }
            }
        }
    }

    fn too_large(&self, queue: &mut Queue, mut pieces: Vec<Piece>, text: String, now: Instant) {
        if let [piece] = &pieces[..]
            && piece.lines.ends.len() == 1
        {
            // It cannot be cut, and says nothing of what others may send together. As its trouble lasts, it is asked ever more
            // seldom.
            queue.trouble(&piece.index, now);
            for piece in pieces.drain(..) {
                let _ = piece.reply.send(Reply::Judged(vec![Indexed::Again(text.clone())]));
            }
            return;
        }
        let bytes: usize = pieces.iter().map(|piece| piece.lines.bytes.len()).sum();
        self.bulk_bytes.fetch_min(bytes / 2, Ordering::Relaxed);
        for piece in &pieces {
            queue.answered(&piece.index);
        }
        if pieces.len() > 1 {
            return queue.put_back(pieces);
        }
        for piece in pieces.drain(..) {
            let _ = piece.reply.send(Reply::TooLarge(piece.lines));
        }
    }
}

/// Who waits no more offers its documents anew: an answer that nobody takes is no loss.
fn judged(queue: &mut Queue, pieces: Vec<Piece>, verdicts: Vec<Verdicts>, doing: &str, now: Instant) {
    let mut well: Vec<Arc<str>> = Vec::new();
    let mut troubled: Vec<Arc<str>> = Vec::new();
    for (piece, verdicts) in pieces.into_iter().zip(verdicts) {
        let list = if verdicts.trouble { &mut troubled } else { &mut well };
        if !list.contains(&piece.index) {
            list.push(piece.index.clone());
        }
        let reply = match verdicts.no_index {
            true => Reply::Failed(format!(
                "{doing} into {}: it was deleted. Stop all hosts and run `clickmill reindex`, which makes it again",
                piece.index
            )),
            false => Reply::Judged(verdicts.verdicts),
        };
        let _ = piece.reply.send(reply);
    }
    for index in well.iter().filter(|index| !troubled.contains(index)) {
        queue.well(index);
    }
    for index in &troubled {
        queue.trouble(index, now);
    }
}

async fn work(sender: Arc<Sender>, requests: Requests, path: Arc<str>) {
    loop {
        match sender.next(Instant::now()) {
            Next::Send(pieces, ticket) => {
                tokio::spawn(send(sender.clone(), requests.clone(), path.clone(), pieces, ticket));
            }
            // Woken or not, it is looked again.
            Next::Soon => drop(timeout(TICK, sender.wake.notified()).await),
            Next::Nothing => sender.wake.notified().await,
        }
    }
}

async fn send(sender: Arc<Sender>, requests: Requests, path: Arc<str>, pieces: Vec<Piece>, ticket: Ticket) {
    let mut body = Vec::with_capacity(pieces.iter().map(|piece| piece.lines.bytes.len()).sum());
    for piece in &pieces {
        body.extend_from_slice(&piece.lines.bytes);
    }
    let began = Instant::now();
    let answer = requests.send("indexing", Method::Post, &path, Some(body)).await;
    sender.answered(answer, pieces, ticket, began.elapsed(), &requests.doing("indexing"));
    sender.wake.notify_one();
}

#[cfg(test)]
mod tests {
    use futures_channel::oneshot;

    use super::*;
    use crate::queue::Lines;

    fn sender() -> Sender {
        Sender { queue: Mutex::default(), wake: Notify::new(), bulk_bytes: AtomicUsize::new(BULK_BYTES) }
    }

    /// A piece of so many documents, of a thousand bytes each, that is taken and refused as too large at this time.
    fn refused(sender: &Sender, documents: usize, now: Instant) -> Reply {
        let (reply, mut verdict) = oneshot::channel();
        let ends: Vec<usize> = (1..=documents).map(|n| n * 1000).collect();
        let lines = Lines { bytes: vec![b'x'; documents * 1000], ends };
        sender.push(Piece { shard: 0, index: "index".into(), lines, reply, since: now });
        let Next::Send(pieces, ticket) = sender.next(now) else { panic!("it rests") };
        let answer = Answer { status: 413, ..Answer::default() };
        sender.answered(Ok(answer), pieces, ticket, Duration::from_millis(1), "indexing");
        verdict.try_recv().unwrap().unwrap()
    }

    #[test]
    fn a_single_document_that_is_too_large_rests_and_leaves_the_size_of_requests_alone() {
        let (sender, now) = (sender(), Instant::now());
        let again = Reply::Judged(vec![Indexed::Again("413: no reason given".into())]);
        // As if each pause were over.
        let long = |n: u32| Instant::now() + n * Duration::from_secs(60);
        for n in 0..5 {
            assert_eq!(refused(&sender, 1, long(n)), again);
        }
        assert_eq!(sender.bulk_bytes(), BULK_BYTES);
        let (reply, _verdict) = oneshot::channel();
        let lines = Lines { bytes: b"x".to_vec(), ends: vec![1] };
        sender.push(Piece { shard: 0, index: "index".into(), lines, reply, since: now });
        assert!(matches!(sender.next(now), Next::Soon));
        assert!(matches!(sender.next(long(1)), Next::Send(..)));
    }

    #[test]
    fn several_documents_that_are_too_large_together_make_requests_smaller() {
        let sender = sender();
        assert!(matches!(refused(&sender, 10, Instant::now()), Reply::TooLarge(_)));
        assert_eq!(sender.bulk_bytes(), 5_000);
    }
}
