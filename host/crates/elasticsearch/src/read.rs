//! Documents, read back. Blocking; meant for commands, not for tasks.

use std::{collections::HashMap, sync::Arc, vec};

use clickmill_columns::{Field, Kind};
use clickmill_tasks::{
    env::Trouble,
    read::{DocumentFilter, StoredDocument, Value as Stored},
};
use elasticsearch::http::Method;
use serde_json::{Value, json};

use crate::{client::Client, layout::IndexSpec};

const PAGE: usize = 5_000;
/// How long the index keeps a scan open between two pages.
const SCROLL: &str = "2m";

/// Documents in no order; ends after the first trouble.
pub struct Documents {
    client: Arc<Client>,
    specs: HashMap<String, IndexSpec>,
    state: State,
    page: vec::IntoIter<Value>,
}

enum State {
    /// The query.
    New(Value),
    Open(String),
    Done,
}

impl Documents {
    pub(crate) fn new(
        client: Arc<Client>,
        name: &str,
        specs: &[IndexSpec],
        filter: &DocumentFilter,
    ) -> Documents {
        let wanted = |spec: &&IndexSpec| {
            filter.rollup.as_ref().is_none_or(|rollup| **rollup == *spec.rollup)
                && filter.window.as_ref().is_none_or(|window| **window == *spec.window)
        };
        let specs: HashMap<String, IndexSpec> =
            specs.iter().filter(wanted).map(|spec| (spec.index(name), spec.clone())).collect();
        let state = if specs.is_empty() { State::Done } else { State::New(query(filter)) };
        Documents { client, specs, state, page: Vec::new().into_iter() }
    }

    fn fill(&mut self) -> Result<(), Trouble> {
        let (path, body) = match &self.state {
            State::Done => return Ok(()),
            State::New(query) => {
                let indices = self.specs.keys().map(String::as_str).collect::<Vec<_>>().join(",");
                // What is acknowledged is to be seen. Whoever may only read sees it a second later.
                let _ = self.client.request_blocking(
                    "refreshing",
                    Method::Post,
                    &format!("/{indices}/_refresh"),
                    None,
                )?;
                let body = json!({
                    "size": PAGE,
                    "query": query,
                    "sort": ["_doc"],
                    "version": true,
                    "docvalue_fields": [{"field": "@timestamp", "format": "epoch_millis"}],
                });
                (format!("/{indices}/_search?scroll={SCROLL}"), body)
            }
            State::Open(scroll) => {
                ("/_search/scroll".to_owned(), json!({"scroll": SCROLL, "scroll_id": scroll}))
            }
        };
        let about = format!("Elasticsearch at {}, reading documents", self.client.url());
        let body = body.to_string().into_bytes();
        let answer = self.client.request_blocking("reading documents", Method::Post, &path, Some(body))?;
        if !answer.ok() {
            let text = format!("{about}: {}", answer.fault());
            return Err(if matches!(answer.status, 400 | 404) {
                Trouble::Final(text)
            } else {
                Trouble::Passing(text)
            });
        }
        let failed = answer.body["_shards"]["failed"].as_u64().unwrap_or_default();
        if failed > 0 {
            return Err(Trouble::Passing(format!("{about}: {failed} shards did not answer")));
        }
        let mut body = answer.body;
        if let Value::String(scroll) = body["_scroll_id"].take() {
            self.state = State::Open(scroll);
        }
        let Value::Array(hits) = body["hits"]["hits"].take() else {
            return Err(Trouble::Passing(format!("{about}: an answer without hits")));
        };
        if hits.is_empty() {
            self.close();
        }
        self.page = hits.into_iter();
        Ok(())
    }

    fn close(&mut self) {
        if let State::Open(scroll) = std::mem::replace(&mut self.state, State::Done) {
            let body = json!({"scroll_id": scroll}).to_string().into_bytes();
            // Forgotten by the index too, later.
            self.client.spawn("closing a scan", Method::Delete, "/_search/scroll", Some(body), |_| ());
        }
    }

