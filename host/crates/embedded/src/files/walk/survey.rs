//! What becomes of files while they are followed: they grow, come, get other names, and are written anew.

use std::{path::Path, time::Instant};

use clickmill_tasks::env::Trouble;

use super::{
    super::{
        input::{Compression, Input},
        paths::{Found, Identity, look, look_in},
    },
    INCOMPLETE, Next, Walk,
};
use crate::feed::Feeder;

impl Walk {
    /// Files whose identity changed while nobody looked, as it does when they are copied with all that is around them.
    pub(super) fn recognise(&mut self, found: &[Found], feeder: &Feeder) -> Result<(), Trouble> {
        let current = self.current.as_ref().map(|current| current.file);
        for found in found {
            let Some(file) = self.log.by_path(&found.path).filter(|file| Some(*file) != current) else {
                continue;
            };
            let known = &self.log.files[file];
            let other =
                known.identity != Some(found.identity) && self.log.by_identity(found.identity).is_none();
            if other
                && known.last.is_some()
                && found.size >= known.size
                && self.open(found, known.from, known.end, known.last, feeder)?.is_ok()
            {
                self.log.files[file].identity = Some(found.identity);
            }
        }
        Ok(())
    }

    /// Looks at what has become of the files; true: there is something to read.
    pub(super) fn survey(&mut self, feeder: &Feeder) -> Result<bool, Trouble> {
        let mut found = self.patterns.expand(false)?;
        found.retain(|found| self.registry.may_read(found.identity, self.partition));
        // One that is gone will never be whole.
        self.incomplete.retain(|path, _| found.iter().any(|found| found.path == *path));
        self.survey_current(&found, feeder)?;
        let current = self.current.as_ref().map(|current| current.file);
        let mut wanted = Vec::new();
        for found in &found {
            match self.log.by_identity(found.identity) {
                Some(file) if Some(file) == current => {}
                Some(file) => {
                    self.rename(file, &found.path);
                    let known = &mut self.log.files[file];
                    let unended = known.rotated && known.is_unended() && found.calm;
                    let overdue = |(_, since): &(u64, Instant)| since.elapsed() >= INCOMPLETE;
                    if found.size < known.size {
                        tracing::warn!("{} was truncated; it is read as a new file", found.path);
                        known.identity = None;
                        wanted.push(Next::New(found.clone()));
                    } else if found.size > known.size
                        || unended
                        || self.incomplete.get(&found.path).is_some_and(overdue)
                    {
                        wanted.push(Next::Known(file, found.clone()));
                    }
                }
                None if found.size == 0 => {}
                None if found.size < 4 && Input::undecided(Path::new(&found.path)) => {}
                None => wanted.push(Next::New(found.clone())),
            }
        }
        // Files that lost their name since they were left may hold more than was read, or a line without an end.
        for file in 0..self.log.files.len() {
            let known = &self.log.files[file];
            let Some(identity) = known.identity.filter(|_| Some(file) != current) else { continue };
            if found.iter().any(|found| found.identity == identity) {
                continue;
            }
            match locate(identity, &known.path, &found) {
                Some(there) if there.size > known.size || (known.is_unended() && there.calm) => {
                    wanted.push(Next::Known(file, there));
                }
                Some(_) => {}
                None => self.log.files[file].identity = None,
            }
        }
        let incomplete = &self.incomplete;
        wanted.retain(|next| {
            let (Next::Known(_, found) | Next::New(found)) = next;
            let known = incomplete.get(&found.path);
            known.is_none_or(|(size, since)| *size != found.size || since.elapsed() >= INCOMPLETE)
        });
        self.waiting = wanted.iter().skip(1).map(|next| self.bytes(next)).sum();
        if let Some(next) = wanted.into_iter().next() {
            self.leave();
            self.turn_to(next, feeder)?;
            return Ok(true);
        }
        Ok(false)
    }

    fn survey_current(&mut self, found: &[Found], feeder: &Feeder) -> Result<(), Trouble> {
        let Some(current) = &mut self.current else { return Ok(()) };
        let known = &mut self.log.files[current.file];
        let Some(identity) = known.identity else { return Ok(()) };
        let here = look(Path::new(&known.path))?;
        if let Some(here) = here.filter(|here| here.identity == identity) {
            if here.size < current.input.size() {
                tracing::warn!("{} was truncated; it is read as a new file", known.path);
                known.identity = None;
                // What was there of an unfinished line is all that there will ever be of it.
                current.replaced = true;
            } else if here.size > current.input.size() && current.input.compression() != Compression::None {
                let (file, at, last) = (current.file, current.lines.at(), current.last);
                let from = known.from;
                match self.open(&here, from, at, last, feeder)? {
                    Ok(input) => self.enter(file, here, input, last, None),
                    Err(_) => {
                        tracing::warn!("{} was written anew; it is read as a new file", here.path);
                        self.log.files[file].identity = None;
                        self.leave();
                    }
                }
            }
            return Ok(());
        }
        known.rotated = true;
        if let Some(there) = locate(identity, &known.path, found) {
            known.path.clone_from(&there.path);
            current.source = there.path.into();
            self.changed = true;
        }
        Ok(())
    }
}

/// A file by its identity: among those found, or beside where it was.
pub(super) fn locate(identity: Identity, path: &str, found: &[Found]) -> Option<Found> {
    let among = found.iter().find(|found| found.identity == identity).cloned();
    among.or_else(|| look_in(Path::new(path).parent()?, identity))
}
