//! The way through the files of one log: the file that is read, the files after it, and what becomes of them meanwhile.

mod survey;

use std::{
    collections::{BTreeMap, VecDeque},
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use clickmill_tasks::{
    batch::{RawBatch, fingerprint},
    env::Trouble,
    row::Position,
};

use super::{
    Registry,
    input::{Compression, Input, InputError},
    lines::{Cut, Ending, Lines},
    log::{Checked, Known, Log, go_to},
    paths::{Found, Patterns, look},
};
use survey::locate;

use crate::{feed::Feeder, folder::io_trouble};

/// How long a compressed file may end too early before that is an error, where files are followed.
const INCOMPLETE: Duration = Duration::from_secs(30);

pub enum Step {
    Batch(RawBatch),
    /// Nothing for now.
    Idle,
    End,
}

/// The file that is read.
struct Current {
    file: usize,
    input: Input,
    lines: Lines,
    source: Arc<str>,
    /// The last record given: the byte after it, and its fingerprint.
    last: Option<(u64, u64)>,
    /// Where a stretch begins whose first record is not given yet.
    stretch: Option<u64>,
    /// Its content was replaced in place: no more of it will come.
    replaced: bool,
}

/// A file that is to be read next: known by its number in the log, or new.
enum Next {
    Known(usize, Found),
    New(Found),
}

pub struct Walk {
    patterns: Patterns,
    follow: bool,
    registry: Registry,
    partition: u32,
    log: Log,
    /// Whether the next batch brings the log along.
    changed: bool,
    current: Option<Current>,
    next: VecDeque<Next>,
    /// Bytes of other files that wait to be read, as the last look at followed files found them.
    waiting: u64,
    offset: i64,
    /// Compressed files that end too early: their size when that was seen first, and when that was.
    incomplete: BTreeMap<String, (u64, Instant)>,
}

impl Walk {
    pub fn new(
        patterns: Patterns,
        follow: bool,
        registry: Registry,
        partition: u32,
        position: &Position,
    ) -> Result<(Walk, Option<Resume>), Trouble> {
        let mut log = Log::decode(position.log_content.as_deref().unwrap_or_default())?;
        // A batch was cut before the first record of its file: that file was not begun.
        let begun = log.current().is_some_and(|file| file.offset < position.next);
        if !begun
            && let Some(current) = log.current.take()
            && log.files[current as usize].last.is_none()
            && log.files[current as usize].from == 0
        {
            log.files.remove(current as usize);
        }
        let resume =
            log.current.map(|file| Resume { file: file as usize, mark: position.mark, last: position.last });
        for file in &log.files {
            if let Some(identity) = file.identity {
                registry.claim(identity, partition);
            }
        }
        let walk = Walk {
            patterns,
            follow,
            registry,
            partition,
            log,
            changed: true,
            current: None,
            next: VecDeque::new(),
            waiting: 0,
            offset: position.next,
            incomplete: BTreeMap::new(),
        };
        Ok((walk, resume))
    }

    /// Goes to where the position says, and finds what comes after it.
    pub fn begin(&mut self, resume: Option<Resume>, feeder: &Feeder) -> Result<(), Trouble> {
        let found = self.patterns.expand(!self.follow)?;
        if let Some(resume) = resume {
            self.resume(&resume, &found, feeder)?;
        }
        if self.follow {
            self.recognise(&found, feeder)?;
        } else {
            let current = self.current.as_ref().map(|current| current.file);
            for found in found {
                match self.log.by_path(&found.path) {
                    Some(file) if Some(file) == current => {}
                    Some(file) if self.log.files[file].size == found.size => {}
                    Some(file) => self.next.push_back(Next::Known(file, found)),
                    None => self.next.push_back(Next::New(found)),
                }
            }
        }
        Ok(())
    }

    fn resume(&mut self, resume: &Resume, found: &[Found], feeder: &Feeder) -> Result<(), Trouble> {
        let known = self.log.files[resume.file].clone();
        let last = resume.last.map(|(_, fingerprint)| (resume.mark, fingerprint));
        let path = Path::new(&known.path);
        let choices = choices();
        let mut problem = match look(path)? {
            None if path.is_dir() => {
                format!("{} is a directory now; it was read up to byte {}", known.path, resume.mark)
            }
            None => format!("{} is gone; it was read up to byte {}", known.path, resume.mark),
            Some(here) => match self.open(&here, known.from, resume.mark, last, feeder)? {
                Ok(input) => {
                    self.enter(resume.file, here, input, last, None);
                    return Ok(());
                }
                Err(Checked::Shorter(_)) if self.follow && known.identity == Some(here.identity) => {
                    tracing::warn!("{} was truncated; it is read as a new file", known.path);
                    self.log.files[resume.file].identity = None;
                    self.log.current = None;
                    return Ok(());
                }
                Err(Checked::Shorter(length)) => {
                    format!("{} has only {length} bytes; it was read up to byte {}", known.path, resume.mark)
                }
                Err(_) => {
                    format!("{} has changed before byte {}, up to which it was read", known.path, resume.mark)
                }
            },
        };
        if let Some(identity) = known.identity.filter(|_| self.follow)
            && let Some(there) = locate(identity, &known.path, found)
            && there.path != known.path
        {
            match self.open(&there, known.from, resume.mark, last, feeder)? {
                Ok(input) => {
                    self.log.files[resume.file].path.clone_from(&there.path);
                    self.enter(resume.file, there, input, last, None);
                    return Ok(());
                }
                Err(_) => problem = format!("{problem}; nor is it {} any more", there.path),
            }
        }
        Err(Trouble::Final(format!("{problem}. {choices}")))
    }

    /// Opens a file at a byte; or says that it is not what was read.
    fn open(
        &self,
        found: &Found,
        from: u64,
        to: u64,
        last: Option<(u64, u64)>,
        feeder: &Feeder,
    ) -> Result<Result<Input, Checked>, Trouble> {
        let path = Path::new(&found.path);
        let mut input = Input::open(path).map_err(|error| io_trouble("read", path, &error))?;
        let checked = go_to(&mut input, from, to, last, &mut || _ = feeder.tick());
        match checked.map_err(|error| damage(&found.path, &error, to))? {
            Checked::Same => Ok(Ok(input)),
            other => Ok(Err(other)),
        }
    }

    /// Reads on in a file; `stretch`: where a new stretch of it begins, if one does.
    fn enter(
        &mut self,
        file: usize,
        found: Found,
        input: Input,
        last: Option<(u64, u64)>,
        stretch: Option<u64>,
    ) {
        let at = input.at();
        self.registry.claim(found.identity, self.partition);
        let known = &mut self.log.files[file];
        known.identity = Some(found.identity);
        known.compression = input.compression();
        self.log.current = Some(file as u32);
        self.changed = true;
        let (lines, source) = (Lines::new(at), found.path.into());
        self.current = Some(Current { file, input, lines, source, last, stretch, replaced: false });
    }

    /// Leaves the file that is read, and remembers how far it was.
    fn leave(&mut self) {
        if let Some(current) = self.current.take() {
            let known = &mut self.log.files[current.file];
            known.end = current.lines.at();
            known.size = current.input.size();
            known.last = current.last;
            self.changed = true;
        }
    }

    pub fn step(&mut self, feeder: &Feeder) -> Result<Step, Trouble> {
        loop {
            if self.current.is_none() {
                match self.next.pop_front() {
                    Some(next) => self.turn_to(next, feeder)?,
                    None if !self.follow => return Ok(Step::End),
                    None => {}
                }
            }
            let mut idle = true;
            if let Some(current) = &mut self.current {
                let rotated = self.log.files[current.file].rotated;
                let over = current.replaced || (rotated && current.input.calm());
                let ending = if self.follow && !over { Ending::Open } else { Ending::Counts };
                let next = current.lines.next(&mut current.input, ending, &mut || feeder.tick());
                if matches!(next, Ok(None)) {
                    self.incomplete.remove(&*current.source);
                }
                match next {
                    Ok(Some(cut)) => return Ok(Step::Batch(self.batch(cut))),
                    Ok(None) if !feeder.tick() => return Ok(Step::End),
                    Ok(None) if !self.follow => {
                        self.leave();
                        idle = false;
                    }
                    Ok(None) if over => {
                        self.leave();
                        idle = false;
                    }
                    Ok(None) => {}
                    // What comes after it may be read meanwhile, but not before it is known to be whole.
                    Err(error) => self.broken(&error)?,
                }
            }
            if idle && !(self.follow && self.survey(feeder)?) {
                return Ok(Step::Idle);
            }
        }
    }

    /// What to do about a file that cannot be read on.
    fn broken(&mut self, error: &InputError) -> Result<(), Trouble> {
        let Some(current) = &self.current else { return Ok(()) };
        let trouble = damage(&current.source, error, current.lines.at());
        let InputError::Cut { .. } = error else { return Err(trouble) };
        if !self.follow {
            return Err(trouble);
        }
        // It may still be on its way here.
        let (path, size) = (current.source.to_string(), current.input.size());
        match self.incomplete.get(&path) {
            Some((was, since)) if *was == size => {
                if since.elapsed() >= INCOMPLETE {
                    return Err(trouble);
                }
            }
            _ => _ = self.incomplete.insert(path, (size, Instant::now())),
        }
        self.leave();
        Ok(())
    }

    fn batch(&mut self, cut: Cut) -> RawBatch {
        let Cut { payloads, marks, too_large } = cut;
        let first = self.offset;
        self.offset += marks.len() as i64;
        let Some(current) = &mut self.current else { return RawBatch::default() };
        if let Some(from) = current.stretch.take() {
            let known = &mut self.log.files[current.file];
            (known.from, known.offset) = (from, first);
        }
        let log = std::mem::take(&mut self.changed).then(|| self.log.encode().into());
        if let Some(mark) = marks.last() {
            current.last = Some((*mark, fingerprint(payloads.get(marks.len() - 1))));
        }
        RawBatch {
            source: current.source.clone(),
            payloads,
            offsets: (first..self.offset).collect(),
            times: Vec::new(),
            too_large,
            skipped: Vec::new(),
            marks,
            log,
            next: self.offset,
        }
    }

    /// The offset after the last record given; none while a file is known to go on.
    pub fn end(&self) -> Option<i64> {
        self.incomplete.is_empty().then_some(self.offset)
    }

    /// Bytes on the disk that are there to be read yet.
    pub fn left(&self) -> u64 {
        let current = self.current.as_ref().map_or(0, |current| current.input.left());
        current + self.next.iter().map(|next| self.bytes(next)).sum::<u64>() + self.waiting
    }

    /// Bytes of a file that have not been taken into account.
    fn bytes(&self, next: &Next) -> u64 {
        match next {
            Next::Known(file, found) => found.size.saturating_sub(self.log.files[*file].size),
            Next::New(found) => found.size,
        }
    }

    fn turn_to(&mut self, next: Next, feeder: &Feeder) -> Result<(), Trouble> {
        let (file, found) = match next {
            Next::New(found) => {
                let path = Path::new(&found.path);
                let input = Input::open(path).map_err(|error| io_trouble("read", path, &error))?;
                return self.enter_new(found, input);
            }
            Next::Known(file, found) => (file, found),
        };
        let known = self.log.files[file].clone();
        match self.open(&found, known.from, known.end, known.last, feeder)? {
            Ok(input) => {
                self.rename(file, &found.path);
                self.enter(file, found, input, known.last, Some(known.end));
                Ok(())
            }
            Err(Checked::Shorter(length)) if !self.follow => Err(Trouble::Final(format!(
                "{} has only {length} bytes; it was read up to byte {}. {}",
                found.path,
                known.end,
                choices()
            ))),
            Err(_) if !self.follow => Err(Trouble::Final(format!(
                "{} has changed before byte {}, up to which it was read. {}",
                found.path,
                known.end,
                choices()
            ))),
            Err(_) => {
                tracing::warn!("{} was written anew; it is read as a new file", found.path);
                self.log.files[file].identity = None;
                self.turn_to(Next::New(found), feeder)
            }
        }
    }

    fn enter_new(&mut self, found: Found, input: Input) -> Result<(), Trouble> {
        self.log.files.push(Known {
            path: found.path.clone(),
            identity: Some(found.identity),
            rotated: false,
            compression: Compression::None,
            offset: self.offset,
            from: 0,
            end: 0,
            size: 0,
            last: None,
        });
        self.enter(self.log.files.len() - 1, found, input, None, Some(0));
        Ok(())
    }

    /// A file bears this name now.
    fn rename(&mut self, file: usize, path: &str) {
        let known = &mut self.log.files[file];
        if known.path != path {
            known.path = path.to_owned();
            known.rotated = true;
            self.changed = true;
        }
    }
}

/// Where a position is in the files.
pub struct Resume {
    file: usize,
    mark: u64,
    last: Option<(i64, u64)>,
}

fn choices() -> &'static str {
    "Put the file back as it was, or say where to go on: `run --resume-at earliest` (everything that there is now, again), \
     `latest` (only what comes from now on) or `new-log` (everything, as records of a new log)"
}

