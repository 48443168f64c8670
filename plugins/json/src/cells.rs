//! What each rule of the contract makes of a value.

use crate::address;
use crate::columns::Cell;
use crate::country::{self, Country};
use crate::decimal::Decimal;
use crate::fields::Rule;
use crate::instant::{self, Clock, Wrong};
use crate::json::{Shape, Value};
use crate::scan;
use crate::text;
use std::borrow::Cow;

/// A `user_id` that is a number has at most so many digits.
const USER_ID_DIGITS: usize = 38;

/// Text that stands in no payload as it is. It follows the batch in one address space.
pub struct Made {
    pub bytes: Vec<u8>,
    batch: usize,
}

impl Made {
    /// Nothing yet, behind a batch of that many bytes.
    pub fn new(batch: usize) -> Self {
        Self { bytes: Vec::new(), batch }
    }

    /// Adds what a function writes; its place. A failure leaves nothing behind.
    pub fn write(&mut self, write: impl FnOnce(&mut Vec<u8>) -> bool) -> Cell {
        let start = self.bytes.len();
        if !write(&mut self.bytes) {
            self.bytes.truncate(start);
            return Cell::Unusable;
        }
        Cell::Place { start: (self.batch + start) as u32, length: (self.bytes.len() - start) as u32 }
    }

    /// Adds a text; its place.
    pub fn add(&mut self, text: &[u8]) -> Cell {
        self.write(|to| {
            to.extend_from_slice(text);
            true
        })
    }
}

/// A place in the batch.
#[inline(always)]
fn place(start: u32, end: u32) -> Cell {
    Cell::Place { start, length: end - start }
}

/// Whether a value is the empty string.
#[inline(always)]
pub fn is_empty(value: Value) -> bool {
    value.shape == Shape::Plain && value.start == value.end
}

/// Whether a value that is not empty can be a `user_id`.
#[inline(always)]
pub fn is_user_id(batch: &[u8], value: Value) -> bool {
    match value.shape {
        Shape::Plain | Shape::Escaped => true,
        Shape::Number => Decimal::new(value.bytes(batch)).is_integral_within(USER_ID_DIGITS),
        _ => false,
    }
}

/// The moment that a value which is not empty names. The error is none where no text is to blame.
#[inline(always)]
pub fn moment(batch: &[u8], value: Value, clock: &mut Clock) -> Result<i64, Option<Wrong>> {
    match value.shape {
        Shape::Plain => clock.parse(value.bytes(batch)).map_err(Some),
        Shape::Escaped => clock.parse(&string(batch, value)).map_err(Some),
        Shape::Number => instant::from_number(value.bytes(batch)).ok_or(None),
        _ => Err(None),
    }
}

/// Whether a value is text that becomes itself: by far the most frequent case.
#[inline(always)]
pub fn stands_as_it_is(rule: Rule, value: Value) -> bool {
    value.shape == Shape::Plain
        && value.start < value.end
        && matches!(rule, Rule::UserId | Rule::Url | Rule::EventType | Rule::Text)
}

/// What a value becomes by the rule of its field. The required fields were judged before.
#[inline(never)]
pub fn cell(rule: Rule, value: Value, batch: &[u8], made: &mut Made, clock: &mut Clock) -> Cell {
    if is_empty(value) {
        return Cell::Absent;
    }
    match rule {
        Rule::UserId if value.shape == Shape::Number => user_id(value, batch, made),
        Rule::UserId | Rule::Url | Rule::EventType | Rule::Text => plain_text(value, batch, made),
        Rule::Json => json(value),
        Rule::Country => country(value, batch, made),
        Rule::Address => ip_address(value, batch, made),
        Rule::Timestamp | Rule::Instant => moment(batch, value, clock).map_or(Cell::Unusable, Cell::Integer),
        Rule::Integer | Rule::Duration => {
            number(value, batch, |number| number.integer()?.try_into().ok().map(Cell::Integer))
        }
        Rule::Unsigned => {
            number(value, batch, |number| number.integer()?.try_into().ok().map(Cell::Unsigned))
        }
        Rule::Real => real(value, batch),
        Rule::Boolean => boolean(value, batch),
    }
}

