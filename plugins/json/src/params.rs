//! Single parameters: each reader returns what the value means, or the error that names the parameter.

use crate::fields::{Family, Rule};
use crate::instant::Offset;
use serde_json::Value;
use std::fmt;

/// So many paths may be given for one field; the parser keeps a bit for each.
const MAX_PATHS: usize = 64;
/// So many names a path may have.
const MAX_NAMES: usize = 64;
/// Names of objects' members, outermost first; at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path(pub Vec<String>);

impl fmt::Display for Path {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(&self.0.join("."))
    }
}

/// A parameter that cannot be taken: its name and what it should be.
#[derive(Debug, PartialEq, Eq)]
pub struct Invalid {
    parameter: String,
    problem: String,
}

impl fmt::Display for Invalid {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.parameter.is_empty() {
            return to.write_str(&self.problem);
        }
        write!(to, "parameter `{}`: {}", self.parameter, self.problem)
    }
}

impl std::error::Error for Invalid {}

/// All parameters that cannot be taken, by their names; in text a line for each.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Refused(Vec<Invalid>);

impl Refused {
    /// What was read; what cannot be taken is kept instead.
    pub fn keep<T>(&mut self, read: Result<T, Invalid>) -> Option<T> {
        read.map_err(|invalid| self.0.push(invalid)).ok()
    }

    /// Keeps a parameter that cannot be taken.
    pub fn add(&mut self, invalid: Invalid) {
        self.0.push(invalid);
    }

    /// What was read, if nothing was refused.
    pub fn unless_any<T>(self, read: T) -> Result<T, Self> {
        if self.0.is_empty() { Ok(read) } else { Err(self) }
    }
}

impl From<Invalid> for Refused {
    fn from(invalid: Invalid) -> Self {
        Self(vec![invalid])
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, invalid) in self.0.iter().enumerate() {
            write!(to, "{}{invalid}", if place == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

impl std::error::Error for Refused {}

/// The error that a parameter cannot be taken.
pub fn invalid(parameter: &str, problem: impl Into<String>) -> Invalid {
    Invalid { parameter: parameter.to_owned(), problem: problem.into() }
}

/// The kinds that further columns may have, as the plugin contract names them.
const KINDS: [(&str, Rule); 8] = [
    ("text", Rule::Text),
    ("json", Rule::Json),
    ("instant", Rule::Instant),
    ("duration", Rule::Duration),
    ("integer", Rule::Integer),
    ("unsigned", Rule::Unsigned),
    ("real", Rule::Real),
    ("boolean", Rule::Boolean),
];

/// What the plugin contract calls the kind of what a rule makes.
pub fn kind_name(rule: Rule) -> &'static str {
    match rule {
        Rule::Timestamp => "instant",
        _ => KINDS.iter().find(|(_, kind)| *kind == rule).map_or("text", |(name, _)| name),
    }
}

/// All kinds that further columns may have.
pub fn kind_names() -> String {
    KINDS.map(|(name, _)| name).join(", ")
}

/// The kind of a further column, as the rule for its values.
pub fn kind(parameter: &str, value: &Value) -> Result<Rule, Invalid> {
    let name = string(parameter, value)?;
    match KINDS.iter().find(|(known, _)| *known == name) {
        Some((_, rule)) => Ok(*rule),
        None => Err(invalid(parameter, format!("`{name}` is no kind; it is one of {}", kind_names()))),
    }
}

/// Where a column is kept.
pub fn family(parameter: &str, value: &Value) -> Result<Family, Invalid> {
    let name = string(parameter, value)?;
    match Family::from_name(name) {
        Some(family) => Ok(family),
        None => Err(invalid(
            parameter,
            format!("`{name}` is no family; it is one of {}", Family::ALL.map(Family::name).join(", ")),
        )),
    }
}

/// A distance from UTC.
pub fn offset(parameter: &str, value: &Value) -> Result<Offset, Invalid> {
    let text = string(parameter, value)?;
    match Offset::parse(text.as_bytes()) {
        Some(offset) => Ok(offset),
        None => Err(invalid(parameter, format!("`{text}` is no offset such as `Z`, `+01:00` or `-0330`"))),
    }
}

/// One path, or several in the order in which they are tried.
pub fn paths(parameter: &str, value: &Value) -> Result<Vec<Path>, Invalid> {
    match value {
        Value::String(text) => Ok(vec![path(parameter, text)?]),
        Value::Array(several) if several.is_empty() => Err(invalid(parameter, "names no path")),
        Value::Array(several) if several.len() > MAX_PATHS => {
            Err(invalid(parameter, format!("{} paths are too many; at most {MAX_PATHS}", several.len())))
        }
        Value::Array(several) => {
            several.iter().map(|text| path(parameter, string(parameter, text)?)).collect()
        }
        other => {
            Err(invalid(parameter, format!("must be a path or an array of paths, not {}", kind_of(other))))
        }
    }
}

fn path(parameter: &str, text: &str) -> Result<Path, Invalid> {
    let mut names = vec![String::new()];
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        let meant = match letter {
            '.' => {
                names.push(String::new());
                continue;
            }
            '\\' => match letters.next() {
                Some(escaped @ ('.' | '\\')) => escaped,
                _ => {
                    return Err(invalid(
                        parameter,
                        format!("`{text}`: after a backslash only a dot or a backslash may follow"),
                    ));
                }
            },
            other => other,
        };
        if let Some(name) = names.last_mut() {
            name.push(meant);
        }
    }
    if names.iter().any(String::is_empty) {
        return Err(invalid(parameter, format!("`{text}` is no path: there is an empty name in it")));
    }
    if names.len() > MAX_NAMES {
        return Err(invalid(
            parameter,
            format!("a path of {} names is too long; at most {MAX_NAMES}", names.len()),
        ));
    }
    Ok(Path(names))
}

/// Checks the name of a further column.
pub fn check_name(parameter: &str, name: &str) -> Result<(), Invalid> {
    let well_formed = matches!(name.as_bytes(), [b'a'..=b'z', rest @ ..]
        if rest.len() < 64 && rest.iter().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_')));
    if !well_formed {
        return Err(invalid(
            parameter,
            "the name of a column is lower-case letters, digits and `_`, begins with a letter, and has at most 64 bytes",
        ));
    }
    if name.starts_with("raw_") {
        return Err(invalid(parameter, "names that begin with `raw_` are kept for what enrichers replace"));
    }
    if matches!(name, "partition" | "offset") {
        return Err(invalid(parameter, "stored events use that name for their place in the log"));
    }
    Ok(())
}

/// A string.
pub fn string<'a>(parameter: &str, value: &'a Value) -> Result<&'a str, Invalid> {
    match value {
        Value::String(text) => Ok(text),
        other => Err(invalid(parameter, format!("must be a string, not {}", kind_of(other)))),
    }
}

/// What a value is, for messages.
pub fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
