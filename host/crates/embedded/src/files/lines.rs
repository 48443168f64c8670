//! Records of a file, one a line, in batches. What a record is depends on its line alone, never on how the file was cut into
//! reads, so that a fingerprint holds whoever reads it next.
//!
//! NUL bytes before a line are passed over. A line that then is empty, or only white space of JSON after a byte order mark, is no
//! record. A line of any length costs no more memory than a batch.

use std::{collections::VecDeque, sync::Arc};

use clickmill_columns::Values;
use memchr::memchr;

use super::input::{Input, InputError};

/// Bytes of a record that are kept; a longer one is too large to be an event.
pub const LIMIT: usize = 1 << 20;
/// Records and bytes of a batch, about.
const RECORDS: usize = 4096;
const BYTES: usize = 1_000_000;
/// Bytes of one read at least.
const READ: usize = 1 << 16;
/// Batches whose memory is waited for to be used again.
const LENT: usize = 16;

const MARK: &[u8] = b"\xef\xbb\xbf";

/// What the end of the file means for a line that is not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It is a line.
    Counts,
    /// More of it may come.
    Open,
}

/// Some records.
#[derive(Debug, Default)]
pub struct Cut {
    pub payloads: Arc<Values>,
    /// The byte of the file after each record.
    pub marks: Vec<u64>,
    /// Row and length of what is over the limit.
    pub too_large: Vec<(u32, u64)>,
}

/// A line that is longer than what is kept of it, while it is read.
struct Long {
    kept: Vec<u8>,
    length: u64,
    blank: bool,
    /// Whether the last byte was a carriage return.
    returned: bool,
}

pub struct Lines {
    /// The byte of the file where `rest` begins.
    at: u64,
    /// What is read and not given yet.
    rest: Vec<u8>,
    long: Option<Long>,
    /// Comes after the lines before it.
    error: Option<InputError>,
    want: usize,
    lent: VecDeque<Arc<Values>>,
}

impl Lines {
    pub fn new(at: u64) -> Lines {
        Lines { at, rest: Vec::new(), long: None, error: None, want: BYTES, lent: VecDeque::new() }
    }

    /// The byte of the file up to which everything was given or is no record.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// The next records; none: the end of the file as it is. `tick` is called now and then while that takes long; once it says
    /// false, none is given.
    pub fn next(
        &mut self,
        input: &mut Input,
        ending: Ending,
        tick: &mut dyn FnMut() -> bool,
    ) -> Result<Option<Cut>, InputError> {
        loop {
            if !tick() {
                return Ok(None);
            }
            if self.long.is_some() {
                match self.read_long(input, ending)? {
                    Progress::More => continue,
                    Progress::Cut(cut) => return Ok(Some(cut)),
                    Progress::End => return Ok(None),
                }
            }
            let mut bytes = self.borrow();
            bytes.append(&mut self.rest);
            let mut ended = false;
            if self.error.is_none() {
                let want = self.want.saturating_sub(bytes.len()).max(READ);
                let (read, error) = input.read(&mut bytes, want);
                ended = read < want && error.is_none();
                self.error = error;
            }
            if let Some(cut) = self.cut(bytes) {
                return Ok(Some(cut));
            }
            // There is no whole line in the rest.
            if let Some(error) = self.error.take() {
                self.rest.clear();
                return Err(error);
            }
            if ended {
                return Ok(if ending == Ending::Counts { self.last() } else { None });
            }
            if self.rest.len() > LIMIT + 1 {
                let line = std::mem::take(&mut self.rest);
                self.long = Some(Long {
                    length: line.len() as u64,
                    blank: blank(&line),
                    returned: line.ends_with(b"\r"),
                    kept: line[..LIMIT].to_vec(),
                });
            }
        }
    }

    /// Memory of a batch that is not used any more, or new.
    fn borrow(&mut self) -> Vec<u8> {
        for _ in 0..self.lent.len() {
            if let Some(values) = self.lent.pop_front() {
                match Arc::try_unwrap(values) {
                    Ok(values) => {
                        let (mut bytes, _) = values.into_parts();
                        bytes.clear();
                        return bytes;
                    }
                    Err(values) => self.lent.push_back(values),
                }
            }
        }
        Vec::with_capacity(self.want + READ)
    }

    fn lend(&mut self, bytes: Vec<u8>, ends: Vec<u32>) -> Arc<Values> {
        // Ends rise, and the last one is where the bytes end.
        let values = Arc::new(Values::from_parts(bytes, ends).unwrap_or_default());
        if self.lent.len() >= LENT {
            self.lent.pop_front();
        }
        self.lent.push_back(values.clone());
        values
    }

