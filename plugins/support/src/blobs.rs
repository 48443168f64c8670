//! Columns of byte strings, as the contract's `values` packs them: `bytes` one after the other, and where
//! each ends.

use thiserror::Error;

/// `bytes` and `ends` that do not belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BlobsError {
    /// A value ends before it begins.
    #[error("the ends of the values fall at value {0}")]
    Falling(usize),
    /// The last value does not end where the bytes do.
    #[error("the values end at byte {ends}, but there are {bytes} bytes")]
    Length { ends: usize, bytes: usize },
    /// There are more or fewer values than rows.
    #[error("there are {values} values for {rows} rows")]
    Count { values: usize, rows: usize },
}

/// A checked view of a column of byte strings.
#[derive(Clone, Copy)]
pub struct Blobs<'a> {
    bytes: &'a [u8],
    ends: &'a [u32],
}

impl<'a> Blobs<'a> {
    /// Checks that the ends never fall, that the last is the length of the bytes, and that there is one a
    /// row.
    pub fn new(bytes: &'a [u8], ends: &'a [u32], rows: usize) -> Result<Self, BlobsError> {
        if ends.len() != rows {
            return Err(BlobsError::Count { values: ends.len(), rows });
        }
        if let Some(row) = ends.windows(2).position(|pair| pair[1] < pair[0]) {
            return Err(BlobsError::Falling(row + 1));
        }
        let last = ends.last().map_or(0, |&end| end as usize);
        if last != bytes.len() {
            return Err(BlobsError::Length { ends: last, bytes: bytes.len() });
        }
        Ok(Self { bytes, ends })
    }

    /// The values, in their order.
    pub fn iter(&self) -> impl Iterator<Item = &'a [u8]> {
        let bytes = self.bytes;
        let mut start = 0;
        self.ends.iter().map(move |&end| {
            let value = &bytes[start..end as usize];
            start = end as usize;
            value
        })
    }
}

/// More bytes in one reply than `ends` can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the reply is larger than 4 GiB; offer fewer slots in a call")]
pub struct TooLarge;

/// A column of byte strings that is being made.
#[derive(Default)]
pub struct BlobsBuilder {
    /// Where the next value is written; [`BlobsBuilder::end`] closes it.
    pub bytes: Vec<u8>,
    ends: Vec<u32>,
}

impl BlobsBuilder {
    /// Room for so many values.
    pub fn with_capacity(values: usize, bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), ends: Vec::with_capacity(values) }
    }

    /// The value ends here.
    #[inline]
    pub fn end(&mut self) -> Result<(), TooLarge> {
        self.ends.push(u32::try_from(self.bytes.len()).map_err(|_| TooLarge)?);
        Ok(())
    }

    /// `bytes` and `ends`.
    pub fn finish(self) -> (Vec<u8>, Vec<u32>) {
        (self.bytes, self.ends)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_built_reads_back() {
        let mut builder = BlobsBuilder::with_capacity(3, 8);
        for value in ["one", "", "three"] {
            builder.bytes.extend_from_slice(value.as_bytes());
            builder.end().unwrap();
        }
        let (bytes, ends) = builder.finish();
        let blobs = Blobs::new(&bytes, &ends, 3).unwrap();
        assert_eq!(blobs.iter().collect::<Vec<_>>(), [&b"one"[..], b"", b"three"]);
    }

    #[test]
    fn columns_that_do_not_fit_are_refused() {
        let refused = |bytes: &[u8], ends: &[u32], rows| Blobs::new(bytes, ends, rows).err();
        assert_eq!(refused(b"ab", &[2, 1], 2), Some(BlobsError::Falling(1)));
        assert_eq!(refused(b"ab", &[1], 1), Some(BlobsError::Length { ends: 1, bytes: 2 }));
        assert_eq!(
            refused(b"", &[u32::MAX], 1),
            Some(BlobsError::Length { ends: u32::MAX as usize, bytes: 0 })
        );
        assert_eq!(refused(b"a", &[1], 2), Some(BlobsError::Count { values: 1, rows: 2 }));
        assert_eq!(refused(b"", &[], 0), None);
    }
}
