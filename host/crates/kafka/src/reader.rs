//! Reads one partition. The work is done on a thread of the reader's own, one request at a time.

use std::{
    cmp::Ordering,
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use clickmill_tasks::{
    batch::fingerprint,
    env::{Fetched, Reader, Trouble},
    name::PartitionId,
    row::Position,
};
use futures_channel::oneshot;
use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{Consumer, base_consumer::PartitionQueue},
    error::{KafkaError, RDKafkaErrorCode},
};

use crate::{
    batch::{Filling, cut},
    heard::Logged,
    member::Member,
    offsets::{PATIENCE, Partition, bounds},
    shared::{Client, Shared},
    trouble::{at, trouble},
};

/// How long nothing must have come after the end before the broker is asked whether a hole lies there.
const QUIET: Duration = Duration::from_millis(300);
/// How many events of the client are served before a batch is given, at most: with each refresh it logs some lines for each
/// partition of the topic.
const EVENTS: usize = 100_000;

type Answer = Result<Fetched, Trouble>;

/// Reads one partition, in order.
pub struct KafkaReader {
    requests: mpsc::Sender<(Duration, oneshot::Sender<Answer>)>,
    /// A request whose answer nobody has taken yet, for its future was dropped.
    pending: Option<oneshot::Receiver<Answer>>,
    partition: i32,
    member: Option<Arc<Member>>,
}

impl KafkaReader {
    pub(crate) async fn open(
        shared: Arc<Shared>,
        member: Option<Arc<Member>>,
        partition: PartitionId,
        position: &Position,
    ) -> Result<KafkaReader, Trouble> {
        let number = i32::try_from(partition.partition)
            .map_err(|_| Trouble::Final(format!("Kafka has no partition {partition}")))?;
        let (requests, requested) = mpsc::channel::<(Duration, oneshot::Sender<Answer>)>();
        let (opened, open) = oneshot::channel();
        let position = position.clone();
        let body = move || {
            if let Err(trouble) = shared.hold(number) {
                // The one who asked may be gone, here and below.
                let _ = opened.send(Err(trouble));
                return;
            }
            let held = Held { shared: &shared, partition: number };
            match shared.client().and_then(|client| Reading::open(&shared, client, number, &position)) {
                Ok(mut reading) => {
                    shared.reached(number, reading.next);
                    if opened.send(Ok(())).is_ok() {
                        for (wait, reply) in requested {
                            let answer = reading.next(wait);
                            shared.reached(number, reading.next);
                            let _ = reply.send(answer);
                        }
                    }
                }
                Err(trouble) => {
                    let _ = opened.send(Err(trouble));
                }
            }
            drop(held);
        };
        thread::Builder::new()
            .name(format!("kafka-{number}"))
            .spawn(body)
            .map_err(|error| Trouble::Passing(format!("no thread to read partition {number}: {error}")))?;
        open.await.unwrap_or_else(|_| Err(ended(number)))?;
        Ok(KafkaReader { requests, pending: None, partition: number, member })
    }
}

/// Lets go of the partition, whatever ends its thread.
struct Held<'a> {
    shared: &'a Shared,
    partition: i32,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.shared.release(self.partition);
    }
}

impl Reader for KafkaReader {
    async fn next(&mut self, wait: Duration) -> Answer {
        if self.pending.is_none() {
            let (reply, answer) = oneshot::channel();
            self.requests.send((wait, reply)).map_err(|_| ended(self.partition))?;
            self.pending = Some(answer);
        }
        let answer = match &mut self.pending {
            Some(answer) => answer.await,
            None => return Err(ended(self.partition)),
        };
        self.pending = None;
        answer.unwrap_or_else(|_| Err(ended(self.partition)))
    }

    fn committed(&mut self, next: i64) {
        if let Some(member) = &self.member {
            member.commit(self.partition, next);
        }
    }
}

fn ended(partition: i32) -> Trouble {
    Trouble::Passing(format!("the thread that reads partition {partition} has ended"))
}

/// A partition that is being read, on the reader's thread.
struct Reading<'a> {
    shared: &'a Shared,
    /// Before the client, which it is a part of: what is dropped first stands first.
    queue: PartitionQueue<Logged>,
    client: Client,
    partition: i32,
    /// All records before it were given.
    next: i64,
    filling: Filling,
    /// When the client said that the end is reached, unless something came since or the broker confirmed it.
    end_seen: Option<Instant>,
    /// An error that came after records that were given first.
    failed: Option<KafkaError>,
    /// It begins behind the position, which nobody was told yet.
    moved: bool,
}

