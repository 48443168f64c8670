//! Validity bits, as the contract's `column` packs them: one bit a row, lowest first; an empty list means no
//! nulls.

use thiserror::Error;

/// A bitmap that is too short for its column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{rows} rows have {bytes} bytes of validity bits")]
pub struct ValidityError {
    /// Rows of the column.
    pub rows: usize,
    /// Bytes of the bitmap.
    pub bytes: usize,
}

/// A checked view of the validity bits of a column.
#[derive(Clone, Copy)]
pub struct Validity<'a>(&'a [u8]);

impl<'a> Validity<'a> {
    /// Checks that there is a bit a row, or none at all.
    pub fn new(bits: &'a [u8], rows: usize) -> Result<Self, ValidityError> {
        if bits.is_empty() || bits.len() == rows.div_ceil(8) {
            Ok(Self(bits))
        } else {
            Err(ValidityError { rows, bytes: bits.len() })
        }
    }

    /// Whether no row is null for certain.
    #[inline]
    pub fn is_all_valid(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the row holds a value.
    #[inline]
    pub fn is_valid(&self, row: usize) -> bool {
        self.0.get(row / 8).is_none_or(|byte| byte >> (row % 8) & 1 == 1)
    }
}

/// Validity bits that are being made: an empty list as long as no row is null.
#[derive(Default)]
pub struct ValidityBuilder {
    bits: Vec<u8>,
}

impl ValidityBuilder {
    /// The row, of so many, is null.
    pub fn set_null(&mut self, row: usize, rows: usize) {
        if self.bits.is_empty() {
            self.bits = vec![0xff; rows.div_ceil(8)];
            if let (Some(last), spare @ 1..) = (self.bits.last_mut(), rows % 8) {
                *last = (1 << spare) - 1;
            }
        }
        if let Some(byte) = self.bits.get_mut(row / 8) {
            *byte &= !(1 << (row % 8));
        }
    }

    /// The bits.
    pub fn finish(self) -> Vec<u8> {
        self.bits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_read_as_they_were_set() {
        for rows in [1, 7, 8, 9, 16] {
            let mut builder = ValidityBuilder::default();
            for row in (0..rows).step_by(3) {
                builder.set_null(row, rows);
            }
            let bits = builder.finish();
            let validity = Validity::new(&bits, rows).unwrap();
            for row in 0..rows {
                assert_eq!(validity.is_valid(row), row % 3 != 0);
            }
            assert!((rows..bits.len() * 8).all(|beyond| bits[beyond / 8] >> (beyond % 8) & 1 == 0));
        }
    }

    #[test]
    fn no_bits_mean_no_nulls_and_too_few_are_refused() {
        assert!(ValidityBuilder::default().finish().is_empty());
        assert!(Validity::new(&[], 9).unwrap().is_valid(8));
        assert_eq!(Validity::new(&[255], 9).err(), Some(ValidityError { rows: 9, bytes: 1 }));
    }
}
