//! Membership in the consumer group. The member is assigned partitions and reads none of them.

use std::{
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use clickmill_settings::Kafka;
use clickmill_tasks::env::Trouble;
use futures_channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use rdkafka::{
    ClientContext, Offset, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, RebalanceProtocol},
    error::{KafkaError, KafkaResult},
    types::RDKafkaRespErr,
};

use crate::{client::consumer, heard::Heard, trouble::trouble};

/// How long a hand-over waits for the tasks to stop. Who takes longer is fenced off, which costs work and nothing else.
const HAND_OVER: Duration = Duration::from_secs(2);
/// For so long after a rebalance another is likely: what was revoked from one member is assigned to another one in a second round.
const SECOND_ROUND: Duration = Duration::from_secs(3);
/// How long the answers to the last commits of revoked partitions may take.
const LAST_COMMITS: Duration = Duration::from_millis(250);
/// How long a client that leaves is waited for: as long as a session, after which the group has missed it anyway. The destructor may wait
/// for ever where a topic was deleted (<https://github.com/confluentinc/librdkafka/issues/4362>).
const GONE: Duration = Duration::from_secs(10);
/// A heartbeat is sent no sooner than the client's own thread looks whether one is due: each half second, unless it is woken.
const WAKE: Duration = Duration::from_millis(50);

/// Which partitions this process is to read. Cooperative: only what changes is told.
#[derive(Debug)]
pub enum Change {
    Assigned(Vec<u32>),
    Revoked(Revoked),
}

/// Partitions that go to others. To be dropped when their tasks have stopped: then they are handed over, or else after two
/// seconds.
#[derive(Debug)]
pub struct Revoked {
    pub partitions: Vec<u32>,
    _handed_over: mpsc::Sender<()>,
}

/// A member of the group, until it leaves or is dropped.
pub(crate) struct Member {
    /// The member's thread owns the client, and drops it to leave.
    client: Weak<BaseConsumer<Context>>,
    topic: String,
    ended: Arc<AtomicBool>,
    /// Closed when the client is gone.
    gone: Mutex<mpsc::Receiver<()>>,
}

impl Member {
    pub(crate) fn join(settings: &Kafka) -> Result<(Member, UnboundedReceiver<Change>), Trouble> {
        let heard = Arc::new(Heard::default());
        let fault = |error: KafkaError| trouble(settings, &heard, "joining the group", &error);
        let (changes, told) = unbounded();
        let context = Context { changes, heard: heard.clone(), rebalanced: Mutex::default() };
        let client: BaseConsumer<Context> =
            consumer(settings)?.create_with_context(context).map_err(fault)?;
        client.subscribe(&[&settings.topic]).map_err(fault)?;
        let (client, ended) = (Arc::new(client), Arc::new(AtomicBool::new(false)));
        let watched = Arc::downgrade(&client);
        let (going, gone) = mpsc::channel::<()>();
        let body = {
            let (ended, settings) = (ended.clone(), settings.clone());
            move || {
                serve(&client, &settings, || ended.load(Ordering::Relaxed));
                // While partitions that were revoked wait for the answers to their last commits, a client that is closed forgets to
                // tell the group that it leaves (librdkafka 2.12, `rd_kafka_cgrp_incr_unassign_done`).
                serve(&client, &settings, || !client.context().rebalanced_within(LAST_COMMITS));
                // Nor does one tell it that has no partition (`rd_kafka_cgrp_revoke_all_rejoin`).
                if client.assignment().is_ok_and(|own| own.count() == 0) {
                    client.unsubscribe();
                }
                end(client);
                drop(going);
            }
        };
        thread::Builder::new()
            .name("kafka-group".into())
            .spawn(body)
            .map_err(|error| Trouble::Final(format!("no thread for the consumer group: {error}")))?;
        let gone = Mutex::new(gone);
        Ok((Member { client: watched, topic: settings.topic.clone(), ended, gone }, told))
    }

    /// Leaves the group; the member's thread does it.
    pub(crate) fn leave(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }

    /// Tells the group that everything before `next` is done. A courtesy for whoever watches the lag: nothing waits for it, and
    /// nobody reads it back. So it does no harm that an older offset of a member that has lost the partition may come last.
    pub(crate) fn commit(&self, partition: i32, next: i64) {
        let Some(client) = self.client.upgrade() else { return };
        let mut offsets = TopicPartitionList::new();
        let added = offsets.add_partition_offset(&self.topic, partition, Offset::Offset(next));
        if let Err(error) = added.and_then(|()| client.commit(&offsets, CommitMode::Async)) {
            tracing::debug!(target: "kafka", "committing offset {next} of partition {partition}: {error}");
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.leave();
        let gone = self.gone.get_mut().unwrap_or_else(PoisonError::into_inner);
        if !is_closed(gone, GONE) {
            tracing::debug!(target: "kafka", "the member's client does not end; it is left to itself");
        }
    }
}

/// Ends the client on this thread, whoever is at telling an offset by it.
fn end(mut client: Arc<BaseConsumer<Context>>) {
    while let Err(shared) = Arc::try_unwrap(client) {
        client = shared;
        thread::sleep(Duration::from_millis(1));
    }
}

/// Whether the other side is dropped within this time.
fn is_closed(channel: &mpsc::Receiver<()>, within: Duration) -> bool {
    channel.recv_timeout(within) != Err(mpsc::RecvTimeoutError::Timeout)
}

/// Serves the group's events until it is enough.
fn serve(client: &BaseConsumer<Context>, settings: &Kafka, enough: impl Fn() -> bool) {
    let mut before = None;
    while !enough() {
        if let Some(Err(error)) = client.poll(WAKE) {
            // Troubles of connections are told as such, and those that last once.
            let heard = &client.context().heard;
            if !heard.is_told(&error) && before.as_ref() != Some(&error) {
                tracing::warn!("{}", trouble(settings, heard, "the consumer group", &error));
            }
            before = Some(error);
        }
        // Any question wakes the client's own thread; whatever the answers are. The client joins again no sooner than a second after
        // it joined last, unless metadata came since.
        if client.context().rebalanced_within(SECOND_ROUND) {
            let _ = client.fetch_metadata(Some(&settings.topic), HAND_OVER);
        } else {
            let _ = client.assignment();
        }
    }
}

struct Context {
    changes: UnboundedSender<Change>,
    heard: Arc<Heard>,
    /// When a rebalance came last.
    rebalanced: Mutex<Option<Instant>>,
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.heard.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.heard.error(&error, reason);
    }
}

impl ConsumerContext for Context {
    fn rebalance(
        &self,
        client: &BaseConsumer<Self>,
        error: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        let done = match error {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => self.assigned(client, partitions),
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS => self.revoked(client, partitions),
            _ => Ok(()),
        };
        *self.rebalanced.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        if let Err(error) = done {
            tracing::warn!("Kafka: rebalance: {error}");
        }
    }
}

impl Context {
    fn rebalanced_within(&self, time: Duration) -> bool {
        let rebalanced = self.rebalanced.lock().unwrap_or_else(PoisonError::into_inner);
        rebalanced.is_some_and(|at| at.elapsed() < time)
    }

    fn assigned(&self, client: &BaseConsumer<Self>, partitions: &mut TopicPartitionList) -> KafkaResult<()> {
        // At the end and paused: this client reads nothing.
        partitions.set_all_offsets(Offset::End)?;
        if matches!(client.rebalance_protocol(), RebalanceProtocol::Cooperative) {
            client.incremental_assign(partitions)?;
        } else {
            client.assign(partitions)?;
        }
        // A first round of a cooperative rebalance may bring nothing.
        if partitions.count() > 0 {
            // Nobody listens any more: the process is ending.
            let _ = self.changes.unbounded_send(Change::Assigned(numbers(partitions)));
        }
        client.pause(partitions)
    }

    fn revoked(&self, client: &BaseConsumer<Self>, partitions: &TopicPartitionList) -> KafkaResult<()> {
        let (handed_over, done) = mpsc::channel();
        let revoked = Revoked { partitions: numbers(partitions), _handed_over: handed_over };
        let told = self.changes.unbounded_send(Change::Revoked(revoked)).is_ok();
        if told && !client.assignment_lost() {
            // Ends when the sender is dropped, too.
            let _ = done.recv_timeout(HAND_OVER);
        }
        if matches!(client.rebalance_protocol(), RebalanceProtocol::Cooperative) {
            client.incremental_unassign(partitions)
        } else {
            client.unassign()
        }
    }
}

fn numbers(partitions: &TopicPartitionList) -> Vec<u32> {
    partitions.elements().iter().filter_map(|element| u32::try_from(element.partition()).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_does_not_end_is_not_waited_for() {
        let (going, gone) = mpsc::channel();
        assert!(!is_closed(&gone, Duration::from_millis(10)));
        drop(going);
        assert!(is_closed(&gone, GONE));
    }
}
