//! Why a payload is no event, in the contract's words for machines and in a sentence for people.

use crate::bindings::clickmill::plugin::columns::Reject;
use crate::find::Refusal;
use crate::instant::Wrong;
use crate::json::{Fault, MAX_LEVEL, Shape, Value, What};
use crate::locate::{path, shortened};

/// So many bytes of a value are shown.
const SHOWN: usize = 80;

/// What is wrong with a required field; places are bytes of the batch.
#[derive(Debug)]
pub enum Flaw {
    /// No path led to a value other than null.
    Missing,
    Empty(Value),
    UserId(Value),
    Timestamp(Value, Option<Wrong>),
    Url(Value),
}

/// Words a payload's refusal.
pub fn refused(row: u32, batch: &[u8], start: usize, end: usize, refusal: Refusal) -> Reject {
    let payload = batch.get(start..end).unwrap_or_default();
    let (reason, at, problem) = match refusal {
        Refusal::NotUtf8 { at } => {
            let byte = batch.get(at).copied().unwrap_or_default();
            ("invalid-utf8", at, format!("no UTF-8: byte {} (0x{byte:02x}) begins no character", at - start))
        }
        Refusal::NotJson(fault) => ("invalid-json", fault.at, json_problem(payload, fault, start)),
        Refusal::NotAnObject { at, shape } => {
            return reject(
                row,
                "not-an-object",
                format!("the payload is {}, not an object", name(shape)),
                Some(at - start),
            );
        }
    };
    let within = path(payload, at - start);
    let message = if within.is_empty() { problem } else { format!("{problem}, in `{within}`") };
    reject(row, reason, message, Some(at - start))
}

fn json_problem(payload: &[u8], fault: Fault, start: usize) -> String {
    let at = fault.at - start;
    let found = match str::from_utf8(payload.get(at..).unwrap_or_default()).map(|rest| rest.chars().next()) {
        Ok(Some(letter)) if letter.is_control() || letter == '`' => format!("U+{:04X}", u32::from(letter)),
        Ok(Some(letter)) => format!("`{letter}`"),
        _ => "the end".to_owned(),
    };
    match fault.what {
        What::Expected(_) if payload.is_empty() => "no JSON: the payload is empty".to_owned(),
        What::Expected(what) => format!("no JSON: {what} should stand at byte {at}, not {found}"),
        What::Control => format!("no JSON: the control character {found} at byte {at} must be escaped"),
        What::Escape => format!("no JSON: the backslash at byte {at} begins no escape"),
        What::Unclosed => format!("no JSON: the string that begins at byte {at} has no closing quote"),
        What::TooDeep => format!("no JSON: at byte {at} it is nested deeper than {MAX_LEVEL} levels"),
        What::Trailing => format!("no JSON: the value ends before byte {at}, but {found} follows"),
    }
}

/// Words what is wrong with a required field, which was found by the path of that name.
pub fn flawed(row: u32, batch: &[u8], start: usize, field: &str, path: &str, flaw: &Flaw) -> Reject {
    let label = if path.is_empty() || path == field {
        format!("`{field}`")
    } else {
        format!("`{field}` (`{}`)", shortened(path, SHOWN))
    };
    let place = |value: &Value| Some(value.start as usize - start);
    let shown = |value: &Value| show(batch, *value);
    match flaw {
        Flaw::Missing => reject(row, "missing-field", format!("{label} is missing or null"), None),
        Flaw::Empty(value) => reject(row, "missing-field", format!("{label} is empty"), place(value)),
        Flaw::UserId(value) => {
            let message = format!(
                "{label} is {}; it must be a text or a whole number of at most 38 digits",
                shown(value)
            );
            reject(row, "invalid-field", message, place(value))
        }
        Flaw::Timestamp(value, None) => {
            let message = match value.shape {
                Shape::Number => {
                    format!("{label} is {}: it lies outside the years 0000 to 9999", shown(value))
                }
                _ => format!("{label} is {}; it must be a time as text or a number", shown(value)),
            };
            reject(row, "invalid-timestamp", message, place(value))
        }
        Flaw::Timestamp(value, Some(wrong)) => {
            let inside = if value.shape == Shape::Plain { wrong.at } else { 0 };
            let message = format!("{label} is {}: {}", shown(value), wrong.what);
            reject(row, "invalid-timestamp", message, Some(value.start as usize + inside - start))
        }
        Flaw::Url(value) => reject(
            row,
            "invalid-url",
            format!("{label} is {}; it must be a text", shown(value)),
            place(value),
        ),
    }
}

fn reject(row: u32, reason: &str, message: String, at: Option<usize>) -> Reject {
    let at = at.and_then(|at| u32::try_from(at).ok());
    Reject { row, reason: reason.to_owned(), message, at }
}

/// A value as a message shows it.
fn show(batch: &[u8], value: Value) -> String {
    let bytes = value.bytes(batch);
    let text = String::from_utf8_lossy(bytes.get(..SHOWN * 2).unwrap_or(bytes));
    match value.shape {
        Shape::Object | Shape::Array => name(value.shape).to_owned(),
        Shape::Plain | Shape::Escaped => format!("\"{}\"", shortened(&text, SHOWN)),
        _ => shortened(&text, SHOWN),
    }
}

fn name(shape: Shape) -> &'static str {
    match shape {
        Shape::Null => "null",
        Shape::True | Shape::False => "a boolean",
        Shape::Number => "a number",
        Shape::Plain | Shape::Escaped => "a string",
        Shape::Object => "an object",
        Shape::Array => "an array",
    }
}