impl Reading<'_> {
    fn open<'a>(
        shared: &'a Shared,
        client: Client,
        partition: i32,
        position: &Position,
    ) -> Result<Reading<'a>, Trouble> {
        let settings = &shared.settings;
        let there = bounds(&client, settings, partition)?;
        let next = begin(position, there)
            .map_err(|fault| Trouble::Final(at(settings, &format!(", partition {partition}: {fault}"))))?;
        let Some(queue) = client.split_partition_queue(&settings.topic, partition) else {
            return Err(Trouble::Final(format!("Kafka, topic {}: no partition {partition}", settings.topic)));
        };
        let filling = Filling::new(Arc::from(settings.topic.as_str()));
        let mut reading = Reading {
            shared,
            client,
            partition,
            queue,
            next,
            filling,
            end_seen: None,
            failed: None,
            moved: next != position.next,
        };
        match position.last.filter(|(offset, _)| *offset >= there.low) {
            Some((offset, print)) => {
                reading.place(offset)?;
                reading.check_last(offset, print)?;
            }
            None => reading.place(next)?,
        }
        Ok(reading)
    }

    /// Starts the client at an offset.
    fn place(&self, offset: i64) -> Result<(), Trouble> {
        let mut list = TopicPartitionList::new();
        let added =
            list.add_partition_offset(&self.shared.settings.topic, self.partition, Offset::Offset(offset));
        added
            .and_then(|()| self.client.incremental_assign(&list))
            .map_err(|error| self.trouble("starting to read", &error))
    }

    /// The first record from `offset` on, where it has that offset, must be the one that the position remembers. A record
    /// behind the position is kept.
    fn check_last(&mut self, offset: i64, print: u64) -> Result<(), Trouble> {
        let asked = Instant::now();
        loop {
            match self.queue.poll(PATIENCE.saturating_sub(asked.elapsed())) {
                Some(Ok(message)) => {
                    if message.offset() == offset
                        && fingerprint(cut(message.payload().unwrap_or_default())) != print
                    {
                        return Err(self.finally(&format!(
                            "the record at offset {offset} is not the one that was read before: the topic was made anew under \
                             its old name. Choose: `clickmill run --resume-at new-log` reads it from its beginning as a log of \
                             its own, `latest` takes it for the same log and goes on behind its last record"
                        )));
                    }
                    if message.offset() >= self.next {
                        self.next = message.offset() + 1;
                        self.filling.push(&message);
                    }
                    return Ok(());
                }
                Some(Err(KafkaError::PartitionEOF(_))) => {
                    self.end_seen = Some(Instant::now());
                    return Ok(());
                }
                Some(Err(error)) => return Err(self.trouble("looking at the last record read", &error)),
                None if asked.elapsed() >= PATIENCE => {
                    let error = KafkaError::MessageConsumption(RDKafkaErrorCode::OperationTimedOut);
                    return Err(self.trouble("looking at the last record read", &error));
                }
                None => {}
            }
        }
    }

    fn next(&mut self, wait: Duration) -> Answer {
        let answer = self.fetch(wait);
        if let Err(Trouble::Final(_)) = answer {
            return answer;
        }
        // The client goes on in a topic that was made anew under its name, but says so before the first record of it. What it
        // said may wait in its queue.
        let heard = &self.client.context().heard;
        for _ in 0..EVENTS {
            let before = heard.told();
            // It does not say whether it served an event.
            if self.client.poll(Duration::ZERO).is_none() && heard.told() == before {
                break;
            }
        }
        if heard.is_spent() {
            return Err(self.passing("the topic was made anew under its name, so the position is checked"));
        }
        answer
    }

    fn fetch(&mut self, wait: Duration) -> Answer {
        if let Some(error) = self.failed.take() {
            return Err(self.fault(&error));
        }
        if std::mem::take(&mut self.moved) {
            return Ok(Fetched::Batch(self.filling.take(self.next)));
        }
        let until = Instant::now() + wait;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let patience = match self.end_seen {
                _ if !self.filling.is_empty() => Duration::ZERO,
                Some(seen) => left.min(QUIET.saturating_sub(seen.elapsed())),
                None => left,
            };
            match self.queue.poll(patience) {
                Some(Ok(message)) => {
                    // The client was started at the record before the position.
                    if message.offset() >= self.next {
                        self.next = message.offset() + 1;
                        self.end_seen = None;
                        self.filling.push(&message);
                    }
                    if self.filling.is_full() {
                        break;
                    }
                }
                Some(Err(KafkaError::PartitionEOF(_))) => self.end_seen = Some(Instant::now()),
                Some(Err(error)) if self.filling.is_empty() => return Err(self.fault(&error)),
                // What came before the error counts.
                Some(Err(error)) => {
                    self.failed = Some(error);
                    break;
                }
                None if !self.filling.is_empty() => break,
                None => {
                    if self.end_seen.is_some_and(|seen| seen.elapsed() >= QUIET) && self.hole()? {
                        break;
                    }
                    if Instant::now() >= until {
                        return Ok(Fetched::Nothing);
                    }
                }
            }
        }
        Ok(Fetched::Batch(self.filling.take(self.next)))
    }

    /// Whether what lies between the last record and the end is known to be a hole now (the mark of a transaction, a record
    /// that was aborted or compacted away); then the position moves behind it.
    fn hole(&mut self) -> Result<bool, Trouble> {
        // The client tells of an end once: where the question fails it is asked again.
        let seen = self.end_seen.take();
        let found = bounds(&self.client, &self.shared.settings, self.partition);
        let Partition { low, end, .. } = found.inspect_err(|_| self.end_seen = seen)?;
        match end.cmp(&self.next) {
            Ordering::Greater => {}
            Ordering::Equal => return Ok(false),
            Ordering::Less => return Err(self.finally(&outside(self.next, low, end))),
        }
        // Read again from the position, asked for after the end was: what comes first, a record or the end, decides.
        let topic = &self.shared.settings.topic;
        if let Err(error) = self.client.seek(topic, self.partition, Offset::Offset(self.next), PATIENCE) {
            self.end_seen = seen;
            return Err(self.trouble("looking behind the last record", &error));
        }
        match self.queue.poll(PATIENCE) {
            Some(Ok(message)) => {
                if message.offset() >= self.next {
                    self.next = message.offset() + 1;
                    self.filling.push(&message);
                }
                Ok(!self.filling.is_empty())
            }
            Some(Err(KafkaError::PartitionEOF(_))) => {
                self.next = end;
                Ok(true)
            }
            Some(Err(error)) => Err(self.fault(&error)),
            None => Ok(false),
        }
    }

    fn fault(&self, error: &KafkaError) -> Trouble {
        use RDKafkaErrorCode::{AutoOffsetReset, LogTruncation, OffsetOutOfRange};
        let Some(AutoOffsetReset | LogTruncation | OffsetOutOfRange) = error.rdkafka_error_code() else {
            return self.trouble("reading", error);
        };
        match bounds(&self.client, &self.shared.settings, self.partition) {
            Ok(Partition { low, end, .. }) if !(low..=end).contains(&self.next) => {
                self.finally(&outside(self.next, low, end))
            }
            // It was outside, and is within what has come since.
            Ok(_) => self.passing("the topic was cut off or made anew, so the position is checked"),
            Err(trouble) => trouble,
        }
    }

    fn finally(&self, text: &str) -> Trouble {
        Trouble::Final(at(&self.shared.settings, &format!(", partition {}: {text}", self.partition)))
    }

    fn passing(&self, text: &str) -> Trouble {
        Trouble::Passing(at(&self.shared.settings, &format!(", partition {}: {text}", self.partition)))
    }

    fn trouble(&self, doing: &str, error: &KafkaError) -> Trouble {
        let heard = &self.client.context().heard;
        trouble(&self.shared.settings, heard, &format!("partition {}, {doing}", self.partition), error)
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        let mut list = TopicPartitionList::new();
        list.add_partition(&self.shared.settings.topic, self.partition);
        // Not being read is what was wanted.
        let _ = self.client.incremental_unassign(&list);
    }
}

