//! The answer to a bulk request, judged item by item.

use clickmill_tasks::env::Indexed;
use serde_json::Value;

use crate::client::Answer;

/// What the answer must hold to be judged, and no more.
pub(crate) const FILTER: &str = "filter_path=items.*.status,items.*.error.type,items.*.error.reason";

/// How a bulk request went.
#[derive(Debug, PartialEq)]
pub(crate) enum Outcome {
    /// One verdict a document.
    Judged(Vec<Indexed>),
    /// It is too large as a whole.
    TooLarge(String),
    /// The index is not there.
    NoIndex,
    /// None of it counts as done.
    Failed(String),
}

pub(crate) fn judge(answer: &Answer, documents: usize) -> Outcome {
    if answer.status == 413 {
        return Outcome::TooLarge(answer.fault());
    }
    if answer.error_type() == "index_not_found_exception" {
        return Outcome::NoIndex;
    }
    if !answer.ok() {
        return Outcome::Failed(answer.fault());
    }
    match answer.body["items"].as_array() {
        Some(items) if items.len() == documents => {
            let results = items.iter().map(|item| &item["index"]);
            if results.clone().any(|result| result["error"]["type"] == "index_not_found_exception") {
                return Outcome::NoIndex;
            }
            Outcome::Judged(results.map(judge_item).collect())
        }
        _ => Outcome::Failed(format!("{}: an answer without a verdict for each document", answer.status)),
    }
}

fn judge_item(result: &Value) -> Indexed {
    let kind = result["error"]["type"].as_str().unwrap_or_default();
    let reason = || {
        let reason = result["error"]["reason"].as_str().unwrap_or_default();
        format!("{} {kind}: {reason}", result["status"]).chars().take(500).collect()
    };
    match result["status"].as_u64() {
        Some(200..300) => Indexed::Acknowledged,
        // Something newer, or this very version, is there.
        Some(409) if kind == "version_conflict_engine_exception" => Indexed::Acknowledged,
        // Nothing is wrong with the document.
        Some(400) if kind == "index_closed_exception" => Indexed::Again(reason()),
        Some(400) => Indexed::Refused(reason()),
        _ => Indexed::Again(reason()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn items(items: Value) -> Answer {
        Answer { status: 200, body: json!({"items": items}) }
    }

    #[test]
    fn every_item_is_judged() {
        let error = |kind: &str| json!({"type": kind, "reason": "why"});
        let answer = items(json!([
            {"index": {"status": 201}},
            {"index": {"status": 200}},
            {"index": {"status": 409, "error": error("version_conflict_engine_exception")}},
            {"index": {"status": 400, "error": error("document_parsing_exception")}},
            {"index": {"status": 400, "error": error("index_closed_exception")}},
            {"index": {"status": 429, "error": error("es_rejected_execution_exception")}},
            {"index": {"status": 503, "error": error("unavailable_shards_exception")}},
            {"index": {"status": 403, "error": error("cluster_block_exception")}},
            {"index": {}},
        ]));
        let Outcome::Judged(verdicts) = judge(&answer, 9) else { panic!() };
        assert!(verdicts[..3].iter().all(|verdict| *verdict == Indexed::Acknowledged));
        assert_eq!(verdicts[3], Indexed::Refused("400 document_parsing_exception: why".into()));
        assert!(verdicts[4..].iter().all(|verdict| matches!(verdict, Indexed::Again(_))), "{verdicts:?}");
    }

    #[test]
    fn an_answer_that_leaves_a_document_out_counts_for_none() {
        let answer = items(json!([{"index": {"status": 201}}]));
        assert!(matches!(judge(&answer, 2), Outcome::Failed(_)));
        assert!(matches!(judge(&Answer { status: 200, body: Value::Null }, 1), Outcome::Failed(_)));
        assert!(matches!(judge(&Answer { status: 401, body: Value::Null }, 1), Outcome::Failed(_)));
        assert!(matches!(judge(&Answer { status: 413, body: Value::Null }, 1), Outcome::TooLarge(_)));
    }

    #[test]
    fn a_missing_index_is_no_matter_of_documents() {
        let error = json!({"type": "index_not_found_exception", "reason": "no such index"});
        let answer = items(json!([{"index": {"status": 404, "error": error}}]));
        assert_eq!(judge(&answer, 1), Outcome::NoIndex);
    }
}
