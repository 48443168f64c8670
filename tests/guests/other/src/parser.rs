//! The parser: lines of five texts with bars between them.

use crate::{
    Instance, Other, about,
    bindings::{
        clickmill::plugin::columns::{Data, Failure, Kind, Reject, Values},
        exports::clickmill::plugin::parser::{Guest, GuestInstance, Info, Parsed},
    },
    column, field,
    misdeed::{Misdeed, is_among},
    texts, values,
};

const TEXTS: [&str; 4] = ["user_id", "url", "country", "event_id"];

impl Guest for Other {
    type Instance = Instance;

    fn describe(params: String) -> Result<Info, String> {
        let _ = Misdeed::read(&params);
        let texts = TEXTS.iter().map(|name| field(name, Kind::Text));
        Ok(Info {
            about: about(),
            outputs: [field("timestamp", Kind::Instant)].into_iter().chain(texts).collect(),
        })
    }
}

impl GuestInstance for Instance {
    fn new(params: String) -> Self {
        Instance::start(&params)
    }

    fn parse(&self, payloads: Values, wanted: Vec<String>) -> Result<Parsed, Failure> {
        let lines = texts(&payloads);
        let rows: Vec<Vec<&str>> = lines.iter().map(|line| line.trim_end().split('|').collect()).collect();
        let part = |row: &[&str], part: usize| row.get(part).copied().unwrap_or_default().to_owned();
        let ids: Vec<String> = rows.iter().map(|row| part(row, 4)).collect();
        self.misdeed.meet("parse", &ids)?;
        let mut rejects = Vec::new();
        for (number, row) in (0..).zip(&rows) {
            let reason = match part(row, 1).parse::<i64>() {
                Ok(_) if row.len() == 5 && !is_among(&self.refuse, row[4]) => continue,
                Ok(_) if row.len() == 5 => "refused",
                _ => "no-line",
            };
            rejects.push(Reject {
                row: number,
                reason: reason.into(),
                message: "it is refused".into(),
                at: None,
            });
        }
        let mut columns = Vec::new();
        for name in &wanted {
            let place = match name.as_str() {
                "user_id" => 0,
                "url" => 2,
                "country" => 3,
                "event_id" => 4,
                _ => {
                    let times = rows.iter().map(|row| part(row, 1).parse().unwrap_or(0));
                    columns.push(column(Data::Integers(times.collect())));
                    continue;
                }
            };
            columns.push(column(Data::Text(values(rows.iter().map(|row| part(row, place))))));
        }
        let unusable = vec![0; wanted.len()];
        Ok(Parsed { columns, made: Vec::new(), rejects, skipped: Vec::new(), unusable })
    }
}
