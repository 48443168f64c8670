//! What the parameters ask for.

use crate::bindings::clickmill::plugin::columns::Failure;

/// What to do in which call, and about which events.
pub struct Misdeed {
    at: String,
    what: String,
    /// Ids as [`is_among`] takes them; empty: no event is needed.
    pub id: String,
}

impl Misdeed {
    /// Out of `{"at": "...", "do": "...", "id": "..."}`.
    pub fn read(params: &str) -> Misdeed {
        Misdeed { at: setting(params, "at"), what: setting(params, "do"), id: setting(params, "id") }
    }

    /// Whether it is this one.
    pub fn is(&self, call: &str, what: &str) -> bool {
        self.at == call && self.what == what
    }

    /// Commits the misdeed if this is the call for it and such an event is among its rows.
    pub fn meet(&self, call: &str, ids: &[String]) -> Result<(), Failure> {
        let row = ids.iter().position(|id| is_among(&self.id, id));
        if self.at != call || (row.is_none() && !self.id.is_empty()) {
            return Ok(());
        }
        match self.what.as_str() {
            "trap" => panic!("no taste for {}", row.map_or("", |row| &ids[row])),
            "loop" => loop {
                std::hint::black_box(0);
            },
            "hoard" => {
                let mut all = Vec::new();
                loop {
                    all.push(std::hint::black_box(vec![1u8; 1 << 20]));
                }
            }
            "row" => Err(Failure::Row((row.unwrap_or(0) as u32, "not this one".into()))),
            _ => Err(Failure::Call("no wish to".into())),
        }
    }
}

/// Whether an id is among some, with blanks between them; one that ends in `*` stands for all that begin so.
pub fn is_among(ids: &str, id: &str) -> bool {
    let is = |some: &str| some == id || some.strip_suffix('*').is_some_and(|begin| id.starts_with(begin));
    ids.split_whitespace().any(is)
}

/// A text among the parameters; empty if it is not there.
pub fn setting(params: &str, name: &str) -> String {
    let rest = params.split_once(&format!("\"{name}\"")).map_or("", |(_, rest)| rest);
    rest.split('"').nth(1).unwrap_or_default().to_owned()
}
