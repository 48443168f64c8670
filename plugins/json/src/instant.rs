//! Moments in time: the contract's grammar, in whole milliseconds since 1970-01-01T00:00:00Z.
//!
//! RFC 3339 with any number of decimals, a `T` or one space, an offset with or without its colon; or a number, by whose size
//! its unit is told. Rounded to the nearest millisecond, halves toward the future. Years 0000 to 9999.

use crate::decimal::Decimal;

const DAY: i64 = 86_400_000;
const MINUTE: i64 = 60_000;
/// 0000-01-01T00:00:00.000Z.
const FIRST: i64 = -62_167_219_200_000;
/// 9999-12-31T23:59:59.999Z.
const LAST: i64 = 253_402_300_799_999;

/// Why a text is no moment, and at which of its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wrong {
    pub at: usize,
    pub what: &'static str,
}

const OUT_OF_RANGE: &str = "it lies outside the years 0000 to 9999";
const FORM: &str = "it is no RFC 3339 time such as 2026-03-01T10:00:00.000Z, and no number";

/// A distance from UTC, in minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offset(i64);

impl Offset {
    /// Reads `Z`, `+01:00` or `-0330`.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let (sign, digits) = match text {
            [b'Z' | b'z'] => return Some(Self(0)),
            [sign @ (b'+' | b'-'), digits @ ..] => (sign, digits),
            _ => return None,
        };
        let [a, b, c, d] = match digits {
            [a, b, b':', c, d] | [a, b, c, d] => [*a, *b, *c, *d],
            _ => return None,
        };
        let (hours, minutes) =
            (two(a, b).filter(|hours| *hours < 24)?, two(c, d).filter(|minutes| *minutes < 60)?);
        let size = hours * 60 + minutes;
        Some(Self(if *sign == b'-' { -size } else { size }))
    }
}

/// Reads times as strings; remembers the last date, since records that follow each other share it.
#[derive(Clone, Debug)]
pub struct Clock {
    /// The offset of a string that has none.
    assumed: Option<Offset>,
    date: [u8; 10],
    midnight: i64,
}

impl Clock {
    pub fn new(assumed: Option<Offset>) -> Self {
        Self { assumed, date: *b"1970-01-01", midnight: 0 }
    }

    /// The moment that a non-empty string names.
    #[inline]
    pub fn parse(&mut self, text: &[u8]) -> Result<i64, Wrong> {
        if let Some((date, [b'T', time @ ..])) = text.split_first_chunk::<10>()
            && *date == self.date
            && let Some(time) = whole_milliseconds(time)
        {
            return Ok(self.midnight + time);
        }
        self.parse_any(text)
    }

    #[inline(never)]
    fn parse_any(&mut self, text: &[u8]) -> Result<i64, Wrong> {
        let digits = text.strip_prefix(b"-").unwrap_or(text);
        if !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) {
            return from_number(text).ok_or(Wrong { at: 0, what: OUT_OF_RANGE });
        }
        let Some((date, rest)) = text.split_first_chunk::<10>() else {
            return Err(Wrong { at: 0, what: FORM });
        };
        if *date != self.date {
            self.midnight = midnight(date)?;
            self.date = *date;
        }
        let time = Time::parse(rest, self.assumed).map_err(|wrong| Wrong { at: wrong.at + 10, ..wrong })?;
        let instant = self.midnight + time.0;
        if (FIRST..=LAST).contains(&instant) { Ok(instant) } else { Err(Wrong { at: 0, what: OUT_OF_RANGE }) }
    }
}

/// The most frequent way to write a time: `10:00:00.000Z`, with no seconds that leap.
#[inline(always)]
fn whole_milliseconds(text: &[u8]) -> Option<i64> {
    let [h0, h1, b':', m0, m1, b':', s0, s1, b'.', f0, f1, f2, b'Z'] = text else { return None };
    let (hour, minute, second) = (two(*h0, *h1)?, two(*m0, *m1)?, two(*s0, *s1)?);
    let (tens, units) = (two(*f0, *f1)?, two(b'0', *f2)?);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    Some(((hour * 60 + minute) * 60 + second) * 1000 + tens * 10 + units)
}

/// Milliseconds from the date's midnight to the moment, both in UTC; the offset may take it into another day.
struct Time(i64);

