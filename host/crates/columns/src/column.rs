use std::sync::Arc;

use crate::Values;

/// One bit a row, lowest first, as in Arrow; 1 is a value, 0 a null. Empty: no row is null.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Validity(Vec<u8>);

impl Validity {
    pub fn all() -> Validity {
        Validity(Vec::new())
    }

    /// Bits that somebody else made, for `rows` rows; says what is wrong with them.
    pub fn from_bits(bits: Vec<u8>, rows: usize) -> Result<Validity, String> {
        if !bits.is_empty() && bits.len() != rows.div_ceil(8) {
            return Err(format!("{} validity bytes for {rows} rows", bits.len()));
        }
        Ok(Validity(bits))
    }

    pub fn from_fn(rows: usize, valid: impl Fn(usize) -> bool) -> Validity {
        let mut bits = vec![0u8; rows.div_ceil(8)];
        let mut nulls = false;
        for row in 0..rows {
            if valid(row) {
                bits[row / 8] |= 1 << (row % 8);
            } else {
                nulls = true;
            }
        }
        Validity(if nulls { bits } else { Vec::new() })
    }

    #[inline]
    pub fn get(&self, row: usize) -> bool {
        self.0.is_empty() || self.0[row / 8] >> (row % 8) & 1 == 1
    }

    #[inline]
    pub fn has_nulls(&self) -> bool {
        !self.0.is_empty()
    }

    pub fn bits(&self) -> &[u8] {
        &self.0
    }
}

/// What places point into: the payloads of a batch followed by the text that the parser made, one address space.
#[derive(Clone, Debug)]
pub struct Buffer {
    payloads: Arc<Values>,
    made: Vec<u8>,
}

impl Buffer {
    pub fn new(payloads: Arc<Values>, made: Vec<u8>) -> Buffer {
        Buffer { payloads, made }
    }

    #[inline]
    pub fn len(&self) -> usize {
        self.payloads.bytes().len() + self.made.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where the made text begins.
    #[inline]
    pub fn border(&self) -> usize {
        self.payloads.bytes().len()
    }

    /// `length` bytes from `start` on; none where they do not lie within the payloads or within the made text.
    #[inline]
    pub fn get(&self, start: u32, length: u32) -> Option<&[u8]> {
        let (start, length, border) = (start as usize, length as usize, self.border());
        if start < border {
            self.payloads.bytes().get(start..start + length)
        } else {
            self.made.get(start - border..start - border + length)
        }
    }
}

/// The datum of every row of a column; the datum of a null is there, and means nothing.
#[derive(Clone, Debug)]
pub enum Data {
    /// Instants (milliseconds since 1970-01-01T00:00:00Z), durations (milliseconds), integers.
    Integers(Vec<i64>),
    Unsigned(Vec<u64>),
    Reals(Vec<f64>),
    Booleans(Vec<bool>),
    Text(Values),
    /// Text by place. Every place was checked to be UTF-8 within the buffer when the column was made.
    Places {
        buffer: Arc<Buffer>,
        starts: Vec<u32>,
        lengths: Vec<u32>,
    },
    /// Text by number. Every code was checked to be one of `distinct` when the column was made.
    Coded {
        distinct: Arc<Values>,
        codes: Vec<u32>,
    },
}

/// A column of a batch.
#[derive(Clone, Debug)]
pub struct Column {
    pub data: Data,
    pub valid: Validity,
}

impl Column {
    pub fn new(data: Data) -> Column {
        Column { data, valid: Validity::all() }
    }

    #[inline]
    pub fn rows(&self) -> usize {
        match &self.data {
            Data::Integers(v) => v.len(),
            Data::Unsigned(v) => v.len(),
            Data::Reals(v) => v.len(),
            Data::Booleans(v) => v.len(),
            Data::Text(v) => v.len(),
            Data::Places { starts, .. } => starts.len(),
            Data::Coded { codes, .. } => codes.len(),
        }
    }

    /// The UTF-8 of a row of a text column; none where it is null or the column is of another kind.
    #[inline]
    pub fn text(&self, row: usize) -> Option<&[u8]> {
        if !self.valid.get(row) {
            return None;
        }
        match &self.data {
            Data::Text(values) => Some(values.get(row)),
            Data::Places { buffer, starts, lengths } => buffer.get(starts[row], lengths[row]),
            Data::Coded { distinct, codes } => Some(distinct.get(codes[row] as usize)),
            _ => None,
        }
    }

    /// Where the text of a row begins in the buffer that it lies in; none where it is no place in a buffer.
    pub fn start(&self, row: usize) -> Option<u32> {
        match &self.data {
            Data::Places { starts, .. } if self.valid.get(row) => starts.get(row).copied(),
            _ => None,
        }
    }

    /// The integer of a row; none where it is null or the column is of another kind.
    pub fn integer(&self, row: usize) -> Option<i64> {
        match &self.data {
            Data::Integers(values) if self.valid.get(row) => Some(values[row]),
            _ => None,
        }
    }

    /// Whether a row holds the same value in both columns; nulls are the same.
    pub fn same(&self, other: &Column, row: usize) -> bool {
        if !self.valid.get(row) || !other.valid.get(row) {
            return self.valid.get(row) == other.valid.get(row);
        }
        match (&self.data, &other.data) {
            (Data::Integers(a), Data::Integers(b)) => a[row] == b[row],
            (Data::Unsigned(a), Data::Unsigned(b)) => a[row] == b[row],
            (Data::Reals(a), Data::Reals(b)) => a[row].to_bits() == b[row].to_bits(),
            (Data::Booleans(a), Data::Booleans(b)) => a[row] == b[row],
            _ => self.text(row).is_some() && self.text(row) == other.text(row),
        }
    }

    /// The rows named, in that order, as a column of its own.
    pub fn take(&self, rows: &[u32]) -> Column {
        fn pick<T: Copy>(from: &[T], rows: &[u32]) -> Vec<T> {
            rows.iter().map(|&row| from[row as usize]).collect()
        }
        let data = match &self.data {
            Data::Integers(v) => Data::Integers(pick(v, rows)),
            Data::Unsigned(v) => Data::Unsigned(pick(v, rows)),
            Data::Reals(v) => Data::Reals(pick(v, rows)),
            Data::Booleans(v) => Data::Booleans(pick(v, rows)),
            Data::Text(v) => Data::Text(rows.iter().map(|&row| v.get(row as usize)).collect()),
            Data::Places { buffer, starts, lengths } => Data::Places {
                buffer: buffer.clone(),
                starts: pick(starts, rows),
                lengths: pick(lengths, rows),
            },
            Data::Coded { distinct, codes } => {
                Data::Coded { distinct: distinct.clone(), codes: pick(codes, rows) }
            }
        };
        let valid = if self.valid.has_nulls() {
            Validity::from_fn(rows.len(), |i| self.valid.get(rows[i] as usize))
        } else {
            Validity::all()
        };
        Column { data, valid }
    }
}
