//! A table for people: aligned columns, numbers to the right, text to the left. Where a row is too wide for the terminal, what
//! says least goes first: long headings take several lines, then goes what all cells share, and last the middle of long text.

use std::{fmt, sync::Arc};

use serde_json::Value;

use crate::{columns::Columns, output::text};

/// The width of a row where no terminal limits it: whole URLs, but no value of a megabyte that all other rows are padded to.
const NO_TERMINAL: usize = 500;

/// Text is cut to no fewer characters.
const LEAST: usize = 12;

const GAP: &str = "  ";

pub struct Table {
    names: Vec<Arc<str>>,
    hidden: Vec<&'static str>,
    rows: Vec<Vec<Value>>,
}

impl Table {
    pub fn new(columns: &Columns) -> Table {
        Table { names: columns.names().to_vec(), hidden: Vec::new(), rows: Vec::new() }
    }

    /// Columns that are not worth their room, since who reads the table knows what they say.
    pub fn hide(&mut self, names: &[&'static str]) {
        self.hidden.extend_from_slice(names);
    }

    /// One value for each column.
    pub fn push(&mut self, row: Vec<Value>) {
        self.rows.push(row);
    }

    fn columns(&self) -> Vec<Column> {
        let shown = self.names.iter().enumerate().filter(|(_, name)| !self.hidden.contains(&&***name));
        let values = |column: usize| self.rows.iter().map(move |row| row.get(column).unwrap_or(&Value::Null));
        shown.map(|(column, name)| Column::new(name, values(column))).collect()
    }

    fn write(&self, f: &mut impl fmt::Write, width: usize) -> fmt::Result {
        if self.rows.is_empty() {
            return writeln!(f, "no rows");
        }
        let mut columns = self.columns();
        fit(&mut columns, width);
        let height = columns.iter().map(|column| column.heading.len()).max().unwrap_or_default();
        for line in (0..height).rev() {
            write_line(f, &columns, |column| {
                column.heading.iter().rev().nth(line).map_or("", |piece| piece)
            })?;
        }
        (0..self.rows.len()).try_for_each(|row| write_line(f, &columns, |column| &column.cells[row]))
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, width())
    }
}

/// Characters in a row.
fn width() -> usize {
    let columns = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let terminal = || console::Term::stdout().size_checked().map(|(_, width)| usize::from(width));
    columns.or_else(terminal).unwrap_or(NO_TERMINAL)
}

fn write_line<'a>(
    f: &mut impl fmt::Write,
    columns: &'a [Column],
    cell: impl Fn(&'a Column) -> &'a str,
) -> fmt::Result {
    let mut line = String::new();
    for (place, column) in columns.iter().enumerate() {
        let text = middle(cell(column), column.width);
        let pad = " ".repeat(column.width - length(&text));
        line += if place == 0 { "" } else { GAP };
        line += &if column.number { pad + &text } else { text + &pad };
    }
    writeln!(f, "{}", line.trim_end())
}

struct Column {
    /// Its name, in as many lines as it takes.
    heading: Vec<String>,
    cells: Vec<String>,
    number: bool,
    width: usize,
}

impl Column {
    fn new<'a>(name: &str, values: impl Iterator<Item = &'a Value> + Clone) -> Column {
        let number = values.clone().all(|value| value.is_number() || value.is_null());
        let cells = values.map(cell).collect();
        let mut column = Column { heading: vec![name.into()], cells, number, width: 0 };
        column.measure();
        column
    }

    fn measure(&mut self) {
        let texts = self.heading.iter().chain(&self.cells);
        self.width = texts.map(|text| length(text)).max().unwrap_or_default();
    }

    /// The name in lines that are no wider than the cells, or than its longest word.
    fn break_heading(&mut self) {
        let name = self.heading.concat();
        let words: Vec<&str> = name.split_inclusive('_').collect();
        let width = self.cells.iter().map(|cell| length(cell)).chain(words.iter().map(|word| length(word)));
        let width = width.max().unwrap_or_default();
        self.heading.clear();
        for word in words {
            match self.heading.last_mut() {
                Some(line) if length(line) + length(word) <= width => line.push_str(word),
                _ => self.heading.push(word.into()),
            }
        }
        self.measure();
    }

    /// Days, where every time is the beginning of one.
    fn drop_midnight(&mut self) {
        const MIDNIGHT: &str = "T00:00:00Z";
        if self.cells.iter().all(|cell| cell.ends_with(MIDNIGHT)) {
            self.cells.iter_mut().for_each(|cell| cell.truncate(cell.len() - MIDNIGHT.len()));
            self.measure();
        }
    }

    /// URLs without their scheme, where all have the usual one.
    fn drop_scheme(&mut self) {
        const SCHEME: &str = "https://";
        if self.cells.iter().all(|cell| cell.starts_with(SCHEME)) {
            self.cells.iter_mut().for_each(|cell| drop(cell.drain(..SCHEME.len())));
            self.measure();
        }
    }
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Number(number) if number.is_f64() => format!("{:.1}", number.as_f64().unwrap_or_default()),
        other => printable(&text(other)),
    }
}

