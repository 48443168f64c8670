//! The moments of a commit at which a host may be made to die, so that what comes after is seen to be right.

use std::{fmt, str::FromStr};

/// A moment in the life of a task. Between any two of them another part of a commit is known to have happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// The take-over is in the row; neither state nor source were read.
    TakenOver,
    /// Everything that the next row will list is durable; the row is as before.
    Written,
    /// The row is known to have changed; none of the commit's effects has begun.
    Swapped,
    /// Deltas were handed on and the offset committed; blocks that the row does not list any more are still there.
    HandedOn,
    /// All of the commit is done.
    Tidied,
    /// The index has answered; the row does not know it.
    Indexed,
}

impl Point {
    /// All points, in the order of a task's life.
    pub const ALL: [Point; 6] =
        [Point::TakenOver, Point::Written, Point::Swapped, Point::HandedOn, Point::Tidied, Point::Indexed];

    /// Its name, as in `partition-written`.
    pub fn name(self) -> &'static str {
        match self {
            Point::TakenOver => "taken-over",
            Point::Written => "written",
            Point::Swapped => "swapped",
            Point::HandedOn => "handed-on",
            Point::Tidied => "tidied",
            Point::Indexed => "indexed",
        }
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Point {
    type Err = String;

    fn from_str(name: &str) -> Result<Point, String> {
        let names = || Point::ALL.map(Point::name).join(", ");
        let found = Point::ALL.into_iter().find(|point| point.name() == name);
        found.ok_or_else(|| format!("`{name}` is no point of a commit; there are {}", names()))
    }
}
