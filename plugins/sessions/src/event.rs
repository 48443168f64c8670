//! An event as a history keeps it, and how it is written into a blob.

use plugin_support::varint;

/// Times lie within this many milliseconds of 1970, so that a difference of two always fits.
pub const TIME_LIMIT: i64 = (1 << 62) - 1;

/// Time and origin of an event, and whether it came since the last save (it is *fresh*).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// Twice the time, one more if the event is fresh.
    stamp: i64,
    /// The host's number for what it groups the event by.
    pub origin: u64,
}

impl Event {
    /// An event that came just now. The time lies within [`TIME_LIMIT`].
    #[inline]
    pub fn fresh(time: i64, origin: u64) -> Self {
        Self { stamp: time << 1 | 1, origin }
    }

    /// An event that was saved before. The time lies within [`TIME_LIMIT`].
    #[inline]
    pub fn saved(time: i64, origin: u64) -> Self {
        Self { stamp: time << 1, origin }
    }

    /// Milliseconds since 1970.
    #[inline]
    pub fn time(&self) -> i64 {
        self.stamp >> 1
    }

    /// Whether it came since the last save.
    #[inline]
    pub fn is_fresh(&self) -> bool {
        self.stamp & 1 == 1
    }

    /// It is in a blob now.
    #[inline]
    pub fn settle(&mut self) {
        self.stamp &= !1;
    }
}

/// Writes events by rising time: the first time, each further one as its distance, and every origin, all
/// varints.
pub struct Encoder<'a> {
    bytes: &'a mut Vec<u8>,
    before: Option<i64>,
}

impl<'a> Encoder<'a> {
    /// Appends to these bytes.
    pub fn new(bytes: &'a mut Vec<u8>) -> Self {
        Self { bytes, before: None }
    }

    /// Appends an event that is no earlier than the one before.
    #[inline]
    pub fn put(&mut self, event: Event) {
        let time = event.time();
        match self.before.replace(time) {
            None => varint::put_i64(self.bytes, time),
            Some(before) => varint::put_u64(self.bytes, (time - before) as u64),
        }
        varint::put_u64(self.bytes, event.origin);
    }
}

/// Reads a blob: its events in their order, then nothing, or an error and then nothing.
pub struct Decoder<'a> {
    rest: &'a [u8],
    before: Option<i64>,
}

impl<'a> Decoder<'a> {
    /// Reads these bytes.
    pub fn new(blob: &'a [u8]) -> Self {
        Self { rest: blob, before: None }
    }

    fn event(&mut self) -> Result<Event, String> {
        let wrong = |error: varint::VarintError| format!("the state is no list of events: {error}");
        let time = match self.before {
            None => Some(varint::take_i64(&mut self.rest).map_err(wrong)?),
            Some(before) => before.checked_add_unsigned(varint::take_u64(&mut self.rest).map_err(wrong)?),
        };
        let time = time.filter(|time| time.unsigned_abs() <= TIME_LIMIT as u64);
        let time = time.ok_or("the state is no list of events: a time is out of range")?;
        self.before = Some(time);
        Ok(Event::saved(time, varint::take_u64(&mut self.rest).map_err(wrong)?))
    }
}

impl Iterator for Decoder<'_> {
    type Item = Result<Event, String>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let event = self.event();
        if event.is_err() {
            self.rest = &[];
        }
        Some(event)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn events_come_back(mut events in prop::collection::vec((-TIME_LIMIT..=TIME_LIMIT, any::<u64>()), 0..20)) {
            events.sort();
            let mut bytes = Vec::new();
            let mut encoder = Encoder::new(&mut bytes);
            events.iter().for_each(|&(time, origin)| encoder.put(Event::fresh(time, origin)));
            let read: Result<Vec<_>, _> = Decoder::new(&bytes).collect();
            let expected: Vec<_> = events.iter().map(|&(time, origin)| Event::saved(time, origin)).collect();
            prop_assert_eq!(read, Ok(expected));
        }

        #[test]
        fn any_bytes_are_rising_events_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let read: Result<Vec<_>, _> = Decoder::new(&bytes).collect();
            if let Ok(events) = read {
                prop_assert!(events.windows(2).all(|pair| pair[0].time() <= pair[1].time()));
                let mut again = Vec::new();
                let mut encoder = Encoder::new(&mut again);
                events.into_iter().for_each(|event| encoder.put(event));
                prop_assert_eq!(again, bytes);
            }
        }
    }
}
