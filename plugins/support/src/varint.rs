//! Whole numbers in as few bytes as they need: seven bits a byte, lowest first, the high bit set while more
//! follow.
//!
//! Each number has one encoding only, so equal state has equal bytes: an encoding longer than needed is an
//! error.

use thiserror::Error;

/// Why bytes are no number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum VarintError {
    /// The bytes end inside a number.
    #[error("the bytes end inside a number")]
    Truncated,
    /// The number does not fit 64 bits.
    #[error("a number is beyond 64 bits")]
    TooLarge,
    /// The number is encoded in more bytes than it needs.
    #[error("a number has more bytes than it needs")]
    Overlong,
}

/// Appends a number.
#[inline]
pub fn put_u64(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// Appends a signed number: those near zero, of either sign, are short.
#[inline]
pub fn put_i64(bytes: &mut Vec<u8>, number: i64) {
    put_u64(bytes, ((number << 1) ^ (number >> 63)) as u64);
}

/// Takes a number off the front of the bytes.
#[inline]
pub fn take_u64(bytes: &mut &[u8]) -> Result<u64, VarintError> {
    let mut number = 0;
    for (index, &byte) in bytes.iter().enumerate().take(10) {
        if index == 9 && byte > 1 {
            return Err(VarintError::TooLarge);
        }
        number |= u64::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            if byte == 0 && index > 0 {
                return Err(VarintError::Overlong);
            }
            *bytes = &bytes[index + 1..];
            return Ok(number);
        }
    }
    Err(VarintError::Truncated)
}

/// Takes a signed number off the front of the bytes.
#[inline]
pub fn take_i64(bytes: &mut &[u8]) -> Result<i64, VarintError> {
    let folded = take_u64(bytes)?;
    Ok((folded >> 1) as i64 ^ -((folded & 1) as i64))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_come_back(unsigned: u64, shift in 0u32..64, signed: i64) {
            let (unsigned, signed) = (unsigned >> shift, signed >> shift);
            let mut bytes = Vec::new();
            put_u64(&mut bytes, unsigned);
            put_i64(&mut bytes, signed);
            let mut rest = &bytes[..];
            prop_assert_eq!(take_u64(&mut rest), Ok(unsigned));
            prop_assert_eq!(take_i64(&mut rest), Ok(signed));
            prop_assert!(rest.is_empty());
        }

        #[test]
        fn any_bytes_are_a_number_in_its_only_encoding_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..12)) {
            let mut rest = &bytes[..];
            if let Ok(number) = take_u64(&mut rest) {
                let mut again = Vec::new();
                put_u64(&mut again, number);
                prop_assert_eq!(&again[..], &bytes[..bytes.len() - rest.len()]);
            }
        }
    }

    #[test]
    fn the_limits() {
        for number in [0, 0x7f, 0x80, u64::MAX] {
            let mut bytes = Vec::new();
            put_u64(&mut bytes, number);
            assert_eq!(take_u64(&mut &bytes[..]), Ok(number));
        }
        assert_eq!(take_u64(&mut &[][..]), Err(VarintError::Truncated));
        assert_eq!(take_u64(&mut &[0x80][..]), Err(VarintError::Truncated));
        assert_eq!(take_u64(&mut &[0x80, 0][..]), Err(VarintError::Overlong));
        assert_eq!(take_u64(&mut &[0xff; 10][..]), Err(VarintError::TooLarge));
    }
}
