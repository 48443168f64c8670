//! The indices of one configuration: made, checked, and written to.

use std::{
    collections::BTreeMap,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use clickmill_settings::Elasticsearch;
use clickmill_tasks::{
    batch::DocumentBatch,
    env::{Index, Indexed, Trouble},
    read::DocumentFilter,
};
use elasticsearch::http::Method;
use serde_json::{Value, json};

use crate::{
    bulk::{FILTER, Outcome, judge},
    client::{Answer, Client},
    document::push_item,
    layout::{IndexSpec, identity_of, identity_text, index_name},
    read::Documents,
};

/// Bytes in a bulk request at first; fewer once one was too large.
const BULK_BYTES: usize = 4 << 20;
const LEAST_BULK_BYTES: usize = 1 << 10;
/// Documents in a bulk request.
const BULK_DOCUMENTS: usize = 5_000;

/// What to do about an index that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// The store is new, or its documents are going to be written again: make it.
    Create,
    /// The store has documents in it, so somebody deleted it: a final trouble.
    Refuse,
}

/// The index in Elasticsearch. Several hosts may use it at once.
pub struct ElasticsearchIndex {
    client: Arc<Client>,
    name: String,
    bulk_bytes: AtomicUsize,
}

impl ElasticsearchIndex {
    /// Sends nothing yet. Fails where the settings' secrets or certificates cannot be read.
    pub fn new(settings: &Elasticsearch) -> Result<ElasticsearchIndex, Trouble> {
        Ok(ElasticsearchIndex {
            client: Arc::new(Client::new(settings)?),
            name: settings.name.clone(),
            bulk_bytes: AtomicUsize::new(BULK_BYTES),
        })
    }

    /// Makes templates, indices and alias where they are absent, adds fields that are new, and checks that everything there
    /// belongs to the store of this `identity`.
    pub async fn prepare(
        &self,
        identity: u128,
        specs: &[IndexSpec],
        missing: Missing,
    ) -> Result<(), Trouble> {
        self.check_alias(identity).await?;
        for spec in specs {
            let index = spec.index(&self.name);
            let template = (format!("/_index_template/{index}"), spec.template(&self.name, identity));
            match self.mappings(&index).await? {
                Some(found) => {
                    self.check(spec, &index, identity, found).await?;
                    self.put(&template.0, template.1).await?;
                }
                None if missing == Missing::Create => {
                    self.put(&template.0, template.1).await?;
                    self.create(&index).await?;
                    let found = self.mappings(&index).await?.unwrap_or_default();
                    self.check(spec, &index, identity, found).await?;
                }
                None => return Err(self.fault(&index, "it was deleted; `clickmill reindex` makes it again")),
            }
            self.put(&format!("/{index}/_alias/{}", self.name), json!({})).await?;
        }
        Ok(())
    }

    /// Asks whether the index answers and, where the store exists already, whether what is there is its own. Changes nothing.
    pub async fn look(&self, identity: Option<u128>) -> Result<(), Trouble> {
        match identity {
            Some(identity) => self.check_alias(identity).await,
            None => self.mappings(&self.name).await.map(|_| ()),
        }
    }

    /// The documents of these indices that a filter lets through, in no order. Blocking; meant for commands.
    pub fn documents(&self, specs: &[IndexSpec], filter: &DocumentFilter) -> Documents {
        Documents::new(self.client.clone(), &self.name, specs, filter)
    }

    /// What the alias is over must be ours: whoever asks it would get foreign documents too.
    async fn check_alias(&self, identity: u128) -> Result<(), Trouble> {
        let found = self.mappings(&self.name).await?.unwrap_or_default();
        for (index, found) in &found {
            if *index == self.name {
                return Err(self.fault(
                    index,
                    "it is an index, and should be an alias over indices; choose another name",
                ));
            }
            self.check_identity(index, identity, found)?;
        }
        Ok(())
    }

    async fn check(
        &self,
        spec: &IndexSpec,
        index: &str,
        identity: u128,
        found: BTreeMap<String, Value>,
    ) -> Result<(), Trouble> {
        let [(concrete, mappings)] = &found.iter().collect::<Vec<_>>()[..] else {
            return Err(self.fault(index, "it is an alias over several indices"));
        };
        if *concrete != index {
            return Err(self.fault(index, &format!("it is an alias of {concrete}, and should be an index")));
        }
        self.check_identity(index, identity, mappings)?;
        let lacking = spec.missing(mappings).map_err(|fault| {
            self.fault(
                index,
                &format!("{fault}; choose another name, or delete the index and `clickmill reindex`"),
            )
        })?;
        if !lacking.is_empty() {
            self.put(&format!("/{index}/_mapping"), json!({"properties": lacking})).await?;
        }
        Ok(())
    }