impl Time {
    /// Reads what follows the date.
    fn parse(text: &[u8], assumed: Option<Offset>) -> Result<Self, Wrong> {
        let wrong = |at, what| Err(Wrong { at, what });
        if !matches!(text.first(), Some(b'T' | b't' | b' ')) {
            return wrong(0, "after the date a `T` or one space must follow");
        }
        let Some(([h0, h1, b':', m0, m1, b':', s0, s1], rest)) = text[1..].split_first_chunk::<8>() else {
            return wrong(1, "after the date a time such as 10:00:00 must follow");
        };
        let (Some(hour), Some(minute), Some(second)) = (two(*h0, *h1), two(*m0, *m1), two(*s0, *s1)) else {
            return wrong(1, "after the date a time such as 10:00:00 must follow");
        };
        match (hour, minute, second) {
            (24.., ..) => return wrong(1, "hours go from 00 to 23"),
            (_, 60.., _) => return wrong(4, "minutes go from 00 to 59"),
            (_, _, 61..) => return wrong(7, "seconds go from 00 to 59"),
            _ => {}
        }
        let (milliseconds, rest) = match rest.strip_prefix(b".") {
            None => (0, rest),
            Some(decimals) => {
                let count = decimals.iter().take_while(|byte| byte.is_ascii_digit()).count();
                if count == 0 {
                    return wrong(10, "after the point at least one digit must follow");
                }
                (thousandths(&decimals[..count]), &decimals[count..])
            }
        };
        let at = text.len() - rest.len();
        let Offset(offset) = match (rest, assumed) {
            ([], Some(offset)) => offset,
            ([], None) => {
                return wrong(
                    at,
                    "there is no offset such as Z or +01:00 (the parameter `assume_offset` would give one)",
                );
            }
            _ => match Offset::parse(rest) {
                Some(offset) => offset,
                None => return wrong(at, "the time must end in an offset: Z, +01:00 or -0330"),
            },
        };
        let minutes = hour * 60 + minute - offset;
        if second == 60 {
            if minutes.rem_euclid(24 * 60) != 24 * 60 - 1 {
                return wrong(7, "second 60 is accepted at 23:59 UTC only");
            }
            return Ok(Self(minutes * MINUTE + 59_999));
        }
        Ok(Self(minutes * MINUTE + second * 1000 + milliseconds))
    }
}

/// Thousandths of one or more decimals, rounded to the nearest, halves upward.
fn thousandths(decimals: &[u8]) -> i64 {
    let digit = |place: usize| decimals.get(place).map_or(0, |byte| i64::from(byte - b'0'));
    digit(0) * 100 + digit(1) * 10 + digit(2) + i64::from(digit(3) >= 5)
}

/// Milliseconds of a date's midnight.
fn midnight(date: &[u8; 10]) -> Result<i64, Wrong> {
    let [y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1] = *date else { return Err(Wrong { at: 0, what: FORM }) };
    let (Some(century), Some(year), Some(month), Some(day)) =
        (two(y0, y1), two(y2, y3), two(m0, m1), two(d0, d1))
    else {
        return Err(Wrong { at: 0, what: FORM });
    };
    let year = century * 100 + year;
    if !(1..=12).contains(&month) {
        return Err(Wrong { at: 5, what: "months go from 01 to 12" });
    }
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    if !(1..=length).contains(&day) {
        return Err(Wrong { at: 8, what: "that month has no such day" });
    }
    // Counted in years that begin in March, so that the leap day is a year's last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    Ok((days + (153 * month + 2) / 5 + day - 1 - 719_468) * DAY)
}

/// The number of two digits.
#[inline(always)]
fn two(tens: u8, units: u8) -> Option<i64> {
    let (tens, units) = (tens.wrapping_sub(b'0'), units.wrapping_sub(b'0'));
    (tens < 10 && units < 10).then_some(i64::from(tens) * 10 + i64::from(units))
}

/// The moment that a number names, in the grammar that [`Decimal::new`] reads; `None` outside the years 0000 to 9999.
#[inline]
pub fn from_number(text: &[u8]) -> Option<i64> {
    if text.len() <= 18 && text.iter().all(u8::is_ascii_digit) {
        let number = text.iter().fold(0, |sum: i64, digit| sum * 10 + i64::from(digit - b'0'));
        let instant = match number {
            ..100_000_000_000 => number * 1000,
            100_000_000_000..100_000_000_000_000 => number,
            100_000_000_000_000..100_000_000_000_000_000 => (number + 500) / 1000,
            _ => (number + 500_000) / 1_000_000,
        };
        return Some(instant);
    }
    from_decimal(Decimal::new(text))
}

