//! What a plugin says of itself.

use clickmill_columns::{
    About, EnricherInfo, Family, Field, Input, Kind, MetricInfo, OperatorInfo, ParserInfo, Rows, Shape,
};

use super::TIMESTAMP;
use crate::contract::{
    RawAbout, RawEnricherInfo, RawField, RawInput, RawKind, RawMetricInfo, RawOperatorInfo, RawParserInfo,
    RawRows, RawShape,
};

/// Inputs, outputs and key columns that a plugin may have. Each costs something for every batch.
const MAX_COLUMNS: usize = 256;
/// Longest text for people, in bytes.
const MAX_TEXT: usize = 4096;
/// Longest name, in bytes.
const MAX_NAME: usize = 64;

/// Fields that every document has.
const DOCUMENT: [&str; 3] = ["rollup", "window", "window_end"];

pub fn parser(raw: RawParserInfo) -> Result<ParserInfo, String> {
    let outputs = fields(raw.outputs)?;
    match outputs.iter().find(|output| output.name == TIMESTAMP) {
        Some(output) if output.kind == Kind::Instant => {}
        Some(_) => return Err(format!("its output `{TIMESTAMP}` is no instant")),
        None => return Err(format!("it has no output `{TIMESTAMP}`, which every parser must give")),
    }
    Ok(ParserInfo { about: about(raw.about)?, outputs })
}

pub fn enricher(raw: RawEnricherInfo) -> Result<EnricherInfo, String> {
    let (inputs, outputs) = (inputs(raw.inputs)?, fields(raw.outputs)?);
    if inputs.is_empty() {
        return Err("it has no inputs, so there is nothing that it could be called with".into());
    }
    if outputs.iter().any(|output| output.name == TIMESTAMP && output.kind != Kind::Instant) {
        return Err(format!("its output `{TIMESTAMP}` is no instant"));
    }
    Ok(EnricherInfo { about: about(raw.about)?, inputs, outputs })
}

pub fn operator(raw: RawOperatorInfo) -> Result<OperatorInfo, String> {
    if raw.key.is_empty() {
        return Err("its key has no columns".into());
    }
    few(raw.key.len(), "key columns")?;
    unique(raw.key.iter().map(String::as_str), "key column")?;
    for column in &raw.key {
        column_name(column)?;
    }
    let outputs = fields(raw.outputs)?;
    if outputs.iter().any(|output| output.name == "weight" && output.kind != Kind::Integer) {
        return Err("its output `weight` is no integer".into());
    }
    if raw.reach < 0 {
        return Err(format!("its reach is {} ms", raw.reach));
    }
    state_version(raw.state_version)?;
    Ok(OperatorInfo {
        about: about(raw.about)?,
        key: raw.key,
        inputs: inputs(raw.inputs)?,
        outputs,
        reach: raw.reach,
        state_version: raw.state_version,
    })
}

pub fn metric(raw: RawMetricInfo) -> Result<MetricInfo, String> {
    let over = match raw.over {
        RawRows::Events => Rows::Events,
        RawRows::Derived(operator) => {
            if !is_plugin_name(&operator) {
                return Err(format!("it counts what {operator:?} derives, which is no plugin's name"));
            }
            Rows::Derived(operator)
        }
    };
    let outputs = fields(raw.outputs)?;
    if outputs.is_empty() {
        return Err("it has no outputs".into());
    }
    if let Some(output) = outputs.iter().find(|output| DOCUMENT.contains(&output.name.as_str())) {
        return Err(format!("its output `{}` has the name of a field that every document has", output.name));
    }
    state_version(raw.state_version)?;
    Ok(MetricInfo {
        about: about(raw.about)?,
        over,
        inputs: inputs(raw.inputs)?,
        outputs,
        state_version: raw.state_version,
    })
}

