//! Which parts of a URL name the page: the defaults, and what parameters say otherwise.

use plugin_support::params::{ParamError, Params};

use crate::percent;

/// Query names that track a visitor or a campaign; a `*` at the end stands for any rest.
const TRACKING: [&str; 17] = [
    "utm_*",
    "gclid",
    "gbraid",
    "wbraid",
    "fbclid",
    "msclkid",
    "dclid",
    "yclid",
    "ttclid",
    "twclid",
    "igshid",
    "li_fat_id",
    "srsltid",
    "mc_cid",
    "mc_eid",
    "_ga",
    "_gl",
];

/// What becomes of slashes at the end of a path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TrailingSlash {
    /// They stay: by the standards `/a` and `/a/` are two pages.
    #[default]
    Keep,
    /// All of them go, but for the path `/`: on most sites `/a` and `/a/` are one page.
    Drop,
}

/// The parameters as validated.
#[derive(Clone, Debug)]
pub struct Rules {
    drop: Patterns,
    keep: Patterns,
    /// Whether the fragment names a page, as on sites whose pages are drawn by scripts.
    pub keep_fragment: bool,
    pub trailing_slash: TrailingSlash,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            drop: Patterns::new(TRACKING.iter().map(|name| Pattern::new(name))),
            keep: Patterns::new([]),
            keep_fragment: false,
            trailing_slash: TrailingSlash::Keep,
        }
    }
}

impl Rules {
    /// Reads the parameters.
    pub fn read(params: &str) -> Result<Self, ParamError> {
        let params = Params::read(params, &["drop", "keep", "keep_fragment", "trailing_slash"])?;
        let (drop, keep) = (patterns(&params, "drop")?, patterns(&params, "keep")?);
        if let Some(both) = drop.iter().find(|pattern| keep.contains(pattern)) {
            let reason = format!("`{}` is in `drop` too", both.written());
            return Err(ParamError::Value { name: "keep", reason });
        }
        let mut rules = Self::default();
        drop.into_iter().for_each(|pattern| rules.drop.add(pattern));
        rules.keep = Patterns::new(keep);
        rules.keep_fragment = params.flag("keep_fragment")?;
        rules.trailing_slash = match params.text("trailing_slash")? {
            None | Some("keep") => TrailingSlash::Keep,
            Some("drop") => TrailingSlash::Drop,
            Some(other) => {
                let reason = format!("`{other}` must be `keep` or `drop`");
                return Err(ParamError::Value { name: "trailing_slash", reason });
            }
        };
        Ok(rules)
    }

    /// Whether a piece of a query stays: no pattern drops its name, or one keeps it all the same.
    pub fn keeps(&self, piece: &[u8]) -> bool {
        !self.drop.match_name_of(piece) || self.keep.match_name_of(piece)
    }
}

/// Patterns by the byte that a name begins with: few names need a look at any.
#[derive(Clone, Debug)]
struct Patterns(Vec<Vec<Pattern>>);

impl Patterns {
    fn new(patterns: impl IntoIterator<Item = Pattern>) -> Self {
        let mut all = Self(vec![Vec::new(); 256]);
        patterns.into_iter().for_each(|pattern| all.add(pattern));
        all
    }

    fn add(&mut self, pattern: Pattern) {
        let first = pattern.text.bytes().next();
        for (byte, patterns) in (0u8..).zip(&mut self.0) {
            if first.is_none_or(|first| first == byte.to_ascii_lowercase()) {
                patterns.push(pattern.clone());
            }
        }
    }

    fn match_name_of(&self, piece: &[u8]) -> bool {
        let patterns = piece.first().map_or(&[][..], |&first| &self.0[usize::from(first)]);
        if patterns.is_empty() {
            return false;
        }
        let name = piece.split(|&byte| byte == b'=').next().unwrap_or_default();
        patterns.iter().any(|pattern| pattern.matches(name))
    }
}

/// A query name, or the beginning of one, in any case.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pattern {
    text: String,
    is_prefix: bool,
}

impl Pattern {
    fn new(written: &str) -> Self {
        let (text, is_prefix) = written.strip_suffix('*').map_or((written, false), |prefix| (prefix, true));
        Self { text: percent::uniform(text).to_ascii_lowercase(), is_prefix }
    }

    fn written(&self) -> String {
        format!("{}{}", self.text, if self.is_prefix { "*" } else { "" })
    }

    fn matches(&self, name: &[u8]) -> bool {
        match name.split_at_checked(self.text.len()) {
            Some((start, rest)) => {
                (self.is_prefix || rest.is_empty()) && start.eq_ignore_ascii_case(self.text.as_bytes())
            }
            None => false,
        }
    }
}

/// The names that a parameter lists.
fn patterns(params: &Params, parameter: &'static str) -> Result<Vec<Pattern>, ParamError> {
    let wrong = |reason: String| ParamError::Value { name: parameter, reason };
    let pattern = |written: &&str| match written {
        &"" => Err(wrong("a name is empty".into())),
        name if name.contains(['&', '=']) => {
            Err(wrong(format!("`{name}` is no query name: it holds `&` or `=`")))
        }
        name if name.trim_end_matches('*').contains('*') || name.ends_with("**") => {
            Err(wrong(format!("`{name}`: a `*` may only be the end")))
        }
        name if !name.is_ascii() => Err(wrong(format!("`{name}` must be written percent-encoded"))),
        name => Ok(Pattern::new(name)),
    };
    params.texts(parameter)?.iter().map(pattern).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(params: &str) -> String {
        Rules::read(params).unwrap_err().to_string()
    }

    #[test]
    fn every_error_names_its_parameter() {
        assert!(error(r#"{"dropp": []}"#).contains("unknown parameter `dropp`"));
        assert_eq!(error(r#"{"drop": "a"}"#), "parameter `drop` must be a list of texts");
        assert_eq!(error(r#"{"drop": [""]}"#), "parameter `drop`: a name is empty");
        assert_eq!(
            error(r#"{"keep": ["a=b"]}"#),
            "parameter `keep`: `a=b` is no query name: it holds `&` or `=`"
        );
        assert_eq!(error(r#"{"keep": ["a*b"]}"#), "parameter `keep`: `a*b`: a `*` may only be the end");
        assert_eq!(error(r#"{"keep": ["ü"]}"#), "parameter `keep`: `ü` must be written percent-encoded");
        assert_eq!(error(r#"{"keep": ["A"], "drop": ["a"]}"#), "parameter `keep`: `a` is in `drop` too");
        assert_eq!(error(r#"{"keep_fragment": "yes"}"#), "parameter `keep_fragment` must be true or false");
        assert_eq!(
            error(r#"{"trailing_slash": "add"}"#),
            "parameter `trailing_slash`: `add` must be `keep` or `drop`"
        );
    }

    #[test]
    fn names_match_whole_and_in_any_case() {
        let rules = Rules::read(r#"{"drop": ["%61b", "p-*"]}"#).unwrap();
        for dropped in ["ab", "AB=1", "p-", "P-x=1", "gclid=", "UTM_X", "_ga"] {
            assert!(!rules.keeps(dropped.as_bytes()), "{dropped}");
        }
        for kept in ["a", "abc", "p", "=ab", "utm", "gclid2", "ünder"] {
            assert!(rules.keeps(kept.as_bytes()), "{kept}");
        }
    }
}
