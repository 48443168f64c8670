//! The encodings of Parquet that the writer uses: runs and packed bits for levels and dictionary codes, deltas for integers.

/// Bits that it takes to write the numbers up to `most`.
pub fn width(most: u64) -> u8 {
    (u64::BITS - most.leading_zeros()) as u8
}

fn varint(mut n: u64, out: &mut Vec<u8>) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

fn zigzag(n: i64, out: &mut Vec<u8>) {
    varint(((n << 1) ^ (n >> 63)) as u64, out);
}

/// One run of `count` equal values.
pub fn repeated(value: u32, width: u8, count: usize, out: &mut Vec<u8>) {
    varint((count as u64) << 1, out);
    out.extend_from_slice(&value.to_le_bytes()[..usize::from(width).div_ceil(8)]);
}

/// Values in the hybrid of runs and packed bits: one run where all are equal, else all of them packed.
pub fn hybrid(values: &[u32], width: u8, out: &mut Vec<u8>) {
    let Some(&first) = values.first() else { return };
    if values.iter().all(|&value| value == first) {
        return repeated(first, width, values.len(), out);
    }
    let groups = values.len().div_ceil(8);
    varint((groups as u64) << 1 | 1, out);
    out.reserve(groups * usize::from(width) + 8);
    let (mut bits, mut filled) = (0u64, 0u32);
    for &value in values {
        bits |= u64::from(value) << filled;
        filled += u32::from(width);
        if filled >= 32 {
            out.extend_from_slice(&(bits as u32).to_le_bytes());
            bits >>= 32;
            filled -= 32;
        }
    }
    let total = groups * usize::from(width);
    let written = values.len() * usize::from(width) / 32 * 4;
    let mut rest = bits.to_le_bytes().to_vec();
    rest.resize(rest.len().max(total - written), 0);
    out.extend_from_slice(&rest[..total - written]);
}

/// Definition levels of optional values, with the length before them that a data page of the first version wants.
pub fn levels(bits: &[u8], rows: usize, nulls: usize, out: &mut Vec<u8>) {
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    if nulls == 0 || nulls == rows {
        repeated(u32::from(nulls == 0), 1, rows, out);
    } else {
        varint((bits.len() as u64) << 1 | 1, out);
        out.extend_from_slice(bits);
    }
    let length = (out.len() - at - 4) as u32;
    out[at..at + 4].copy_from_slice(&length.to_le_bytes());
}

const BLOCK: usize = 128;
const MINIBLOCK: usize = 32;

/// Integers as bit-packed differences in blocks (`DELTA_BINARY_PACKED`).
pub fn deltas(values: &[i64], out: &mut Vec<u8>) {
    varint(BLOCK as u64, out);
    varint((BLOCK / MINIBLOCK) as u64, out);
    varint(values.len() as u64, out);
    let (Some(&first), rest) = (values.first(), values.get(1..).unwrap_or_default()) else {
        return zigzag(0, out);
    };
    zigzag(first, out);
    let mut before = first;
    let mut differences = [0i64; BLOCK];
    for block in rest.chunks(BLOCK) {
        for (difference, &value) in differences.iter_mut().zip(block) {
            *difference = value.wrapping_sub(before);
            before = value;
        }
        let differences = &differences[..block.len()];
        let least = differences.iter().copied().min().unwrap_or(0);
        zigzag(least, out);
        let widths = out.len();
        out.extend_from_slice(&[0; BLOCK / MINIBLOCK]);
        for (number, part) in differences.chunks(MINIBLOCK).enumerate() {
            let most = part.iter().map(|&n| n.wrapping_sub(least) as u64).max().unwrap_or(0);
            let width = width(most);
            out[widths + number] = width;
            pack(part.iter().map(|&n| n.wrapping_sub(least) as u64), width, out);
        }
    }
}

/// A miniblock: always room for all of its values.
fn pack(values: impl Iterator<Item = u64>, width: u8, out: &mut Vec<u8>) {
    let end = out.len() + MINIBLOCK * usize::from(width) / 8;
    let (mut bits, mut filled) = (0u128, 0u32);
    for value in values {
        bits |= u128::from(value) << filled;
        filled += u32::from(width);
        if filled >= 64 {
            out.extend_from_slice(&(bits as u64).to_le_bytes());
            bits >>= 64;
            filled -= 64;
        }
    }
    let left = &(bits as u64).to_le_bytes()[..(filled as usize).div_ceil(8)];
    out.extend_from_slice(left);
    out.resize(end, 0);
}
