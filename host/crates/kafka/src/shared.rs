//! What the readers of a topic's partitions share: a client, and who holds which partition.

use std::{
    collections::{HashMap, hash_map::Entry},
    ops::Deref,
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread,
    time::Duration,
};

use clickmill_settings::Kafka;
use clickmill_tasks::env::Trouble;
use rdkafka::consumer::{BaseConsumer, Consumer};

use crate::{
    client::reading,
    heard::{Heard, Logged},
    offsets::PATIENCE,
    trouble::trouble,
};

const POLL: Duration = Duration::from_millis(100);

/// A client that reads. Whoever drops it last does not destroy it: its thread of events does, for that may take for ever where a topic
/// was deleted (<https://github.com/confluentinc/librdkafka/issues/4362>).
#[derive(Clone)]
pub(crate) struct Client {
    consumer: Arc<BaseConsumer<Logged>>,
    /// Dropped after what it stands for.
    used: Arc<()>,
}

impl Deref for Client {
    type Target = Arc<BaseConsumer<Logged>>;

    fn deref(&self) -> &Self::Target {
        &self.consumer
    }
}

/// What readers share.
pub(crate) struct Shared {
    pub(crate) settings: Kafka,
    client: Mutex<Client>,
    /// Partitions that a reader holds, and the offset up to which it has given all records, once it has begun.
    held: Mutex<HashMap<i32, Option<i64>>>,
    released: Condvar,
}

impl Shared {
    /// No partition is held.
    pub(crate) fn new(settings: Kafka) -> Result<Shared, Trouble> {
        let client = Mutex::new(connect(&settings)?);
        Ok(Shared { settings, client, held: Mutex::default(), released: Condvar::new() })
    }

    /// The client. One that is spent is replaced by a new one: what it knows of the topic that was there before, as the epoch of a
    /// partition's leader, keeps it from reading the one that is there now.
    pub(crate) fn client(&self) -> Result<Client, Trouble> {
        let mut client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        if client.context().heard.is_spent() {
            *client = connect(&self.settings)?;
        }
        Ok(client.clone())
    }

    /// Waits until no other reader holds the partition: one that was dropped lets go of it in a moment.
    pub(crate) fn hold(&self, partition: i32) -> Result<(), Trouble> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = |held: &mut HashMap<i32, _>| held.contains_key(&partition);
        let waited = self.released.wait_timeout_while(held, PATIENCE, taken);
        let (mut held, _) = waited.unwrap_or_else(PoisonError::into_inner);
        match held.entry(partition) {
            Entry::Vacant(free) => {
                free.insert(None);
                Ok(())
            }
            Entry::Occupied(_) => Err(Trouble::Passing(format!(
                "Kafka: partition {partition} is still being read by this process"
            ))),
        }
    }

    /// The reader of a partition has given all records before this offset.
    pub(crate) fn reached(&self, partition: i32, next: i64) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).insert(partition, Some(next));
    }

    /// The partitions whose readers have begun, and the offset up to which each has given all records.
    pub(crate) fn positions(&self) -> HashMap<i32, i64> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.iter().filter_map(|(partition, next)| Some((*partition, (*next)?))).collect()
    }

    pub(crate) fn release(&self, partition: i32) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).remove(&partition);
        self.released.notify_all();
    }
}

/// A client, which connects by itself and goes on trying, and a thread that serves its events for as long as it lives. Records
/// never come that way: each partition has a queue of its own.
fn connect(settings: &Kafka) -> Result<Client, Trouble> {
    let client: BaseConsumer<Logged> = reading(settings)?
        .create_with_context(Logged::default())
        .map_err(|error| trouble(settings, &Heard::default(), "making a client", &error))?;
    let client = Client { consumer: Arc::new(client), used: Arc::default() };
    let (events, used) = (client.consumer.clone(), Arc::downgrade(&client.used));
    let body = move || {
        while used.strong_count() > 0 {
            // Its errors are heard by the context.
            let _ = events.poll(POLL);
        }
    };
    let thread = thread::Builder::new().name("kafka-events".into()).spawn(body);
    thread.map_err(|error| Trouble::Final(format!("no thread for the events of Kafka: {error}")))?;
    Ok(client)
}
