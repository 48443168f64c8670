//! Typed access to the tables of a file that collects faults instead of stopping at one. A value that is absent or faulty
//! reads as `None`; whoever asks goes on with a default, which is never used if there was a fault.

use std::collections::BTreeSet;
use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::joined;
use crate::fault::{Fault, Place, alternatives, nearest, quote};
use crate::quantity::{QuantityError, parse_duration, parse_size, show_duration, show_size};
use crate::schema::{SECTIONS, Section};

pub(super) type Span = Range<usize>;
pub(super) type Value<'a> = Spanned<DeValue<'a>>;

/// A table of the file, or one that is absent.
#[derive(Clone)]
pub(super) struct Table<'a> {
    pub section: &'static Section,
    /// What faults call it: `[source]`.
    pub title: String,
    pub table: Option<&'a DeTable<'a>>,
    /// Of its header.
    pub span: Span,
}

impl<'a> Table<'a> {
    pub(super) fn new(section: &'static Section, title: String, table: &'a DeTable<'a>, span: Span) -> Self {
        Self { section, title, table: Some(table), span }
    }

    pub(super) fn get(&self, key: &str) -> Option<&'a Value<'a>> {
        self.table.and_then(|table| table.get(key))
    }

    /// Where to point for what concerns `key`: its value, or else the table's header.
    pub(super) fn span_of(&self, key: &str) -> Span {
        self.get(key).map_or_else(|| self.span.clone(), Spanned::span)
    }
}

/// A fault, and whether it is one of the whole: something that is missing or contradicts something else, which cannot be
/// judged where part of the file could not be read.
pub(super) struct Found {
    pub fault: Fault,
    pub of_whole: bool,
}

/// Reads values and collects what is wrong.
pub(super) struct Reader<'t> {
    pub place: Place<'t>,
    pub base: &'t Path,
    pub found: Vec<Found>,
}

