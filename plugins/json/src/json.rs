//! What a scanner of JSON says: values with their places, and faults.

/// Objects and arrays may be nested this deep; the payload's own object is level 1.
pub const MAX_LEVEL: usize = 512;

/// What was wrong, and at which byte of the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    pub at: usize,
    pub what: What,
}

/// The ways in which bytes can fail to be JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Something else should stand here; the text names it.
    Expected(&'static str),
    /// A control character inside a string, where it must be escaped.
    Control,
    /// A backslash that begins no escape of JSON.
    Escape,
    /// The string has no closing quote.
    Unclosed,
    /// An object or array beyond [`MAX_LEVEL`].
    TooDeep,
    /// The value has ended, but the payload has not.
    Trailing,
}

/// What a value is, as far as its first byte and its escapes tell. As wide as a place, so that a [`Value`] has no gaps: what
/// fills a gap is copied by halves, which stalls processors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Shape {
    Null,
    True,
    False,
    Number,
    /// A string without escapes: it stands in the payload as it is.
    Plain,
    /// A string with at least one escape.
    Escaped,
    Object,
    Array,
}

/// A value and its place in the batch; of a string the place inside its quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value {
    pub shape: Shape,
    pub start: u32,
    pub end: u32,
}

impl Value {
    /// Places are 32 bits wide; a larger batch is refused before it is scanned.
    #[inline(always)]
    pub fn new(shape: Shape, start: usize, end: usize) -> Self {
        Self { shape, start: start as u32, end: end as u32 }
    }

    /// The value's bytes in its batch.
    #[inline(always)]
    pub fn bytes(self, batch: &[u8]) -> &[u8] {
        batch.get(self.start as usize..self.end as usize).unwrap_or_default()
    }
}
