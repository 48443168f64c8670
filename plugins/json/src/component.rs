//! The parser as the plugin contract knows it. Callers that are not wasm use the same types directly.

use crate::bindings::clickmill::plugin::columns::{About, Failure, Field, Kind, Values};
use crate::bindings::exports::clickmill::plugin::parser::{Guest, GuestInstance, Info, Parsed};
use crate::fields::Rule;
use crate::parse::Parser;
use crate::settings::{self, Settings};
use std::cell::RefCell;

/// The plugin `json`.
pub struct Component;

/// A parser with its parameters. Where `describe` would not have accepted them, every call fails with the reason.
pub struct Instance {
    parser: Result<RefCell<Parser>, String>,
}

impl Guest for Component {
    type Instance = Instance;

    fn describe(params: String) -> Result<Info, String> {
        let settings = Settings::parse(&params).map_err(|invalid| invalid.to_string())?;
        Ok(Info {
            about: About {
                name: "json".to_owned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                summary: "One JSON object a payload becomes one event".to_owned(),
                licence: env!("CARGO_PKG_LICENSE").to_owned(),
            },
            outputs: settings.fields.into_iter().map(output).collect(),
        })
    }
}

impl GuestInstance for Instance {
    fn new(params: String) -> Self {
        let settings = Settings::parse(&params).map_err(|invalid| invalid.to_string());
        Self { parser: settings.map(|settings| RefCell::new(Parser::new(settings))) }
    }

    fn parse(&self, payloads: Values, wanted: Vec<String>) -> Result<Parsed, Failure> {
        let parser = self.parser.as_ref().map_err(|invalid| Failure::Call(invalid.clone()))?;
        let mut parser =
            parser.try_borrow_mut().map_err(|_| Failure::Call("a call within a call".to_owned()))?;
        parser.parse(&payloads, &wanted).map_err(Failure::Call)
    }
}

fn output(field: settings::Field) -> Field {
    let kind = match field.rule {
        Rule::Timestamp | Rule::Instant => Kind::Instant,
        Rule::Duration => Kind::Duration,
        Rule::Integer => Kind::Integer,
        Rule::Unsigned => Kind::Unsigned,
        Rule::Real => Kind::Real,
        Rule::Boolean => Kind::Boolean,
        Rule::Json => Kind::Json,
        Rule::UserId | Rule::Url | Rule::EventType | Rule::Country | Rule::Address | Rule::Text => Kind::Text,
    };
    Field { name: field.name, kind, unit: field.unit, family: field.family.name().to_owned(), doc: field.doc }
}
