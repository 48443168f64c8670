//! The plugin's parameters: JSON text becomes checked [`Settings`], or an error that names the parameter.
//!
//! - `assume_offset`: the offset of times that have none, as `Z` or `+01:00`.
//! - `fields`: an object. A field of the contract may get other paths, which replace those where it is looked for by
//!   default: `"url": "context.page.url"`, or several, of which the first that is there and not null is taken:
//!   `"user_id": ["userId", "anonymousId"]`. Any other name is a further column, and needs a kind:
//!   `"cart_value": {"path": "properties.cart_value", "kind": "real"}`; beside these it may have `family`, `unit`, `doc`.
//!
//! A path is split at its dots; `\.` is a dot and `\\` a backslash within a name. Paths lead through objects only.

use crate::fields::{Family, KNOWN, Known, REQUIRED, Rule};
use crate::instant::Offset;
use crate::params::{
    Invalid, Path, check_name, family, invalid, kind, kind_name, kind_names, kind_of, offset, paths, string,
};
use serde_json::{Map, Value};

/// So many further columns there may be.
const MAX_COLUMNS: usize = 1_000;

/// What the parser is asked to do.
#[derive(Debug)]
pub struct Settings {
    pub assume_offset: Option<Offset>,
    /// All outputs: the contract's, in its order, then the further ones, by name.
    pub fields: Vec<Field>,
}

/// An output, and where its value is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    pub name: String,
    pub rule: Rule,
    pub family: Family,
    pub unit: String,
    pub doc: String,
    /// In the order in which they are tried, at least one.
    pub paths: Vec<Path>,
}

impl Settings {
    /// Reads the parameters; empty text means none were given.
    pub fn parse(params: &str) -> Result<Self, Invalid> {
        let mut settings =
            Self { assume_offset: None, fields: KNOWN.iter().map(Field::by_contract).collect() };
        if params.trim().is_empty() {
            return Ok(settings);
        }
        let params = match serde_json::from_str(params) {
            Ok(Value::Object(params)) => params,
            Ok(other) => {
                return invalid("", format!("the parameters must be an object, not {}", kind_of(&other)));
            }
            Err(error) => return invalid("", format!("the parameters are no JSON: {error}")),
        };
        for (name, value) in &params {
            match name.as_str() {
                "assume_offset" => settings.assume_offset = Some(offset(name, value)?),
                "fields" => settings.take_fields(value)?,
                _ => {
                    return invalid(
                        name,
                        "there is no such parameter; there are `assume_offset` and `fields`",
                    );
                }
            }
        }
        Ok(settings)
    }

    fn take_fields(&mut self, fields: &Value) -> Result<(), Invalid> {
        let Value::Object(fields) = fields else {
            return invalid("fields", format!("must be an object, not {}", kind_of(fields)));
        };
        let mut further = Vec::new();
        for (name, value) in fields {
            let parameter = format!("fields.{name}");
            match self.fields.iter_mut().find(|field| field.name == *name) {
                Some(field) => field.change(&parameter, value)?,
                None => further.push(Field::further(&parameter, name, value)?),
            }
        }
        if further.len() > MAX_COLUMNS {
            return invalid(
                "fields",
                format!("{} further columns are too many; at most {MAX_COLUMNS}", further.len()),
            );
        }
        further.sort_by(|one, other| one.name.cmp(&other.name));
        self.fields.append(&mut further);
        Ok(())
    }
}

impl Field {
    fn by_contract(known: &Known) -> Self {
        Self {
            name: known.name.to_owned(),
            rule: known.rule,
            family: known.family,
            unit: String::new(),
            doc: known.doc.to_owned(),
            paths: known.default_paths().into_iter().map(Path).collect(),
        }
    }

    /// Gives a field of the contract other paths.
    fn change(&mut self, parameter: &str, value: &Value) -> Result<(), Invalid> {
        let Value::Object(value) = value else {
            self.paths = paths(parameter, value)?;
            return Ok(());
        };
        let own = kind_name(self.rule);
        let options = Options::parse(parameter, value)?;
        if options.kind.is_some_and(|rule| kind_name(rule) != own) {
            return invalid(
                &format!("{parameter}.kind"),
                format!("the contract makes `{}` of kind {own}", self.name),
            );
        }
        if options.unit.is_some() {
            return invalid(&format!("{parameter}.unit"), format!("`{}` has no unit", self.name));
        }
        self.paths = options.paths;
        self.family = options.family.unwrap_or(self.family);
        self.doc = options.doc.unwrap_or_else(|| std::mem::take(&mut self.doc));
        Ok(())
    }

