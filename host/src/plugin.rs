//! `clickmill plugin`: what plugins there are, and what they say of themselves.

use std::process::ExitCode;

use clickmill_columns::{Field, Input, Rows};
use clickmill_plugin::{Info, Inspection, Loader, inspect};
use clickmill_settings::{PluginRef, SHIPPED};

use crate::{
    components,
    error::Error,
    load,
    output::{self, Format, Printer},
};

#[derive(clap::Subcommand)]
pub enum Command {
    /// The plugins that this binary carries.
    List {
        #[arg(long, value_enum, default_value = "table")]
        format: Format,
    },
    /// What a component says of itself: its columns, parameters and imports.
    Inspect {
        /// The name of a plugin that this binary carries, or the path of a component.
        plugin: String,
        /// Its parameters, as JSON.
        #[arg(long, default_value = "")]
        params: String,
    },
}

pub fn plugin(command: Command) -> Result<ExitCode, Error> {
    match command {
        Command::List { format } => list(format)?,
        Command::Inspect { plugin, params } => {
            let plugin = match SHIPPED.iter().any(|(name, _)| *name == plugin) {
                true => PluginRef::Shipped(plugin),
                false => PluginRef::Path(plugin.into()),
            };
            show(&plugin, &look(&plugin, &params)?);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn look(plugin: &PluginRef, params: &str) -> Result<Inspection, Error> {
    let engine = load::engine()?;
    let cache = load::cache_folder();
    let loader = Loader { engine: &engine, shipped: components::DEFAULTS, cache: cache.as_deref() };
    inspect(loader, plugin, params).map_err(|error| Error::Plugins(vec![error]))
}

fn list(format: Format) -> Result<(), Error> {
    let mut printer = Printer::new(format);
    for (name, kind) in SHIPPED {
        let found = look(&PluginRef::Shipped(name.into()), "")?;
        let about = about(&found.info);
        printer.print(vec![
            ("name".into(), name.into()),
            ("kind".into(), kind.as_str().into()),
            ("version".into(), about.version.clone().into()),
            ("bytes".into(), found.size.into()),
            ("summary".into(), about.summary.clone().into()),
        ])?;
    }
    printer.finish()
}

fn about(info: &Info) -> &clickmill_columns::About {
    match info {
        Info::Parser(info) => &info.about,
        Info::Enricher(info) => &info.about,
        Info::Operator(info) => &info.about,
        Info::Metric(info) => &info.about,
    }
}

fn show(plugin: &PluginRef, found: &Inspection) {
    let about = about(&found.info);
    println!("{plugin}: {} {} {}", found.kind, about.name, about.version);
    println!("  {}", about.summary);
    println!("  licence   {}", about.licence);
    println!("  size      {}, digest {}", output::size(found.size as u64), found.digest);
    let imports = if found.imports.is_empty() { "nothing".into() } else { found.imports.join(", ") };
    println!("  imports   {imports}");
    match &found.info {
        Info::Parser(info) => fields("makes", &info.outputs),
        Info::Enricher(info) => {
            inputs(&info.inputs);
            fields("makes", &info.outputs);
        }
        Info::Operator(info) => {
            println!("  key       {}", info.key.join(", "));
            inputs(&info.inputs);
            fields("derives", &info.outputs);
            println!("  reach     {} ms before the horizon", info.reach);
        }
        Info::Metric(info) => {
            let over = match &info.over {
                Rows::Events => "events".to_owned(),
                Rows::Derived(operator) => format!("what the operator `{operator}` derives"),
            };
            println!("  counts    {over}");
            inputs(&info.inputs);
            fields("fields", &info.outputs);
        }
    }
}

fn inputs(inputs: &[Input]) {
    for (place, input) in inputs.iter().enumerate() {
        let title = if place == 0 { "reads" } else { "" };
        let required = if input.required { "" } else { ", if there" };
        println!("  {title:<9} {}{required}", input.column);
    }
}

fn fields(title: &str, fields: &[Field]) {
    for (place, field) in fields.iter().enumerate() {
        let title = if place == 0 { title } else { "" };
        let kind = format!("{:?}", field.kind).to_lowercase();
        let unit = if field.unit.is_empty() { String::new() } else { format!(" ({})", field.unit) };
        println!("  {title:<9} {:<20} {kind}{unit}: {}", field.name, field.doc);
    }
}