    /// Takes whole lines off the beginning of `bytes`; what stays is the rest.
    fn cut(&mut self, mut bytes: Vec<u8>) -> Option<Cut> {
        let (mut start, mut written) = (0, 0);
        let (mut ends, mut marks, mut too_large) = (Vec::new(), Vec::new(), Vec::new());
        while ends.len() < RECORDS
            && let Some(length) = memchr(b'\n', &bytes[start..])
        {
            let end = start + length + 1;
            let line = &bytes[start..end - 1];
            let begin = if line.first() == Some(&b'{') { Some(0) } else { beginning(line) };
            if let Some(begin) = begin {
                let (length, kept) = measure(&line[begin..]);
                let kept = kept.unwrap_or(line.len() - begin + 1);
                if length > LIMIT as u64 {
                    too_large.push((ends.len() as u32, length));
                }
                let from = start + begin;
                if written != from {
                    bytes.copy_within(from..from + kept, written);
                }
                written += kept;
                ends.push(written as u32);
                marks.push(self.at + end as u64);
            }
            start = end;
        }
        // Short lines: a batch is full of records before it is full of bytes.
        if ends.len() == RECORDS {
            self.want = (start + start / 8).clamp(READ, BYTES);
        } else {
            self.want = (self.want * 2).min(BYTES);
        }
        let nuls = bytes[start..].iter().take_while(|byte| **byte == 0).count();
        self.rest.clear();
        self.rest.extend_from_slice(&bytes[start + nuls..]);
        self.at += (start + nuls) as u64;
        if ends.is_empty() {
            return None;
        }
        bytes.truncate(written);
        Some(Cut { payloads: self.lend(bytes, ends), marks, too_large })
    }

    /// What is left when the file is at its end.
    fn last(&mut self) -> Option<Cut> {
        let line = std::mem::take(&mut self.rest);
        self.at += line.len() as u64;
        let begin = beginning(&line)?;
        let (length, kept) = measure(&line[begin..]);
        let payload = &line[begin..kept.map_or(line.len(), |kept| begin + kept)];
        let too_large = if length > LIMIT as u64 { vec![(0, length)] } else { Vec::new() };
        Some(Cut { payloads: Arc::new([payload].into_iter().collect()), marks: vec![self.at], too_large })
    }

    fn read_long(&mut self, input: &mut Input, ending: Ending) -> Result<Progress, InputError> {
        let Some(long) = &mut self.long else { return Ok(Progress::More) };
        let mut bytes = Vec::with_capacity(READ * 4);
        let (read, error) = match self.error.take() {
            Some(error) => (0, Some(error)),
            None => input.read(&mut bytes, READ * 4),
        };
        let end = memchr(b'\n', &bytes);
        let line = &bytes[..end.unwrap_or(bytes.len())];
        long.length += line.len() as u64;
        long.blank &= line.iter().all(|byte| white(*byte));
        if let Some(last) = line.last() {
            long.returned = *last == b'\r';
        }
        match end {
            Some(end) => {
                self.error = error;
                self.rest.extend_from_slice(&bytes[end + 1..]);
                Ok(self.end_long(1))
            }
            None => match error {
                Some(error) => {
                    self.long = None;
                    Err(error)
                }
                None if read > 0 => Ok(Progress::More),
                None if ending == Ending::Counts => Ok(self.end_long(0)),
                None => Ok(Progress::End),
            },
        }
    }

    fn end_long(&mut self, newline: u64) -> Progress {
        let Some(long) = self.long.take() else { return Progress::More };
        self.at += long.length + newline;
        if long.blank {
            return Progress::More;
        }
        let length = long.length - u64::from(long.returned);
        let payloads = Arc::new([&long.kept[..]].into_iter().collect());
        Progress::Cut(Cut { payloads, marks: vec![self.at], too_large: vec![(0, length)] })
    }
}

enum Progress {
    More,
    Cut(Cut),
    End,
}

fn white(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

fn blank(line: &[u8]) -> bool {
    line.strip_prefix(MARK).unwrap_or(line).iter().all(|byte| white(*byte))
}

/// Where the record of a line begins; none where the line holds none.
fn beginning(line: &[u8]) -> Option<usize> {
    let nuls = line.iter().take_while(|byte| **byte == 0).count();
    (!blank(&line[nuls..])).then_some(nuls)
}

/// The length of a record without its line end, and how many of its bytes are kept where those are not all.
fn measure(record: &[u8]) -> (u64, Option<usize>) {
    let length = record.len() - usize::from(record.ends_with(b"\r"));
    (length as u64, (length > LIMIT).then_some(LIMIT))
}

/// Follows a file up to some byte, and remembers the line that ends there.
#[derive(Default)]
pub struct Tail {
    kept: Vec<u8>,
    length: u64,
}

impl Tail {
    /// Bytes that are all before the last one.
    pub fn push(&mut self, bytes: &[u8]) {
        let line = match memchr::memrchr(b'\n', bytes) {
            Some(end) => {
                self.kept.clear();
                self.length = 0;
                &bytes[end + 1..]
            }
            None => bytes,
        };
        let nuls = if self.length == 0 { line.iter().take_while(|byte| **byte == 0).count() } else { 0 };
        let line = &line[nuls..];
        self.length += line.len() as u64;
        let room = (LIMIT + 2).saturating_sub(self.kept.len()).min(line.len());
        self.kept.extend_from_slice(&line[..room]);
    }

    /// The payload, now that the last byte is known; as it was given when it was read, but for its line feed.
    pub fn end(mut self, last: u8) -> Vec<u8> {
        if last != b'\n' {
            self.push(&[last]);
        }
        let returned = self.length <= (LIMIT + 1) as u64 && self.kept.ends_with(b"\r");
        if self.length - u64::from(returned) > LIMIT as u64 {
            self.kept.truncate(LIMIT);
        }
        self.kept
    }
}
