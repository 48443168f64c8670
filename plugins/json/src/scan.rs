//! The grammar of RFC 8259, byte by byte: a scanner that passes over a payload and says where it stops being JSON.
//!
//! It promises: whatever it passes over is JSON, or it returns the first byte at which that cannot be; it never reads
//! behind the payload's end to decide; its time is linear; it does not recurse. Whether strings are UTF-8 it does not
//! judge: it only remembers whether a byte beyond ASCII was seen.
//!
//! Places are handed in and come back by value, since a place kept in memory would be waited for at every byte.

use crate::block::{self, Block};
use crate::json::{Fault, MAX_LEVEL, Shape, Value, What};

/// One payload of a batch.
pub struct Scanner<'a> {
    /// The batch: blocks of sixteen bytes may be read beyond the payload.
    batch: &'a [u8],
    /// The batch up to the payload's end.
    payload: &'a [u8],
    /// Whether a string held a byte beyond ASCII (a neighbouring byte may raise it in vain).
    pub beyond_ascii: bool,
}

/// A value that was passed over, and the place behind it.
pub type Passed = Result<(Value, usize), Fault>;

impl<'a> Scanner<'a> {
    /// The payload that ends before `end`; all of the batch where it does not reach that far.
    pub fn new(batch: &'a [u8], end: usize) -> Self {
        Self { batch, payload: batch.get(..end).unwrap_or(batch), beyond_ascii: false }
    }

    /// The byte there; 0 behind the payload's end, which like 0 itself begins nothing.
    #[inline(always)]
    pub fn byte(&self, at: usize) -> u8 {
        self.payload.get(at).copied().unwrap_or(0)
    }

    /// Passes over white space.
    #[inline(always)]
    pub fn space(&self, at: usize) -> usize {
        if self.byte(at) > b' ' { at } else { self.all_space(at) }
    }

    fn all_space(&self, mut at: usize) -> usize {
        while matches!(self.byte(at), b' ' | b'\n' | b'\r' | b'\t') {
            at += 1;
        }
        at
    }

    /// The sixteen bytes there as two words; they may reach beyond the payload.
    #[inline(always)]
    pub fn words(&self, at: usize) -> (u64, u64) {
        block::words(self.batch, at)
    }

