//! The answer to a bulk request, judged item by item.

use clickmill_tasks::env::Indexed;
use serde_json::Value;

use crate::answer::Answer;

/// What the answer must hold to be judged, and no more.
pub(crate) const FILTER: &str = "filter_path=items.*.status,items.*.error.type,items.*.error.reason";

/// How a bulk request went.
#[derive(Debug, PartialEq)]
pub(crate) enum Outcome {
    /// By piece.
    Judged { verdicts: Vec<Verdicts>, overloaded: bool },
    /// It is too large as a whole.
    TooLarge(String),
    /// None of it counts as done.
    Failed { text: String, overloaded: bool },
}

/// What was said of the documents of one piece.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Verdicts {
    /// One a document.
    pub(crate) verdicts: Vec<Indexed>,
    /// Something is wrong with the index.
    pub(crate) trouble: bool,
    /// It is not there.
    pub(crate) no_index: bool,
}

/// Judges an answer for pieces of so many documents each. `doing` begins what is said of a failure.
pub(crate) fn judge(answer: &Answer, pieces: &[usize], doing: &str) -> Outcome {
    if answer.status == 413 {
        return Outcome::TooLarge(answer.fault());
    }
    if !answer.ok() {
        let overloaded = matches!(answer.status, 429 | 502..=504);
        return Outcome::Failed { text: format!("{doing}: {}", answer.fault()), overloaded };
    }
    let documents: usize = pieces.iter().sum();
    let items = match answer.body["items"].as_array() {
        Some(items) if items.len() == documents => items,
        _ => {
            let text = match answer.body.is_null() {
                true => format!("{doing}: {}", answer.looks()),
                false => format!("{doing}: {}: an answer without a verdict for each document", answer.status),
            };
            return Outcome::Failed { text, overloaded: false };
        }
    };
    let mut items = items.iter().map(|item| &item["index"]);
    let mut overloaded = false;
    let verdicts = pieces.iter().map(|&count| {
        let mut of_piece = Verdicts::default();
        for result in items.by_ref().take(count) {
            let kind = result["error"]["type"].as_str().unwrap_or_default();
            let verdict = judge_item(result, kind);
            if matches!(verdict, Indexed::Again(_)) {
                // A block, for a disk that is full, bears this status too.
                let busy = result["status"] == 429 && kind != "cluster_block_exception";
                overloaded |= busy;
                of_piece.trouble |= !busy;
                of_piece.no_index |= kind == "index_not_found_exception";
            }
            of_piece.verdicts.push(verdict);
        }
        of_piece
    });
    let verdicts = verdicts.collect();
    Outcome::Judged { verdicts, overloaded }
}

fn judge_item(result: &Value, kind: &str) -> Indexed {
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
        answer(200, json!({"items": items}))
    }

    fn answer(status: u16, body: Value) -> Answer {
        Answer { status, body, ..Answer::default() }
    }

    fn error(status: u16, kind: &str) -> Value {
        json!({"index": {"status": status, "error": {"type": kind, "reason": "why"}}})
    }

    #[test]
    fn every_item_is_judged() {
        let answer = items(json!([
            {"index": {"status": 201}},
            {"index": {"status": 200}},
            error(409, "version_conflict_engine_exception"),
            error(400, "document_parsing_exception"),
            error(400, "index_closed_exception"),
            error(429, "es_rejected_execution_exception"),
            error(503, "unavailable_shards_exception"),
            error(403, "cluster_block_exception"),
            {"index": {}},
        ]));
        let Outcome::Judged { verdicts, overloaded: true } = judge(&answer, &[9], "at") else { panic!() };
        let verdicts = &verdicts[0].verdicts;
        assert!(verdicts[..3].iter().all(|verdict| *verdict == Indexed::Acknowledged));
        assert_eq!(verdicts[3], Indexed::Refused("400 document_parsing_exception: why".into()));
        assert!(verdicts[4..].iter().all(|verdict| matches!(verdict, Indexed::Again(_))), "{verdicts:?}");
    }

    #[test]
    fn each_piece_has_its_own_verdicts() {
        let answer = items(json!([
            {"index": {"status": 201}},
            error(404, "index_not_found_exception"),
            error(404, "index_not_found_exception"),
            error(429, "es_rejected_execution_exception"),
            error(429, "cluster_block_exception"),
        ]));
        let Outcome::Judged { verdicts, overloaded: true } = judge(&answer, &[1, 2, 1, 1], "at") else {
            panic!()
        };
        let seen: Vec<_> = verdicts.iter().map(|of| (of.verdicts.len(), of.trouble, of.no_index)).collect();
        assert_eq!(seen, [(1, false, false), (2, true, true), (1, false, false), (1, true, false)]);
        let full = items(json!([error(429, "cluster_block_exception")]));
        assert!(matches!(judge(&full, &[1], "at"), Outcome::Judged { overloaded: false, .. }));
    }

    #[test]
    fn an_answer_that_leaves_a_document_out_counts_for_none() {
        let failed = |answer: &Answer, pieces: &[usize]| match judge(answer, pieces, "at") {
            Outcome::Failed { text, overloaded } => (text, overloaded),
            outcome => panic!("{outcome:?}"),
        };
        let short = items(json!([{"index": {"status": 201}}]));
        assert_eq!(
            failed(&short, &[1, 1]),
            ("at: 200: an answer without a verdict for each document".into(), false)
        );
        assert_eq!(failed(&answer(200, Value::Null), &[1]), ("at: 200: no reason given".into(), false));
        assert!(!failed(&answer(401, Value::Null), &[1]).1);
        for status in [429, 502, 503, 504] {
            assert!(failed(&answer(status, Value::Null), &[1]).1);
        }
        assert!(matches!(judge(&answer(413, Value::Null), &[1], "at"), Outcome::TooLarge(_)));
    }
}