fn about(raw: RawAbout) -> Result<About, String> {
    if !is_plugin_name(&raw.name) {
        return Err(format!(
            "{:?} is no name for a plugin: it must be lower-case letters, digits and `-`",
            raw.name
        ));
    }
    for (what, text) in [("version", &raw.version), ("summary", &raw.summary), ("licence", &raw.licence)] {
        short(text, what)?;
    }
    Ok(About { name: raw.name, version: raw.version, summary: raw.summary, licence: raw.licence })
}

fn inputs(raw: Vec<RawInput>) -> Result<Vec<Input>, String> {
    few(raw.len(), "inputs")?;
    let mut inputs: Vec<Input> = Vec::with_capacity(raw.len());
    for input in raw {
        column_name(&input.column)?;
        let shape = match input.shape {
            RawShape::Plain => Shape::Plain,
            RawShape::Coded => Shape::Coded,
            RawShape::Hash64 => Shape::Hash64,
        };
        if inputs.iter().any(|other| other.column == input.column && other.shape == shape) {
            return Err(format!("its input `{}` occurs twice", input.column));
        }
        inputs.push(Input { column: input.column, shape, required: input.required });
    }
    Ok(inputs)
}

fn fields(raw: Vec<RawField>) -> Result<Vec<Field>, String> {
    few(raw.len(), "outputs")?;
    unique(raw.iter().map(|field| field.name.as_str()), "output")?;
    raw.into_iter().map(field).collect()
}

fn field(raw: RawField) -> Result<Field, String> {
    column_name(&raw.name)?;
    if raw.unit.len() > MAX_NAME {
        return Err(format!("the unit of its output `{}` is longer than {MAX_NAME} bytes", raw.name));
    }
    short(&raw.doc, &raw.name)?;
    let family = match raw.family.as_str() {
        "" => Family::ClickData,
        name => *Family::ALL.iter().find(|family| family.name() == name).ok_or_else(|| {
            format!("its output `{}` belongs into {name:?}: families are click_data, geo_data and user_agent_data", raw.name)
        })?,
    };
    let kind = match raw.kind {
        RawKind::Instant => Kind::Instant,
        RawKind::Duration => Kind::Duration,
        RawKind::Integer => Kind::Integer,
        RawKind::Unsigned => Kind::Unsigned,
        RawKind::Real => Kind::Real,
        RawKind::Boolean => Kind::Boolean,
        RawKind::Text => Kind::Text,
        RawKind::Json => Kind::Json,
    };
    Ok(Field { name: raw.name, kind, unit: raw.unit, family, doc: raw.doc })
}

fn few(number: usize, what: &str) -> Result<(), String> {
    if number > MAX_COLUMNS {
        Err(format!("it has {number} {what}, at most {MAX_COLUMNS} are allowed"))
    } else {
        Ok(())
    }
}

fn unique<'a>(names: impl Iterator<Item = &'a str>, what: &str) -> Result<(), String> {
    let mut all: Vec<&str> = names.collect();
    all.sort_unstable();
    match all.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(format!("its {what} `{}` occurs twice", pair[0])),
        None => Ok(()),
    }
}

fn short(text: &str, what: &str) -> Result<(), String> {
    if text.len() > MAX_TEXT {
        return Err(format!("what it says of `{what}` is longer than {MAX_TEXT} bytes"));
    }
    Ok(())
}

fn column_name(name: &str) -> Result<(), String> {
    let rest = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    if name.len() <= MAX_NAME
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(rest)
    {
        return Ok(());
    }
    Err(format!(
        "{:?} is no name for a column: it must be lower-case letters, digits and `_`, beginning with a letter, at most \
         {MAX_NAME} bytes",
        crate::log::cut(name, MAX_NAME)
    ))
}

fn is_plugin_name(name: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(word)
}

fn state_version(version: u32) -> Result<(), String> {
    if version == 0 { Err("its state-version is 0, it must be at least 1".into()) } else { Ok(()) }
}
