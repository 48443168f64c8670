//! `[source]`: files and generated traffic; Kafka has a module of its own.

use std::ops::RangeInclusive;
use std::time::Duration;

use toml::de::DeValue;
use toml::value::{Datetime, Offset};

use super::kafka;
use super::reader::{LARGEST, Reader, Table};
use crate::config::{Files, Generate, PartitionBy, Source};

/// Most users and most URLs of generated traffic.
const MOST_DISTINCT: u64 = 1_000_000_000;
/// What generated traffic may cover: a century at most.
const SPAN: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(36_500 * 86_400);

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Files,
    Kafka,
    Generate,
}

/// `None` where the table is absent or its kind, or what it cannot do without, is faulty.
pub(super) fn read(reader: &mut Reader<'_>, table: &Table<'_>) -> Option<Source> {
    table.table?;
    let kinds = [("files", Kind::Files), ("kafka", Kind::Kafka), ("generate", Kind::Generate)];
    let kind = match table.get("kind") {
        Some(_) => reader.choice(table, "kind", &kinds),
        None => Some(Kind::Files),
    };
    let name = kinds.iter().find(|(_, of)| Some(*of) == kind).map(|(name, _)| *name);
    reader.known(table, name);
    match kind? {
        Kind::Files => files(reader, table).map(Source::Files),
        Kind::Kafka => Some(Source::Kafka(kafka::read(reader, table))),
        Kind::Generate => Some(Source::Generate(generate(reader, table))),
    }
}

fn files(reader: &mut Reader<'_>, table: &Table<'_>) -> Option<Files> {
    reader.required(table, "paths", "[\"data/*.jsonl\"]");
    let paths = reader.texts(table, "paths");
    let partition_by = [("log", PartitionBy::Log), ("file", PartitionBy::File)];
    let partition_by = reader.choice(table, "partition_by", &partition_by).unwrap_or_default();
    let follow = reader.flag(table, "follow").unwrap_or(false);
    let mut written = Vec::new();
    for path in paths? {
        reader.as_path(path.clone())?;
        written.push((*path.get_ref()).to_owned());
    }
    Some(Files { base: reader.base.to_owned(), paths: written, partition_by, follow })
}

fn generate(reader: &mut Reader<'_>, table: &Table<'_>) -> Generate {
    let default = Generate::default();
    let partitions =
        reader.whole(table, "partitions", 1..=1_024).and_then(|partitions| u32::try_from(partitions).ok());
    Generate {
        events: reader.whole(table, "events", 1..=LARGEST),
        rate: reader.whole(table, "rate", 1..=LARGEST),
        seed: reader.whole(table, "seed", 0..=LARGEST).unwrap_or(default.seed),
        users: reader.whole(table, "users", 1..=MOST_DISTINCT).unwrap_or(default.users),
        urls: reader.whole(table, "urls", 1..=MOST_DISTINCT).unwrap_or(default.urls),
        start: instant(reader, table, "start").unwrap_or(default.start),
        span: reader.duration(table, "span", SPAN),
        late: reader.share(table, "late").unwrap_or(default.late),
        bad: reader.share(table, "bad").unwrap_or(default.bad),
        partitions: partitions.unwrap_or(default.partitions),
    }
}

/// Milliseconds since 1970, from a date-time with an offset (in quotes or not) or from their number; years 0 to 9999.
fn instant(reader: &mut Reader<'_>, table: &Table<'_>, key: &str) -> Option<i64> {
    const YEARS: RangeInclusive<i64> = -62_167_219_200_000..=253_402_300_799_999;
    let value = table.get(key)?;
    let millis = match value.get_ref() {
        DeValue::Datetime(datetime) => millis(datetime),
        DeValue::String(text) => text.parse().ok().and_then(|datetime| millis(&datetime)),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).ok(),
        _ => None,
    };
    let instant = millis.filter(|millis| YEARS.contains(millis));
    if instant.is_none() {
        let message = format!("`{key}` is no instant of the years 0 to 9999");
        reader.fault(
            value.span(),
            message,
            "write a date-time with its offset: `start = 2026-03-01T00:00:00Z`",
        );
    }
    instant
}

/// Milliseconds since 1970 of a date-time that has all parts; what is below a millisecond goes.
fn millis(datetime: &Datetime) -> Option<i64> {
    let (date, time, offset) = (datetime.date?, datetime.time?, datetime.offset?);
    let minutes_ahead = match offset {
        Offset::Z => 0,
        Offset::Custom { minutes } => i64::from(minutes),
    };
    let minutes = days_since_1970(date.year.into(), date.month.into(), date.day.into()) * 1_440
        + i64::from(time.hour) * 60
        + i64::from(time.minute)
        - minutes_ahead;
    let second = i64::from(time.second.unwrap_or(0)) * 1_000;
    Some(minutes * 60_000 + second + i64::from(time.nanosecond.unwrap_or(0) / 1_000_000))
}

/// Days of the proleptic Gregorian calendar; years are counted from March, so that a leap day ends one.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    const FROM_MARCH_OF_YEAR_0: i64 = 719_468;
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leap_days + (153 * month + 2) / 5 + day - 1 - FROM_MARCH_OF_YEAR_0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn date_times_are_milliseconds_since_1970() {
        let read = |text: &str| text.parse::<Datetime>().ok().and_then(|datetime| millis(&datetime));
        assert_eq!(read("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(read("2026-03-01T00:00:00Z"), Some(Generate::default().start));
        assert_eq!(read("2000-02-29T23:59:59.999+01:00"), Some(951_865_199_999));
        assert_eq!(read("1969-12-31T23:59:59Z"), Some(-1_000));
        assert_eq!(read("0000-01-01T00:00:00Z"), Some(-62_167_219_200_000));
        assert_eq!(read("9999-12-31T23:59:59.999Z"), Some(253_402_300_799_999));
        assert_eq!(read("2026-03-01T00:00:00"), None);
        assert_eq!(read("2026-03-01"), None);
    }
}