    /// The bytes of a value that was passed over.
    pub fn bytes(&self, value: Value) -> &'a [u8] {
        value.bytes(self.payload)
    }

    /// The fault that something other than `what` stands there.
    #[cold]
    pub fn expected(&self, at: usize, what: &'static str) -> Fault {
        self.fault(at, What::Expected(what))
    }

    #[cold]
    fn fault(&self, at: usize, what: What) -> Fault {
        Fault { at: at.min(self.payload.len()), what }
    }

    /// Passes over the colon behind a name and the white space around it.
    #[inline(always)]
    pub fn colon(&self, at: usize) -> Result<usize, Fault> {
        let at = self.space(at);
        if self.byte(at) != b':' {
            return Err(self.expected(at, "`:` after the name"));
        }
        Ok(self.space(at + 1))
    }

    /// The string without escapes whose opening quote is there, if that is what stands there; its closing quote follows it.
    #[inline(always)]
    pub fn plain_string(&mut self, at: usize) -> Option<Value> {
        if self.byte(at) != b'"' {
            return None;
        }
        let end = self.plain(at + 1);
        (self.byte(end) == b'"').then_some(Value::new(Shape::Plain, at + 1, end))
    }

    /// Passes over a string, from its opening quote.
    #[inline(always)]
    pub fn string(&mut self, at: usize) -> Passed {
        match self.plain_string(at) {
            Some(value) => Ok((value, value.end as usize + 1)),
            None => self.string_with_escapes(at + 1),
        }
    }

    /// Passes over what belongs to a string as it is, to its end, an escape, or what must not be there.
    #[inline(always)]
    fn plain(&mut self, mut at: usize) -> usize {
        let mut seen = Block::zero();
        loop {
            let block = Block::load(self.batch, at);
            let special = block.first_special();
            seen = seen.or(block);
            at += special;
            if special < block::LENGTH {
                break;
            }
        }
        self.beyond_ascii |= seen.beyond_ascii();
        at
    }

    /// Passes over a string that is not plain, from behind its opening quote.
    #[inline(never)]
    fn string_with_escapes(&mut self, start: usize) -> Passed {
        let mut at = start;
        loop {
            at = self.plain(at);
            match self.payload.get(at) {
                None => return Err(self.fault(start - 1, What::Unclosed)),
                Some(b'"') => return Ok((Value::new(Shape::Escaped, start, at), at + 1)),
                Some(b'\\') => at = self.escape(at)?,
                Some(_) => return Err(self.fault(at, What::Control)),
            }
        }
    }

    /// Passes over the escape whose backslash is at `at`.
    fn escape(&self, at: usize) -> Result<usize, Fault> {
        match self.byte(at + 1) {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Ok(at + 2),
            b'u' => match self.payload.get(at + 2..at + 6) {
                Some(digits) if digits.iter().all(u8::is_ascii_hexdigit) => Ok(at + 6),
                _ => Err(self.fault(at, What::Escape)),
            },
            _ => Err(self.fault(at, What::Escape)),
        }
    }

    /// Passes over a number, from its first byte.
    #[inline]
    pub fn number(&self, start: usize) -> Passed {
        let mut at = start + usize::from(self.byte(start) == b'-');
        at = if self.byte(at) == b'0' { at + 1 } else { self.digits(at, "a digit")? };
        if self.byte(at) == b'.' {
            at = self.digits(at + 1, "a digit after the point")?;
        }
        if matches!(self.byte(at), b'e' | b'E') {
            let signed = matches!(self.byte(at + 1), b'+' | b'-');
            at = self.digits(at + 1 + usize::from(signed), "a digit of the exponent")?;
        }
        Ok((Value::new(Shape::Number, start, at), at))
    }

    /// Passes over one or more digits.
    #[inline(always)]
    fn digits(&self, start: usize, what: &'static str) -> Result<usize, Fault> {
        let mut at = start;
        while self.byte(at).is_ascii_digit() {
            at += 1;
        }
        if at == start { Err(self.expected(at, what)) } else { Ok(at) }
    }

    fn literal(&self, at: usize, text: &'static str, shape: Shape) -> Passed {
        let end = at + text.len();
        if self.payload.get(at..end) != Some(text.as_bytes()) {
            return Err(self.expected(at, "a value"));
        }
        Ok((Value::new(shape, at, end), end))
    }

    /// Passes over a value that is no object and no array, from its first byte.
    #[inline(always)]
    fn scalar(&mut self, at: usize) -> Passed {
        match self.byte(at) {
            b'"' => self.string(at),
            b'-' | b'0'..=b'9' => self.number(at),
            b't' => self.literal(at, "true", Shape::True),
            b'f' => self.literal(at, "false", Shape::False),
            b'n' => self.literal(at, "null", Shape::Null),
            _ => Err(self.expected(at, "a value")),
        }
    }

    /// Passes over any value, from its first byte. It stands in a container of that level, 0 for none.
    #[inline(never)]
    pub fn value(&mut self, at: usize, level: usize) -> Passed {
        match self.byte(at) {
            b'{' => self.container(at, level, Shape::Object),
            b'[' => self.container(at, level, Shape::Array),
            _ => self.scalar(at),
        }
    }

    fn container(&mut self, start: usize, outside: usize, shape: Shape) -> Passed {
        let mut objects = Levels::default();
        let mut level = outside;
        let mut at = start;
        'value: loop {
            let open = self.byte(at);
            if matches!(open, b'{' | b'[') {
                let object = open == b'{';
                level = self.enter(at, level)?;
                objects.set(level, object);
                at = self.space(at + 1);
                if self.byte(at) != if object { b'}' } else { b']' } {
                    if object {
                        at = self.name(at)?;
                    }
                    continue 'value;
                }
                at += 1;
                level -= 1;
            } else {
                (_, at) = self.scalar(at)?;
            }
            while level > outside {
                let object = objects.get(level);
                at = self.space(at);
                match self.byte(at) {
                    b',' => {
                        at = self.space(at + 1);
                        if object {
                            at = self.name(at)?;
                        }
                        continue 'value;
                    }
                    b'}' if object => {}
                    b']' if !object => {}
                    _ => return Err(self.expected(at, if object { "`,` or `}`" } else { "`,` or `]`" })),
                }
                at += 1;
                level -= 1;
            }
            return Ok((Value::new(shape, start, at), at));
        }
    }

    /// The level of a container that opens there.
    #[inline(always)]
    pub fn enter(&self, at: usize, outside: usize) -> Result<usize, Fault> {
        if outside >= MAX_LEVEL { Err(self.fault(at, What::TooDeep)) } else { Ok(outside + 1) }
    }

    /// Passes over a name and its colon.
    fn name(&mut self, at: usize) -> Result<usize, Fault> {
        if self.byte(at) != b'"' {
            return Err(self.expected(at, "a name in quotes"));
        }
        let (_, at) = self.string(at)?;
        self.colon(at)
    }

    /// Checks that nothing but white space follows.
    #[inline(always)]
    pub fn finish(&self, at: usize) -> Result<(), Fault> {
        let at = self.space(at);
        if at < self.payload.len() { Err(self.fault(at, What::Trailing)) } else { Ok(()) }
    }
}

