use thiserror::Error;

use crate::Values;

/// Appends little-endian numbers and arrays to a block. What it writes, a [`Cursor`] reads.
#[derive(Default)]
pub struct Writer(pub Vec<u8>);

impl Writer {
    pub fn u32(&mut self, n: u32) {
        self.0.extend_from_slice(&n.to_le_bytes());
    }

    pub fn u64(&mut self, n: u64) {
        self.0.extend_from_slice(&n.to_le_bytes());
    }

    pub fn i64(&mut self, n: i64) {
        self.0.extend_from_slice(&n.to_le_bytes());
    }

    pub fn u32s(&mut self, numbers: &[u32]) {
        self.u32(numbers.len() as u32);
        for n in numbers {
            self.u32(*n);
        }
    }

    pub fn i64s(&mut self, numbers: &[i64]) {
        self.u32(numbers.len() as u32);
        for n in numbers {
            self.i64(*n);
        }
    }

    pub fn bytes(&mut self, bytes: &[u8]) {
        self.u32(bytes.len() as u32);
        self.0.extend_from_slice(bytes);
    }

    pub fn values(&mut self, values: &Values) {
        self.u32s(values.ends());
        self.bytes(values.bytes());
    }
}

/// A block that does not read as it was written.
#[derive(Debug, Error)]
#[error("damaged block: {0}")]
pub struct Damaged(pub String);

/// Reads what a [`Writer`] wrote, and never beyond its end.
pub struct Cursor<'a>(pub &'a [u8]);

impl<'a> Cursor<'a> {
    pub fn take(&mut self, length: usize) -> Result<&'a [u8], Damaged> {
        let (head, tail) = self
            .0
            .split_at_checked(length)
            .ok_or_else(|| Damaged(format!("{length} bytes wanted, {} left", self.0.len())))?;
        self.0 = tail;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Damaged> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    pub fn u32(&mut self) -> Result<u32, Damaged> {
        self.array().map(u32::from_le_bytes)
    }

    pub fn u64(&mut self) -> Result<u64, Damaged> {
        self.array().map(u64::from_le_bytes)
    }

    pub fn i64(&mut self) -> Result<i64, Damaged> {
        self.array().map(i64::from_le_bytes)
    }

    pub fn u32s(&mut self) -> Result<Vec<u32>, Damaged> {
        let count = self.u32()? as usize;
        let bytes = self.take(count.saturating_mul(4))?;
        Ok(bytes.as_chunks().0.iter().map(|&chunk| u32::from_le_bytes(chunk)).collect())
    }

    pub fn i64s(&mut self) -> Result<Vec<i64>, Damaged> {
        let count = self.u32()? as usize;
        let bytes = self.take(count.saturating_mul(8))?;
        Ok(bytes.as_chunks().0.iter().map(|&chunk| i64::from_le_bytes(chunk)).collect())
    }

    pub fn bytes(&mut self) -> Result<&'a [u8], Damaged> {
        let length = self.u32()? as usize;
        self.take(length)
    }

    pub fn values(&mut self) -> Result<Values, Damaged> {
        let ends = self.u32s()?;
        let bytes = self.bytes()?.to_vec();
        Values::from_parts(bytes, ends).map_err(Damaged)
    }
}