    /// A column that the contract does not know.
    fn further(parameter: &str, name: &str, value: &Value) -> Result<Self, Invalid> {
        check_name(parameter, name)?;
        let Value::Object(value) = value else {
            let problem = "no field of the contract has that name, and a further column needs a kind: \
                           {\"path\": \"…\", \"kind\": \"real\"}";
            return invalid(parameter, problem);
        };
        let options = Options::parse(parameter, value)?;
        let Some(rule) = options.kind else {
            return invalid(
                &format!("{parameter}.kind"),
                format!("is missing; it is one of {}", kind_names()),
            );
        };
        let unit = match (rule, options.unit) {
            (Rule::Duration, unit) if unit.as_deref().is_none_or(|unit| unit == "ms") => "ms".to_owned(),
            (Rule::Duration, _) => return invalid(&format!("{parameter}.unit"), "durations are in `ms`"),
            (_, None) => String::new(),
            (Rule::Integer | Rule::Unsigned | Rule::Real, Some(unit)) => unit,
            (_, Some(_)) => {
                return invalid(
                    &format!("{parameter}.unit"),
                    format!("a column of kind {} has no unit", kind_name(rule)),
                );
            }
        };
        let shown: Vec<String> = options.paths.iter().map(|path| format!("`{path}`")).collect();
        Ok(Self {
            name: name.to_owned(),
            rule,
            family: options.family.unwrap_or(Family::Click),
            unit,
            doc: options.doc.unwrap_or_else(|| format!("{} of the payload", shown.join(" or "))),
            paths: options.paths,
        })
    }

    /// Whether an event must have the field.
    pub fn is_required(&self) -> bool {
        KNOWN[..REQUIRED].iter().any(|known| known.rule == self.rule)
    }
}

/// The members of a field's object.
struct Options {
    paths: Vec<Path>,
    kind: Option<Rule>,
    family: Option<Family>,
    unit: Option<String>,
    doc: Option<String>,
}

impl Options {
    fn parse(parameter: &str, value: &Map<String, Value>) -> Result<Self, Invalid> {
        let mut options = Self { paths: Vec::new(), kind: None, family: None, unit: None, doc: None };
        for (name, value) in value {
            let inner = format!("{parameter}.{name}");
            match name.as_str() {
                "path" => options.paths = paths(&inner, value)?,
                "kind" => options.kind = Some(kind(&inner, value)?),
                "family" => options.family = Some(family(&inner, value)?),
                "unit" => options.unit = Some(string(&inner, value)?.to_owned()),
                "doc" => options.doc = Some(string(&inner, value)?.to_owned()),
                _ => {
                    return invalid(
                        &inner,
                        "there is no such parameter; there are `path`, `kind`, `family`, `unit` and `doc`",
                    );
                }
            }
        }
        if options.paths.is_empty() {
            return invalid(&format!("{parameter}.path"), "is missing");
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(params: &str, name: &str) -> Field {
        let settings = Settings::parse(params).unwrap();
        settings.fields.into_iter().find(|field| field.name == name).unwrap()
    }

    fn shown(field: &Field) -> Vec<String> {
        field.paths.iter().map(Path::to_string).collect()
    }

    #[test]
    fn without_parameters_the_contract_says_where() {
        for params in ["", "  ", "{}", r#"{"fields": {}}"#] {
            let url = field(params, "url");
            let expected = [
                "url",
                "page_url",
                "click_data.url",
                "click_data.page_url",
                "geo_data.url",
                "geo_data.page_url",
                "user_agent_data.url",
                "user_agent_data.page_url",
            ];
            assert_eq!(shown(&url), expected);
            assert!(url.is_required());
        }
    }

    #[test]
    fn fields_get_other_paths() {
        let params = r#"{"fields": {"url": "context.page.url", "user_id": ["userId", "anonymousId"],
                         "city": {"path": "geo\\.ip.ci\\\\ty", "family": "click_data", "kind": "text"}}}"#;
        assert_eq!(shown(&field(params, "url")), ["context.page.url"]);
        assert_eq!(shown(&field(params, "user_id")), ["userId", "anonymousId"]);
        let city = field(params, "city");
        assert_eq!(city.paths, [Path(vec!["geo.ip".to_owned(), r"ci\ty".to_owned()])]);
        assert_eq!(city.family, Family::Click);
        assert_eq!(field(params, "region").paths.len(), 4);
    }

