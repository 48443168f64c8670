//! Descriptions, honest and lying.

use crate::{
    bindings::{
        clickmill::plugin::columns::{About, Field, Input, Kind, Shape},
        exports::clickmill::plugin::{enricher, metric, operator, parser},
    },
    misdeed::Misdeed,
    world,
};

fn begin(misdeed: &Misdeed) -> Result<&str, String> {
    let what = misdeed.meet("describe").unwrap_or_default();
    if what == "refuse" { Err("`do` must be something nice".into()) } else { Ok(what) }
}

fn about(what: &str) -> About {
    About {
        name: if what == "name" { "Hostile Plugin".into() } else { "hostile".into() },
        version: "1".into(),
        summary: if what == "world" { world::seen() } else { String::new() },
        licence: String::new(),
    }
}

fn field(name: &str, kind: Kind) -> Field {
    Field { name: name.into(), kind, unit: String::new(), family: String::new(), doc: String::new() }
}

fn input(column: &str, shape: Shape) -> Input {
    Input { column: column.into(), shape, required: false }
}

fn outputs(what: &str, mut outputs: Vec<Field>) -> Vec<Field> {
    match what {
        "twice" => outputs.push(outputs[0].clone()),
        "column-name" => outputs[0].name = "Nicht so".into(),
        "family" => outputs[0].family = "my_data".into(),
        "many" => outputs.extend((0..300).map(|number| field(&format!("f{number}"), Kind::Text))),
        "long-doc" => outputs[0].doc = "x".repeat(5000),
        _ => {}
    }
    outputs
}

pub fn parser(misdeed: &Misdeed) -> Result<parser::Info, String> {
    let what = begin(misdeed)?;
    let mut all = vec![
        field("timestamp", Kind::Instant),
        field("word", Kind::Text),
        field("flag", Kind::Boolean),
        field("blob", Kind::Json),
        field("code", Kind::Text),
    ];
    match what {
        "no-timestamp" => drop(all.remove(0)),
        "timestamp-text" => all[0].kind = Kind::Text,
        _ => {}
    }
    Ok(parser::Info { about: about(what), outputs: outputs(what, all) })
}

pub fn enricher(misdeed: &Misdeed) -> Result<enricher::Info, String> {
    let what = begin(misdeed)?;
    let mut inputs = vec![input("word", Shape::Plain)];
    match what {
        "no-inputs" => inputs.clear(),
        "input-twice" => inputs.push(inputs[0].clone()),
        _ => {}
    }
    Ok(enricher::Info { about: about(what), inputs, outputs: outputs(what, vec![field("loud", Kind::Text)]) })
}

pub fn operator(misdeed: &Misdeed) -> Result<operator::Info, String> {
    let what = begin(misdeed)?;
    let weight = if what == "weight" { Kind::Real } else { Kind::Integer };
    Ok(operator::Info {
        about: about(what),
        key: if what == "no-key" { vec![] } else { vec!["word".into()] },
        inputs: vec![],
        outputs: outputs(what, vec![field("spent", Kind::Duration), field("weight", weight)]),
        reach: if what == "reach" { -1 } else { 1000 },
        state_version: u32::from(what != "state-version"),
    })
}

pub fn metric(misdeed: &Misdeed) -> Result<metric::Info, String> {
    let what = begin(misdeed)?;
    let mut all = vec![field("number", Kind::Unsigned), field("detail", Kind::Json)];
    match what {
        "no-outputs" => all.clear(),
        "reserved" => all[0].name = "window_end".into(),
        _ => {}
    }
    Ok(metric::Info {
        about: about(what),
        over: if what == "over" { metric::Rows::Derived("No One".into()) } else { metric::Rows::Events },
        inputs: vec![input("word", Shape::Hash64)],
        outputs: outputs(what, all),
        state_version: u32::from(what != "state-version"),
    })
}
