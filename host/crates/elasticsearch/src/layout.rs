//! One index for each rollup and window, and what its mapping says.

use std::sync::Arc;

use clickmill_columns::{Field, Kind};
use clickmill_settings::Elasticsearch;
use serde_json::{Map, Value, json};

/// Above the priorities that general templates of a cluster have.
const PRIORITY: u32 = 500;
/// Characters, of up to four bytes: more than 32,766 bytes would refuse the document.
const LONGEST_TEXT: u32 = 8191;

/// What one index holds.
#[derive(Clone, Debug)]
pub struct IndexSpec {
    pub rollup: Arc<str>,
    /// The window as the settings write it, and its length in milliseconds.
    pub window: Arc<str>,
    pub window_millis: i64,
    /// The grouping columns.
    pub by: Vec<Arc<str>>,
    /// The metrics' outputs.
    pub fields: Vec<Arc<Field>>,
}

impl IndexSpec {
    /// `<name>-<rollup>-<window>`.
    pub(crate) fn index(&self, name: &str) -> String {
        index_name(name, &self.rollup, &self.window)
    }

    /// The index that bears the store's identity and takes no field that it does not know.
    pub(crate) fn mappings(&self, identity: u128) -> Value {
        json!({
            "dynamic": "strict",
            "_meta": {"clickmill": {"store": identity_text(identity)}},
            "properties": self.properties(),
        })
    }

    pub(crate) fn properties(&self) -> Map<String, Value> {
        let keyword = json!({"type": "keyword", "ignore_above": LONGEST_TEXT});
        let mut properties = Map::from_iter([
            ("@timestamp".to_owned(), json!({"type": "date"})),
            ("rollup".to_owned(), json!({"type": "keyword"})),
            ("window".to_owned(), json!({"type": "keyword"})),
            // The last window of the year 9999 ends in the year 10000, which no date format takes.
            ("window_end".to_owned(), json!({"type": "date", "ignore_malformed": true})),
        ]);
        properties.extend(self.by.iter().map(|name| (name.to_string(), keyword.clone())));
        properties.extend(self.fields.iter().map(|field| {
            let mapping = match field.kind {
                Kind::Instant => json!({"type": "date"}),
                Kind::Duration | Kind::Integer | Kind::Unsigned => json!({"type": "long"}),
                Kind::Real => json!({"type": "double"}),
                Kind::Boolean => json!({"type": "boolean"}),
                Kind::Text => keyword.clone(),
                // Whatever JSON it is, it is kept and not looked into.
                Kind::Json => json!({"type": "object", "enabled": false}),
            };
            (field.name.clone(), mapping)
        }));
        properties
    }

    /// The template for the index and no other, so that a mere write never makes it.
    pub(crate) fn template(&self, settings: &Elasticsearch, identity: u128) -> Value {
        json!({
            "index_patterns": [self.index(&settings.name)],
            "priority": PRIORITY,
            "allow_auto_create": false,
            "template": self.content(settings, identity),
        })
    }

    /// What the index is made with.
    pub(crate) fn content(&self, settings: &Elasticsearch, identity: u128) -> Value {
        json!({
            "settings": {"index": settings.settings},
            "mappings": self.mappings(identity),
            "aliases": {&settings.name: {}},
        })
    }

    /// The fields of ours that a mapping lacks, or why it cannot be used.
    pub(crate) fn missing(&self, mappings: &Value) -> Result<Map<String, Value>, String> {
        let mut missing = Map::new();
        for (name, wanted) in self.properties() {
            let found = &mappings["properties"][&name];
            if found.is_null() {
                missing.insert(name, wanted);
            } else if taken(found) != taken(&wanted) {
                return Err(format!("the field {name} is {}, not {}", taken(found), taken(&wanted)));
            }
        }
        Ok(missing)
    }
}

/// What says which values a field takes: where it is another, ours may be refused for good.
fn taken(mapping: &Value) -> String {
    // An object's type is not shown.
    let mut text = mapping["type"].as_str().unwrap_or("object").to_owned();
    for name in ["format", "enabled"] {
        if let Some(value) = mapping.get(name) {
            text.push_str(&format!(" with {name} {value}"));
        }
    }
    text
}

pub(crate) fn index_name(name: &str, rollup: &str, window: &str) -> String {
    format!("{name}-{rollup}-{window}")
}

pub(crate) fn identity_text(identity: u128) -> String {
    format!("{identity:032x}")
}

/// The identity that a mapping bears.
pub(crate) fn identity_of(mappings: &Value) -> Option<&str> {
    mappings["_meta"]["clickmill"]["store"].as_str()
}

#[cfg(test)]
pub(crate) mod tests {
    use clickmill_columns::Family;

    use super::*;

    pub(crate) fn spec(fields: &[(&str, Kind)]) -> IndexSpec {
        let field = |(name, kind): &(&str, Kind)| {
            let (unit, doc) = (String::new(), String::new());
            Arc::new(Field { name: (*name).into(), kind: *kind, unit, family: Family::ClickData, doc })
        };
        IndexSpec {
            rollup: "url-country".into(),
            window: "1h".into(),
            window_millis: 3_600_000,
            by: vec!["url".into(), "country".into()],
            fields: fields.iter().map(field).collect(),
        }
    }

    #[test]
    fn a_mapping_is_compared_field_by_field() {
        let spec = spec(&[("clicks", Kind::Unsigned), ("more", Kind::Json)]);
        let mut mappings = spec.mappings(1);
        assert_eq!(spec.missing(&mappings), Ok(Map::new()));
        assert_eq!(identity_of(&mappings), Some("00000000000000000000000000000001"));
        mappings["properties"]["clicks"] = json!({"type": "text"});
        assert_eq!(spec.missing(&mappings), Err("the field clicks is text, not long".into()));
        mappings["properties"]["@timestamp"] = json!({"type": "date", "format": "epoch_second"});
        mappings["properties"]["clicks"] = json!({"type": "long"});
        assert_eq!(
            spec.missing(&mappings),
            Err("the field @timestamp is date with format \"epoch_second\", not date".into())
        );
        mappings["properties"]["@timestamp"] = json!({"type": "date"});
        mappings["properties"]["more"] = json!({"type": "object"});
        assert_eq!(
            spec.missing(&mappings),
            Err("the field more is object, not object with enabled false".into())
        );
        mappings["properties"]["more"] = json!({"enabled": false});
        mappings["properties"]["clicks"] = Value::Null;
        assert_eq!(spec.missing(&mappings).unwrap()["clicks"], json!({"type": "long"}));
    }
}
