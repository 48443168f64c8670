//! TOML itself: every place where the text is none, without the consequences of the first that upsets the rest.

use std::borrow::Cow;

use toml::de::{DeTable, Error};

use super::reader::{Found, Span};
use crate::fault::{Fault, Place, quote};

/// What is wrong with the TOML of a file.
pub(super) struct Broken {
    pub faults: Vec<Fault>,
    /// Numbers of the lines that are no TOML by themselves.
    lines: Vec<usize>,
    /// The text behind the last of the faults was not understood, or in the wrong table.
    upset: bool,
}

pub(super) fn check(place: Place<'_>) -> Broken {
    let (_, mut errors) = DeTable::parse_recoverable(place.text);
    errors.sort_by_key(|error| error.span().map(|span| span.start));
    let mut broken = Broken { faults: Vec::new(), lines: Vec::new(), upset: false };
    for error in &errors {
        let fault = explain(place, error);
        let consequence = broken.faults.last().is_some_and(|last| last.line == fault.line);
        if !consequence {
            broken.upset = upsets(&fault, error);
            if !is_repeated(error) {
                broken.lines.push(fault.line);
            }
            broken.faults.push(fault);
        }
        if broken.upset {
            break;
        }
    }
    broken
}

impl Broken {
    /// The text with blanks for the broken lines, places unchanged, so that the rest can be read.
    pub(super) fn blanked<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if self.lines.is_empty() {
            return Cow::Borrowed(text);
        }
        let mut blanked = String::with_capacity(text.len());
        for (number, line) in (1..).zip(text.split_inclusive('\n')) {
            match self.lines.contains(&number) {
                true => {
                    let content = line.trim_end_matches(['\n', '\r']);
                    blanked.extend(std::iter::repeat_n(' ', content.len()));
                    blanked.push_str(&line[content.len()..]);
                }
                false => blanked.push_str(line),
            }
        }
        Cow::Owned(blanked)
    }

    /// All faults of a file in its order: of the rest, those that the broken places do not bring about.
    pub(super) fn and(self, found: Vec<Found>) -> Vec<Fault> {
        let sound = self.faults.is_empty();
        let believable = found.into_iter().filter(|found| sound || !(self.upset || found.of_whole));
        let mut faults = self.faults;
        faults.extend(believable.map(|found| found.fault));
        faults.sort_by_key(|fault| (fault.line, fault.column));
        faults
    }
}

/// Whether what follows the error may have been taken for something else.
fn upsets(fault: &Fault, error: &Error) -> bool {
    let message = error.message();
    let header = fault.text.trim_start().starts_with('[') && !is_repeated(error);
    header
        || message.contains("unclosed")
        || message.contains("missing comma")
        || message.contains("multi-line")
}

fn is_repeated(error: &Error) -> bool {
    error.message() == "duplicate key"
}

fn explain(place: Place<'_>, error: &Error) -> Fault {
    let span = error.span().unwrap_or_default();
    let written = place.text.get(span.clone()).unwrap_or_default();
    let (what, expected) = match error.message().split_once(", expected ") {
        Some((what, expected)) => (what, Some(expected)),
        None => (error.message(), None),
    };
    let bare = matches!(what, "string values must be quoted" | "invalid boolean");
    let (message, help) = match what {
        _ if bare && written.is_empty() => {
            ("there is no value".to_owned(), "write one behind the `=`".to_owned())
        }
        _ if bare => (
            format!("{} is no value of TOML", quote(written)),
            format!("put text in quotes: `\"{written}\"`"),
        ),
        _ if is_repeated(error) => {
            (format!("{} is given twice", quote(written)), "keep one of the two".to_owned())
        }
        "key with no value" => {
            ("a key without a value".to_owned(), "write `key = value`, or begin the line with `#`".to_owned())
        }
        "missing comma between array elements" => (
            "a list goes on here without a comma".to_owned(),
            "end it with `]`, or write `,` between its entries".to_owned(),
        ),
        _ => {
            let help = match expected {
                Some("nothing") | None => "remove it, or put text in quotes".to_owned(),
                Some(expected) => format!("expected here: {expected}"),
            };
            (format!("this is not TOML: {what}"), help)
        }
    };
    place.fault(visible(place, span), message, help)
}

/// The span, or the character before it where it is at the end of a line and shows nothing.
fn visible(place: Place<'_>, span: Span) -> Span {
    let at_end = matches!(place.text.as_bytes().get(span.start), None | Some(b'\n' | b'\r'));
    let before = place.text.get(..span.start).and_then(|text| text.chars().next_back());
    match before {
        Some(last) if at_end && span.is_empty() && last != '\n' => span.start - last.len_utf8()..span.start,
        _ => span,
    }
}
