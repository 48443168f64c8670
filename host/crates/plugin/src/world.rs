//! Which of the four worlds a component is made for, and the link between what it imports and what plugins are given.

use clickmill_settings::Kind;
use wasmtime::component::{Component, ComponentExportIndex, InstancePre, Linker, types::ComponentItem};

use crate::{
    contract::VERSION,
    error::Fault,
    state::{self, State},
    wasi,
};

/// Where the contract's interfaces are.
const PACKAGE: &str = "clickmill:plugin/";

pub fn kinds() -> [Kind; 4] {
    [Kind::Parser, Kind::Enricher, Kind::Operator, Kind::Metric]
}

/// The names of what a component imports, and of what it exports.
pub struct Names {
    pub imports: Vec<String>,
    pub exports: Vec<String>,
}

impl Names {
    pub fn of(component: &Component) -> Names {
        let (engine, ty) = (component.engine(), component.component_type());
        Names {
            imports: ty.imports(engine).map(|(name, _)| name.to_owned()).collect(),
            exports: ty.exports(engine).map(|(name, _)| name.to_owned()).collect(),
        }
    }

    /// The kind of plugin that this is, whatever was asked for.
    pub fn kind(&self) -> Result<Kind, Fault> {
        kinds().into_iter().find(|&kind| self.interface(kind).is_some()).ok_or_else(|| self.no_plugin())
    }

    /// That this is a plugin of this kind.
    pub fn expect(&self, kind: Kind) -> Result<&str, Fault> {
        if let Some(interface) = self.interface(kind) {
            return Ok(interface);
        }
        let found = self.kind()?;
        Err(Fault::OtherKind { found, wanted: kind })
    }

    /// The export that makes this a plugin of this kind, in a version that this host speaks.
    fn interface(&self, kind: Kind) -> Option<&str> {
        self.exports.iter().map(String::as_str).find(|export| {
            let version = export.strip_prefix(PACKAGE).and_then(|rest| rest.strip_prefix(kind.as_str()));
            version.and_then(|version| version.strip_prefix('@')) == Some(VERSION)
        })
    }

    fn no_plugin(&self) -> Fault {
        let other = self.exports.iter().find(|export| export.starts_with(PACKAGE)).cloned();
        match other {
            Some(export) => Fault::OtherVersion { export },
            None => Fault::NoPlugin { exports: self.exports.clone() },
        }
    }
}

/// Gives the component what it imports, and nothing else.
pub fn link(component: &Component) -> Result<InstancePre<State>, Fault> {
    let engine = component.engine();
    let mut linker = Linker::new(engine);
    for (name, item) in component.component_type().imports(engine) {
        let ComponentItem::ComponentInstance(interface) = &item.ty else {
            return Err(Fault::UnknownImport { import: name.to_owned() });
        };
        let plain = name.split('@').next().unwrap_or(name);
        let linked = linker.instance(name).and_then(|mut instance| match plain {
            // Types only.
            "clickmill:plugin/columns" => Ok(true),
            "clickmill:plugin/files" => state::link_files(&mut instance).map(|()| true),
            "clickmill:plugin/log" => state::link_log(&mut instance).map(|()| true),
            _ if wasi::is_known(name) => wasi::link(&mut instance, plain, interface, engine).map(|()| true),
            _ => Ok(false),
        });
        match linked {
            Ok(true) => {}
            Ok(false) => return Err(Fault::UnknownImport { import: name.to_owned() }),
            Err(error) => return Err(Fault::Mismatch(format!("{error:#}"))),
        }
    }
    linker.instantiate_pre(component).map_err(|error| Fault::Mismatch(format!("{error:#}")))
}

/// A function of an exported interface.
pub fn function(component: &Component, interface: &str, name: &str) -> Result<ComponentExportIndex, Fault> {
    component
        .get_export_index(None, interface)
        .and_then(|interface| component.get_export_index(Some(&interface), name))
        .ok_or_else(|| Fault::Mismatch(format!("`{interface}` has no `{name}`")))
}
