use clickmill_columns::Column;
use clickmill_tasks::env::{CallError, Enriched, Enricher};
use plugin_url::{GuestInstance, Instance};

use super::{bridge::url as bridge, copied, unknown};

/// The enricher `url`.
pub struct NativeEnricher {
    instance: Instance,
    wanted: Vec<String>,
}

impl NativeEnricher {
    pub fn new(name: &str, wanted: Vec<String>) -> Result<NativeEnricher, CallError> {
        match name {
            "url" => Ok(NativeEnricher { instance: Instance::new(String::new()), wanted }),
            _ => unknown(name),
        }
    }
}

impl Enricher for NativeEnricher {
    async fn enrich(&mut self, inputs: &[Column], _patient: bool) -> Result<Enriched, CallError> {
        let (inputs, wanted) = copied(|| (bridge::copy_columns(inputs), self.wanted.clone()));
        let enriched = self.instance.enrich(inputs, wanted).map_err(bridge::error)?;
        Ok(Enriched {
            columns: bridge::columns(enriched.columns, None)?,
            rejects: bridge::rejects(enriched.rejects),
        })
    }
}
