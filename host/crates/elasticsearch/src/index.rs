//! The indices of one configuration: made, checked, and written to.

use std::{collections::VecDeque, ops::Range, rc::Rc, sync::Arc, time::Instant};

use clickmill_settings::Elasticsearch;
use clickmill_tasks::{
    batch::DocumentBatch,
    env::{Index, Indexed, Trouble},
    read::DocumentFilter,
};
use elasticsearch::http::Method;
use futures_channel::oneshot;
use serde_json::{Value, json};

use crate::{
    client::Client,
    document::Encoder,
    layout::{IndexSpec, identity_of, identity_text, index_name},
    queue::{Lines, Piece, Reply},
    read::{Documents, searchable},
    sender::Sender,
    survey::{Lacking, Missing, Survey},
    version::Version,
};

/// Bytes and documents in a piece of a bulk request.
const PIECE_BYTES: usize = 256 << 10;
const PIECE_DOCUMENTS: usize = 1_000;
/// Pieces of one batch that wait or are under way: further documents are encoded as these are done with.
const PIECES: usize = 8;

/// The index in Elasticsearch: one for the whole process, whose clones are the same. Several hosts may use it at once.
#[derive(Clone)]
pub struct ElasticsearchIndex {
    settings: Arc<Elasticsearch>,
    client: Arc<Client>,
    sender: Arc<Sender>,
}

impl ElasticsearchIndex {
    /// Sends nothing yet. Fails where the settings' secrets or certificates cannot be read.
    pub fn new(settings: &Elasticsearch) -> Result<ElasticsearchIndex, Trouble> {
        let client = Client::new(settings)?;
        let sender = Sender::new(&client, settings.timeout);
        Ok(ElasticsearchIndex { settings: Arc::new(settings.clone()), client: Arc::new(client), sender })
    }

    /// Which Elasticsearch answers; a trouble if none does.
    pub async fn version(&self) -> Result<Version, Trouble> {
        self.survey(None).version().await
    }

    /// Makes templates, indices and alias where they are absent, adds fields that are new, and checks that everything there
    /// belongs to the store of this `identity`.
    pub async fn prepare(
        &self,
        identity: u128,
        specs: &[IndexSpec],
        missing: Missing,
    ) -> Result<(), Trouble> {
        let survey = self.survey(Some(identity));
        survey.version().await?;
        survey.alias().await?;
        for spec in specs {
            let index = spec.index(&self.settings.name);
            let mut lacking = survey.index(spec, missing).await?;
            self.make_template(spec, &index, identity).await?;
            if let Lacking::Index = lacking {
                self.create(spec, &index, identity).await?;
                // Perhaps it was another host that made it, whose settings are others.
                lacking = survey.index(spec, Missing::Refuse).await?;
            }
            let Lacking::Parts { fields, settings, alias } = lacking else { continue };
            if !fields.is_empty() {
                self.change(&format!("/{index}/_mapping"), json!({"properties": fields})).await?;
            }
            if !settings.is_empty() {
                self.change(&format!("/{index}/_settings"), json!({"index": settings})).await?;
            }
            if alias {
                self.change(&format!("/{index}/_alias/{}", self.settings.name), json!({})).await?;
            }
        }
        Ok(())
    }

    /// Finds what [`ElasticsearchIndex::prepare`] would, and changes nothing. There is no `identity` where the store is not made
    /// yet.
    pub async fn look(
        &self,
        identity: Option<u128>,
        specs: &[IndexSpec],
        missing: Missing,
    ) -> Result<(), Trouble> {
        let survey = self.survey(identity);
        survey.version().await?;
        survey.alias().await?;
        for spec in specs {
            survey.index(spec, missing).await?;
        }
        Ok(())
    }

    /// The documents of these indices that a filter lets through, in no order. Blocking; meant for commands.
    pub fn documents(&self, specs: &[IndexSpec], filter: &DocumentFilter) -> Documents {
        Documents::new(self.client.clone(), &self.settings.name, specs, filter)
    }

    /// Which of these values of a grouping column some document of an index has, as anybody finds who searches now: without what
    /// was not refreshed yet. Blocking.
    pub fn searchable(
        &self,
        spec: &IndexSpec,
        column: &str,
        values: &[String],
    ) -> Result<Vec<String>, Trouble> {
        searchable(&self.client, &spec.index(&self.settings.name), column, values)
    }

