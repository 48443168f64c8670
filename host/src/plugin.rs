//! `clickmill plugin`: what plugins there are, and what they say of themselves.

use std::{path::PathBuf, process::ExitCode};

use clickmill_columns::{Field, Input, Rows};
use clickmill_plugin::{Info, Inspection, Loader, inspect};
use clickmill_settings::{Kind, Pipeline, PluginRef, PluginUse, SHIPPED};

use crate::{
    columns::Columns,
    components,
    error::Error,
    load,
    output::{self, Format, Printer, say},
};

#[derive(clap::Subcommand)]
pub enum Command {
    /// The plugins that this binary carries; and those that the settings use, if they are given.
    List {
        #[command(flatten)]
        settings: Settings,
        #[arg(long, value_enum, default_value = "table")]
        format: Format,
    },
    /// What a component says of itself: what it reads, what it makes, and what it imports.
    Inspect {
        /// A plugin that the settings use, or that this binary carries, by its name; or the path of a component.
        plugin: String,
        #[command(flatten)]
        settings: Settings,
        /// Its parameters, as JSON; without them those of the settings.
        #[arg(long)]
        params: Option<String>,
    },
}

#[derive(clap::Args)]
pub struct Settings {
    /// The settings, a TOML file.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Settings {
    /// The plugins that the settings use; none without settings.
    fn uses(&self) -> Result<Vec<(Kind, PluginUse)>, Error> {
        let Some(path) = &self.config else { return Ok(Vec::new()) };
        let Pipeline { parser, enrichers, operators, metrics, .. } = load::settings(path)?.pipeline;
        let all = [
            (Kind::Parser, vec![parser]),
            (Kind::Enricher, enrichers),
            (Kind::Operator, operators),
            (Kind::Metric, metrics),
        ];
        Ok(all.into_iter().flat_map(|(kind, uses)| uses.into_iter().map(move |used| (kind, used))).collect())
    }
}

pub fn plugin(command: Command) -> Result<ExitCode, Error> {
    match command {
        Command::List { settings, format } => list(&settings.uses()?, format)?,
        Command::Inspect { plugin, settings, params } => {
            let used = settings.uses()?.into_iter().map(|(_, used)| used).find(|used| used.name == plugin);
            let (plugin, of_settings) = match used {
                Some(used) => (used.plugin, used.params),
                None if SHIPPED.iter().any(|(name, _)| *name == plugin) => {
                    (PluginRef::Shipped(plugin), String::new())
                }
                None => (PluginRef::Path(plugin.into()), String::new()),
            };
            show(&plugin, &look(&plugin, &params.unwrap_or(of_settings))?)?;
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

fn list(uses: &[(Kind, PluginUse)], format: Format) -> Result<(), Error> {
    const COLUMNS: [&str; 6] = ["name", "kind", "from", "version", "bytes", "summary"];
    let mut printer = Printer::new(format, Columns::from_iter(COLUMNS));
    let mut print = |name: &str, kind: Kind, plugin: &PluginRef, params: &str| {
        let found = look(plugin, params)?;
        let from = match plugin {
            PluginRef::Shipped(shipped) if *shipped == *name => "clickmill".to_owned(),
            PluginRef::Shipped(shipped) => format!("clickmill, there `{shipped}`"),
            PluginRef::Path(path) => path.display().to_string(),
        };
        let about = about(&found.info);
        let values = [
            name.into(),
            kind.as_str().into(),
            from.into(),
            about.version.clone().into(),
            found.size.into(),
            about.summary.clone().into(),
        ];
        printer.print(COLUMNS.map(Into::into).into_iter().zip(values).collect())
    };
    for (kind, used) in uses {
        print(&used.name, *kind, &used.plugin, &used.params)?;
    }
    for (name, kind) in SHIPPED {
        // Its name may stand for another plugin in the settings.
        if uses.iter().all(|(of, used)| (*of, &*used.name) != (kind, name)) {
            print(name, kind, &PluginRef::Shipped(name.into()), "")?;
        }
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

fn show(plugin: &PluginRef, found: &Inspection) -> Result<(), Error> {
    let about = about(&found.info);
    say(format_args!("{plugin}: {} {} {}", found.kind, about.name, about.version))?;
    say(format_args!("  {}", about.summary))?;
    say(format_args!("  licence   {}", about.licence))?;
    say(format_args!("  size      {}, digest {}", output::size(found.size as u64), found.digest))?;
    let imports = if found.imports.is_empty() { "nothing".into() } else { found.imports.join(", ") };
    say(format_args!("  imports   {imports}"))?;
    match &found.info {
        Info::Parser(info) => fields("makes", &info.outputs)?,
        Info::Enricher(info) => {
            inputs(&info.inputs)?;
            fields("makes", &info.outputs)?;
        }
        Info::Operator(info) => {
            say(format_args!("  key       {}", info.key.join(", ")))?;
            inputs(&info.inputs)?;
            fields("derives", &info.outputs)?;
            say(format_args!("  reach     {} ms before the horizon", info.reach))?;
        }
        Info::Metric(info) => {
            let over = match &info.over {
                Rows::Events => "events".to_owned(),
                Rows::Derived(operator) => format!("what the operator `{operator}` derives"),
            };
            say(format_args!("  counts    {over}"))?;
            inputs(&info.inputs)?;
            fields("fields", &info.outputs)?;
        }
    }
    Ok(())
}

fn inputs(inputs: &[Input]) -> Result<(), Error> {
    for (place, input) in inputs.iter().enumerate() {
        let title = if place == 0 { "reads" } else { "" };
        let required = if input.required { "" } else { ", if there" };
        say(format_args!("  {title:<9} {}{required}", input.column))?;
    }
    Ok(())
}

fn fields(title: &str, fields: &[Field]) -> Result<(), Error> {
    for (place, field) in fields.iter().enumerate() {
        let title = if place == 0 { title } else { "" };
        let kind = format!("{:?}", field.kind).to_lowercase();
        let unit = if field.unit.is_empty() { String::new() } else { format!(" ({})", field.unit) };
        say(format_args!("  {title:<9} {:<20} {kind}{unit}: {}", field.name, field.doc))?;
    }
    Ok(())
}
