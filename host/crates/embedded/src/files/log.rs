//! What a file log is made of: the files that were begun, and how far each of them was read. It goes with the position of the
//! partition, so that both are of one commit.

use clickmill_tasks::{batch::fingerprint, env::Trouble};
use serde::{Deserialize, Serialize};

use super::{
    input::{Compression, Input, InputError},
    lines::Tail,
    paths::Identity,
};

/// The first byte of the log as it is stored; another one means that a newer version wrote it.
const FORMAT: u8 = 1;

/// A file that was begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    pub path: String,
    /// None: it is not there any more, whatever bears its name now.
    pub identity: Option<Identity>,
    /// It lost the name under which it was found: nobody appends to it for long.
    pub rotated: bool,
    pub compression: Compression,
    /// The newest stretch of it that was read: the offset of its first record, and its first byte.
    pub offset: i64,
    pub from: u64,
    /// Up to which byte it was read when it was left, decompressed.
    pub end: u64,
    /// Its bytes on the disk that were taken into account then.
    pub size: u64,
    /// The last record before `end`: the byte after it, and its fingerprint.
    pub last: Option<(u64, u64)>,
}

impl Known {
    /// Whether a line without an end was left. Of a compressed file nobody can tell: `end` and `size` are of different bytes.
    pub fn is_unended(&self) -> bool {
        self.compression == Compression::None && self.end < self.size
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Log {
    /// In the order in which they were first seen.
    pub files: Vec<Known>,
    /// The one that is read.
    pub current: Option<u32>,
}

impl Log {
    pub fn decode(bytes: &[u8]) -> Result<Log, Trouble> {
        match bytes.split_first() {
            None => Ok(Log::default()),
            Some((&FORMAT, rest)) => postcard::from_bytes(rest).map_err(|error| {
                Trouble::Final(format!("the list of the files that were read is damaged: {error}"))
            }),
            Some(_) => Err(Trouble::Final(
                "the list of the files that were read was written by a newer version; use that version"
                    .into(),
            )),
        }
    }

    pub fn encode(&self) -> Vec<u8> {
        // Plain data; postcard fails only where a writer does, and a vector does not.
        postcard::to_extend(self, vec![FORMAT]).unwrap_or_default()
    }

    pub fn current(&self) -> Option<&Known> {
        self.files.get(self.current? as usize)
    }

    /// The newest file of a name that is still there.
    pub fn by_path(&self, path: &str) -> Option<usize> {
        self.files.iter().rposition(|file| file.path == path && file.identity.is_some())
    }

    pub fn by_identity(&self, identity: Identity) -> Option<usize> {
        self.files.iter().rposition(|file| file.identity == Some(identity))
    }
}

/// What a file turned out to be at the place up to which it was read.
#[derive(Debug, PartialEq, Eq)]
pub enum Checked {
    /// The record before the place is the one that was read; the input goes on after it.
    Same,
    /// The file ends before the place, at this byte.
    Shorter(u64),
    /// Something else is there.
    Other,
}

/// Goes to byte `to` of a file and compares the record before it, if there is one (the byte after it, its fingerprint); its
/// line begins at `from` at the earliest. `tick` is called now and then.
pub fn go_to(
    input: &mut Input,
    from: u64,
    to: u64,
    last: Option<(u64, u64)>,
    tick: &mut dyn FnMut(),
) -> Result<Checked, InputError> {
    let mark = last.map_or(from, |(mark, _)| mark).min(to);
    if let Some(file) = input.plain() {
        let length = file.metadata().map_err(InputError::Io)?.len();
        if length < to {
            return Ok(Checked::Shorter(length));
        }
        if let Some((_, expected)) = last.filter(|_| mark > from) {
            let begin = line_begin(input, from, mark)?;
            input.seek(begin).map_err(InputError::Io)?;
            if read_tail(input, begin, mark, tick)? != Some(expected) {
                return Ok(Checked::Other);
            }
        }
        input.seek(to).map_err(InputError::Io)?;
        return Ok(Checked::Same);
    }
    if skip(input, from, tick)? {
        if let Some((_, expected)) = last.filter(|_| mark > from) {
            match read_tail(input, from, mark, tick)? {
                Some(found) if found == expected => {}
                Some(_) => return Ok(Checked::Other),
                None => return Ok(Checked::Shorter(input.at())),
            }
        }
        if skip(input, to, tick)? {
            return Ok(Checked::Same);
        }
    }
    Ok(Checked::Shorter(input.at()))
}

const BLOCK: usize = 1 << 16;

/// Where the line that ends at `mark` begins in a plain file.
fn line_begin(input: &mut Input, from: u64, mark: u64) -> Result<u64, InputError> {
    let mut end = mark - 1;
    let mut block = Vec::with_capacity(BLOCK);
    while end > from {
        let begin = end.saturating_sub(BLOCK as u64).max(from);
        input.seek(begin).map_err(InputError::Io)?;
        block.clear();
        if let (_, Some(error)) = input.read(&mut block, (end - begin) as usize) {
            return Err(error);
        }
        if let Some(newline) = memchr::memrchr(b'\n', &block) {
            return Ok(begin + newline as u64 + 1);
        }
        end = begin;
    }
    Ok(from)
}

/// The fingerprint of the record that ends at `mark`, read from byte `from` on, where the input is; none: the file is shorter.
fn read_tail(
    input: &mut Input,
    from: u64,
    mark: u64,
    tick: &mut dyn FnMut(),
) -> Result<Option<u64>, InputError> {
    let mut tail = Tail::default();
    let mut block = Vec::with_capacity(BLOCK);
    let mut at = from;
    while at < mark {
        tick();
        block.clear();
        let want = (mark - at).min(BLOCK as u64) as usize;
        let (read, error) = input.read(&mut block, want);
        at += read as u64;
        if at == mark {
            let Some((last, before)) = block.split_last() else { break };
            tail.push(before);
            return Ok(Some(fingerprint(&tail.end(*last))));
        }
        tail.push(&block);
        match error {
            Some(error) => return Err(error),
            None if read < want => return Ok(None),
            None => {}
        }
    }
    Ok(None)
}

/// Reads up to a byte; false: the input ends before it.
fn skip(input: &mut Input, to: u64, tick: &mut dyn FnMut()) -> Result<bool, InputError> {
    let mut block = Vec::with_capacity(BLOCK * 4);
    while input.at() < to {
        tick();
        block.clear();
        let want = (to - input.at()).min(BLOCK as u64 * 4) as usize;
        match input.read(&mut block, want) {
            _ if input.at() == to => {}
            (_, Some(error)) => return Err(error),
            (read, None) if read < want => return Ok(false),
            _ => {}
        }
    }
    Ok(true)
}
