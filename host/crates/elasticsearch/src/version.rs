//! Whether it is Elasticsearch that answers, and which.

use std::fmt;

use crate::answer::Answer;

/// The version of an Elasticsearch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// As it says it: `8.19.13`.
    pub number: String,
}

impl Version {
    /// Whether it is of a line that clickmill is made for: 8 or 9.
    pub fn supported(&self) -> bool {
        matches!(self.number.split('.').next(), Some("8" | "9"))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.number)
    }
}

/// What the answer to `GET /` says; or what it looks like instead.
pub(crate) fn version(answer: &Answer) -> Result<Version, String> {
    let of = &answer.body["version"];
    let number = of["number"].as_str();
    if let Some(distribution) = of["distribution"].as_str() {
        let number = number.unwrap_or("of no version");
        return Err(format!("{distribution} {number} answers, which is no Elasticsearch"));
    }
    let said = answer.product || answer.body["tagline"] == "You Know, for Search";
    match number {
        Some(number) if said => Ok(Version { number: number.into() }),
        _ => Err(format!("what answers is no Elasticsearch ({}); check the URL", answer.looks())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(body: serde_json::Value, product: bool) -> Result<Version, String> {
        version(&Answer { status: 200, body, product, ..Answer::default() })
    }

    #[test]
    fn only_elasticsearch_is_taken_for_it() {
        let number = |number: &str| Ok(Version { number: number.into() });
        assert_eq!(of(json!({"version": {"number": "8.19.1"}}), true), number("8.19.1"));
        let tagline = "You Know, for Search";
        assert_eq!(of(json!({"version": {"number": "9.0.0"}, "tagline": tagline}), false), number("9.0.0"));
        assert_eq!(
            of(
                json!({"version": {"number": "2.11.0", "distribution": "opensearch"}, "tagline": tagline}),
                false
            ),
            Err("opensearch 2.11.0 answers, which is no Elasticsearch".into())
        );
        assert_eq!(
            of(json!({"version": {"number": "1"}}), false),
            Err("what answers is no Elasticsearch (200, a body without a type that begins with \
                 \"{\"version\":{\"number\":\"1\"}}\"); check the URL"
                .into())
        );
    }

    #[test]
    fn eight_and_nine_are_supported() {
        let supported = |number: &str| Version { number: number.into() }.supported();
        assert!(supported("8.0.0") && supported("9.4.3"));
        assert!(!supported("7.17.0") && !supported("10.0.0") && !supported("80.1"));
    }
}