    fn check_identity(&self, index: &str, identity: u128, mappings: &Value) -> Result<(), Trouble> {
        match identity_of(mappings) {
            Some(store) if store == identity_text(identity) => Ok(()),
            Some(store) => {
                let ours = identity_text(identity);
                Err(self.fault(
                    index,
                    &format!("it belongs to another store ({store}, not {ours}); choose another name"),
                ))
            }
            None => Err(self.fault(index, "it was not made by clickmill; choose another name")),
        }
    }

    /// The mappings of all indices behind a name; none where there is nothing of that name.
    async fn mappings(&self, name: &str) -> Result<Option<BTreeMap<String, Value>>, Trouble> {
        let doing = format!("looking at {name}");
        let answer = self.client.request(&doing, Method::Get, &format!("/{name}/_mapping"), None).await?;
        if answer.status == 404 {
            return Ok(None);
        }
        let indices = self.expect(&doing, answer)?;
        let indices = indices.as_object().into_iter().flatten();
        Ok(Some(indices.map(|(index, found)| (index.clone(), found["mappings"].clone())).collect()))
    }

    async fn create(&self, index: &str) -> Result<(), Trouble> {
        let doing = format!("making {index}");
        let answer = self.client.request(&doing, Method::Put, &format!("/{index}"), None).await?;
        // Made by another host meanwhile.
        if answer.error_type() == "resource_already_exists_exception" {
            return Ok(());
        }
        self.expect(&doing, answer).map(|_| ())
    }

    async fn put(&self, path: &str, body: Value) -> Result<(), Trouble> {
        let doing = format!("putting {}", path.trim_start_matches('/'));
        let answer =
            self.client.request(&doing, Method::Put, path, Some(body.to_string().into_bytes())).await?;
        self.expect(&doing, answer).map(|_| ())
    }

    /// The body of a good answer. A 400 to a request of administration stays one; all else may pass.
    fn expect(&self, doing: &str, answer: Answer) -> Result<Value, Trouble> {
        if answer.ok() {
            return Ok(answer.body);
        }
        let text = format!("Elasticsearch at {}, {doing}: {}", self.client.url(), answer.fault());
        Err(if answer.status == 400 { Trouble::Final(text) } else { Trouble::Passing(text) })
    }

    fn fault(&self, index: &str, fault: &str) -> Trouble {
        Trouble::Final(format!("Elasticsearch at {}, index {index}: {fault}", self.client.url()))
    }

    /// Offers the documents from row `from` on, as many as fit into a request. The answer is one verdict a document offered.
    async fn offer(&self, index: &str, batch: &DocumentBatch, from: usize) -> Result<Vec<Indexed>, Trouble> {
        let (mut lines, mut to) = (Vec::new(), from);
        while to < batch.starts.len() && to - from < BULK_DOCUMENTS {
            let before = lines.len();
            push_item(&mut lines, batch, to);
            if lines.len() > self.bulk_bytes.load(Ordering::Relaxed) && to > from {
                lines.truncate(before);
                break;
            }
            to += 1;
        }
        let bytes = lines.len();
        let path = format!("/{index}/_bulk?{FILTER}");
        let answer = self.client.request("indexing", Method::Post, &path, Some(lines)).await?;
        let trouble = |text: &str| {
            Err(Trouble::Passing(format!(
                "Elasticsearch at {}, indexing into {index}: {text}",
                self.client.url()
            )))
        };
        match judge(&answer, to - from) {
            Outcome::Judged(verdicts) => Ok(verdicts),
            Outcome::TooLarge(text) if to - from == 1 => Ok(vec![Indexed::Again(text)]),
            Outcome::TooLarge(_) => {
                self.bulk_bytes.store((bytes / 2).max(LEAST_BULK_BYTES), Ordering::Relaxed);
                Ok(Vec::new())
            }
            Outcome::NoIndex => trouble(
                "it was deleted. Bring it back (a snapshot), or stop all hosts and run `clickmill reindex`, which makes it again",
            ),
            Outcome::Failed(text) => trouble(&text),
        }
    }
}

impl Index for ElasticsearchIndex {
    async fn put(&self, batch: Rc<DocumentBatch>) -> Result<Vec<Indexed>, Trouble> {
        let index = index_name(&self.name, &batch.rollup, &batch.window);
        let documents = batch.starts.len();
        let mut verdicts = Vec::with_capacity(documents);
        while verdicts.len() < documents {
            match self.offer(&index, &batch, verdicts.len()).await {
                Ok(judged) => verdicts.extend(judged),
                Err(trouble) if verdicts.is_empty() => return Err(trouble),
                // What was judged counts all the same.
                Err(trouble) => verdicts.resize(documents, Indexed::Again(trouble.to_string())),
            }
        }
        Ok(verdicts)
    }
}
