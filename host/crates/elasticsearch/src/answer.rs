//! What came back, and how it is shown.

use std::error::Error;

use serde_json::Value;

/// An answer, of whatever status.
#[derive(Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Null where the body is no JSON.
    pub(crate) body: Value,
    /// It says of itself that it is from Elasticsearch.
    pub(crate) product: bool,
    pub(crate) content_type: String,
    /// Of a body that is no JSON.
    pub(crate) beginning: String,
}

/// Why there is no answer.
pub(crate) struct NoAnswer {
    /// It did not come in time; otherwise there was no connection, or it broke.
    pub(crate) late: bool,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn ok(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Status and reason as Elasticsearch gives them, and for some what to do about it.
    pub(crate) fn fault(&self) -> String {
        let mut text = self.reason();
        if let Some(help) = self.help() {
            text.push_str("; ");
            text.push_str(help);
        }
        text
    }

    fn reason(&self) -> String {
        let error = &self.body["error"];
        let Some(reason) = error["reason"].as_str().or(error.as_str()) else {
            return self.looks();
        };
        let kind = error["type"].as_str().unwrap_or_default();
        format!("{} {kind}: {reason}", self.status).replace(" :", ":").chars().take(500).collect()
    }

    fn help(&self) -> Option<&'static str> {
        Some(match self.status {
            401 => "check `user` and `password`, or `api_key`, in [index]",
            403 if self.error_type() == "security_exception" => "give the user or API key this privilege",
            403 if self.error_type() == "cluster_block_exception" => {
                "an index is blocked, as Elasticsearch does when a disk is full: make room, or remove the block"
            }
            429 => "it has too much to do",
            502..=504 if !self.product => "a gateway answers, and Elasticsearch behind it does not",
            _ => return None,
        })
    }

    /// What an answer that says nothing of its own looks like: `200, a text/html that begins with "<html>"`.
    pub(crate) fn looks(&self) -> String {
        let kind = match self.content_type.split(';').next() {
            None | Some("") => "body without a type",
            Some(kind) => kind,
        };
        match (&self.body, &*self.beginning) {
            (Value::Null, "") => format!("{}: no reason given", self.status),
            (Value::Null, beginning) => {
                format!("{}, a {kind} that begins with \"{beginning}\"", self.status)
            }
            (body, _) => {
                let text: String = body.to_string().chars().take(60).collect();
                format!("{}, a {kind} that begins with \"{text}\"", self.status)
            }
        }
    }

    /// The type of the error, empty where there is none.
    pub(crate) fn error_type(&self) -> &str {
        self.body["error"]["type"].as_str().unwrap_or_default()
    }
}

/// The innermost error says what happened; the outer ones, where. Its text is read for one purpose only: to say what may help.
pub(crate) fn cause(error: &(dyn Error + 'static), late: bool) -> String {
    const HELP: [(&str, &str); 6] = [
        (
            "connection closed before message completed",
            "it closed the connection without an answer; if it speaks TLS, the URL begins with https://",
        ),
        (
            "invalid HTTP version parsed",
            "what answers does not speak HTTP; if it speaks TLS, the URL begins with https://",
        ),
        ("InvalidContentType", "it does not speak TLS; if it is not meant to, the URL begins with http://"),
        (
            "UnknownIssuer",
            "who signed its certificate is not trusted here; `ca_file` in [index] names the authority's certificate",
        ),
        ("NotValidForName", "its certificate is for another host name than the URL's"),
        ("not valid for name", "its certificate is for another host name than the URL's"),
    ];
    if late {
        return "no answer in time".into();
    }
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let text = cause.to_string();
    match HELP.iter().find(|(word, _)| text.contains(word)) {
        Some((_, help)) => format!("{text}; {help}"),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_fault_is_shown_by_status_and_reason() {
        let fault = |status, body| Answer { status, body, product: true, ..Answer::default() }.fault();
        assert_eq!(fault(400, json!({"error": {"type": "x", "reason": "why"}})), "400 x: why");
        assert_eq!(fault(400, json!({"error": "why"})), "400: why");
        assert_eq!(fault(500, json!(null)), "500: no reason given");
        assert_eq!(
            fault(401, json!({"error": {"type": "security_exception", "reason": "unable to authenticate"}})),
            "401 security_exception: unable to authenticate; check `user` and `password`, or `api_key`, in [index]"
        );
        assert_eq!(fault(500, json!({"a": 1})), "500, a body without a type that begins with \"{\"a\":1}\"");
    }

    #[test]
    fn an_answer_of_a_gateway_is_shown_as_what_it_looks_like() {
        let answer = Answer {
            status: 504,
            content_type: "text/html; charset=utf-8".into(),
            beginning: "<html> <h1>Gateway Time-out</h1>".into(),
            ..Answer::default()
        };
        assert_eq!(
            answer.fault(),
            "504, a text/html that begins with \"<html> <h1>Gateway Time-out</h1>\"; a gateway answers, and Elasticsearch \
             behind it does not"
        );
    }
}
