//! A file as the bytes that it stands for: what compressed them is told by its first bytes, whatever its name.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom},
    path::Path,
};

use flate2::bufread::GzDecoder;
use serde::{Deserialize, Serialize};

use super::paths::calm;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Compression {
    None,
    Gzip,
    Zstd,
}

impl Compression {
    fn of(head: &[u8]) -> Compression {
        match head {
            [0x1f, 0x8b, 8, ..] => Compression::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Compression::Zstd,
            _ => Compression::None,
        }
    }
}

/// Why no more bytes come.
#[derive(Debug)]
pub enum InputError {
    Io(io::Error),
    /// The compressed bytes end too early.
    Cut {
        at: u64,
    },
    /// The compressed bytes are none.
    Damaged {
        at: u64,
        what: String,
    },
    /// After a member of a gzip file stands what begins no other.
    Trailing {
        at: u64,
    },
}

/// Counts what is taken out of a buffer, and remembers whether an error is the file's own.
struct Counted {
    file: BufReader<File>,
    taken: u64,
    failed: bool,
}

impl Read for Counted {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(into);
        self.failed |= read.is_err();
        self.taken += *read.as_ref().unwrap_or(&0) as u64;
        read
    }
}

impl BufRead for Counted {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let filled = self.file.fill_buf();
        self.failed |= filled.is_err();
        filled
    }

    fn consume(&mut self, bytes: usize) {
        self.taken += bytes as u64;
        self.file.consume(bytes);
    }
}

enum Bytes {
    Plain(File),
    Gzip(Option<Box<GzDecoder<Counted>>>),
    Zstd(Box<zstd::stream::read::Decoder<'static, Counted>>),
}

pub struct Input {
    bytes: Bytes,
    compression: Compression,
    /// The next byte, decompressed.
    at: u64,
    /// Length of the file as it was opened, as it lies on the disk.
    size: u64,
}

impl Input {
    pub fn open(path: &Path) -> io::Result<Input> {
        let mut file = File::open(path)?;
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a directory, not a file"));
        }
        let mut head = Vec::with_capacity(4);
        (&mut file).take(4).read_to_end(&mut head)?;
        file.seek(SeekFrom::Start(0))?;
        let compression = Compression::of(&head);
        let counted =
            |file| Counted { file: BufReader::with_capacity(1 << 16, file), taken: 0, failed: false };
        let bytes = match compression {
            Compression::None => Bytes::Plain(file),
            Compression::Gzip => Bytes::Gzip(Some(Box::new(GzDecoder::new(counted(file))))),
            Compression::Zstd => {
                Bytes::Zstd(Box::new(zstd::stream::read::Decoder::with_buffer(counted(file))?))
            }
        };
        Ok(Input { bytes, compression, at: 0, size: metadata.len() })
    }

    /// Whether a file is so short that it cannot be told yet whether it will be a compressed one.
    pub fn undecided(path: &Path) -> bool {
        let head = std::fs::read(path).unwrap_or_default();
        let begins = |magic: &[u8]| head.len() < magic.len() && magic.starts_with(&head);
        begins(&[0x1f, 0x8b, 8]) || begins(&[0x28, 0xb5, 0x2f, 0xfd])
    }

    /// Whether nobody has written to the file for a while.
    pub fn calm(&self) -> bool {
        let file = self.file().map(|(file, _)| file);
        file.is_none_or(|file| file.metadata().is_ok_and(|metadata| calm(&metadata)))
    }

    /// Bytes of the file, as it lies on the disk now, that were not read yet.
    pub fn left(&self) -> u64 {
        let left = |(file, read): (&File, u64)| {
            file.metadata().map_or(0, |metadata| metadata.len().saturating_sub(read))
        };
        self.file().map_or(0, left)
    }

    /// The open file, and how many of its bytes were read; none once a compressed one has come to its end.
    fn file(&self) -> Option<(&File, u64)> {
        let counted = match &self.bytes {
            Bytes::Plain(file) => return Some((file, self.at)),
            Bytes::Gzip(decoder) => decoder.as_ref()?.get_ref(),
            Bytes::Zstd(decoder) => decoder.get_ref(),
        };
        Some((counted.file.get_ref(), counted.taken))
    }

    pub fn compression(&self) -> Compression {
        self.compression
    }

    pub fn at(&self) -> u64 {
        self.at
    }

    /// Bytes of the file on the disk that have been taken into account: for plain files, those read.
    pub fn size(&self) -> u64 {
        match self.bytes {
            Bytes::Plain(_) => self.at,
            _ => self.size,
        }
    }

    /// The open file, where its bytes are what it stands for.
    pub fn plain(&mut self) -> Option<&mut File> {
        match &mut self.bytes {
            Bytes::Plain(file) => Some(file),
            _ => None,
        }
    }

    /// Goes on at this byte of a plain file.
    pub fn seek(&mut self, at: u64) -> io::Result<()> {
        if let Bytes::Plain(file) = &mut self.bytes {
            file.seek(SeekFrom::Start(at))?;
            self.at = at;
        }
        Ok(())
    }

    /// Appends up to `want` bytes; fewer come only at the end of the file, or before the error that is given beside them.
    pub fn read(&mut self, into: &mut Vec<u8>, want: usize) -> (usize, Option<InputError>) {
        let before = into.len();
        let result = match &mut self.bytes {
            Bytes::Plain(file) => file.take(want as u64).read_to_end(into).map(drop).map_err(InputError::Io),
            Bytes::Gzip(decoder) => read_gzip(decoder, into, before + want),
            Bytes::Zstd(decoder) => match decoder.take(want as u64).read_to_end(into) {
                Ok(_) => Ok(()),
                Err(error) => Err(judge(error, decoder.get_ref())),
            },
        };
        let read = into.len() - before;
        self.at += read as u64;
        (read, result.err())
    }
}

/// What a member of a gzip file begins with.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Reads member after member; zeros after the last one are padding.
fn read_gzip(
    decoder: &mut Option<Box<GzDecoder<Counted>>>,
    into: &mut Vec<u8>,
    until: usize,
) -> Result<(), InputError> {
    while into.len() < until
        && let Some(member) = decoder
    {
        let want = (until - into.len()) as u64;
        if let Err(error) = member.take(want).read_to_end(into) {
            return Err(judge(error, member.get_ref()));
        }
        if into.len() == until {
            return Ok(());
        }
        let Some(member) = decoder.take() else { return Ok(()) };
        let mut file = member.into_inner();
        loop {
            let (zeros, length, begins) = match file.fill_buf() {
                Ok(bytes) => {
                    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
                    // Where the buffer or the file ends after one byte, a member may go on.
                    let begins = bytes[zeros..].iter().zip(GZIP).all(|(byte, of_member)| *byte == of_member);
                    (zeros, bytes.len(), begins)
                }
                Err(error) => return Err(InputError::Io(error)),
            };
            file.consume(zeros);
            if length == 0 {
                return Ok(());
            }
            if zeros < length && !begins {
                return Err(InputError::Trailing { at: file.taken });
            }
            if zeros < length {
                *decoder = Some(Box::new(GzDecoder::new(file)));
                break;
            }
        }
    }
    Ok(())
}

fn judge(error: io::Error, file: &Counted) -> InputError {
    if file.failed {
        return InputError::Io(error);
    }
    match error.kind() {
        io::ErrorKind::UnexpectedEof => InputError::Cut { at: file.taken },
        _ => InputError::Damaged { at: file.taken, what: error.to_string() },
    }
}