    fn document(&self, hit: Value) -> Option<StoredDocument> {
        let spec = self.specs.get(hit["_index"].as_str()?)?;
        let source = &hit["_source"];
        let text = |name: &Arc<str>| source[&**name].as_str().map(str::to_owned);
        Some(StoredDocument {
            rollup: spec.rollup.clone(),
            window: spec.window.clone(),
            start: hit["fields"]["@timestamp"][0].as_str()?.parse().ok()?,
            window_millis: spec.window_millis,
            by: spec.by.iter().map(|name| (name.clone(), text(name))).collect(),
            fields: spec
                .fields
                .iter()
                .map(|field| (field.name.as_str().into(), value(field, source)))
                .collect(),
            version: hit["_version"].as_u64()?,
        })
    }
}

impl Iterator for Documents {
    type Item = Result<StoredDocument, Trouble>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(hit) = self.page.next() {
                let foreign =
                    || Trouble::Final(format!("Elasticsearch at {}: a foreign document", self.client.url()));
                return Some(self.document(hit).ok_or_else(foreign));
            }
            if matches!(self.state, State::Done) {
                return None;
            }
            if let Err(trouble) = self.fill() {
                self.close();
                self.state = State::Done;
                return Some(Err(trouble));
            }
        }
    }
}

impl Drop for Documents {
    fn drop(&mut self) {
        self.close();
    }
}

/// Which of these values of a grouping column some document of the index has, as anybody finds who searches now.
pub(crate) fn searchable(
    client: &Client,
    index: &str,
    column: &str,
    values: &[String],
) -> Result<Vec<String>, Trouble> {
    let body = json!({"size": PAGE, "_source": [column], "query": {"terms": {column: values}}});
    let body = body.to_string().into_bytes();
    let path = format!("/{index}/_search?ignore_unavailable=true");
    let answer = client.request_blocking("searching", Method::Post, &path, Some(body))?;
    let hits = answer.body["hits"]["hits"].as_array().into_iter().flatten();
    Ok(hits.filter_map(|hit| hit["_source"][column].as_str().map(str::to_owned)).collect())
}

fn query(filter: &DocumentFilter) -> Value {
    let mut all = Vec::new();
    if filter.from.is_some() || filter.to.is_some() {
        let mut range = json!({"format": "epoch_millis"});
        if let Some(from) = filter.from {
            range["gte"] = from.into();
        }
        if let Some(to) = filter.to {
            range["lt"] = to.into();
        }
        all.push(json!({"range": {"@timestamp": range}}));
    }
    all.extend(filter.equal.iter().map(|(name, value)| json!({"term": {name: value}})));
    all.extend(filter.prefix.iter().map(|(name, value)| json!({"prefix": {name: value}})));
    json!({"bool": {"filter": all}})
}

fn value(field: &Field, source: &Value) -> Stored {
    let value = &source[&field.name];
    let read = match field.kind {
        Kind::Integer | Kind::Duration => value.as_i64().map(Stored::Integer),
        Kind::Unsigned => value.as_u64().map(Stored::Unsigned),
        Kind::Real => value.as_f64().map(Stored::Real),
        Kind::Boolean => value.as_bool().map(Stored::Boolean),
        Kind::Text | Kind::Instant => value.as_str().map(|text| Stored::Text(text.to_owned())),
        Kind::Json => (!value.is_null()).then(|| Stored::Json(value.to_string())),
    };
    read.unwrap_or(Stored::Null)
}

#[cfg(test)]
mod tests {
    use clickmill_columns::Family;

    use super::*;

    #[test]
    fn a_real_comes_back_to_the_last_bit() {
        let field = Field {
            name: "avg_time_seconds".into(),
            kind: Kind::Real,
            unit: "s".into(),
            family: Family::ClickData,
            doc: String::new(),
        };
        for number in [718.736 / 3.0, 0.1 + 0.2, f64::MAX, f64::MIN_POSITIVE] {
            let document = format!("{{\"avg_time_seconds\": {number}}}");
            let document: Value = serde_json::from_str(&document).unwrap();
            assert_eq!(value(&field, &document), Stored::Real(number));
        }
    }
}
