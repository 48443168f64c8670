//! Batches of payloads become columns: the required fields are judged, the wanted ones built.
//!
//! It promises that a payload's answer is the same in every batch, and that nothing in a payload makes it fail: a payload is
//! an event or a reject. Only a call that breaks the plugin contract fails.

use crate::bindings::clickmill::plugin::columns::{Reject, Values};
use crate::bindings::exports::clickmill::plugin::parser::Parsed;
use crate::cells::{self, Made};
use crate::columns::{Cell, Column};
use crate::fields::{Rule, TIMESTAMP, URL, USER_ID};
use crate::find::Finder;
use crate::instant::Clock;
use crate::json::{Shape, Value};
use crate::plan::Plan;
use crate::reject::{self, Flaw};
use crate::settings::{Field, Settings};

/// What stands in for an absent event type and an absent country; every reply's `made` begins with the two.
const PAGE_VIEW: &[u8] = b"page_view";
const NO_COUNTRY: &[u8] = b"ZZ";

/// Parses batches; remembers nothing from one to the next but what makes it fast.
pub struct Parser {
    settings: Settings,
    clock: Clock,
    work: Option<Work>,
}

/// What serves one choice of wanted outputs.
struct Work {
    wanted: Vec<String>,
    /// The required fields, then the wanted ones that are not among them.
    fields: Vec<Field>,
    /// For each wanted output, its place in `fields`, and its rule.
    columns: Vec<(usize, Rule)>,
    finder: Finder,
}

impl Parser {
    pub fn new(settings: Settings) -> Self {
        let clock = Clock::new(settings.assume_offset);
        Self { settings, clock, work: None }
    }

    /// The events and rejects of a batch; the error says how the call broke the plugin contract.
    pub fn parse(&mut self, payloads: &Values, wanted: &[String]) -> Result<Parsed, String> {
        check(payloads)?;
        let work = match self.work.take() {
            Some(work) if work.wanted == wanted => work,
            _ => Work::new(&self.settings, wanted)?,
        };
        Ok(self.work.insert(work).parse(payloads, &mut self.clock))
    }
}

/// Checks that the ends cut the bytes into payloads, and that places leave room for the text made.
fn check(payloads: &Values) -> Result<(), String> {
    let last = payloads.ends.last().copied().unwrap_or(0);
    if !payloads.ends.is_sorted() || usize::try_from(last) != Ok(payloads.bytes.len()) {
        return Err("the ends of the payloads do not fit their bytes".to_owned());
    }
    if last > u32::MAX / 8 {
        return Err(format!("a batch of {last} bytes is too large; at most {}", u32::MAX / 8));
    }
    Ok(())
}

/// Where a payload ends that may be a line with its end: what is said of it is the same however it came, and lies within it.
#[inline(always)]
fn without_line_end(batch: &[u8], start: usize, end: usize) -> usize {
    match batch.get(start..end) {
        Some([.., b'\r', b'\n']) => end - 2,
        Some([.., b'\n' | b'\r']) => end - 1,
        _ => end,
    }
}

impl Work {
    fn new(settings: &Settings, wanted: &[String]) -> Result<Self, String> {
        let mut plan = Plan::new(settings, wanted).map_err(|name| format!("there is no output `{name}`"))?;
        let finder = Finder::new(&mut plan);
        let columns = plan.columns.into_iter().map(|field| (field, plan.fields[field].rule)).collect();
        Ok(Self { wanted: wanted.to_vec(), fields: plan.fields, columns, finder })
    }

    fn parse(&mut self, payloads: &Values, clock: &mut Clock) -> Parsed {
        let batch = payloads.bytes.as_slice();
        let mut made = Made::new(batch.len());
        let mut columns = self.columns(payloads.ends.len(), &mut made);
        let mut rejects = Vec::new();
        let mut start = 0;
        for (row, end) in (0_u32..).zip(&payloads.ends) {
            let end = *end as usize;
            match self.event(row, batch, start, end, clock) {
                Ok(instant) => {
                    for (column, (field, rule)) in columns.iter_mut().zip(&self.columns) {
                        match self.finder.found(*field) {
                            Some((value, _)) if cells::stands_as_it_is(*rule, value) => {
                                column.push_place(value.start, value.end - value.start);
                            }
                            Some(_) if *rule == Rule::Timestamp => column.push(Cell::Integer(instant)),
                            Some((value, _)) => {
                                column.push(cells::cell(*rule, value, batch, &mut made, clock))
                            }
                            None => column.push(Cell::Absent),
                        }
                    }
                }
                Err(reject) => {
                    columns.iter_mut().for_each(Column::push_anything);
                    rejects.push(reject);
                }
            }
            start = end;
        }
        Parsed {
            unusable: columns.iter().map(|column| column.unusable).collect(),
            columns: columns.into_iter().map(Column::finish).collect(),
            made: made.bytes,
            rejects,
            skipped: Vec::new(),
        }
    }

    fn columns(&self, rows: usize, made: &mut Made) -> Vec<Column> {
        let (page_view, no_country) = (made.add(PAGE_VIEW), made.add(NO_COUNTRY));
        let column = |(_, rule): &(usize, Rule)| {
            let default = match rule {
                Rule::EventType => page_view,
                Rule::Country => no_country,
                _ => Cell::Absent,
            };
            Column::new(*rule, rows, default)
        };
        self.columns.iter().map(column).collect()
    }

    /// Whether a payload is an event; its time.
    #[inline(always)]
    fn event(
        &mut self,
        row: u32,
        batch: &[u8],
        start: usize,
        end: usize,
        clock: &mut Clock,
    ) -> Result<i64, Reject> {
        let end = without_line_end(batch, start, end);
        let looked = self.finder.look(batch, start, end);
        looked.map_err(|refusal| reject::refused(row, batch, start, end, refusal))?;
        self.judge(batch, clock).map_err(|(field, flaw)| {
            let known = &self.fields[field];
            let path = self.finder.found(field).and_then(|(_, rank)| known.paths.get(rank));
            let path = path.map_or_else(String::new, ToString::to_string);
            reject::flawed(row, batch, start, &known.name, &path, &flaw)
        })
    }

    /// Judges the required fields in their order; the event's time.
    #[inline(always)]
    fn judge(&self, batch: &[u8], clock: &mut Clock) -> Result<i64, (usize, Flaw)> {
        let value = self.required(USER_ID)?;
        if !cells::is_user_id(batch, value) {
            return Err((USER_ID, Flaw::UserId(value)));
        }
        let value = self.required(TIMESTAMP)?;
        let instant =
            cells::moment(batch, value, clock).map_err(|wrong| (TIMESTAMP, Flaw::Timestamp(value, wrong)))?;
        let value = self.required(URL)?;
        if !matches!(value.shape, Shape::Plain | Shape::Escaped) {
            return Err((URL, Flaw::Url(value)));
        }
        Ok(instant)
    }

    #[inline(always)]
    fn required(&self, field: usize) -> Result<Value, (usize, Flaw)> {
        match self.finder.found(field) {
            None => Err((field, Flaw::Missing)),
            Some((value, _)) if cells::is_empty(value) => Err((field, Flaw::Empty(value))),
            Some((value, _)) => Ok(value),
        }
    }
}
