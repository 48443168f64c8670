//! Settings to measure: as a file says, but for what the bench has of its own.

use std::path::{Path, PathBuf};

use super::failed;
use crate::{error::Error, load};

/// The text of valid settings, and the folder that their relative paths are below. By default there are none.
#[derive(Clone, Default)]
pub struct Like {
    text: String,
    base: PathBuf,
}

impl Like {
    pub fn read(path: Option<&Path>) -> Result<Like, Error> {
        let Some(path) = path else { return Ok(Like::default()) };
        load::settings(path)?;
        let text = std::fs::read_to_string(path).map_err(failed(path))?;
        let whole = path.canonicalize().map_err(failed(path))?;
        Ok(Like { text, base: whole.parent().unwrap_or(&whole).to_owned() })
    }

    /// The same, but for this topic, and for a group, tables and indices of this name.
    pub fn renamed(&self, topic: &str, name: &str) -> Result<String, Error> {
        clickmill_settings::renamed(&self.text, &self.base, topic, name)
            .map_err(|error| Error::Other(format!("the settings cannot be read: {error}")))
    }

    /// The same, but for these files and this store.
    pub fn over(&self, files: &[String], store: &str) -> Result<String, Error> {
        clickmill_settings::retarget(&self.text, &self.base, files, store)
            .map_err(|error| Error::Other(format!("the settings cannot be read: {error}")))
    }
}
