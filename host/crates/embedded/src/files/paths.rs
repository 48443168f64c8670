//! Which files are meant: paths as they are written, folders, and patterns with `*`, `?` and `[…]`, in the order of their names.

use std::{
    collections::BTreeSet,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use clickmill_tasks::env::Trouble;

use crate::folder::{Folder, io_trouble};

/// What a file is beside its name: it stays when the file is renamed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Identity {
    pub device: u64,
    pub inode: u64,
}

/// A file that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub path: String,
    pub identity: Identity,
    /// Bytes on the disk.
    pub size: u64,
    /// Whether nobody has written to it for a while.
    pub calm: bool,
}

/// How long a file that was rotated away may still be written to.
const GRACE: Duration = Duration::from_secs(1);

/// Whether nobody has written to a file for a while; a clock that went backwards does not count against it.
pub fn calm(metadata: &fs::Metadata) -> bool {
    metadata.modified().is_ok_and(|time| time.elapsed().is_ok_and(|since| since >= GRACE))
}

/// A file by its path; none where there is none.
pub fn look(path: &Path) -> Result<Option<Found>, Trouble> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => {
            let Some(name) = path.to_str() else {
                return Err(Trouble::Final(format!(
                    "the name of {} is not UTF-8; rename the file",
                    path.display()
                )));
            };
            let identity = Identity { device: metadata.dev(), inode: metadata.ino() };
            let (path, calm) = (name.to_owned(), calm(&metadata));
            Ok(Some(Found { path, identity, size: metadata.len(), calm }))
        }
        Ok(_) => Ok(None),
        Err(error) if absent(&error) => Ok(None),
        Err(error) => Err(io_trouble("read", path, &error)),
    }
}

/// A file of a folder by its identity.
pub fn look_in(folder: &Path, identity: Identity) -> Option<Found> {
    let entries = fs::read_dir(folder).ok()?.flatten();
    let mut found = entries.filter_map(|entry| look(&entry.path()).ok().flatten());
    found.find(|found| found.identity == identity)
}

#[derive(Clone, Debug)]
pub struct Patterns(Vec<PathBuf>);

impl Patterns {
    /// Paths below `base` where they are relative.
    pub fn new(base: &Path, paths: &[String]) -> Patterns {
        let whole = |path: &String| {
            let path = base.join(path);
            std::path::absolute(&path).unwrap_or(path)
        };
        Patterns(paths.iter().map(whole).collect())
    }

    /// One file.
    pub fn one(path: &str) -> Patterns {
        Patterns(vec![path.into()])
    }

    /// The files there are, by name. Where they are all that there will be (`complete`), each path that is none and each pattern
    /// that matches none is an error: of what is misspelt, nothing would be missed.
    pub fn expand(&self, complete: bool) -> Result<Vec<Found>, Trouble> {
        let (mut paths, mut unmatched) = (BTreeSet::new(), Vec::new());
        for pattern in &self.0 {
            let found = if has_wildcards(pattern) && !pattern.exists() {
                matching(pattern)?
            } else {
                match fs::metadata(pattern) {
                    Ok(metadata) if metadata.is_dir() => folder(pattern)?,
                    Ok(metadata) if metadata.is_file() => vec![pattern.clone()],
                    Ok(_) => {
                        return Err(Trouble::Final(format!(
                            "{} is neither a file nor a folder",
                            pattern.display()
                        )));
                    }
                    Err(error) if absent(&error) && !complete => Vec::new(),
                    Err(error) => return Err(io_trouble("read", pattern, &error)),
                }
            };
            if found.is_empty() {
                unmatched.push(pattern.display().to_string());
            }
            paths.extend(found);
        }
        if complete && !unmatched.is_empty() {
            return Err(Trouble::Final(format!("no file matches {}", unmatched.join(", nor "))));
        }
        let mut all = Vec::new();
        for path in paths {
            all.extend(look(&path)?);
        }
        all.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(all)
    }
}

/// The files of a folder that are not hidden.
fn folder(path: &Path) -> Result<Vec<PathBuf>, Trouble> {
    let list = || {
        let mut files = Vec::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            if !entry.file_name().as_encoded_bytes().starts_with(b".") {
                files.push(entry.path());
            }
        }
        Ok(files)
    };
    only_files(list().map_err(|error| io_trouble("list", path, &error))?)
}

