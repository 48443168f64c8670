//! One enricher of one task.

use std::sync::Arc;

use clickmill_columns::{Column, EnricherInfo, Field};
use clickmill_tasks::env::{CallError, Enriched, Enricher};
use wasmtime::component::{ComponentExportIndex, Func, ResourceAny};

use crate::{
    check,
    contract::{RawEnriched, RawEnricherInfo, RawFailure, SentColumn},
    error::Fault,
    guest::{Guest, Plugin},
    lower::Lowered,
};

type Enrich<'a> = (ResourceAny, &'a [SentColumn<'a>], &'a [&'a str]);
type EnrichAnswer = (Result<RawEnriched, RawFailure>,);

/// An enricher that was found to be one.
pub struct EnricherPlugin {
    plugin: Arc<Plugin>,
    enrich: ComponentExportIndex,
}

impl EnricherPlugin {
    pub fn load(plugin: Arc<Plugin>) -> Result<(EnricherPlugin, EnricherInfo), Fault> {
        let enrich = plugin.method("enrich")?;
        let info = check::enricher(plugin.describe::<RawEnricherInfo>()?).map_err(Fault::Description)?;
        let enricher = EnricherPlugin { plugin, enrich };
        let mut instance = enricher.start(&[]).map_err(|error| Fault::Start(error.to_string()))?;
        let fits = instance.guest.typecheck::<Enrich, EnrichAnswer>(instance.enrich);
        fits.map_err(|error| Fault::Mismatch(format!("`enrich`: {error}")))?;
        Ok((enricher, info))
    }

    /// An instance that makes these outputs.
    pub fn start(&self, wanted: &[Field]) -> Result<WasmEnricher, CallError> {
        let mut guest = Guest::start(&self.plugin)?;
        Ok(WasmEnricher { enrich: guest.func(&self.enrich)?, guest, wanted: wanted.to_vec() })
    }
}

/// An instance of an enricher.
pub struct WasmEnricher {
    guest: Guest,
    enrich: Func,
    wanted: Vec<Field>,
}

impl Enricher for WasmEnricher {
    async fn enrich(&mut self, inputs: &[Column], patient: bool) -> Result<Enriched, CallError> {
        let rows = inputs.first().map_or(0, Column::rows);
        let names: Vec<&str> = self.wanted.iter().map(|field| field.name.as_str()).collect();
        let lowered = Lowered::new(inputs);
        let handle = self.guest.handle()?;
        let (answer,) = self.guest.call::<Enrich, EnrichAnswer>(
            self.enrich,
            "enrich",
            patient,
            (handle, &lowered.columns(), &names),
        )?;
        let raw = self.guest.succeed("enrich", rows, answer)?;
        check::enriched(raw, rows, &self.wanted).map_err(|what| self.guest.refuse("enrich", &what))
    }
}