impl Reader<'_> {
    /// Something wrong in one place, whatever the rest of the file says.
    pub(super) fn fault(&mut self, span: Span, message: impl Into<String>, help: impl Into<String>) {
        self.found.push(Found { fault: self.place.fault(span, message, help), of_whole: false });
    }

    /// Something that is missing, or contradicts something else.
    pub(super) fn contradiction(&mut self, span: Span, message: impl Into<String>, help: impl Into<String>) {
        self.found.push(Found { fault: self.place.fault(span, message, help), of_whole: true });
    }

    fn mismatch(&mut self, key: &str, value: &Value<'_>, form: &str, help: impl Into<String>) {
        self.fault(value.span(), format!("`{key}` takes {form}, not {}", type_name(value.get_ref())), help);
    }

    /// The table `section` of `root`; its keys are checked by `known`.
    pub(super) fn table<'a>(&mut self, root: &'a DeTable<'a>, section: &'static Section) -> Table<'a> {
        let absent = Table { section, title: section.title(), table: None, span: 0..0 };
        let Some(value) = root.get(section.name) else { return absent };
        match value.get_ref() {
            DeValue::Table(table) => Table { table: Some(table), span: value.span(), ..absent },
            _ => {
                let help = format!("begin the table with a line `{}`", section.title());
                self.mismatch(section.name, value, "a table", help);
                Table { span: value.span(), ..absent }
            }
        }
    }

    /// The tables `[[section]]` of `root`.
    pub(super) fn tables<'a>(&mut self, root: &'a DeTable<'a>, section: &'static Section) -> Vec<Table<'a>> {
        let Some(value) = root.get(section.name) else { return Vec::new() };
        let help = format!("begin each of them with a line `{}`", section.title());
        let DeValue::Array(array) = value.get_ref() else {
            self.mismatch(section.name, value, "a list of tables", help);
            return Vec::new();
        };
        let mut tables = Vec::new();
        for value in array {
            match value.get_ref() {
                DeValue::Table(table) => {
                    tables.push(Table::new(section, section.title(), table, value.span()))
                }
                _ => self.mismatch(section.name, value, "a list of tables", help.clone()),
            }
        }
        tables
    }

    /// Faults each key that the table may not have. `kind` is what the table's `kind` says, if that is known.
    pub(super) fn known(&mut self, table: &Table<'_>, kind: Option<&str>) {
        for (name, _) in table.table.into_iter().flat_map(DeTable::iter) {
            let (span, name) = (name.span(), name.get_ref().as_ref());
            let mut owners =
                table.section.keys.iter().filter(|key| key.name == name).map(|key| key.kind).peekable();
            if owners.peek().is_none() {
                self.unknown(table, span, name);
            } else if let Some(kind) = kind
                && !owners.clone().any(|owner| owner.is_empty() || owner == kind)
            {
                let owners: Vec<_> = owners.map(|owner| format!("`kind = \"{owner}\"`")).collect();
                let (owners, title) = (owners.join(" or "), &table.title);
                let given = if table.get("kind").is_some() { "" } else { ", as no `kind` is given" };
                self.fault(
                    span,
                    format!("`{name}` is for {owners}, but {title} is of kind `{kind}`{given}"),
                    format!("set {owners} in {title}, or remove the key"),
                );
            }
        }
    }

    fn unknown(&mut self, table: &Table<'_>, span: Span, name: &str) {
        let mut names: Vec<_> = table.section.keys.iter().map(|key| key.name).collect();
        // Sources of two kinds have a `start`.
        let mut seen = BTreeSet::new();
        names.retain(|name| seen.insert(*name));
        let help = match nearest(name, names.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => elsewhere(name).unwrap_or_else(|| format!("it takes {}", alternatives(&names))),
        };
        self.fault(span, format!("{} has no key {}", table.title, quote(name)), help);
    }

    /// Faults the absence of a key.
    pub(super) fn required(&mut self, table: &Table<'_>, key: &str, example: &str) {
        if table.table.is_some() && table.get(key).is_none() {
            let title = &table.title;
            self.contradiction(
                table.span.clone(),
                format!("{title} needs `{key}`"),
                format!("add `{key} = {example}`"),
            );
        }
    }

    pub(super) fn text<'a>(&mut self, table: &Table<'a>, key: &str) -> Option<Spanned<&'a str>> {
        let value = table.get(key)?;
        self.as_text(key, value)
    }

    pub(super) fn as_text<'a>(&mut self, key: &str, value: &'a Value<'a>) -> Option<Spanned<&'a str>> {
        match value.get_ref() {
            DeValue::String(text) if text.trim().is_empty() => {
                self.fault(
                    value.span(),
                    format!("`{key}` is empty"),
                    "give it a value, or remove the key".to_owned(),
                );
                None
            }
            DeValue::String(text) => Some(Spanned::new(value.span(), text.as_ref())),
            other => {
                let help = match written(other) {
                    Some(text) => format!("put it in quotes: `\"{text}\"`"),
                    None => "write a text in quotes".to_owned(),
                };
                self.mismatch(key, value, "a string", help);
                None
            }
        }
    }

    /// The entries of a list that are texts.
    pub(super) fn texts<'a>(&mut self, table: &Table<'a>, key: &str) -> Option<Vec<Spanned<&'a str>>> {
        let value = table.get(key)?;
        match value.get_ref() {
            DeValue::Array(array) if array.is_empty() => {
                self.fault(
                    value.span(),
                    format!("`{key}` is empty"),
                    "give it at least one entry".to_owned(),
                );
                None
            }
            DeValue::Array(array) => {
                let texts: Vec<_> = array.iter().filter_map(|value| self.as_text(key, value)).collect();
                Some(texts)
            }
            other => {
                let help = match other {
                    DeValue::String(text) => format!("put it in brackets: `{key} = [\"{text}\"]`"),
                    _ => format!("write `{key} = [\"…\", \"…\"]`"),
                };
                self.mismatch(key, value, "a list of strings", help);
                None
            }
        }
    }

    pub(super) fn flag(&mut self, table: &Table<'_>, key: &str) -> Option<bool> {
        let value = table.get(key)?;
        if let DeValue::Boolean(flag) = value.get_ref() {
            return Some(*flag);
        }
        self.mismatch(key, value, "a boolean", "write `true` or `false`, without quotes");
        None
    }

    pub(super) fn choice<T: Copy>(&mut self, table: &Table<'_>, key: &str, of: &[(&str, T)]) -> Option<T> {
        let value = table.get(key)?;
        let text = value.get_ref().as_str();
        let chosen = of.iter().find(|(name, _)| Some(*name) == text).map(|(_, choice)| *choice);
        if chosen.is_none() {
            let names: Vec<_> = of.iter().map(|(name, _)| *name).collect();
            let help = match text.and_then(|text| nearest(text, names.iter().copied())) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("write one of them: `{key} = \"{}\"`", names.first().unwrap_or(&"")),
            };
            let not = text.map_or_else(|| type_name(value.get_ref()).to_owned(), quote);
            self.fault(value.span(), format!("`{key}` is {}, not {not}", alternatives(&names)), help);
        }
        chosen
    }

    pub(super) fn whole(&mut self, table: &Table<'_>, key: &str, range: RangeInclusive<u64>) -> Option<u64> {
        let value = table.get(key)?;
        let DeValue::Integer(integer) = value.get_ref() else {
            let help = match value.get_ref() {
                DeValue::String(text) if text.parse::<u64>().is_ok() => {
                    format!("write it without quotes: `{key} = {text}`")
                }
                other => {
                    let meant = meant(other).filter(|number| range.contains(number));
                    format!("write digits only: `{key} = {}`", meant.unwrap_or((*range.start()).max(1)))
                }
            };
            self.mismatch(key, value, "a whole number", help);
            return None;
        };
        let number = u64::from_str_radix(integer.as_str(), integer.radix())
            .ok()
            .filter(|number| range.contains(number));
        if number.is_none() {
            let help = format!("write a number from {} to {}", range.start(), range.end());
            self.fault(value.span(), format!("`{key}` is out of range: {integer}"), help);
        }
        number
    }

    pub(super) fn share(&mut self, table: &Table<'_>, key: &str) -> Option<f64> {
        let value = table.get(key)?;
        let number = match value.get_ref() {
            DeValue::Float(float) => float.as_str().parse::<f64>().ok(),
            DeValue::Integer(integer) => integer.as_str().parse::<f64>().ok(),
            _ => {
                self.mismatch(key, value, "a number", format!("write a share from 0 to 1: `{key} = 0.05`"));
                return None;
            }
        };
        let share = number.filter(|number| (0.0..=1.0).contains(number));
        if share.is_none() {
            let written = written(value.get_ref()).unwrap_or_default();
            self.fault(
                value.span(),
                format!("`{key}` is out of range: {written}"),
                "write a share from 0 to 1: 5 % are `0.05`",
            );
        }
        share
    }

    pub(super) fn duration(
        &mut self,
        table: &Table<'_>,
        key: &str,
        range: RangeInclusive<Duration>,
    ) -> Option<Duration> {
        self.quantity(table, key, range, &DURATION, parse_duration, |duration| show_duration(*duration))
    }

    pub(super) fn size(&mut self, table: &Table<'_>, key: &str, range: RangeInclusive<u64>) -> Option<u64> {
        self.quantity(table, key, range, &SIZE, parse_size, |bytes| show_size(*bytes))
    }

    fn quantity<T: PartialOrd>(
        &mut self,
        table: &Table<'_>,
        key: &str,
        range: RangeInclusive<T>,
        form: &Form,
        parse: fn(&str) -> Result<T, QuantityError>,
        show: fn(&T) -> String,
    ) -> Option<T> {
        let value = table.get(key)?;
        let text = match value.get_ref() {
            DeValue::String(text) => text,
            other => {
                let help = match other {
                    DeValue::Integer(number)
                        if number.radix() == 10 && !number.as_str().starts_with(['-', '+']) =>
                    {
                        format!("write its unit, in quotes: `{key} = \"{}{}\"`", number.as_str(), form.unit)
                    }
                    _ => format!("write a number and a unit, in quotes: `{key} = \"{}\"`", form.example),
                };
                self.mismatch(key, value, form.name, help);
                return None;
            }
        };
        match parse(text) {
            Ok(quantity) if range.contains(&quantity) => Some(quantity),
            Ok(_) => {
                let help = format!("write one from `{}` to `{}`", show(range.start()), show(range.end()));
                self.fault(value.span(), format!("`{key}` is out of range: {}", quote(text)), help);
                None
            }
            Err(error) => {
                self.fault(value.span(), error.problem, error.help);
                None
            }
        }
    }

    pub(super) fn path(&mut self, table: &Table<'_>, key: &str) -> Option<PathBuf> {
        let text = self.text(table, key)?;
        self.as_path(text)
    }

    /// The path that a text names, relative ones below the folder of the file.
    pub(super) fn as_path(&mut self, text: Spanned<&str>) -> Option<PathBuf> {
        if text.get_ref().starts_with("~/") || text.get_ref().contains('\0') {
            let message = format!("{} is no path: `~` and NUL have no meaning here", quote(text.get_ref()));
            self.fault(text.span(), message, "write the path in full");
            return None;
        }
        Some(joined(self.base, text.get_ref()))
    }
}

