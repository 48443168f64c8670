use crate::{Values, hash64};

/// Text by number: each distinct value gets the next code, and its hash is kept. Codes last until `clear`.
#[derive(Default)]
pub struct Dictionary {
    table: Table,
    values: Values,
    hashes: Vec<u64>,
    /// Hashes of the values that are being numbered.
    asked: Vec<u64>,
}

impl Dictionary {
    /// Stands for no value among codes.
    pub const NONE: u32 = u32::MAX;

    pub fn new() -> Dictionary {
        Dictionary::default()
    }

    /// The code of a value, a new one where it was not known.
    pub fn intern(&mut self, value: &[u8]) -> u32 {
        self.intern_hashed(value, hash64(value))
    }

    fn intern_hashed(&mut self, value: &[u8], hash: u64) -> u32 {
        let Dictionary { table, values, hashes, .. } = self;
        if let Some(code) = table.find(hash, |code| values.get(code as usize) == value) {
            return code;
        }
        let code = values.len() as u32;
        values.push(value);
        hashes.push(hash);
        table.insert(hash, code, hashes);
        code
    }

    /// The codes of many values, [`Dictionary::NONE`] for none. In passes, each of which waits for memory for many values at
    /// once: in a large dictionary each step to a value leaves the caches.
    pub fn intern_all<'a>(&mut self, values: impl Iterator<Item = Option<&'a [u8]>> + Clone) -> Vec<u32> {
        let mut asked = std::mem::take(&mut self.asked);
        asked.clear();
        asked.extend(values.clone().map(|value| value.map_or(0, hash64)));
        let mut codes: Vec<u32> = asked.iter().map(|&hash| self.table.guess(hash)).collect();
        let first = |code: &u32| self.values.bytes().get(self.values.start(*code as usize)).copied();
        std::hint::black_box(codes.iter().filter_map(first).fold(0, |sum, byte| sum ^ byte));
        for ((value, &hash), code) in values.zip(&asked).zip(&mut codes) {
            let Some(value) = value else {
                *code = Dictionary::NONE;
                continue;
            };
            let guessed = *code != Dictionary::NONE && self.values.get(*code as usize) == value;
            if !guessed {
                *code = self.intern_hashed(value, hash);
            }
        }
        self.asked = asked;
        codes
    }

    /// The code of a value that is known.
    pub fn find(&self, value: &[u8]) -> Option<u32> {
        self.table.find(hash64(value), |code| self.values.get(code as usize) == value)
    }

    #[inline]
    pub fn get(&self, code: u32) -> &[u8] {
        self.values.get(code as usize)
    }

    /// XXH3, 64 bits, seed 0, of the value.
    #[inline]
    pub fn hash(&self, code: u32) -> u64 {
        self.hashes[code as usize]
    }

    #[inline]
    pub fn len(&self) -> usize {
        self.hashes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    /// Bytes of memory that it holds, about.
    pub fn bytes(&self) -> usize {
        self.values.bytes().len() + self.len() * 12 + self.table.words.len() * 8
    }

    pub fn clear(&mut self) {
        self.table.clear();
        self.values.clear();
        self.hashes.clear();
    }
}

/// Open addressing in one array, so that a probe costs one miss of the cache: a word is the upper half of the hash, which keeps
/// most probes from touching the value, and the code plus one; 0 is free.
#[derive(Default)]
struct Table {
    words: Vec<u64>,
    used: usize,
}

const UPPER: u64 = 0xffff_ffff_0000_0000;

impl Table {
    /// The codes that this hash may stand for, and at the end the place that is free.
    #[inline]
    fn probe(&self, hash: u64) -> impl Iterator<Item = u32> + '_ {
        let mask = self.words.len().wrapping_sub(1);
        let mut at = hash as usize & mask;
        std::iter::from_fn(move || {
            loop {
                let word = *self.words.get(at)?;
                if word == 0 {
                    return None;
                }
                at = (at + 1) & mask;
                if (word ^ hash) & UPPER == 0 {
                    return Some(word as u32 - 1);
                }
            }
        })
    }

    #[inline]
    fn find(&self, hash: u64, same: impl Fn(u32) -> bool) -> Option<u32> {
        self.probe(hash).find(|&code| same(code))
    }

    /// The code that this hash most likely stands for, without a look at its value.
    #[inline]
    fn guess(&self, hash: u64) -> u32 {
        self.probe(hash).next().unwrap_or(Dictionary::NONE)
    }

    /// Adds a code that is not there; `hashes` are those of all codes, this one included.
    fn insert(&mut self, hash: u64, code: u32, hashes: &[u64]) {
        if (self.used + 1) * 8 > self.words.len() * 5 {
            let size = (self.words.len() * 2).max(64);
            self.words.clear();
            self.words.resize(size, 0);
            for (code, &hash) in hashes.iter().enumerate().take(code as usize) {
                self.place(hash, code as u32);
            }
        }
        self.place(hash, code);
        self.used += 1;
    }

    fn place(&mut self, hash: u64, code: u32) {
        let mask = self.words.len() - 1;
        let mut at = hash as usize & mask;
        while self.words[at] != 0 {
            at = (at + 1) & mask;
        }
        self.words[at] = hash & UPPER | (u64::from(code) + 1);
    }

    fn clear(&mut self) {
        self.words.clear();
        self.used = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_have_one_code_however_they_are_asked() {
        let values: Vec<String> = (0..5000).map(|number| format!("value {}", number % 1700)).collect();
        let mut one = Dictionary::new();
        let codes: Vec<u32> = values.iter().map(|value| one.intern(value.as_bytes())).collect();
        assert_eq!(one.len(), 1700);
        let mut all = Dictionary::new();
        for part in values.chunks(900) {
            all.intern_all(part.iter().map(|value| Some(value.as_bytes())));
        }
        for (value, &code) in values.iter().zip(&codes) {
            assert_eq!(one.get(code), value.as_bytes());
            assert_eq!(one.hash(code), hash64(value.as_bytes()));
            assert_eq!(all.find(value.as_bytes()), Some(code));
        }
        let some = all.intern_all([Some(&b"new"[..]), None, Some(b"new"), Some(b"value 3")].into_iter());
        assert_eq!(some, [1700, Dictionary::NONE, 1700, 3]);
        all.clear();
        assert_eq!((all.len(), all.find(b"new")), (0, None));
        assert_eq!(all.intern(b"new"), 0);
    }
}
