//! What is wrong in a configuration file, and where. A fault promises to name file, line and column, what was wrong, and
//! what would be right; its text form shows the line, as compilers do. Colours are the caller's.

use std::fmt::{self, Write as _};
use std::ops::Range;

/// Something wrong in a configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The file, as it was named to `parse`.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// In characters, at least 1; what is wrong may end beyond the line, this does not.
    pub length: usize,
    /// The line, without its end; control characters but tabs are replaced.
    pub text: String,
    /// What is wrong.
    pub message: String,
    /// What would be right; empty where nothing can be said.
    pub help: String,
}

/// The part of a long line that is shown, in characters.
const SHOWN: usize = 110;

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let margin = " ".repeat(self.line.to_string().len());
        let (excerpt, indent, carets) = self.excerpt();
        writeln!(f, "error: {}", self.message)?;
        writeln!(f, "{margin}--> {}:{}:{}", self.file, self.line, self.column)?;
        writeln!(f, "{margin} |")?;
        writeln!(f, "{}", format!("{} | {excerpt}", self.line).trim_end())?;
        write!(f, "{margin} | {indent}{}", "^".repeat(carets))?;
        if !self.help.is_empty() {
            write!(f, "\n{margin} = help: {}", self.help)?;
        }
        Ok(())
    }
}

impl std::error::Error for Fault {}

impl Fault {
    /// The line as shown (a long one in part), what to indent the carets by, and the number of carets.
    pub fn excerpt(&self) -> (String, String, usize) {
        let characters = self.text.chars().count();
        let before = self.column.saturating_sub(1);
        let from = if characters <= SHOWN { 0 } else { before.saturating_sub(SHOWN / 4) };
        let mut excerpt = String::new();
        let mut indent = String::new();
        if from > 0 {
            excerpt.push('…');
            indent.push(' ');
        }
        excerpt.extend(self.text.chars().skip(from).take(SHOWN));
        if from + SHOWN < characters {
            excerpt.push('…');
        }
        indent.extend(
            self.text.chars().skip(from).take(before - from).map(|c| if c == '\t' { '\t' } else { ' ' }),
        );
        let carets = self.length.min((from + SHOWN).saturating_sub(before)).max(1);
        (excerpt, indent, carets)
    }
}

/// A file and its text, in which places are byte ranges.
#[derive(Clone, Copy)]
pub(crate) struct Place<'t> {
    pub file: &'t str,
    pub text: &'t str,
}

impl Place<'_> {
    pub(crate) fn fault(
        &self,
        span: Range<usize>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Fault {
        let at = floor(self.text, span.start);
        let line_start = self.text[..at].rfind('\n').map_or(0, |at| at + 1);
        let line = self.text[line_start..].split('\n').next().unwrap_or_default();
        let line = line.strip_suffix('\r').unwrap_or(line);
        let line_end = line_start + line.len();
        let start = at.min(line_end);
        let end = floor(self.text, span.end).clamp(start, line_end);
        Fault {
            file: self.file.to_owned(),
            line: self.text[..line_start].matches('\n').count() + 1,
            column: self.text[line_start..start].chars().count() + 1,
            length: self.text[start..end].chars().count().max(1),
            text: line.chars().map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c }).collect(),
            message: message.into(),
            help: help.into(),
        }
    }
}

/// The last character border at or before `at`.
fn floor(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// A text in backquotes, on one line and not long.
pub(crate) fn quote(text: &str) -> String {
    const LONGEST: usize = 60;
    let mut quoted = String::from("`");
    for c in text.chars().take(LONGEST) {
        match c.is_control() {
            true => write!(quoted, "{}", c.escape_default()).unwrap_or_default(),
            false => quoted.push(c),
        }
    }
    quoted.push_str(if text.chars().count() > LONGEST { "…`" } else { "`" });
    quoted
}

/// `a`, `b` or `c`.
pub fn alternatives(names: &[&str]) -> String {
    let mut text = String::new();
    for (place, name) in names.iter().enumerate() {
        text.push_str(match place {
            0 => "",
            _ if place + 1 == names.len() => " or ",
            _ => ", ",
        });
        text.push_str(&quote(name));
    }
    text
}

/// The one of `names` that a misspelt `name` most likely meant.
pub fn nearest<'n>(name: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let plain = |name: &str| name.to_lowercase().replace('-', "_");
    let (name, far) = (plain(name), (name.chars().count() / 3).max(1));
    let distance = |other: &str| match plain(other) {
        other if name.len() >= 3 && other.starts_with(&name) => 1,
        other => strsim::damerau_levenshtein(&name, &other),
    };
    let near =
        names.into_iter().map(|other| (distance(other), other)).filter(|(distance, _)| *distance <= far);
    near.min_by_key(|(distance, _)| *distance).map(|(_, other)| other)
}