/// Those of some paths that are files.
fn only_files(paths: Vec<PathBuf>) -> Result<Vec<PathBuf>, Trouble> {
    let mut files = Vec::new();
    for path in paths {
        if kind(&path)?.is_some_and(|kind| kind.is_file()) {
            files.push(path);
        }
    }
    Ok(files)
}

/// What is there of a name; none where there is nothing. What cannot be told is an error: a file that is left out would be missed
/// by nobody.
fn kind(path: &Path) -> Result<Option<fs::FileType>, Trouble> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(Some(metadata.file_type())),
        Err(error) if absent(&error) => Ok(None),
        Err(error) => Err(io_trouble("read", path, &error)),
    }
}

/// Whether there is nothing of a name.
fn absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn has_wildcards(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().iter().any(|byte| b"*?[".contains(byte))
}

/// The files that a pattern matches, and those of the folders that it matches: a folder stands for its files, named or matched. A
/// store beside the data is no input.
fn matching(pattern: &Path) -> Result<Vec<PathBuf>, Trouble> {
    let mut reached = vec![PathBuf::new()];
    for component in pattern.components() {
        let mut next = Vec::new();
        for path in reached {
            if !has_wildcards(Path::new(&component)) {
                next.push(path.join(component));
                continue;
            }
            let wanted = component.as_os_str().as_encoded_bytes();
            let entries = match fs::read_dir(&path) {
                Ok(entries) => entries,
                Err(error) if absent(&error) => continue,
                Err(error) => return Err(io_trouble("list", &path, &error)),
            };
            for entry in entries {
                let entry = entry.map_err(|error| io_trouble("list", &path, &error))?;
                let name = entry.file_name();
                let hidden = name.as_encoded_bytes().starts_with(b".") && !wanted.starts_with(b".");
                if !hidden && matches(wanted, name.as_encoded_bytes()) {
                    next.push(entry.path());
                }
            }
        }
        reached = next;
    }
    let mut files = Vec::new();
    for path in reached {
        match kind(&path)? {
            Some(kind) if kind.is_dir() && !Folder::new(&path).database().exists() => {
                files.extend(folder(&path)?);
            }
            Some(kind) if kind.is_file() => files.push(path),
            _ => {}
        }
    }
    Ok(files)
}

/// Whether a name is as the pattern says: `*` any bytes, `?` any character, `[…]` one of some bytes or ranges, `[!…]` none.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    match pattern {
        [] => name.is_empty(),
        [b'*', rest @ ..] => (0..=name.len()).any(|skipped| matches(rest, &name[skipped..])),
        [b'?', rest @ ..] => {
            let continues = |byte: &&u8| **byte & 0xc0 == 0x80;
            name.split_first()
                .is_some_and(|(_, tail)| matches(rest, &tail[tail.iter().take_while(continues).count()..]))
        }
        [b'[', class @ ..] => match class.iter().skip(1).position(|byte| *byte == b']') {
            Some(end) => {
                let (class, rest) = (&class[..=end], &class[end + 2..]);
                name.split_first().is_some_and(|(byte, tail)| in_class(class, *byte) && matches(rest, tail))
            }
            None => name.strip_prefix(b"[").is_some_and(|tail| matches(class, tail)),
        },
        [byte, rest @ ..] => {
            name.split_first().is_some_and(|(first, tail)| first == byte && matches(rest, tail))
        }
    }
}

fn in_class(class: &[u8], byte: u8) -> bool {
    let (negated, mut class) = match class {
        [b'!' | b'^', rest @ ..] if !rest.is_empty() => (true, rest),
        class => (false, class),
    };
    let mut found = false;
    loop {
        match class {
            [] => return found != negated,
            [from, b'-', to, rest @ ..] => {
                found |= (*from..=*to).contains(&byte);
                class = rest;
            }
            [one, rest @ ..] => {
                found |= *one == byte;
                class = rest;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_a_shell() {
        for (pattern, name, expected) in [
            ("*.jsonl", "a.jsonl", true),
            ("*.jsonl", "a.jsonl.gz", false),
            ("a?c", "abc", true),
            ("a?c", "aüc", true),
            ("a?c", "ac", false),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[!a-c]x", "dx", true),
            ("[]]", "]", true),
            ("[a", "[a", true),
            ("*a*b*", "xxaxxbxx", true),
            ("", "", true),
        ] {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), expected, "{pattern} {name}");
        }
    }
}
