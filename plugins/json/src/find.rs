//! One walk over a payload: is it JSON, is it an object, and which values stand where a field is looked for?
//!
//! It promises: every byte is checked; a name given twice counts with its last value, and an object replaces an earlier one
//! of its name whole; answers do not depend on the payloads before, though the speed does, since names are guessed.

use crate::json::{Fault, Shape, Value};
use crate::plan::{BEGIN, Child, NOBODY, Node, Plan, Role, Target};
use crate::scan::Scanner;
use crate::text;

const MARK: &[u8] = b"\xef\xbb\xbf";

/// Why a payload cannot be looked into, in the order in which it is judged; places are bytes of the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    NotUtf8 { at: usize },
    NotJson(Fault),
    NotAnObject { at: usize, shape: Shape },
}

/// Looks into payloads and keeps what it found in the last one.
pub struct Finder {
    nodes: Vec<Node>,
    /// For each field, a bit for each of its paths that led to a value other than null.
    present: Vec<u64>,
    /// For each field, the slot of its first path.
    first: Vec<usize>,
    /// For each path, the value found last.
    values: Vec<Value>,
    /// The number of the payload.
    now: u64,
}

impl Finder {
    /// Looks for what the plan says; takes its tree.
    pub fn new(plan: &mut Plan) -> Self {
        let paths = plan.fields.iter().map(|field| field.paths.len()).sum();
        Self {
            nodes: std::mem::take(&mut plan.nodes),
            present: vec![0; plan.fields.len()],
            first: plan.slots.clone(),
            values: vec![Value::new(Shape::Null, 0, 0); paths],
            now: 0,
        }
    }

    /// Looks into the payload that stands in the batch from `start` to `end`.
    pub fn look(&mut self, batch: &[u8], start: usize, end: usize) -> Result<(), Refusal> {
        self.present.fill(0);
        self.now += 1;
        let payload = batch.get(start..end).unwrap_or_default();
        let begin = if payload.starts_with(MARK) { start + MARK.len() } else { start };
        let mut scanner = Scanner::new(batch, end);
        let walked = self.walk(&mut scanner, begin);
        if (scanner.beyond_ascii || walked.is_err())
            && let Err(error) = str::from_utf8(payload)
        {
            return Err(Refusal::NotUtf8 { at: start + error.valid_up_to() });
        }
        match walked.map_err(Refusal::NotJson)? {
            (Shape::Object, _) => Ok(()),
            (shape, at) => Err(Refusal::NotAnObject { at, shape }),
        }
    }

    /// What the payload is, and where it begins.
    fn walk(&mut self, scanner: &mut Scanner<'_>, begin: usize) -> Result<(Shape, usize), Fault> {
        let start = scanner.space(begin);
        let (shape, end) = if scanner.byte(start) == b'{' {
            (Shape::Object, self.object(scanner, start, 0, 0)?)
        } else {
            let (value, end) = scanner.value(start, 0)?;
            (value.shape, end)
        };
        scanner.finish(end)?;
        Ok((shape, start))
    }

    /// Passes over an object with members worth noting, and notes them. It calls itself, but only as deep as the settings'
    /// paths are long.
    fn object(
        &mut self,
        scanner: &mut Scanner<'_>,
        at: usize,
        node: usize,
        outside: usize,
    ) -> Result<usize, Fault> {
        let level = scanner.enter(at, outside)?;
        let mut inside = std::mem::take(&mut self.nodes[node]);
        let passed = self.members(scanner, at + 1, &mut inside, level);
        self.nodes[node] = inside;
        passed
    }

