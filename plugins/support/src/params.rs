//! A plugin's parameters: a JSON object of named values, read so that no misspelt name passes unseen.

use serde_json::{Map, Value};
use thiserror::Error;

/// What is wrong with the parameters. Every message names the parameter.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum ParamError {
    /// The text is no JSON.
    #[error("the parameters are no JSON: {0}")]
    Json(String),
    /// The text is JSON of another kind.
    #[error("the parameters must be a JSON object of names and values")]
    NoObject,
    /// The plugin has no parameter of this name.
    #[error("unknown parameter `{name}`; {known}")]
    Unknown { name: String, known: String },
    /// The value is of another kind.
    #[error("parameter `{name}` must be {expected}")]
    Kind { name: &'static str, expected: &'static str },
    /// The value is of the right kind but cannot be used.
    #[error("parameter `{name}`: {reason}")]
    Value { name: &'static str, reason: String },
}

/// Parameters whose names are all known to the plugin.
pub struct Params(Map<String, Value>);

impl Params {
    /// Reads the text; an empty one means that no parameters were given.
    pub fn read(text: &str, known: &[&str]) -> Result<Self, ParamError> {
        if text.is_empty() {
            return Ok(Self(Map::new()));
        }
        let value = serde_json::from_str(text).map_err(|error| ParamError::Json(error.to_string()))?;
        let Value::Object(values) = value else { return Err(ParamError::NoObject) };
        if let Some(name) = values.keys().find(|name| !known.contains(&name.as_str())) {
            let known = if known.is_empty() {
                "this plugin takes none".to_owned()
            } else {
                format!("known are `{}`", known.join("`, `"))
            };
            return Err(ParamError::Unknown { name: name.clone(), known });
        }
        Ok(Self(values))
    }

    /// A text, if it was given.
    pub fn text(&self, name: &'static str) -> Result<Option<&str>, ParamError> {
        let expected = "text";
        match self.0.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(ParamError::Kind { name, expected }),
        }
    }

    /// A boolean, false if it was not given.
    pub fn flag(&self, name: &'static str) -> Result<bool, ParamError> {
        let expected = "true or false";
        match self.0.get(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(ParamError::Kind { name, expected }),
        }
    }

    /// A list of texts, empty if it was not given.
    pub fn texts(&self, name: &'static str) -> Result<Vec<&str>, ParamError> {
        let expected = "a list of texts";
        match self.0.get(name) {
            None => Ok(Vec::new()),
            Some(Value::Array(values)) => {
                values.iter().map(|value| value.as_str().ok_or(ParamError::Kind { name, expected })).collect()
            }
            Some(_) => Err(ParamError::Kind { name, expected }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[&str] = &["gap", "keep", "quiet"];

    #[test]
    fn values_are_read_by_kind() {
        let params = Params::read(r#"{"gap": "30m", "keep": ["a", "b"], "quiet": true}"#, KNOWN).unwrap();
        assert_eq!(params.text("gap"), Ok(Some("30m")));
        assert_eq!(params.texts("keep"), Ok(vec!["a", "b"]));
        assert_eq!(params.flag("quiet"), Ok(true));
        let none = Params::read("", KNOWN).unwrap();
        assert_eq!(none.text("gap"), Ok(None));
        assert_eq!(none.texts("keep"), Ok(vec![]));
        assert_eq!(none.flag("quiet"), Ok(false));
    }

    #[test]
    fn every_error_names_the_parameter() {
        let message = |text: &str, known| match Params::read(text, known) {
            Ok(params) => [params.text("gap").err(), params.texts("keep").err(), params.flag("quiet").err()]
                .into_iter()
                .flatten()
                .map(|error| error.to_string())
                .collect::<Vec<_>>()
                .join("; "),
            Err(error) => error.to_string(),
        };
        assert_eq!(
            message(r#"{"gpa": 1}"#, KNOWN),
            "unknown parameter `gpa`; known are `gap`, `keep`, `quiet`"
        );
        assert_eq!(message(r#"{"gap": 1}"#, &[]), "unknown parameter `gap`; this plugin takes none");
        assert_eq!(message(r#"{"gap": 1}"#, KNOWN), "parameter `gap` must be text");
        assert_eq!(message(r#"{"keep": ["a", 1]}"#, KNOWN), "parameter `keep` must be a list of texts");
        assert_eq!(message(r#"{"quiet": null}"#, KNOWN), "parameter `quiet` must be true or false");
        assert_eq!(message("[]", KNOWN), "the parameters must be a JSON object of names and values");
        assert!(message("{", KNOWN).starts_with("the parameters are no JSON: "));
    }
}
