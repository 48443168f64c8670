//! Decimal numbers by the value that is written, never through a double.
//!
//! However long a number or large its exponent, the time is linear in what is written.

/// A number `0.d₁d₂d₃… × 10^point` with its sign; its first and its last digit are not zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decimal<'a> {
    negative: bool,
    /// The digits, perhaps with the point somewhere between them. Empty for zero.
    digits: &'a [u8],
    count: usize,
    point: i64,
}

impl<'a> Decimal<'a> {
    /// Reads `-?digits[.digits][(e|E)[+-]digits]`, which the caller has checked.
    pub fn new(text: &'a [u8]) -> Self {
        let (negative, text) = match text.strip_prefix(b"-") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let split = text.iter().position(|byte| matches!(byte, b'e' | b'E'));
        let (mantissa, exponent) = match split {
            Some(place) => (&text[..place], exponent(&text[place + 1..])),
            None => (text, 0),
        };
        let whole = mantissa.iter().position(|byte| *byte == b'.').unwrap_or(mantissa.len());
        let insignificant = |byte: &u8| matches!(byte, b'0' | b'.');
        let first = mantissa.iter().position(|byte| !insignificant(byte)).unwrap_or(mantissa.len());
        let last = mantissa.iter().rposition(|byte| !insignificant(byte)).map_or(first, |place| place + 1);
        let digits = &mantissa[first..last];
        let count = digits.len() - usize::from(digits.contains(&b'.'));
        // Digits before the point, less the zeros that were dropped in front (the point itself is not one of them).
        let dropped = first - usize::from(first > whole);
        let point = (whole as i64 - dropped as i64).saturating_add(exponent);
        Self { negative, digits, count, point: if digits.is_empty() { 0 } else { point } }
    }

    fn is_zero(self) -> bool {
        self.digits.is_empty()
    }

    /// Whether the number without its sign is below 10 to that power.
    pub fn is_below(self, power: i64) -> bool {
        self.is_zero() || self.point <= power
    }

    fn is_integral(self) -> bool {
        self.is_zero() || self.point >= self.count as i64
    }

    fn digits(self) -> impl Iterator<Item = u8> {
        self.digits.iter().copied().filter(u8::is_ascii_digit)
    }

    /// Whether it is integral and has at most so many digits.
    pub fn is_integral_within(self, limit: usize) -> bool {
        self.is_integral() && self.point <= limit as i64
    }

    /// Appends the digits of an integral number of at most `limit` digits; false, with nothing appended, for others.
    pub fn write_integer(self, limit: usize, to: &mut Vec<u8>) -> bool {
        if !self.is_integral_within(limit) {
            return false;
        }
        if self.is_zero() {
            to.push(b'0');
            return true;
        }
        if self.negative {
            to.push(b'-');
        }
        to.extend(self.digits());
        to.extend(std::iter::repeat_n(b'0', self.point as usize - self.count));
        true
    }

    /// The integral number, where it has at most 38 digits.
    pub fn integer(self) -> Option<i128> {
        if !self.is_integral_within(38) {
            return None;
        }
        let size = self.digits().fold(0_i128, |sum, digit| sum * 10 + i128::from(digit - b'0'));
        if self.is_zero() {
            return Some(0);
        }
        let size = size * 10_i128.pow((self.point - self.count as i64) as u32);
        Some(if self.negative { -size } else { size })
    }

    /// The number times 10 to that power, rounded to the nearest integer, halves upward; `None` beyond 18 digits.
    pub fn rounded(self, power: i64) -> Option<i64> {
        let point = if self.is_zero() { 0 } else { self.point.saturating_add(power) };
        if point > 18 {
            return None;
        }
        if point < 0 {
            return Some(0);
        }
        let whole = point as usize;
        let mut digits = self.digits();
        let mut size = 0;
        for _ in 0..whole {
            size = size * 10 + i64::from(digits.next().unwrap_or(b'0') - b'0');
        }
        let half = digits.next().unwrap_or(b'0');
        let beyond = digits.next().is_some();
        let up = if self.negative { half > b'5' || half == b'5' && beyond } else { half >= b'5' };
        let size = size + i64::from(up);
        Some(if self.negative { -size } else { size })
    }
}