    fn members(
        &mut self,
        scanner: &mut Scanner<'_>,
        start: usize,
        node: &mut Node,
        level: usize,
    ) -> Result<usize, Fault> {
        let mut at = scanner.space(start);
        if scanner.byte(at) == b'}' {
            return Ok(at + 1);
        }
        let mut previous = BEGIN;
        loop {
            if scanner.byte(at) != b'"' {
                return Err(scanner.expected(at, "a name in quotes"));
            }
            (previous, at) = node.name(scanner, at, previous)?;
            at = scanner.colon(at)?;
            let role = node.names.role(previous);
            // What is frequent, apart, so that it stays in registers.
            at = match (role, scanner.plain_string(at)) {
                (Role::Leaf(target), Some(value)) => {
                    self.note(target, value);
                    value.end as usize + 1
                }
                (Role::Stranger, Some(value)) => value.end as usize + 1,
                (Role::Branch, _) => self.branch(scanner, at, &node.children[previous], level)?,
                (_, None) => self.other(scanner, at, role, level)?,
            };
            at = scanner.space(at);
            match scanner.byte(at) {
                b',' => at = scanner.space(at + 1),
                b'}' => return Ok(at + 1),
                _ => return Err(scanner.expected(at, "`,` or `}`")),
            }
        }
    }

    /// Passes over a value that is no plain string, and notes it if it was asked for.
    #[inline(never)]
    fn other(
        &mut self,
        scanner: &mut Scanner<'_>,
        at: usize,
        role: Role,
        level: usize,
    ) -> Result<usize, Fault> {
        let (value, end) = scanner.value(at, level)?;
        if let Role::Leaf(target) = role {
            self.note(target, value);
        }
        Ok(end)
    }

    #[inline(always)]
    fn note(&mut self, target: Target, value: Value) {
        let present = &mut self.present[target.field];
        if value.shape == Shape::Null {
            *present &= !target.bit;
        } else {
            *present |= target.bit;
            self.values[target.slot] = value;
        }
    }

    /// Passes over a member through which paths lead, or at which several end.
    #[inline(never)]
    fn branch(
        &mut self,
        scanner: &mut Scanner<'_>,
        start: usize,
        child: &Child,
        level: usize,
    ) -> Result<usize, Fault> {
        if let Some(inner) = child.node {
            self.forget(inner);
        }
        let (value, end) = match child.node {
            Some(inner) if scanner.byte(start) == b'{' => {
                let end = self.object(scanner, start, inner, level)?;
                (Value::new(Shape::Object, start, end), end)
            }
            _ => scanner.value(start, level)?,
        };
        child.targets.iter().for_each(|target| self.note(*target, value));
        Ok(end)
    }

    /// Forgets what was found in an object that another value of its name now replaces.
    fn forget(&mut self, node: usize) {
        let node = &mut self.nodes[node];
        if node.met == self.now {
            for (field, bits) in &node.below {
                self.present[*field] &= !bits;
            }
        }
        node.met = self.now;
    }

    /// The value of a field in the last payload, and by which of its paths it was found; none where no path led to a value
    /// other than null.
    #[inline(always)]
    pub fn found(&self, field: usize) -> Option<(Value, usize)> {
        let present = self.present[field];
        if present == 0 {
            return None;
        }
        let rank = present.trailing_zeros() as usize;
        Some((self.values[self.first[field] + rank], rank))
    }
}

impl Node {
    /// Passes over a name, from its opening quote: its place among the names, [`NOBODY`] for one that is not remembered, and
    /// the place behind it.
    #[inline(always)]
    fn name(
        &mut self,
        scanner: &mut Scanner<'_>,
        at: usize,
        previous: usize,
    ) -> Result<(usize, usize), Fault> {
        if let Some((place, length)) = self.names.guess(previous, scanner.words(at + 1)) {
            return Ok((place, at + length + 2));
        }
        self.unguessed(scanner, at, previous)
    }

    #[inline(never)]
    fn unguessed(
        &mut self,
        scanner: &mut Scanner<'_>,
        at: usize,
        previous: usize,
    ) -> Result<(usize, usize), Fault> {
        let (value, end) = scanner.string(at)?;
        let name = scanner.bytes(value);
        if value.shape == Shape::Escaped {
            let mut meaning = Vec::with_capacity(name.len());
            text::unescape(name, &mut meaning);
            return Ok((self.child(&meaning).unwrap_or(NOBODY), end));
        }
        let place = match self.child(name) {
            Some(child) => child,
            None => self.names.stranger(name),
        };
        self.names.follow(previous, place);
        Ok((place, end))
    }
}