/// One bit a level: whether the container there is an object.
#[derive(Default)]
struct Levels([u64; MAX_LEVEL / 64]);

impl Levels {
    fn set(&mut self, level: usize, object: bool) {
        let (word, bit) = Self::place(level);
        self.0[word] = self.0[word] & !(1 << bit) | u64::from(object) << bit;
    }

    fn get(&self, level: usize) -> bool {
        let (word, bit) = Self::place(level);
        self.0[word] >> bit & 1 == 1
    }

    fn place(level: usize) -> (usize, usize) {
        let index = (level - 1) % MAX_LEVEL;
        (index / 64, index % 64)
    }
}

/// Whether the text is one number of JSON and nothing else.
pub fn is_number(text: &[u8]) -> bool {
    matches!(Scanner::new(text, text.len()).number(0), Ok((_, end)) if end == text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(text: &[u8]) -> Result<Shape, Fault> {
        let mut batch = b"junk".to_vec();
        batch.extend_from_slice(text);
        // What follows in the batch would complete many a broken payload.
        for behind in [&b"\"]}0e: ,"[..], b"", b"\"", b"}", b"0", b"ull"] {
            let mut batch = batch.clone();
            batch.extend_from_slice(behind);
            let mut scanner = Scanner::new(&batch, 4 + text.len());
            let at = scanner.space(4);
            let found = scanner.value(at, 0).and_then(|(value, at)| scanner.finish(at).map(|()| value.shape));
            let found = found.map_err(|fault| Fault { at: fault.at - 4, ..fault });
            if behind == b"ull" {
                return found;
            }
        }
        unreachable!()
    }

    #[test]
    fn what_is_json() {
        let table: &[(&str, Shape)] = &[
            ("null", Shape::Null),
            (" true\n", Shape::True),
            ("\t\r\n false", Shape::False),
            ("0", Shape::Number),
            ("-0", Shape::Number),
            ("-0.0e-0", Shape::Number),
            ("1E+400", Shape::Number),
            ("123456789012345678901234567890", Shape::Number),
            ("\"\"", Shape::Plain),
            ("\"\u{7f}\u{2028}é😀\"", Shape::Plain),
            (r#""\"""#, Shape::Escaped),
            (r#""\u00e9\uD800""#, Shape::Escaped),
            ("[]", Shape::Array),
            ("[[],{},[ ]]", Shape::Array),
            ("{ \"\" : { } , \"\" : [ 1 , 2 ] }", Shape::Object),
        ];
        for (text, shape) in table {
            assert_eq!(judge(text.as_bytes()), Ok(*shape), "{text}");
        }
    }

    #[test]
    fn what_is_not_json_and_where() {
        let table: &[(&str, usize, What)] = &[
            ("", 0, What::Expected("a value")),
            ("  ", 2, What::Expected("a value")),
            ("nul", 0, What::Expected("a value")),
            ("nulL", 0, What::Expected("a value")),
            ("True", 0, What::Expected("a value")),
            ("NaN", 0, What::Expected("a value")),
            ("+1", 0, What::Expected("a value")),
            ("-", 1, What::Expected("a digit")),
            ("-a", 1, What::Expected("a digit")),
            ("01", 1, What::Trailing),
            ("1.", 2, What::Expected("a digit after the point")),
            (".5", 0, What::Expected("a value")),
            ("1e", 2, What::Expected("a digit of the exponent")),
            ("1e+", 3, What::Expected("a digit of the exponent")),
            ("\"abc", 0, What::Unclosed),
            ("\"a\tb\"", 2, What::Control),
            ("\"a\0b\"", 2, What::Control),
            (r#""\x""#, 1, What::Escape),
            (r#""\u12G4""#, 1, What::Escape),
            (r#""\u123"#, 1, What::Escape),
            ("\"\\", 1, What::Escape),
            ("[", 1, What::Expected("a value")),
            ("[1", 2, What::Expected("`,` or `]`")),
            ("[1,]", 3, What::Expected("a value")),
            ("[,1]", 1, What::Expected("a value")),
            ("[1 2]", 3, What::Expected("`,` or `]`")),
            ("[1}", 2, What::Expected("`,` or `]`")),
            ("{", 1, What::Expected("a name in quotes")),
            ("{a:1}", 1, What::Expected("a name in quotes")),
            ("{\"a\"}", 4, What::Expected("`:` after the name")),
            ("{\"a\":}", 5, What::Expected("a value")),
            ("{\"a\":1,}", 7, What::Expected("a name in quotes")),
            ("{\"a\":1]", 6, What::Expected("`,` or `}`")),
            ("1 1", 2, What::Trailing),
            ("{}\u{b}", 2, What::Trailing),
            ("/**/1", 0, What::Expected("a value")),
            ("\u{a0}1", 0, What::Expected("a value")),
        ];
        for (text, at, what) in table {
            assert_eq!(judge(text.as_bytes()), Err(Fault { at: *at, what: *what }), "{text:?}");
        }
    }

    #[test]
    fn levels_are_counted_to_512() {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let nested = |depth: usize| format!("{}1{}", open.repeat(depth), close.repeat(depth));
            assert!(judge(nested(512).as_bytes()).is_ok());
            let fault = judge(nested(513).as_bytes()).unwrap_err();
            assert_eq!(fault, Fault { at: open.len() * 512, what: What::TooDeep });
            assert!(judge(open.repeat(100_000).as_bytes()).is_err());
        }
        let wide = format!("[{}1]", "[[]],{},".repeat(10_000));
        assert!(judge(wide.as_bytes()).is_ok());
    }

    #[test]
    fn mixed_levels_close_as_they_opened() {
        let mut opening = String::new();
        let mut closing = String::new();
        for level in 0..512 {
            let object = level % 3 == 0 || level % 7 == 1;
            opening.push_str(if object { "{\"k\":" } else { "[" });
            closing.insert(0, if object { '}' } else { ']' });
        }
        assert!(judge(format!("{opening}0{closing}").as_bytes()).is_ok());
        for place in 0..512 {
            let mut broken = closing.clone().into_bytes();
            broken[place] = if broken[place] == b'}' { b']' } else { b'}' };
            let broken = [opening.as_bytes(), b"0", &broken].concat();
            assert_eq!(judge(&broken).unwrap_err().at, opening.len() + 1 + place);
        }
    }

    #[test]
    fn numbers_alone() {
        for text in ["0", "-1.5e3", "10"] {
            assert!(is_number(text.as_bytes()), "{text}");
        }
        for text in ["", " 1", "1 ", "01", "+1", "1.", "0x1", "1e5.0"] {
            assert!(!is_number(text.as_bytes()), "{text}");
        }
    }
}
