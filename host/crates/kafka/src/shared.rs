//! What the readers of a topic's partitions share: a client, and who holds which partition.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Condvar, Mutex, PoisonError},
};

use clickmill_settings::Kafka;
use clickmill_tasks::env::Trouble;
use rdkafka::consumer::BaseConsumer;

use crate::{client::Logged, offsets::PATIENCE};

/// What readers share.
pub(crate) struct Shared {
    pub(crate) settings: Kafka,
    pub(crate) client: Arc<BaseConsumer<Logged>>,
    /// Partitions that a reader holds, and the offset up to which it has given all records, once it has begun.
    held: Mutex<HashMap<i32, Option<i64>>>,
    released: Condvar,
}

impl Shared {
    /// No partition is held.
    pub(crate) fn new(settings: Kafka, client: Arc<BaseConsumer<Logged>>) -> Shared {
        Shared { settings, client, held: Mutex::default(), released: Condvar::new() }
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
