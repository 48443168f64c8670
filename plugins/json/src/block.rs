//! Sixteen bytes at a time.
//!
//! A block may be read anywhere, also across the end of the bytes: what is missing is zero, which no string can contain.
//! On wasm vector instructions are used, by functions that are safe; elsewhere two words of eight bytes do.

pub const LENGTH: usize = 16;

/// Sixteen bytes of a batch.
#[derive(Clone, Copy)]
pub struct Block(lanes::Lanes);

impl Block {
    /// Zeros.
    #[inline(always)]
    pub fn zero() -> Self {
        Self(lanes::new(0, 0))
    }

    /// The bytes from `at` on.
    #[inline(always)]
    pub fn load(bytes: &[u8], at: usize) -> Self {
        let (low, high) = words(bytes, at);
        Self(lanes::new(low, high))
    }

    /// The place of the first byte that does not simply belong to a string: a quote, a backslash or a control character;
    /// [`LENGTH`] where there is none.
    #[inline(always)]
    pub fn first_special(self) -> usize {
        lanes::first_special(self.0)
    }

    /// The bits that are set in either.
    #[inline(always)]
    pub fn or(self, other: Self) -> Self {
        Self(lanes::or(self.0, other.0))
    }

    /// Whether a byte is beyond ASCII.
    #[inline(always)]
    pub fn beyond_ascii(self) -> bool {
        lanes::beyond_ascii(self.0)
    }
}

/// The sixteen bytes from `at` on as two numbers, first byte lowest.
#[inline(always)]
pub fn words(bytes: &[u8], at: usize) -> (u64, u64) {
    match bytes.get(at..at + LENGTH) {
        Some(&[a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]) => {
            (u64::from_le_bytes([a, b, c, d, e, f, g, h]), u64::from_le_bytes([i, j, k, l, m, n, o, p]))
        }
        _ => last_words(bytes, at),
    }
}

#[cold]
fn last_words(bytes: &[u8], at: usize) -> (u64, u64) {
    let byte = |place: usize| bytes.get(at + place).copied().unwrap_or(0);
    let word = |from: usize| u64::from_le_bytes(std::array::from_fn(|place| byte(from + place)));
    (word(0), word(8))
}

#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod lanes {
    use core::arch::wasm32::{
        u8x16_bitmask, u8x16_eq, u8x16_le, u8x16_splat, u64x2, v128, v128_or, v128_xor,
    };

    pub type Lanes = v128;

    #[inline(always)]
    pub fn new(low: u64, high: u64) -> Lanes {
        u64x2(low, high)
    }

    #[inline(always)]
    pub fn first_special(lanes: Lanes) -> usize {
        // One comparison for two: `"` is 0x22, and flipping its second bit puts it next to the controls below 0x20.
        let quote_or_control = u8x16_le(v128_xor(lanes, u8x16_splat(2)), u8x16_splat(0x20));
        let backslash = u8x16_eq(lanes, u8x16_splat(b'\\'));
        (u32::from(u8x16_bitmask(v128_or(quote_or_control, backslash))) | 1 << 16).trailing_zeros() as usize
    }

    #[inline(always)]
    pub fn or(one: Lanes, other: Lanes) -> Lanes {
        v128_or(one, other)
    }

    #[inline(always)]
    pub fn beyond_ascii(lanes: Lanes) -> bool {
        u8x16_bitmask(lanes) != 0
    }
}

#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
mod lanes {
    pub type Lanes = (u64, u64);

    const EACH: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x80 * EACH;

    #[inline(always)]
    pub fn new(low: u64, high: u64) -> Lanes {
        (low, high)
    }

    #[inline(always)]
    pub fn first_special((low, high): Lanes) -> usize {
        let (low, high) = (special(low), special(high));
        if low != 0 { low.trailing_zeros() as usize / 8 } else { 8 + high.trailing_zeros() as usize / 8 }
    }

    /// The highest bit of each special byte up to and with the first; those above it may be wrong.
    #[inline(always)]
    fn special(word: u64) -> u64 {
        let zero = |word: u64| word.wrapping_sub(EACH) & !word;
        let control = word.wrapping_sub(0x20 * EACH) & !word;
        (zero(word ^ (0x22 * EACH)) | zero(word ^ (0x5c * EACH)) | control) & HIGH
    }

    #[inline(always)]
    pub fn or(one: Lanes, other: Lanes) -> Lanes {
        (one.0 | other.0, one.1 | other.1)
    }

    #[inline(always)]
    pub fn beyond_ascii((low, high): Lanes) -> bool {
        (low | high) & HIGH != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_at_every_place() {
        for place in 0..LENGTH {
            for byte in 0..=u8::MAX {
                for behind in [b'a', b'"', 0, 0xff] {
                    let mut bytes = [b'a'; LENGTH];
                    bytes[place] = byte;
                    bytes[place + 1..].fill(behind);
                    let is_special = |byte: &u8| *byte < 0x20 || matches!(byte, b'"' | b'\\');
                    let special = bytes.iter().position(is_special).unwrap_or(LENGTH);
                    let beyond = !bytes.is_ascii();

                    let block = Block::load(&bytes, 0);
                    assert_eq!((block.first_special(), block.beyond_ascii()), (special, beyond), "{bytes:?}");
                }
            }
        }
    }

    #[test]
    fn a_block_across_the_end_is_filled_with_zeros() {
        let bytes = b"abcdefghijklmnopqrstuvwxyz";
        for at in 0..40 {
            let (low, high) = words(bytes, at);
            let found = [low.to_le_bytes(), high.to_le_bytes()].concat();
            let mut expected = bytes.get(at..).unwrap_or_default().to_vec();
            expected.resize(expected.len().max(LENGTH), 0);
            assert_eq!(found, &expected[..LENGTH], "{at}");
        }
    }
}
