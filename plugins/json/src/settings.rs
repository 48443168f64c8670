//! The plugin's parameters: JSON text becomes checked [`Settings`], or errors that name each parameter that cannot be taken.
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
    Invalid, Path, Refused, check_name, family, invalid, kind, kind_name, kind_names, kind_of, offset, paths,
    string,
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
    pub fn parse(params: &str) -> Result<Self, Refused> {
        let mut settings =
            Self { assume_offset: None, fields: KNOWN.iter().map(Field::by_contract).collect() };
        if params.trim().is_empty() {
            return Ok(settings);
        }
        let params = match serde_json::from_str(params) {
            Ok(Value::Object(params)) => params,
            Ok(other) => {
                return Err(invalid(
                    "",
                    format!("the parameters must be an object, not {}", kind_of(&other)),
                )
                .into());
            }
            Err(error) => return Err(invalid("", format!("the parameters are no JSON: {error}")).into()),
        };
        let mut refused = Refused::default();
        for (name, value) in &params {
            match name.as_str() {
                "assume_offset" => settings.assume_offset = refused.keep(offset(name, value)),
                "fields" => settings.take_fields(value, &mut refused),
                _ => {
                    let problem = "there is no such parameter; there are `assume_offset` and `fields`";
                    refused.add(invalid(name, problem));
                }
            }
        }
        refused.unless_any(settings)
    }

    fn take_fields(&mut self, fields: &Value, refused: &mut Refused) {
        let Value::Object(fields) = fields else {
            return refused.add(invalid("fields", format!("must be an object, not {}", kind_of(fields))));
        };
        let mut further = Vec::new();
        for (name, value) in fields {
            let parameter = format!("fields.{name}");
            match self.fields.iter_mut().find(|field| field.name == *name) {
                Some(field) => field.change(&parameter, value, refused),
                None => further.extend(Field::further(&parameter, name, value, refused)),
            }
        }
        if further.len() > MAX_COLUMNS {
            let problem = format!("{} further columns are too many; at most {MAX_COLUMNS}", further.len());
            refused.add(invalid("fields", problem));
        }
        further.sort_by(|one, other| one.name.cmp(&other.name));
        self.fields.append(&mut further);
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
    fn change(&mut self, parameter: &str, value: &Value, refused: &mut Refused) {
        let Value::Object(value) = value else {
            self.paths = refused.keep(paths(parameter, value)).unwrap_or_default();
            return;
        };
        let own = kind_name(self.rule);
        let options = Options::parse(parameter, value, refused);
        if options.kind.is_some_and(|rule| kind_name(rule) != own) {
            let problem = format!("the contract makes `{}` of kind {own}", self.name);
            refused.add(invalid(&format!("{parameter}.kind"), problem));
        }
        if options.unit.is_some() {
            refused.add(invalid(&format!("{parameter}.unit"), format!("`{}` has no unit", self.name)));
        }
        self.paths = options.paths;
        self.family = options.family.unwrap_or(self.family);
        self.doc = options.doc.unwrap_or_else(|| std::mem::take(&mut self.doc));
    }

    /// A column that the contract does not know; none only where something was refused.
    fn further(parameter: &str, name: &str, value: &Value, refused: &mut Refused) -> Option<Self> {
        refused.keep(check_name(parameter, name));
        let Value::Object(members) = value else {
            let problem = "no field of the contract has that name, and a further column needs a kind: \
                           {\"path\": \"…\", \"kind\": \"real\"}";
            refused.add(invalid(parameter, problem));
            return None;
        };
        let options = Options::parse(parameter, members, refused);
        if !members.contains_key("kind") {
            let problem = format!("is missing; it is one of {}", kind_names());
            refused.add(invalid(&format!("{parameter}.kind"), problem));
        }
        let rule = options.kind?;
        let unit = refused.keep(unit(parameter, rule, options.unit))?;
        let shown: Vec<String> = options.paths.iter().map(|path| format!("`{path}`")).collect();
        Some(Self {
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

/// The unit of a further column.
fn unit(parameter: &str, rule: Rule, given: Option<String>) -> Result<String, Invalid> {
    let wrong = |problem: String| Err(invalid(&format!("{parameter}.unit"), problem));
    match (rule, given) {
        (Rule::Duration, unit) if unit.as_deref().is_none_or(|unit| unit == "ms") => Ok("ms".to_owned()),
        (Rule::Duration, _) => wrong("durations are in `ms`".to_owned()),
        (_, None) => Ok(String::new()),
        (Rule::Integer | Rule::Unsigned | Rule::Real, Some(unit)) => Ok(unit),
        (_, Some(_)) => wrong(format!("a column of kind {} has no unit", kind_name(rule))),
    }
}

/// The members of a field's object; those that were refused are absent.
struct Options {
    paths: Vec<Path>,
    kind: Option<Rule>,
    family: Option<Family>,
    unit: Option<String>,
    doc: Option<String>,
}

impl Options {
    fn parse(parameter: &str, value: &Map<String, Value>, refused: &mut Refused) -> Self {
        let mut options = Self { paths: Vec::new(), kind: None, family: None, unit: None, doc: None };
        for (name, value) in value {
            let inner = format!("{parameter}.{name}");
            match name.as_str() {
                "path" => options.paths = refused.keep(paths(&inner, value)).unwrap_or_default(),
                "kind" => options.kind = refused.keep(kind(&inner, value)),
                "family" => options.family = refused.keep(family(&inner, value)),
                "unit" => options.unit = refused.keep(string(&inner, value)).map(str::to_owned),
                "doc" => options.doc = refused.keep(string(&inner, value)).map(str::to_owned),
                _ => {
                    let problem =
                        "there is no such parameter; there are `path`, `kind`, `family`, `unit` and `doc`";
                    refused.add(invalid(&inner, problem));
                }
            }
        }
        if !value.contains_key("path") {
            refused.add(invalid(&format!("{parameter}.path"), "is missing"));
        }
        options
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
                "parameter `fields.url.paths`: there is no such parameter; there are `path`, `kind`, `family`, `unit` and `doc`\n\
                 parameter `fields.url.path`: is missing",
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
        // All of them at once.
        let params = r#"{"assume_offset": "+25:00", "assume_ofset": "Z", "fields": {
            "bar": {"path": "", "kind": "nope", "colour": 1}, "Timestamp": "t", "url": "a..b", "city": {"unit": 1}}}"#;
        let all = [
            "parameter `assume_offset`: `+25:00` is no offset such as `Z`, `+01:00` or `-0330`",
            "parameter `assume_ofset`: there is no such parameter; there are `assume_offset` and `fields`",
            "parameter `fields.Timestamp`: the name of a column is lower-case letters, digits and `_`, begins with a letter, and has at most 64 bytes",
            "parameter `fields.Timestamp`: no field of the contract has that name, and a further column needs a kind: {\"path\": \"…\", \"kind\": \"real\"}",
            "parameter `fields.bar.colour`: there is no such parameter; there are `path`, `kind`, `family`, `unit` and `doc`",
            "parameter `fields.bar.kind`: `nope` is no kind; it is one of text, json, instant, duration, integer, unsigned, real, boolean",
            "parameter `fields.bar.path`: `` is no path: there is an empty name in it",
            "parameter `fields.city.unit`: must be a string, not a number",
            "parameter `fields.city.path`: is missing",
            "parameter `fields.url`: `a..b` is no path: there is an empty name in it",
        ];
        assert_eq!(Settings::parse(params).unwrap_err().to_string(), all.join("\n"));
        let many = vec!["\"p\""; 65].join(",");
        let error = Settings::parse(&format!(r#"{{"fields": {{"url": [{many}]}}}}"#)).unwrap_err();
        assert_eq!(error.to_string(), "parameter `fields.url`: 65 paths are too many; at most 64");
        let long = vec!["p"; 65].join(".");
        let error = Settings::parse(&format!(r#"{{"fields": {{"url": "{long}"}}}}"#)).unwrap_err();
        assert_eq!(error.to_string(), "parameter `fields.url`: a path of 65 names is too long; at most 64");
    }
}