/// The exponent's value, held at a size beyond which none makes a difference.
fn exponent(text: &[u8]) -> i64 {
    const ENOUGH: i64 = 1_000_000_000_000;
    let (negative, digits) = match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        Some((b'+', rest)) => (false, rest),
        _ => (false, text),
    };
    let size = digits.iter().fold(0, |sum: i64, digit| (sum * 10 + i64::from(digit - b'0')).min(ENOUGH));
    if negative { -size } else { size }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn integer(text: &str) -> Option<String> {
        let mut to = Vec::new();
        Decimal::new(text.as_bytes()).write_integer(38, &mut to).then(|| String::from_utf8(to).unwrap())
    }

    #[test]
    fn integers_in_plain_digits() {
        let nines = "9".repeat(38);
        let table = [
            ("1", Some("1")),
            ("1.0", Some("1")),
            ("1e0", Some("1")),
            ("10E-1", Some("1")),
            ("0.1e1", Some("1")),
            ("0.00100e3", Some("1")),
            ("-0", Some("0")),
            ("-0.0e9", Some("0")),
            ("0e999999999999999999999", Some("0")),
            ("-12.50e1", Some("-125")),
            ("1e37", Some("10000000000000000000000000000000000000")),
            ("1e38", None),
            ("1e999999999", None),
            ("1e-999999999999999999999999", None),
            ("1.5", None),
            ("15e-1", None),
            ("0.1", None),
            (nines.as_str(), Some(nines.as_str())),
            ("100000000000000000000000000000000000000", None),
            ("100000000000000000000000000000000000000e-1", Some("10000000000000000000000000000000000000")),
        ];
        for (text, expected) in table {
            assert_eq!(integer(text).as_deref(), expected, "{text}");
            let value = expected.map(|digits| digits.parse::<i128>().unwrap());
            assert_eq!(Decimal::new(text.as_bytes()).integer(), value, "{text}");
        }
        assert_eq!(integer(&format!("-{nines}")), Some(format!("-{nines}")));
    }

    #[test]
    fn rounding_goes_to_the_nearest_and_halves_upward() {
        let table = [
            ("0.5", 0, Some(1)),
            ("-0.5", 0, Some(0)),
            ("-0.50000000000001", 0, Some(-1)),
            ("0.4999999999999999999999", 0, Some(0)),
            ("-1.5", 0, Some(-1)),
            ("-1.51", 0, Some(-2)),
            ("1.0005", 3, Some(1001)),
            ("-1.0005", 3, Some(-1000)),
            ("1500", -3, Some(2)),
            ("-1500", -3, Some(-1)),
            ("499", -3, Some(0)),
            ("500", -3, Some(1)),
            ("5", -3, Some(0)),
            ("0.00005", 3, Some(0)),
            ("1e999999999", 0, None),
            ("1e-999999999", 6, Some(0)),
            ("999999999999999999", 0, Some(999_999_999_999_999_999)),
            ("1000000000000000000", 0, None),
            ("999999999999999999.5", 0, Some(1_000_000_000_000_000_000)),
        ];
        for (text, power, expected) in table {
            assert_eq!(Decimal::new(text.as_bytes()).rounded(power), expected, "{text}");
        }
    }

    #[test]
    fn a_million_digits_are_read_once() {
        let long = format!("1{}.{}5", "0".repeat(10), "0".repeat(1_000_000));
        assert_eq!(Decimal::new(long.as_bytes()).rounded(0), Some(10_000_000_000));
        let long = format!("0.{}5e1000000", "0".repeat(999_999));
        assert_eq!(Decimal::new(long.as_bytes()).rounded(0), Some(5));
    }

    proptest! {
        /// The same number written with its point elsewhere is rounded as integers say.
        #[test]
        fn agrees_with_exact_arithmetic(number in -999_999_999_999_i64..1_000_000_000_000, decimals in 0_u32..12,
                                        shift in -3_i64..4) {
            let digits = format!("{:013}", number.unsigned_abs());
            let (whole, fraction) = digits.split_at(13 - decimals as usize);
            let whole = whole.trim_start_matches('0');
            let sign = if number < 0 { "-" } else { "" };
            let whole = if whole.is_empty() { "0" } else { whole };
            let point = if decimals == 0 { "" } else { "." };
            let text = format!("{sign}{whole}{point}{fraction}e{}", -shift);

            let unit = 10_i128.pow(decimals);
            let expected = (2 * i128::from(number) + unit).div_euclid(2 * unit);
            prop_assert_eq!(Decimal::new(text.as_bytes()).rounded(shift).map(i128::from), Some(expected), "{}", text);
            let integral = i128::from(number) % unit == 0;
            let plain = format!("{sign}{whole}{point}{fraction}");
            let integer = integral.then(|| i128::from(number) / unit);
            prop_assert_eq!(Decimal::new(plain.as_bytes()).integer(), integer, "{}", plain);
        }
    }
}