    fn survey(&self, identity: Option<u128>) -> Survey<'_> {
        Survey { client: &self.client, settings: &self.settings, identity }
    }

    /// The template keeps a write from making an index that was deleted, so it must be the one that counts.
    async fn make_template(&self, spec: &IndexSpec, index: &str, identity: u128) -> Result<(), Trouble> {
        self.change(&format!("/_index_template/{index}"), spec.template(&self.settings, identity)).await?;
        let path = format!("/_index_template/_simulate_index/{index}");
        let doing = format!("looking for the template of {index}");
        let answer = self.client.request(&doing, Method::Post, &path, None).await?;
        let simulated = self.survey(None).good(&doing, answer)?;
        match identity_of(&simulated["template"]["mappings"]) {
            Some(store) if store == identity_text(identity) => Ok(()),
            _ => Err(self.survey(None).fault(
                index,
                "an index template of a higher priority applies to it; lower its priority below 500, or choose another name",
            )),
        }
    }

    async fn create(&self, spec: &IndexSpec, index: &str, identity: u128) -> Result<(), Trouble> {
        let doing = format!("making {index}");
        let body = spec.content(&self.settings, identity).to_string().into_bytes();
        let answer = self.client.request(&doing, Method::Put, &format!("/{index}"), Some(body)).await?;
        // Made by another host meanwhile.
        if answer.error_type() == "resource_already_exists_exception" {
            return Ok(());
        }
        self.survey(None).good(&doing, answer).map(|_| ())
    }

    async fn change(&self, path: &str, body: Value) -> Result<(), Trouble> {
        let doing = format!("putting {}", path.trim_start_matches('/'));
        let body = Some(body.to_string().into_bytes());
        let answer = self.client.request(&doing, Method::Put, path, body).await?;
        self.survey(None).good(&doing, answer).map(|_| ())
    }

    fn offer(&self, shard: u32, index: &Arc<str>, lines: Lines) -> oneshot::Receiver<Reply> {
        let (reply, receiver) = oneshot::channel();
        self.sender.push(Piece { shard, index: index.clone(), lines, reply, since: Instant::now() });
        receiver
    }
}

impl Index for ElasticsearchIndex {
    async fn put(&self, batch: Rc<DocumentBatch>) -> Result<Vec<Indexed>, Trouble> {
        let index: Arc<str> = index_name(&self.settings.name, &batch.rollup, &batch.window).into();
        let mut encoder = Encoder::new(&batch, &index);
        let mut offered: VecDeque<(Range<usize>, oneshot::Receiver<Reply>)> = VecDeque::new();
        let mut verdicts: Vec<Option<Indexed>> = vec![None; batch.starts.len()];
        let mut trouble = None;
        loop {
            while offered.len() < PIECES {
                let bytes = self.sender.bulk_bytes().min(PIECE_BYTES);
                let Some((rows, lines)) = encoder.next(bytes, PIECE_DOCUMENTS) else { break };
                offered.push_back((rows, self.offer(batch.shard, &index, lines)));
            }
            let Some((rows, reply)) = offered.pop_front() else { break };
            match reply.await {
                Ok(Reply::Judged(judged)) => {
                    for (verdict, judged) in verdicts[rows].iter_mut().zip(judged) {
                        *verdict = Some(judged);
                    }
                }
                Ok(Reply::TooLarge(lines)) => {
                    let (left, right) = lines.halve();
                    let middle = rows.start + left.ends.len();
                    for (rows, lines) in [(rows.start..middle, left), (middle..rows.end, right)] {
                        offered.push_back((rows, self.offer(batch.shard, &index, lines)));
                    }
                }
                Ok(Reply::Failed(text)) => trouble = Some(text),
                Err(_) => {
                    let url = &self.settings.url;
                    trouble = Some(format!("Elasticsearch at {url}, indexing: the request was broken off"));
                }
            }
            // What waits already is asked all the same; no more is encoded for an index that fails.
            if trouble.is_some() {
                encoder.end();
            }
        }
        match trouble {
            Some(text) if verdicts.iter().all(Option::is_none) && !verdicts.is_empty() => {
                Err(Trouble::Passing(text))
            }
            // What was judged counts all the same.
            trouble => {
                let again = || Indexed::Again(trouble.clone().unwrap_or_default());
                Ok(verdicts.into_iter().map(|verdict| verdict.unwrap_or_else(again)).collect())
            }
        }
    }
}