/// Text from outside never steers the terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// Makes a row of the columns as wide as this, as far as can be.
fn fit(columns: &mut [Column], width: usize) {
    let excess = |columns: &[Column]| {
        let gaps = GAP.len() * columns.len().saturating_sub(1);
        (columns.iter().map(|column| column.width).sum::<usize>() + gaps).saturating_sub(width)
    };
    let steps: [fn(&mut Column); 3] = [Column::break_heading, Column::drop_midnight, Column::drop_scheme];
    for step in steps {
        if excess(columns) > 0 {
            columns.iter_mut().for_each(step);
        }
    }
    let mut excess = excess(columns);
    let mut texts: Vec<&mut Column> = columns.iter_mut().filter(|column| !column.number).collect();
    while excess > 0 {
        texts.sort_by_key(|column| std::cmp::Reverse(column.width));
        let next = texts.get(1).map_or(LEAST, |column| column.width.max(LEAST));
        match texts.first_mut() {
            Some(widest) if widest.width > LEAST => {
                let less = excess.min((widest.width - next).max(1));
                widest.width -= less;
                excess -= less;
            }
            _ => break,
        }
    }
}

fn length(text: &str) -> usize {
    text.chars().count()
}

/// A text of at most `width` characters: the middle of a longer one is left out.
fn middle(text: &str, width: usize) -> String {
    let length = length(text);
    if length <= width {
        return text.to_owned();
    }
    let (head, tail) = ((width - 1).div_ceil(2), (width - 1) / 2);
    let begin: String = text.chars().take(head).collect();
    let end: String = text.chars().skip(length - tail).collect();
    format!("{begin}…{end}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn table(rows: &[Value]) -> Table {
        let names = rows[0].as_object().unwrap().keys().map(String::as_str);
        let mut table = Table::new(&names.collect());
        rows.iter().for_each(|row| table.push(row.as_object().unwrap().values().cloned().collect()));
        table
    }

    fn lines(table: &Table, width: usize) -> Vec<String> {
        let mut text = String::new();
        table.write(&mut text, width).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    fn two() -> Table {
        let row = |url: &str, seconds: Value| json!({"a_time": "2026-03-01T00:00:00Z", "page": url, "time_in_seconds": seconds});
        table(&[
            row("https://example.com/aaaaaaaaaa/b", json!(1.25)),
            row("https://example.com/", Value::Null),
        ])
    }

    #[test]
    fn what_fits_is_whole() {
        let expected = [
            "a_time                page                              time_in_seconds",
            "2026-03-01T00:00:00Z  https://example.com/aaaaaaaaaa/b              1.2",
            "2026-03-01T00:00:00Z  https://example.com/                            -",
        ];
        assert_eq!(lines(&two(), 71), expected);
    }

    #[test]
    fn what_says_least_goes_first() {
        let headings = [
            "                                                          time_",
            "                                                            in_",
            "a_time                page                              seconds",
            "2026-03-01T00:00:00Z  https://example.com/aaaaaaaaaa/b      1.2",
            "2026-03-01T00:00:00Z  https://example.com/                    -",
        ];
        assert_eq!(lines(&two(), 70), headings);
        assert_eq!(lines(&two(), 62)[3], "2026-03-01  https://example.com/aaaaaaaaaa/b      1.2");
        assert_eq!(lines(&two(), 52)[3], "2026-03-01  example.com/aaaaaaaaaa/b      1.2");
        assert_eq!(lines(&two(), 44)[3], "2026-03-01  example.com…aaaaaaaaa/b      1.2");
        assert_eq!(lines(&two(), 1)[3], "2026-03-01  exampl…aaa/b      1.2");
    }

    #[test]
    fn the_widest_text_gives_way_first() {
        let wide = |length: usize| "x".repeat(length);
        let table = table(&[json!({"a": wide(60), "b": wide(30), "c": wide(10)})]);
        let widths = |width| lines(&table, width)[1].split(GAP).map(length).collect::<Vec<_>>();
        assert_eq!(widths(104), [60, 30, 10]);
        assert_eq!(widths(84), [40, 30, 10]);
        assert_eq!(widths(54), [20, 20, 10]);
        assert_eq!(widths(0), [LEAST, LEAST, 10]);
    }

    #[test]
    fn only_what_all_cells_share_goes() {
        let table =
            table(&[json!({"url": "https://a.example/page"}), json!({"url": "http://a.example/page"})]);
        assert_eq!(lines(&table, 21)[1..], ["https://a.…ample/page", "http://a.example/page"]);
    }

    #[test]
    fn what_the_reader_knows_is_hidden() {
        let mut table = table(&[json!({"a": 1, "b": 2, "c": 3})]);
        table.hide(&["b", "z"]);
        assert_eq!(lines(&table, 80), ["a  c", "1  3"]);
    }

    #[test]
    fn text_never_steers_the_terminal() {
        assert_eq!(lines(&table(&[json!({"a": "b\u{1b}[2Jc\n"})]), 80)[1], "b\u{fffd}[2Jc\u{fffd}");
    }

    #[test]
    fn long_text_is_cut_in_its_middle() {
        assert_eq!(middle("abcdefghij", 5), "ab…ij");
        assert_eq!(middle("abc", 5), "abc");
    }
}
