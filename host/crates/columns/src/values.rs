/// A column of byte strings: value `i` is `bytes[ends[i - 1]..ends[i]]`, where `ends[-1]` is 0. The ends never fall and the
/// last one is the length of `bytes`; every way to make one keeps that.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Values {
    bytes: Vec<u8>,
    ends: Vec<u32>,
}

impl Values {
    pub fn new() -> Values {
        Values::default()
    }

    pub fn with_capacity(values: usize, bytes: usize) -> Values {
        Values { bytes: Vec::with_capacity(bytes), ends: Vec::with_capacity(values) }
    }

    /// Takes parts that somebody else made; says what is wrong with them.
    pub fn from_parts(bytes: Vec<u8>, ends: Vec<u32>) -> Result<Values, String> {
        let mut before = 0;
        for (row, &end) in ends.iter().enumerate() {
            if end < before {
                return Err(format!("value {row} ends at byte {end}, before it begins at {before}"));
            }
            before = end;
        }
        if before as usize != bytes.len() {
            return Err(format!("the values end at byte {before} of {}", bytes.len()));
        }
        Ok(Values { bytes, ends })
    }

    /// Adds a value. Values of more than 4 GiB in all do not fit; batches are bounded far below that.
    #[inline]
    pub fn push(&mut self, value: &[u8]) {
        self.bytes.extend_from_slice(value);
        self.ends.push(self.bytes.len() as u32);
    }

    /// Adds a value that `write` appends to the bytes.
    pub fn push_with(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.bytes);
        self.ends.push(self.bytes.len() as u32);
    }

    #[inline]
    pub fn get(&self, row: usize) -> &[u8] {
        let start = if row == 0 { 0 } else { self.ends[row - 1] as usize };
        &self.bytes[start..self.ends[row] as usize]
    }

    /// The byte where a value begins; 0 where there is no such value.
    #[inline]
    pub fn start(&self, row: usize) -> usize {
        row.checked_sub(1).and_then(|before| self.ends.get(before)).map_or(0, |&end| end as usize)
    }

    #[inline]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    #[inline]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        (0..self.len()).map(|row| self.get(row))
    }

    #[inline]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub fn ends(&self) -> &[u32] {
        &self.ends
    }

    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// The values `from..to`, as a column of their own.
    pub fn slice(&self, from: usize, to: usize) -> Values {
        let mut part = Values::with_capacity(to - from, 0);
        for row in from..to {
            part.push(self.get(row));
        }
        part
    }

    pub fn into_parts(self) -> (Vec<u8>, Vec<u32>) {
        (self.bytes, self.ends)
    }
}

impl<'a> FromIterator<&'a [u8]> for Values {
    fn from_iter<I: IntoIterator<Item = &'a [u8]>>(values: I) -> Values {
        let mut all = Values::new();
        for value in values {
            all.push(value);
        }
        all
    }
}
