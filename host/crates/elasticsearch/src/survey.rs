//! What is in the cluster under our names, looked at without changing anything.

use std::collections::BTreeMap;

use clickmill_settings::Elasticsearch;
use clickmill_tasks::env::Trouble;
use elasticsearch::http::Method;
use serde_json::{Map, Value};

use crate::{
    answer::Answer,
    client::Client,
    layout::{IndexSpec, identity_of, identity_text},
    version::{Version, version},
};

/// Settings of an index that is there which are made to be those of the configuration.
const DYNAMIC: [&str; 2] = ["refresh_interval", "number_of_replicas"];

/// What to do about an index that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// The store is new, or its documents are going to be written again: make it.
    Create,
    /// The store has documents in it, so somebody deleted it: a final trouble.
    Refuse,
}

/// An index, as Elasticsearch shows it.
struct Found {
    mappings: Value,
    settings: Map<String, Value>,
    aliases: Value,
    /// Of which it is a part.
    data_stream: Option<String>,
}

/// What an index of ours lacks.
pub(crate) enum Lacking {
    /// It is not there itself.
    Index,
    Parts {
        fields: Map<String, Value>,
        settings: Map<String, Value>,
        alias: bool,
    },
}

/// Looks at a cluster for the indices of one configuration.
pub(crate) struct Survey<'a> {
    pub(crate) client: &'a Client,
    pub(crate) settings: &'a Elasticsearch,
    /// The store's; none where it is not made yet.
    pub(crate) identity: Option<u128>,
}