/// The offset to begin at, or why there is none.
fn begin(position: &Position, there: Partition) -> Result<i64, String> {
    if position.next == 0 && position.last.is_none() {
        return Ok(there.low);
    }
    if (there.low..=there.end).contains(&position.next) {
        Ok(position.next)
    } else {
        Err(outside(position.next, there.low, there.end))
    }
}

/// Names the choices that there are: where the topic is shorter, all that it has lies before the position, and offsets never go
/// back.
fn outside(next: i64, low: i64, end: i64) -> String {
    let choices = if next < low {
        format!(
            "records were deleted before they were read. Choose: `clickmill run --resume-at earliest` goes on at {low}, `latest` \
             at {end}, and `new-log` reads it from its beginning as a log of its own (right for a topic that was made anew)"
        )
    } else {
        "the topic is shorter than it was. Choose: `clickmill run --resume-at new-log` reads it from its beginning as a log of its \
         own"
            .to_owned()
    };
    format!("the position {next} lies outside of what is there, {low} to {end}: {choices}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_never_moved_silently() {
        let there = Partition { number: 0, low: 10, end: 20 };
        let begin = |next, last| begin(&Position { next, last, ..Position::default() }, there);
        assert_eq!(begin(0, None), Ok(10));
        assert_eq!(begin(10, None), Ok(10));
        assert_eq!(begin(20, Some((19, 1))), Ok(20));
        assert!(begin(0, Some((0, 1))).is_err());
        assert_eq!(
            begin(9, None).unwrap_err(),
            "the position 9 lies outside of what is there, 10 to 20: records were deleted before they were read. Choose: \
             `clickmill run --resume-at earliest` goes on at 10, `latest` at 20, and `new-log` reads it from its beginning as a \
             log of its own (right for a topic that was made anew)"
        );
        assert_eq!(
            begin(21, Some((20, 1))).unwrap_err(),
            "the position 21 lies outside of what is there, 10 to 20: the topic is shorter than it was. Choose: `clickmill run \
             --resume-at new-log` reads it from its beginning as a log of its own"
        );
    }
}