fn damage(path: &str, error: &InputError, read: u64) -> Trouble {
    match error {
        InputError::Io(error) => io_trouble("read", Path::new(path), error),
        InputError::Cut { at } => Trouble::Final(format!(
            "{path} is cut off: its compressed data ends too early, at byte {at} of the file (byte {read} decompressed); the whole lines before that are counted"
        )),
        InputError::Trailing { at } => Trouble::Final(format!(
            "{path} goes on after its last gzip member, at byte {at} of the file (byte {read} decompressed), with what is no member: cut that off, or mend it; the whole lines before that are counted"
        )),
        InputError::Damaged { at, what } => Trouble::Final(format!(
            "{path} is damaged near byte {at} of the file (after byte {read} decompressed): {what}; the whole lines before that are counted"
        )),
    }
}

/// A file as it is known when all that is in it now is passed over.
pub fn whole(found: &Found, offset: i64) -> Result<Known, Trouble> {
    let path = Path::new(&found.path);
    let mut input = Input::open(path).map_err(|error| io_trouble("read", path, &error))?;
    let mut block = Vec::with_capacity(1 << 18);
    loop {
        block.clear();
        match input.read(&mut block, 1 << 18) {
            (_, Some(error)) => return Err(damage(&found.path, &error, input.at())),
            (read, None) if read < 1 << 18 => break,
            _ => {}
        }
    }
    let end = input.at();
    Ok(Known {
        path: found.path.clone(),
        identity: Some(found.identity),
        rotated: false,
        compression: input.compression(),
        offset,
        from: end,
        end,
        size: input.size(),
        last: None,
    })
}
