//! The longest time between two events of a visit, as parameter `gap` writes it: a whole number and its unit.

use plugin_support::params::{ParamError, Params};

use crate::event::TIME_LIMIT;

/// Half an hour.
const DEFAULT_MS: i64 = 30 * 60 * 1000;

const UNITS: [(&str, i64); 4] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)];

/// The gap in milliseconds.
pub fn read(params: &str) -> Result<i64, ParamError> {
    let params = Params::read(params, &["gap"])?;
    let Some(text) = params.text("gap")? else { return Ok(DEFAULT_MS) };
    milliseconds(text)
        .map_err(|reason| ParamError::Value { name: "gap", reason: format!("`{text}` {reason}") })
}

fn milliseconds(text: &str) -> Result<i64, &'static str> {
    let (number, unit) = text.split_at(text.bytes().take_while(u8::is_ascii_digit).count());
    let unit = UNITS.iter().find(|(name, _)| *name == unit);
    let (Some((_, factor)), false) = (unit, number.is_empty()) else {
        return Err("is no duration: write a whole number and `ms`, `s`, `m` or `h`, like `30m`");
    };
    let gap = number.parse::<i64>().ok().and_then(|number| number.checked_mul(*factor));
    match gap {
        Some(0) => Err("is no gap: it must be at least `1ms`"),
        Some(gap) if gap <= TIME_LIMIT => Ok(gap),
        _ => Err("is too long"),
    }
}

/// The gap of parameters that were accepted before.
pub fn of(accepted: &str) -> i64 {
    read(accepted).unwrap_or(DEFAULT_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit() {
        let read = |text: &str| read(&format!(r#"{{"gap": "{text}"}}"#)).map_err(|error| error.to_string());
        assert_eq!(super::read(""), Ok(1_800_000));
        for (text, gap) in [("30m", 1_800_000), ("1ms", 1), ("90s", 90_000), ("2h", 7_200_000)] {
            assert_eq!(read(text), Ok(gap));
        }
        for text in ["", "30", "m", "1.5h", "-1s", "1h30m", "30 m", "30M"] {
            assert!(read(text).unwrap_err().starts_with("parameter `gap`: "), "{text}");
            assert!(read(text).unwrap_err().contains("is no duration"), "{text}");
        }
        assert!(read("0s").unwrap_err().contains("at least `1ms`"));
        assert!(read("9223372036854775807h").unwrap_err().contains("too long"));
        assert!(read("99999999999999999999s").unwrap_err().contains("too long"));
        assert!(super::read(r#"{"gap": 30}"#).unwrap_err().to_string().contains("`gap` must be text"));
    }
}
