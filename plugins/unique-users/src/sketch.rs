//! HyperLogLog registers: how many distinct hashes, when there are too many to keep.
//!
//! A function of the set of hashes alone. Precision 14 gives a standard error of 1.04 / sqrt(2^14) = 0.81 %;
//! the estimate is the improved one of Ertl, "New cardinality estimation algorithms for HyperLogLog sketches"
//! (arXiv 1702.01284, algorithm 6), which needs no correction by ranges.
//!
//! The greatest `P` bits of a hash choose the register; a register keeps the greatest rank, the place of the
//! first 1 in the remaining bits. Registers are one byte each, eight to a word.

use plugin_support::varint::{self, VarintError};

/// Bits of a hash that choose the register.
const P: u32 = 14;
/// Bits of a hash that make the rank.
const Q: usize = 64 - P as usize;
/// Number of registers.
const M: usize = 1 << P;
/// The greatest rank.
const MAX_RANK: u8 = Q as u8 + 1;
/// Words of eight registers.
pub const WORDS: usize = M / 8;
/// Bytes of all registers at six bits each.
const PACKED: usize = M / 4 * 3;

/// Counts a hash.
#[inline]
pub fn insert(words: &mut [u64], hash: u64) {
    let rank = (hash << P | 1 << (P - 1)).leading_zeros() as u8 + 1;
    raise(words, (hash >> Q) as usize, rank);
}

#[inline]
fn raise(words: &mut [u64], register: usize, rank: u8) {
    let (word, shift) = (&mut words[register / 8], register % 8 * 8);
    if (*word >> shift) as u8 >= rank {
        return;
    }
    *word = *word & !(0xff << shift) | u64::from(rank) << shift;
}

fn registers(words: &[u64]) -> impl Iterator<Item = u8> {
    words.iter().flat_map(|word| word.to_le_bytes())
}

/// The estimated number of distinct hashes.
pub fn estimate(words: &[u64]) -> f64 {
    // A histogram for each byte of a word: one alone would wait for itself, as most ranks are alike.
    let mut lanes = [[0u32; 64]; 8];
    for word in words {
        for (lane, rank) in lanes.iter_mut().zip(word.to_le_bytes()) {
            lane[rank as usize & 63] += 1;
        }
    }
    let count = |rank: usize| f64::from(lanes.iter().map(|lane| lane[rank]).sum::<u32>());
    let m = M as f64;
    let mut z = m * tau(1.0 - count(MAX_RANK as usize) / m);
    for rank in (1..=Q).rev() {
        z = 0.5 * (z + count(rank));
    }
    z += m * sigma(count(0) / m);
    m * m / (2.0 * std::f64::consts::LN_2 * z)
}

/// x + sum over k >= 1 of x^(2^k) 2^(k-1).
fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut sum, mut factor) = (x, 1.0);
    loop {
        x *= x;
        let before = sum;
        sum += x * factor;
        factor += factor;
        if sum == before {
            return sum;
        }
    }
}

/// (1 - x - sum over k >= 1 of (1 - x^(2^-k))^2 2^-k) / 3.
fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut sum, mut factor) = (1.0 - x, 1.0);
    loop {
        x = x.sqrt();
        let before = sum;
        factor *= 0.5;
        sum -= (1.0 - x) * (1.0 - x) * factor;
        if sum == before {
            return sum / 3.0;
        }
    }
}

/// First byte of registers of which few are above zero: each as the number of zeros before it, and its rank.
const SPARSE: u8 = 0;
/// First byte of all registers at six bits each.
const DENSE: u8 = 1;
/// The most registers above zero that are written one by one.
const FEW: usize = PACKED / 2;