/// How a quantity is spoken of where something else was written.
struct Form {
    name: &'static str,
    unit: &'static str,
    example: &'static str,
}

const DURATION: Form = Form { name: "a duration", unit: "s", example: "5s" };
const SIZE: Form = Form { name: "a size", unit: "B", example: "64MiB" };

/// Which table has the key `name`, or one spelt much like it.
pub(super) fn elsewhere(name: &str) -> Option<String> {
    if let Some(owner) = SECTIONS.iter().find(|section| section.key(name).is_some()) {
        return Some(format!("`{name}` is a key of {}: put it below that line", owner.title()));
    }
    let near = nearest(name, SECTIONS.iter().flat_map(|section| section.keys).map(|key| key.name))?;
    let owner = SECTIONS.iter().find(|section| section.key(near).is_some())?;
    Some(format!("did you mean `{near}` of {}?", owner.title()))
}

/// The whole number that a number with a point or an exponent stands for: one million for `1e6`.
fn meant(value: &DeValue<'_>) -> Option<u64> {
    const EXACT: f64 = (1_u64 << 53) as f64;
    let DeValue::Float(float) = value else { return None };
    let number = float.as_str().parse::<f64>().ok()?;
    (number.fract() == 0.0 && (0.0..=EXACT).contains(&number)).then_some(number as u64)
}

/// The end of a range that has none: the greatest whole number of TOML.
pub(super) const LARGEST: u64 = i64::MAX as u64;

pub(super) fn type_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with decimals",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// A single value that is no string, as text.
pub(super) fn written(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::Integer(integer) => Some(integer.to_string()),
        DeValue::Float(float) => Some(float.to_string()),
        DeValue::Boolean(flag) => Some(flag.to_string()),
        DeValue::Datetime(datetime) => Some(datetime.to_string()),
        DeValue::String(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}