    #[test]
    fn further_columns_come_last_by_name() {
        let params = r#"{"fields": {"z": {"path": "z", "kind": "duration"}, "browser": "b",
                         "a": {"path": ["p.a", "q"], "kind": "real", "unit": "EUR", "family": "geo_data"}}}"#;
        let settings = Settings::parse(params).unwrap();
        let names: Vec<&str> =
            settings.fields.iter().skip(KNOWN.len()).map(|field| field.name.as_str()).collect();
        assert_eq!(names, ["a", "z"]);
        let a = field(params, "a");
        assert_eq!((a.rule, a.unit.as_str(), a.family), (Rule::Real, "EUR", Family::Geo));
        assert_eq!(a.doc, "`p.a` or `q` of the payload");
        assert_eq!(field(params, "z").unit, "ms");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let table = [
            ("[]", "the parameters must be an object, not an array"),
            ("{", "the parameters are no JSON: EOF while parsing an object at line 1 column 1"),
            (
                r#"{"feilds": {}}"#,
                "parameter `feilds`: there is no such parameter; there are `assume_offset` and `fields`",
            ),
            (r#"{"assume_offset": 1}"#, "parameter `assume_offset`: must be a string, not a number"),
            (
                r#"{"assume_offset": "UTC"}"#,
                "parameter `assume_offset`: `UTC` is no offset such as `Z`, `+01:00` or `-0330`",
            ),
            (
                r#"{"assume_offset": "+24:00"}"#,
                "parameter `assume_offset`: `+24:00` is no offset such as `Z`, `+01:00` or `-0330`",
            ),
            (r#"{"fields": []}"#, "parameter `fields`: must be an object, not an array"),
            (
                r#"{"fields": {"url": 1}}"#,
                "parameter `fields.url`: must be a path or an array of paths, not a number",
            ),
            (r#"{"fields": {"url": []}}"#, "parameter `fields.url`: names no path"),
            (r#"{"fields": {"url": ["a", 1]}}"#, "parameter `fields.url`: must be a string, not a number"),
            (
                r#"{"fields": {"url": ""}}"#,
                "parameter `fields.url`: `` is no path: there is an empty name in it",
            ),
            (
                r#"{"fields": {"url": "a..b"}}"#,
                "parameter `fields.url`: `a..b` is no path: there is an empty name in it",
            ),
            (
                r#"{"fields": {"url": "a\\b"}}"#,
                "parameter `fields.url`: `a\\b`: after a backslash only a dot or a backslash may follow",
            ),
            (r#"{"fields": {"url": {}}}"#, "parameter `fields.url.path`: is missing"),
            (
                r#"{"fields": {"url": {"path": "u", "kind": "real"}}}"#,
                "parameter `fields.url.kind`: the contract makes `url` of kind text",
            ),
            (
                r#"{"fields": {"url": {"path": "u", "unit": "s"}}}"#,
                "parameter `fields.url.unit`: `url` has no unit",
            ),
            (
                r#"{"fields": {"url": {"paths": "u"}}}"#,
                "parameter `fields.url.paths`: there is no such parameter; there are `path`, `kind`, `family`, `unit` and `doc`",
            ),
            (
                r#"{"fields": {"cart": "u"}}"#,
                "parameter `fields.cart`: no field of the contract has that name, and a further column needs a kind: {\"path\": \"…\", \"kind\": \"real\"}",
            ),
            (
                r#"{"fields": {"cart": {"path": "u"}}}"#,
                "parameter `fields.cart.kind`: is missing; it is one of text, json, instant, duration, integer, unsigned, real, boolean",
            ),
            (
                r#"{"fields": {"cart": {"path": "u", "kind": "float"}}}"#,
                "parameter `fields.cart.kind`: `float` is no kind; it is one of text, json, instant, duration, integer, unsigned, real, boolean",
            ),
            (
                r#"{"fields": {"cart": {"path": "u", "kind": "text", "unit": "s"}}}"#,
                "parameter `fields.cart.unit`: a column of kind text has no unit",
            ),
            (
                r#"{"fields": {"cart": {"path": "u", "kind": "duration", "unit": "s"}}}"#,
                "parameter `fields.cart.unit`: durations are in `ms`",
            ),
            (
                r#"{"fields": {"cart": {"path": "u", "kind": "text", "family": "x"}}}"#,
                "parameter `fields.cart.family`: `x` is no family; it is one of click_data, geo_data, user_agent_data",
            ),
            (
                r#"{"fields": {"Cart": {"path": "u", "kind": "text"}}}"#,
                "parameter `fields.Cart`: the name of a column is lower-case letters, digits and `_`, begins with a letter, and has at most 64 bytes",
            ),
            (
                r#"{"fields": {"raw_url": {"path": "u", "kind": "text"}}}"#,
                "parameter `fields.raw_url`: names that begin with `raw_` are kept for what enrichers replace",
            ),
            (
                r#"{"fields": {"offset": {"path": "u", "kind": "text"}}}"#,
                "parameter `fields.offset`: stored events use that name for their place in the log",
            ),
        ];
        for (params, expected) in table {
            assert_eq!(Settings::parse(params).unwrap_err().to_string(), expected, "{params}");
        }
        let many = vec!["\"p\""; 65].join(",");
        let error = Settings::parse(&format!(r#"{{"fields": {{"url": [{many}]}}}}"#)).unwrap_err();
        assert_eq!(error.to_string(), "parameter `fields.url`: 65 paths are too many; at most 64");
        let long = vec!["p"; 65].join(".");
        let error = Settings::parse(&format!(r#"{{"fields": {{"url": "{long}"}}}}"#)).unwrap_err();
        assert_eq!(error.to_string(), "parameter `fields.url`: a path of 65 names is too long; at most 64");
    }
}