/// Appends registers as bytes. The registers alone decide how, so equal ones have equal bytes.
pub fn encode(words: &[u64], bytes: &mut Vec<u8>) {
    if registers(words).map(|rank| usize::from(rank > 0)).sum::<usize>() > FEW {
        bytes.push(DENSE);
        bytes.extend(words.iter().flat_map(|&word| pack(word)));
        return;
    }
    bytes.push(SPARSE);
    let mut next = 0;
    for (at, &word) in words.iter().enumerate() {
        let mut left = word;
        while left != 0 {
            let lane = left.trailing_zeros() as usize / 8;
            let register = at * 8 + lane;
            varint::put_u64(bytes, (register - next) as u64);
            bytes.push((left >> (lane * 8)) as u8);
            left &= !(0xff << (lane * 8));
            next = register + 1;
        }
    }
}

/// Checks encoded registers from end to end.
pub fn check(blob: &[u8]) -> Result<(), String> {
    for_each_word(blob, |_, _| {})
}

/// Adds encoded registers, as far as they are free of errors.
pub fn union(words: &mut [u64], blob: &[u8]) -> Result<(), String> {
    for_each_word(blob, |at, others| words[at] = greatest(words[at], others))
}

/// The greater of each two bytes.
fn greatest(one: u64, other: u64) -> u64 {
    let (one, other) = (one.to_le_bytes(), other.to_le_bytes());
    u64::from_le_bytes(std::array::from_fn(|at| one[at].max(other[at])))
}

/// Takes words of registers, each with its number below [`WORDS`]; a word may come in parts, some only from
/// others.
fn for_each_word(blob: &[u8], mut take: impl FnMut(usize, u64)) -> Result<(), String> {
    match blob.split_first() {
        Some((&SPARSE, rest)) => sparse_words(rest, take),
        Some((&DENSE, rest)) if rest.len() == PACKED => {
            for (at, six) in rest.chunks_exact(6).enumerate() {
                let word = unpack(six);
                // No byte is above 63, so none carries into the next.
                if word.wrapping_add(EVERY_BYTE * u64::from(127 - MAX_RANK)) & (EVERY_BYTE * 0x80) != 0 {
                    return Err(format!("a rank above {MAX_RANK} in registers from {}", at * 8));
                }
                take(at, word);
            }
            Ok(())
        }
        Some((&DENSE, rest)) => {
            Err(format!("{} bytes of registers where there must be {PACKED}", rest.len()))
        }
        _ => Err("registers of an unknown kind".into()),
    }
}

fn sparse_words(mut rest: &[u8], mut take: impl FnMut(usize, u64)) -> Result<(), String> {
    let mut next = 0u64;
    while !rest.is_empty() {
        let zeros = varint::take_u64(&mut rest).map_err(|error| error.to_string())?;
        let (&rank, after) = rest.split_first().ok_or_else(|| VarintError::Truncated.to_string())?;
        rest = after;
        let register = next.checked_add(zeros).filter(|&register| register < M as u64);
        let register = register.ok_or("a register beyond the last")?;
        if rank == 0 || rank > MAX_RANK {
            return Err(format!("rank {rank} in register {register}"));
        }
        take(register as usize / 8, u64::from(rank) << (register % 8 * 8));
        next = register + 1;
    }
    Ok(())
}

const EVERY_BYTE: u64 = 0x0101_0101_0101_0101;

/// Eight registers at six bits each: neighbours are joined to pairs of 12 bits, those to 24, those to 48.
fn pack(word: u64) -> [u8; 6] {
    let pairs = word & 0x003f_003f_003f_003f | (word & 0x3f00_3f00_3f00_3f00) >> 2;
    let fours = pairs & 0x0000_0fff_0000_0fff | (pairs & 0x0fff_0000_0fff_0000) >> 4;
    let eight = fours & 0x00ff_ffff | (fours & 0x00ff_ffff_0000_0000) >> 8;
    let [a, b, c, d, e, f, _, _] = eight.to_le_bytes();
    [a, b, c, d, e, f]
}

