//! Messages become a raw batch.

use std::{mem, sync::Arc};

use clickmill_columns::Values;
use clickmill_tasks::batch::RawBatch;
use rdkafka::{Message, message::BorrowedMessage};

/// Bytes and records of a batch: larger ones gain nothing.
const BYTES: usize = 1 << 20;
const RECORDS: usize = 4_096;
/// What is kept of a record.
pub(crate) const LONGEST: usize = 1 << 20;

/// A batch that is being filled.
pub(crate) struct Filling {
    topic: Arc<str>,
    payloads: Values,
    batch: RawBatch,
}

impl Filling {
    pub(crate) fn new(topic: Arc<str>) -> Filling {
        Filling { topic, payloads: Values::new(), batch: RawBatch::default() }
    }

    pub(crate) fn push(&mut self, message: &BorrowedMessage) {
        let time = message.timestamp().to_millis();
        self.push_record(message.offset(), time, message.payload());
    }

    fn push_record(&mut self, offset: i64, time: Option<i64>, payload: Option<&[u8]>) {
        let row = self.batch.offsets.len() as u32;
        let whole = payload.unwrap_or_default();
        self.payloads.push(cut(whole));
        if whole.len() > LONGEST {
            self.batch.too_large.push((row, whole.len() as u64));
        }
        if payload.is_none() {
            self.batch.skipped.push(row);
        }
        self.batch.offsets.push(offset);
        self.batch.times.push(time.unwrap_or(-1));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.batch.offsets.is_empty()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.payloads.bytes().len() >= BYTES || self.batch.offsets.len() >= RECORDS
    }

    /// The batch, which ends before `next`; the filling is empty again.
    pub(crate) fn take(&mut self, next: i64) -> RawBatch {
        let payloads = Arc::new(mem::take(&mut self.payloads));
        RawBatch { source: self.topic.clone(), payloads, next, ..mem::take(&mut self.batch) }
    }
}

/// What is kept of a payload.
pub(crate) fn cut(payload: &[u8]) -> &[u8] {
    &payload[..payload.len().min(LONGEST)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_keeps_offsets_times_and_the_first_mib() {
        let mut filling = Filling::new("topic".into());
        filling.push_record(3, Some(5), Some(b"{}"));
        filling.push_record(7, None, None);
        filling.push_record(8, Some(-1), Some(b""));
        assert!(!filling.is_full());
        filling.push_record(9, Some(6), Some(&vec![b'x'; LONGEST + 3]));
        assert!(filling.is_full());
        let batch = filling.take(12);
        assert_eq!((&*batch.source, batch.next), ("topic", 12));
        assert_eq!(batch.offsets, [3, 7, 8, 9]);
        assert_eq!(batch.times, [5, -1, -1, 6]);
        assert_eq!(batch.skipped, [1]);
        assert_eq!(batch.too_large, [(3, LONGEST as u64 + 3)]);
        assert_eq!(batch.payloads.get(0), b"{}");
        assert_eq!(batch.payloads.get(3).len(), LONGEST);
        assert!(filling.is_empty());
    }

    #[test]
    fn a_batch_is_full_of_many_small_records() {
        let mut filling = Filling::new("topic".into());
        (0..RECORDS as i64).for_each(|offset| filling.push_record(offset, None, Some(b"")));
        assert!(filling.is_full());
    }
}