fn from_decimal(number: Decimal<'_>) -> Option<i64> {
    let power = match () {
        () if number.is_below(11) => 3,
        () if number.is_below(14) => 0,
        () if number.is_below(17) => -3,
        () => -6,
    };
    number.rounded(power).filter(|instant| (FIRST..=LAST).contains(instant))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<i64, &'static str> {
        parse_assuming(text, None)
    }

    fn parse_assuming(text: &str, offset: Option<&str>) -> Result<i64, &'static str> {
        let offset = offset.map(|text| Offset::parse(text.as_bytes()).unwrap());
        let fresh = Clock::new(offset).parse(text.as_bytes());
        // What was read before changes nothing.
        let mut used = Clock::new(offset);
        for before in ["2026-03-01T10:00:00.000Z", "2016-12-31T00:00:00Z", "0000-01-01 00:00:00Z", text] {
            let _ = used.parse(before.as_bytes());
            assert_eq!(used.parse(text.as_bytes()), fresh);
        }
        fresh.map_err(|wrong| wrong.what)
    }

    #[test]
    fn spellings_that_are_accepted() {
        const T: i64 = 1_772_359_200_000;
        let table = [
            ("2026-03-01T10:00:00Z", T),
            ("2026-03-01t10:00:00z", T),
            ("2026-03-01 10:00:00Z", T),
            ("2026-03-01T10:00:00.000Z", T),
            ("2026-03-01T10:00:00.5Z", T + 500),
            ("2026-03-01T10:00:00.1234Z", T + 123),
            ("2026-03-01T10:00:00.1235Z", T + 124),
            ("2026-03-01T10:00:00.12349999999999999999999999Z", T + 123),
            ("2026-03-01T10:00:00.9995Z", T + 1000),
            ("2026-03-01T23:59:59.9996Z", T + 14 * 3_600_000),
            ("2026-03-01T11:00:00+01:00", T),
            ("2026-03-01T11:00:00+0100", T),
            ("2026-03-01T06:30:00-03:30", T),
            ("2026-03-01T10:00:00-00:00", T),
            ("2026-03-02T09:59:00+23:59", T),
            ("2026-02-28T23:00:00-11:00", T),
            ("1970-01-01T00:00:00Z", 0),
            ("1969-12-31T23:59:59.999Z", -1),
            ("1969-12-31T23:59:59.9994Z", -1),
            ("1969-12-31T23:59:59.9985Z", -1),
            ("1969-12-31T23:59:59.9995Z", 0),
            ("2024-02-29T00:00:00Z", 1_709_164_800_000),
            ("2000-02-29T00:00:00Z", 951_782_400_000),
            ("0000-01-01T00:00:00Z", FIRST),
            ("0000-02-29T00:00:00Z", FIRST + 59 * DAY),
            ("9999-12-31T23:59:59.999Z", LAST),
            ("9999-12-31T23:59:59.9994Z", LAST),
            ("2016-12-31T23:59:60Z", 1_483_228_799_999),
            ("2016-12-31T23:59:60.000Z", 1_483_228_799_999),
            ("2016-12-31T23:59:60.9999999Z", 1_483_228_799_999),
            ("2017-01-01T00:59:60+01:00", 1_483_228_799_999),
            ("2016-12-31T18:59:60-0500", 1_483_228_799_999),
            ("2026-03-01T23:59:60Z", T + 14 * 3_600_000 - 1),
            ("9999-12-31T23:59:60Z", LAST),
        ];
        for (text, expected) in table {
            assert_eq!(parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn spellings_that_are_refused() {
        let table = [
            ("2026-03-01", "after the date a `T` or one space must follow"),
            ("2026-03-01T", "after the date a time such as 10:00:00 must follow"),
            ("2026-03-01T10:00Z", "after the date a time such as 10:00:00 must follow"),
            ("2026-03-01  10:00:00Z", "after the date a time such as 10:00:00 must follow"),
            ("2026-03-01_10:00:00Z", "after the date a `T` or one space must follow"),
            (
                "2026-03-01T10:00:00",
                "there is no offset such as Z or +01:00 (the parameter `assume_offset` would give one)",
            ),
            ("2026-03-01T10:00:00.Z", "after the point at least one digit must follow"),
            ("2026-03-01T10:00:00,5Z", "the time must end in an offset: Z, +01:00 or -0330"),
            ("2026-03-01T10:00:00 Z", "the time must end in an offset: Z, +01:00 or -0330"),
            ("2026-03-01T10:00:00Z ", "the time must end in an offset: Z, +01:00 or -0330"),
            ("2026-03-01T10:00:00+01", "the time must end in an offset: Z, +01:00 or -0330"),
            ("2026-03-01T10:00:00+1:00", "the time must end in an offset: Z, +01:00 or -0330"),
            ("2026-03-01T10:00:00+24:00", "the time must end in an offset: Z, +01:00 or -0330"),
            ("2026-03-01T10:00:00+01:60", "the time must end in an offset: Z, +01:00 or -0330"),
            ("2026-03-01T10:00:00 +01:00", "the time must end in an offset: Z, +01:00 or -0330"),
            ("2026-03-01T10:00:00UTC", "the time must end in an offset: Z, +01:00 or -0330"),
            ("2026-03-01T24:00:00Z", "hours go from 00 to 23"),
            ("2026-03-01T24:00:00.000Z", "hours go from 00 to 23"),
            ("2026-03-01T10:60:00.000Z", "minutes go from 00 to 59"),
            ("2026-03-01T10:00:60.000Z", "second 60 is accepted at 23:59 UTC only"),
            ("2026-03-01T10:00:0:.000Z", "after the date a time such as 10:00:00 must follow"),
            ("2026-03-01T10:00:00.00/Z", "the time must end in an offset: Z, +01:00 or -0330"),
            ("2026-03-01T10:60:00Z", "minutes go from 00 to 59"),
            ("2026-03-01T10:00:61Z", "seconds go from 00 to 59"),
            ("2026-03-01T10:00:60Z", "second 60 is accepted at 23:59 UTC only"),
            ("2026-03-01T23:59:60+01:00", "second 60 is accepted at 23:59 UTC only"),
            ("2026-02-29T10:00:00Z", "that month has no such day"),
            ("1900-02-29T10:00:00Z", "that month has no such day"),
            ("2026-04-31T10:00:00Z", "that month has no such day"),
            ("2026-04-00T10:00:00Z", "that month has no such day"),
            ("2026-13-01T10:00:00Z", "months go from 01 to 12"),
            ("2026-00-01T10:00:00Z", "months go from 01 to 12"),
            ("26-03-01T10:00:00Z", FORM),
            ("+2026-03-01T10:00:00Z", FORM),
            ("12026-03-01T10:00:00Z", FORM),
            ("yesterday", FORM),
            ("1.5", FORM),
            ("1e3", FORM),
            ("+1", FORM),
            ("-", FORM),
            (" 1", FORM),
            ("0000-01-01T00:00:00+00:01", OUT_OF_RANGE),
            ("9999-12-31T23:59:59-00:01", OUT_OF_RANGE),
            ("9999-12-31T23:59:59.9995Z", OUT_OF_RANGE),
            ("99999999999999999999999", OUT_OF_RANGE),
        ];
        for (text, expected) in table {
            assert_eq!(parse(text), Err(expected), "{text}");
        }
    }

    #[test]
    fn an_assumed_offset_is_for_strings_without_one() {
        assert_eq!(parse_assuming("2026-03-01T10:00:00", Some("+01:00")), parse("2026-03-01T10:00:00+01:00"));
        assert_eq!(parse_assuming("2026-03-01 10:00:00.25", Some("Z")), parse("2026-03-01T10:00:00.25Z"));
        assert_eq!(
            parse_assuming("2026-03-01T10:00:00-0500", Some("+0100")),
            parse("2026-03-01T10:00:00-05:00")
        );
        assert_eq!(parse_assuming("2026-03-02T00:59:60", Some("+01:00")), parse("2026-03-01T23:59:60Z"));
    }

    #[test]
    fn numbers_by_their_size() {
        let table = [
            ("0", Some(0)),
            ("-0", Some(0)),
            ("1772359200", Some(1_772_359_200_000)),
            ("1772359200000", Some(1_772_359_200_000)),
            ("1772359200000000", Some(1_772_359_200_000)),
            ("1772359200000000000", Some(1_772_359_200_000)),
            ("1.7e12", Some(1_700_000_000_000)),
            ("1.7E+9", Some(1_700_000_000_000)),
            ("1772359200.1235", Some(1_772_359_200_124)),
            ("1772359200.1234999999999999999999", Some(1_772_359_200_123)),
            ("-0.0005", Some(0)),
            ("-0.00051", Some(-1)),
            ("99999999999", Some(99_999_999_999_000)),
            ("99999999999.9994", Some(99_999_999_999_999)),
            ("99999999999.9999", Some(100_000_000_000_000)),
            ("100000000000", Some(100_000_000_000)),
            ("99999999999999", Some(99_999_999_999_999)),
            ("99999999999999.5", Some(100_000_000_000_000)),
            ("100000000000000", Some(100_000_000_000)),
            ("99999999999999999", Some(100_000_000_000_000)),
            ("100000000000000000", Some(100_000_000_000)),
            ("-62167219200", Some(FIRST)),
            ("-62167219201", None),
            ("-62167219200.0005", Some(FIRST)),
            ("-62167219200.0006", None),
            ("-99999999999999", None),
            ("253402300799999499999", Some(LAST)),
            ("253402300799999500000", None),
            ("1e999999999", None),
            ("-1e999999999999999999999999999", None),
            ("1e-999999999", Some(0)),
            ("0e999999999", Some(0)),
        ];
        for (text, expected) in table {
            assert_eq!(from_number(text.as_bytes()), expected, "{text}");
            assert_eq!(from_decimal(Decimal::new(text.as_bytes())), expected, "{text}");
            if text.bytes().all(|byte| byte == b'-' || byte.is_ascii_digit()) {
                assert_eq!(parse(text).ok(), expected, "{text} as a string");
                let zeros = text.replacen(|digit: char| digit.is_ascii_digit(), "000$", 1);
                let first = text.trim_start_matches('-').chars().next().unwrap();
                assert_eq!(
                    parse(&zeros.replace('$', &first.to_string())).ok(),
                    expected,
                    "{text} with zeros in front"
                );
            }
        }
    }

    #[test]
    fn every_day_of_ten_thousand_years_follows_the_one_before() {
        let mut expected = FIRST;
        for year in 0..10_000 {
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            for month in 1..=12 {
                for day in 1..=31 {
                    let date = format!("{year:04}-{month:02}-{day:02}");
                    let length =
                        [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1];
                    let found = midnight(date.as_bytes().try_into().unwrap());
                    if day > length {
                        assert!(found.is_err(), "{date}");
                        continue;
                    }
                    assert_eq!(found, Ok(expected), "{date}");
                    expected += DAY;
                }
            }
        }
        assert_eq!(expected, LAST + 1);
    }

    proptest! {
        #[test]
        fn short_digits_and_decimals_agree(number in 0_i64..1_000_000_000_000_000_000, shorter in 0_u32..18) {
            let text = (number / 10_i64.pow(shorter)).to_string();
            prop_assert_eq!(from_number(text.as_bytes()), from_decimal(Decimal::new(text.as_bytes())));
        }

        #[test]
        fn any_bytes_are_judged_alike_by_a_fresh_and_a_used_clock(text in "[0-9TZtz:+. -]{0,30}") {
            let _ = parse(&text);
        }

        #[test]
        fn offsets_move_the_moment(minutes in -1439_i64..1440, at in 0_i64..86_400_000) {
            let (h, m, s, ms) = (at / 3_600_000, at / 60_000 % 60, at / 1000 % 60, at % 1000);
            let sign = if minutes < 0 { '-' } else { '+' };
            let text = format!("2026-03-01T{h:02}:{m:02}:{s:02}.{ms:03}{sign}{:02}:{:02}", minutes.abs() / 60, minutes.abs() % 60);
            prop_assert_eq!(parse(&text), Ok(1_772_323_200_000 + at - minutes * MINUTE));
            prop_assert_eq!(parse(&text.replace(&text[23..], "Z")), Ok(1_772_323_200_000 + at));
        }
    }
}