/// The way back. `six` has six bytes.
fn unpack(six: &[u8]) -> u64 {
    let mut eight = [0; 8];
    eight[..6].copy_from_slice(six);
    let eight = u64::from_le_bytes(eight);
    let fours = eight & 0x00ff_ffff | (eight & 0xffff_ff00_0000) << 8;
    let pairs = fours & 0x0000_0fff_0000_0fff | (fours & 0x00ff_f000_00ff_f000) << 4;
    pairs & 0x003f_003f_003f_003f | (pairs & 0x0fc0_0fc0_0fc0_0fc0) << 2
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A well mixed sequence of distinct hashes (the finalizer of splitmix64, a bijection).
    fn hash(number: u64) -> u64 {
        let mut z = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    #[test]
    fn the_standard_error_is_at_most_one_per_cent() {
        for (count, runs) in [(1_025u64, 200u64), (5_000, 100), (20_000, 60), (60_000, 40), (300_000, 20)] {
            let mut squares = 0.0;
            let mut sum = 0.0;
            for run in 0..runs {
                let mut words = vec![0; WORDS];
                (0..count).for_each(|number| insert(&mut words, hash(run << 32 | number)));
                let error = estimate(&words) / count as f64 - 1.0;
                squares += error * error;
                sum += error;
            }
            let (deviation, bias) = ((squares / runs as f64).sqrt(), sum / runs as f64);
            assert!(deviation < 0.01, "{count}: standard error {deviation}");
            assert!(bias.abs() < 0.003, "{count}: bias {bias}");
        }
    }

    #[test]
    fn the_ends_of_the_scale() {
        assert_eq!(estimate(&vec![0; WORDS]), 0.0);
        let full = vec![u64::from_le_bytes([MAX_RANK; 8]); WORDS];
        assert!(estimate(&full).is_infinite());
        let mut words = vec![0; WORDS];
        insert(&mut words, 0);
        insert(&mut words, u64::MAX);
        assert_eq!(words[0], u64::from(MAX_RANK));
        assert_eq!(words[WORDS - 1], 1 << 56);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn registers_come_back_in_little_more_than_the_packed_length(count in 0u64..60_000, seed: u32) {
            let mut words = vec![0; WORDS];
            (0..count).for_each(|number| insert(&mut words, hash(u64::from(seed) << 32 | number)));
            let mut bytes = Vec::new();
            encode(&words, &mut bytes);
            prop_assert!(bytes.len() <= PACKED + 1 + M / 128);
            prop_assert_eq!(check(&bytes), Ok(()));
            let mut again = vec![0; WORDS];
            prop_assert_eq!(union(&mut again, &bytes), Ok(()));
            prop_assert_eq!(again, words);
        }

        #[test]
        fn any_bytes_are_registers_or_an_error(
            kind in 0u8..3, length in prop_oneof![Just(PACKED), 0usize..40], filler in prop::collection::vec(any::<u8>(), 40)
        ) {
            let blob: Vec<u8> = std::iter::once(kind).chain(filler.into_iter().cycle().take(length)).collect();
            let mut words = vec![0; WORDS];
            let checked = check(&blob);
            prop_assert_eq!(union(&mut words, &blob), checked);
            prop_assert!(registers(&words).all(|rank| rank <= MAX_RANK));
        }

        #[test]
        fn the_union_of_parts_is_the_whole(hashes in prop::collection::vec(any::<u64>(), 0..500), cut in 0usize..500) {
            let cut = cut.min(hashes.len());
            let sketch = |hashes: &[u64]| {
                let mut words = vec![0; WORDS];
                hashes.iter().for_each(|&hash| insert(&mut words, hash));
                words
            };
            let mut first = sketch(&hashes[..cut]);
            let mut second = Vec::new();
            encode(&sketch(&hashes[cut..]), &mut second);
            prop_assert_eq!(union(&mut first, &second), Ok(()));
            prop_assert_eq!(first, sketch(&hashes));
        }
    }
}