impl Survey<'_> {
    /// Fails where it is no Elasticsearch that answers.
    pub(crate) async fn version(&self) -> Result<Version, Trouble> {
        let doing = "asking for its version";
        let answer = self.client.request(doing, Method::Get, "/", None).await?;
        if !answer.ok() {
            return Err(Trouble::Passing(self.text(doing, &answer.fault())));
        }
        version(&answer).map_err(|text| Trouble::Final(self.text(doing, &text)))
    }

    /// What the alias is over must be ours: whoever asks it would get foreign documents too.
    pub(crate) async fn alias(&self) -> Result<(), Trouble> {
        let name = &self.settings.name;
        for (index, found) in &self.found(name).await?.unwrap_or_default() {
            if index == name {
                let fault = "it is an index, and should be an alias over indices; choose another name";
                return Err(self.fault(name, fault));
            }
            self.no_data_stream(name, found)?;
            self.ours(index, found)?;
        }
        Ok(())
    }

    /// What an index lacks.
    pub(crate) async fn index(&self, spec: &IndexSpec, missing: Missing) -> Result<Lacking, Trouble> {
        let index = spec.index(&self.settings.name);
        let Some(all) = self.found(&index).await? else {
            return match missing {
                Missing::Create => Ok(Lacking::Index),
                Missing::Refuse => {
                    Err(self.fault(&index, "it was deleted; `clickmill reindex` makes it again"))
                }
            };
        };
        for found in all.values() {
            self.no_data_stream(&index, found)?;
        }
        let [(concrete, found)] = &all.iter().collect::<Vec<_>>()[..] else {
            let names: Vec<&str> = all.keys().map(String::as_str).collect();
            let fault = format!("it is an alias over several indices ({})", names.join(", "));
            return Err(self.fault(&index, &format!("{fault}, and should be an index; choose another name")));
        };
        if **concrete != index {
            let fault = format!("it is an alias of {concrete}, and should be an index; choose another name");
            return Err(self.fault(&index, &fault));
        }
        self.ours(&index, found)?;
        self.sound(&index, found)?;
        let fields = spec.missing(&found.mappings).map_err(|fault| {
            self.fault(
                &index,
                &format!("{fault}; choose another name, or delete the index and `clickmill reindex`"),
            )
        })?;
        let differing = DYNAMIC.iter().filter_map(|name| {
            let wanted = self.settings.settings.get(*name)?;
            let there = found.settings.get(&format!("index.{name}")).and_then(Value::as_str);
            (there != Some(wanted)).then(|| ((*name).to_owned(), Value::from(wanted.as_str())))
        });
        let alias = found.aliases.get(&self.settings.name).is_none();
        Ok(Lacking::Parts { fields, settings: differing.collect(), alias })
    }

    /// The index is not as a hand or a policy left it: nothing keeps documents out, changes them or loses them.
    fn sound(&self, index: &str, found: &Found) -> Result<(), Trouble> {
        if found.settings.get("index.verified_before_close").is_some_and(|closed| closed == "true") {
            let fault = format!("it is closed; open it: POST /{index}/_open");
            return Err(self.fault(index, &fault));
        }
        for (name, value) in &found.settings {
            let (name, value) = (name.trim_start_matches("index."), value.as_str().unwrap_or_default());
            // A block may pass: Elasticsearch itself sets and lifts it as disks fill.
            if name.starts_with("blocks.") {
                continue;
            }
            if let Some(reason) = clickmill_settings::refused_setting(name, value) {
                let fault = format!("its setting {name} is {value}, but {reason}; remove the setting");
                return Err(self.fault(index, &fault));
            }
        }
        Ok(())
    }

    fn no_data_stream(&self, name: &str, found: &Found) -> Result<(), Trouble> {
        match &found.data_stream {
            None => Ok(()),
            Some(stream) => {
                let what =
                    if stream == name { "it is".to_owned() } else { format!("behind it is {stream},") };
                let fault =
                    format!("{what} a data stream, whose documents cannot be corrected; choose another name");
                Err(self.fault(name, &fault))
            }
        }
    }

    fn ours(&self, index: &str, found: &Found) -> Result<(), Trouble> {
        let ours = self.identity.map(identity_text);
        let fault = match (identity_of(&found.mappings), ours) {
            (Some(store), Some(ours)) if store == ours => return Ok(()),
            (Some(store), Some(ours)) => {
                format!("it belongs to another store ({store}, not {ours}); choose another name")
            }
            (Some(store), None) => {
                format!(
                    "it belongs to another store ({store}; this one is not made yet); choose another name"
                )
            }
            (None, _) => "it was not made by clickmill; choose another name".to_owned(),
        };
        Err(self.fault(index, &fault))
    }

    /// All indices behind a name; none where there is nothing of that name.
    async fn found(&self, name: &str) -> Result<Option<BTreeMap<String, Found>>, Trouble> {
        let doing = format!("looking at {name}");
        let path = format!("/{name}?flat_settings=true");
        let answer = self.client.request(&doing, Method::Get, &path, None).await?;
        if answer.status == 404 && answer.error_type() == "index_not_found_exception" {
            return Ok(None);
        }
        let Value::Object(indices) = self.good(&doing, answer)? else {
            return Err(Trouble::Passing(self.text(&doing, "an answer that lists no indices")));
        };
        let found = |mut of: Value| Found {
            mappings: of["mappings"].take(),
            settings: match of["settings"].take() {
                Value::Object(settings) => settings,
                _ => Map::new(),
            },
            aliases: of["aliases"].take(),
            data_stream: of["data_stream"].as_str().map(str::to_owned),
        };
        Ok(Some(indices.into_iter().map(|(index, of)| (index, found(of))).collect()))
    }

    /// The body of a good answer. A 400 to a request of administration stays one; all else may pass.
    pub(crate) fn good(&self, doing: &str, answer: Answer) -> Result<Value, Trouble> {
        if answer.ok() {
            return Ok(answer.body);
        }
        let text = self.text(doing, &answer.fault());
        Err(if answer.status == 400 { Trouble::Final(text) } else { Trouble::Passing(text) })
    }

    fn text(&self, doing: &str, text: &str) -> String {
        format!("Elasticsearch at {}, {doing}: {text}", self.client.url())
    }

    pub(crate) fn fault(&self, index: &str, fault: &str) -> Trouble {
        Trouble::Final(self.text(&format!("index {index}"), fault))
    }
}