/// A string stands for itself, a number or boolean for its JSON text.
#[inline(always)]
fn plain_text(value: Value, batch: &[u8], made: &mut Made) -> Cell {
    match value.shape {
        Shape::Plain | Shape::Number | Shape::True | Shape::False => place(value.start, value.end),
        Shape::Escaped => made.write(|to| {
            text::unescape(value.bytes(batch), to);
            true
        }),
        Shape::Null => Cell::Absent,
        Shape::Object | Shape::Array => Cell::Unusable,
    }
}

fn user_id(value: Value, batch: &[u8], made: &mut Made) -> Cell {
    let number = value.bytes(batch);
    if number != b"-0" && number.iter().all(|byte| *byte == b'-' || byte.is_ascii_digit()) {
        return place(value.start, value.end);
    }
    made.write(|to| Decimal::new(number).write_integer(USER_ID_DIGITS, to))
}

/// The value as its payload writes it; of a string with its quotes.
fn json(value: Value) -> Cell {
    match value.shape {
        Shape::Plain | Shape::Escaped => place(value.start - 1, value.end + 1),
        _ => place(value.start, value.end),
    }
}

fn country(value: Value, batch: &[u8], made: &mut Made) -> Cell {
    if value.shape == Shape::Plain && country::is_canonical(value.bytes(batch)) {
        return place(value.start, value.end);
    }
    let Some(text) = scalar(value, batch) else { return Cell::Unusable };
    match Country::parse(&text) {
        Country::Unknown => Cell::Absent,
        Country::Invalid => Cell::Unusable,
        Country::Code(code) => made.add(&code),
    }
}

fn ip_address(value: Value, batch: &[u8], made: &mut Made) -> Cell {
    if value.shape == Shape::Plain && address::is_canonical_v4(value.bytes(batch)) {
        return place(value.start, value.end);
    }
    let Some(text) = scalar(value, batch) else { return Cell::Unusable };
    match address::parse(&text) {
        Some(address) => made.add(address.to_string().as_bytes()),
        None => Cell::Unusable,
    }
}

/// A number, or a string that holds one.
fn number(value: Value, batch: &[u8], make: impl FnOnce(Decimal<'_>) -> Option<Cell>) -> Cell {
    numeral(value, batch).and_then(|text| make(Decimal::new(&text))).unwrap_or(Cell::Unusable)
}

fn real(value: Value, batch: &[u8]) -> Cell {
    let real = numeral(value, batch).and_then(|text| str::from_utf8(&text).ok()?.parse::<f64>().ok());
    real.filter(|real| real.is_finite()).map_or(Cell::Unusable, Cell::Real)
}

fn boolean(value: Value, batch: &[u8]) -> Cell {
    match scalar(value, batch).as_deref() {
        Some(b"true") => Cell::Boolean(true),
        Some(b"false") => Cell::Boolean(false),
        _ => Cell::Unusable,
    }
}

/// The text of a number, also of one within a string.
fn numeral(value: Value, batch: &[u8]) -> Option<Cow<'_, [u8]>> {
    scalar(value, batch).filter(|text| value.shape == Shape::Number || scan::is_number(text))
}

/// The text of what is no object and no array.
fn scalar(value: Value, batch: &[u8]) -> Option<Cow<'_, [u8]>> {
    match value.shape {
        Shape::Object | Shape::Array | Shape::Null => None,
        _ => Some(string(batch, value)),
    }
}

fn string(batch: &[u8], value: Value) -> Cow<'_, [u8]> {
    let inside = value.bytes(batch);
    if value.shape != Shape::Escaped {
        return Cow::Borrowed(inside);
    }
    let mut meaning = Vec::with_capacity(inside.len());
    text::unescape(inside, &mut meaning);
    Cow::Owned(meaning)
}
