//! One column of a row group while it grows: pages are cut, encoded and compressed as they fill, and kept in memory until the
//! row group is written.
//!
//! Text gets a dictionary as long as values come again; once they do not, it is written as it is, and the next file does so
//! from its beginning. A dictionary here takes codes as they come from the pipeline: a value is looked up once for each batch,
//! not once for each row.

use std::sync::Arc;

use clickmill_columns::{Column, Data, Dictionary, Kind, Values};
use parquet::{
    basic::{Compression, Encoding, PageType, ZstdLevel},
    column::{
        page::{CompressedPage, Page, PageWriter},
        writer::ColumnCloseResult,
    },
    errors::Result,
    file::{
        metadata::ColumnChunkMetaData,
        statistics::Statistics,
        writer::{SerializedPageWriter, TrackedWrite},
    },
    schema::types::ColumnDescPtr,
};

use super::encode;

/// Rows of a page at most, but for the last batch; and bytes.
const PAGE_ROWS: usize = 1 << 16;
const PAGE_BYTES: usize = 1 << 20;
/// A dictionary is judged by every so many values: it goes where more than a quarter of them were new, or it is too
/// large: to look a value up costs more than to write it twice more. In the first page it goes where nearly all were new:
/// values that come again and again are new at first, too.
const TRIAL: usize = 1 << 13;
const DICTIONARY_BYTES: usize = 2 << 20;

/// Compresses pages; one serves all columns of a writer.
pub struct Codec(zstd::bulk::Compressor<'static>);

impl Codec {
    pub fn new() -> Result<Codec> {
        Ok(Codec(zstd::bulk::Compressor::new(1)?))
    }

    pub fn compression() -> Result<Compression> {
        Ok(Compression::ZSTD(ZstdLevel::try_new(1)?))
    }

    fn compress(&mut self, bytes: &[u8]) -> Result<bytes::Bytes> {
        Ok(self.0.compress(bytes)?.into())
    }
}

/// Which values of a page are there, as in [`clickmill_columns::Validity`].
#[derive(Default)]
struct Levels {
    bits: Vec<u8>,
    rows: usize,
    nulls: usize,
}

impl Levels {
    fn push(&mut self, valid: bool) {
        if self.rows.is_multiple_of(8) {
            self.bits.push(0);
        }
        if valid {
            self.bits[self.rows / 8] |= 1 << (self.rows % 8);
        } else {
            self.nulls += 1;
        }
        self.rows += 1;
    }

    fn push_all(&mut self, rows: usize) {
        let end = self.rows + rows;
        while self.rows < end && !self.rows.is_multiple_of(8) {
            self.push(true);
        }
        let whole = (end - self.rows) / 8;
        self.bits.resize(self.bits.len() + whole, 0xff);
        self.rows += whole * 8;
        while self.rows < end {
            self.push(true);
        }
    }

    fn clear(&mut self) {
        self.bits.clear();
        (self.rows, self.nulls) = (0, 0);
    }
}

/// Text of a column: codes of a dictionary, then, once it was given up, the values themselves.
#[derive(Default)]
struct Text {
    dictionary: Dictionary,
    codes: Vec<u32>,
    /// Values that the dictionary was asked for since it was judged, and its length then.
    asked: usize,
    judged: usize,
    /// Whether a page was cut whose codes need the dictionary.
    used: bool,
    plain: bool,
    /// Lengths and bytes apart: random text then has no repetition at all, over which a compressor would lose its time.
    lengths: Vec<i64>,
    bytes: Vec<u8>,
    /// Codes by length and end of the value: spares the hash where few values come again and again.
    recent: Vec<u32>,
    /// What the codes of the last coded column stand for here.
    known: Option<(Arc<Values>, Vec<u32>)>,
}

const UNKNOWN: u32 = u32::MAX;
const RECENT: usize = 64;

impl Text {
    fn code(&mut self, value: &[u8]) -> u32 {
        self.asked += 1;
        let end = value.last_chunk::<4>().map_or(0, |end| u32::from_le_bytes(*end)) as usize;
        let place = (value.len().wrapping_mul(31) ^ end ^ (end >> 11) ^ (end >> 22)) % RECENT;
        if self.recent.is_empty() {
            self.recent = vec![UNKNOWN; RECENT];
        }
        let code = self.recent[place];
        if code != UNKNOWN && self.dictionary.get(code) == value {
            return code;
        }
        let code = self.dictionary.intern(value);
        self.recent[place] = code;
        code
    }

    fn push(&mut self, value: &[u8]) {
        if self.plain {
            self.lengths.push(value.len() as i64);
            self.bytes.extend_from_slice(value);
        } else {
            let code = self.code(value);
            self.codes.push(code);
        }
    }

    /// Rows of a coded column that are not null.
    fn push_codes(&mut self, distinct: &Arc<Values>, codes: impl ExactSizeIterator<Item = u32>) {
        let known = self.known.take().filter(|(values, _)| Arc::ptr_eq(values, distinct));
        if self.plain || (known.is_none() && distinct.len() > codes.len() * 4) {
            return codes.for_each(|code| self.push(distinct.get(code as usize)));
        }
        let mut known = known.unwrap_or_else(|| (distinct.clone(), vec![UNKNOWN; distinct.len()]));
        let asked = self.asked + codes.len();
        self.codes.reserve(codes.len());
        for code in codes {
            let place = &mut known.1[code as usize];
            if *place == UNKNOWN {
                *place = self.code(distinct.get(code as usize));
            }
            self.codes.push(*place);
        }
        self.asked = asked;
        self.known = Some(known);
    }

    /// Whether the dictionary is not worth its while.
    fn poor(&mut self) -> bool {
        if self.asked < TRIAL {
            return false;
        }
        let new = self.dictionary.len() - self.judged;
        let most =
            if self.codes.len() < PAGE_ROWS && !self.used { self.asked * 9 / 10 } else { self.asked / 4 };
        let poor = new > most || self.dictionary.bytes() > DICTIONARY_BYTES;
        (self.asked, self.judged) = (0, self.dictionary.len());
        poor
    }
}

enum Body {
    Text(Box<Text>),
    Integers(Vec<i64>),
    Reals(Vec<f64>),
    Booleans(Vec<bool>),
}

pub struct Chunk {
    column: ColumnDescPtr,
    optional: bool,
    levels: Levels,
    body: Body,
    pages: Vec<CompressedPage>,
    rows: usize,
    nulls: usize,
    /// Whether the least and the greatest value are told to readers, which then skip what they do not want.
    ordered: bool,
    range: Option<(i64, i64)>,
    page: Vec<u8>,
}

impl Chunk {
    /// `plain`: text is written as it is from the beginning.
    pub fn new(column: ColumnDescPtr, kind: Kind, plain: bool) -> Chunk {
        let body = match kind {
            Kind::Text | Kind::Json => Body::Text(Box::new(Text { plain, ..Text::default() })),
            Kind::Real => Body::Reals(Vec::new()),
            Kind::Boolean => Body::Booleans(Vec::new()),
            Kind::Instant | Kind::Duration | Kind::Integer | Kind::Unsigned => Body::Integers(Vec::new()),
        };
        Chunk {
            optional: column.max_def_level() > 0,
            column,
            levels: Levels::default(),
            body,
            pages: Vec::new(),
            rows: 0,
            nulls: 0,
            ordered: matches!(kind, Kind::Instant | Kind::Duration | Kind::Integer),
            range: None,
            page: Vec::new(),
        }
    }

    /// Whether text was found to be written best as it is.
    pub fn plain(&self) -> bool {
        matches!(&self.body, Body::Text(text) if text.plain)
    }

    /// Bytes of memory held, about.
    pub fn size(&self) -> usize {
        let pages: usize = self.pages.iter().map(CompressedPage::compressed_size).sum();
        pages
            + match &self.body {
                Body::Text(text) => {
                    text.bytes.len() + text.lengths.len() * 8 + text.codes.len() * 4 + text.dictionary.bytes()
                }
                Body::Integers(values) => values.len() * 8,
                Body::Reals(values) => values.len() * 8,
                Body::Booleans(values) => values.len(),
            }
    }

    /// Appends the rows named; all null where the column is of another kind.
    pub fn column(&mut self, column: &Column, rows: &[u32]) {
        let nulls = column.valid.has_nulls();
        let valid = |row: &&u32| !nulls || column.valid.get(**row as usize);
        let matching = match (&mut self.body, &column.data) {
            (Body::Text(text), Data::Coded { distinct, codes }) => {
                let there: Vec<u32> = rows.iter().filter(valid).map(|&row| codes[row as usize]).collect();
                text.push_codes(distinct, there.into_iter());
                true
            }
            (Body::Text(text), Data::Text(_) | Data::Places { .. }) => {
                rows.iter()
                    .filter(valid)
                    .for_each(|&row| text.push(column.text(row as usize).unwrap_or_default()));
                true
            }
            (Body::Integers(into), Data::Integers(values)) => {
                into.extend(rows.iter().filter(valid).map(|&row| values[row as usize]));
                true
            }
            (Body::Integers(into), Data::Unsigned(values)) => {
                into.extend(rows.iter().filter(valid).map(|&row| values[row as usize] as i64));
                true
            }
            (Body::Reals(into), Data::Reals(values)) => {
                into.extend(rows.iter().filter(valid).map(|&row| values[row as usize]));
                true
            }
            (Body::Booleans(into), Data::Booleans(values)) => {
                into.extend(rows.iter().filter(valid).map(|&row| values[row as usize]));
                true
            }
            _ => false,
        };
        if matching && !nulls {
            self.levels.push_all(rows.len());
        } else {
            rows.iter().for_each(|row| self.levels.push(matching && valid(&row)));
        }
    }

    /// Appends integers, none of them null.
    pub fn integers(&mut self, values: impl Iterator<Item = i64>) {
        if let Body::Integers(into) = &mut self.body {
            let before = into.len();
            into.extend(values);
            let added = into.len() - before;
            self.levels.push_all(added);
        }
    }

    /// Appends a text `rows` times.
    pub fn repeat(&mut self, value: &[u8], rows: usize) {
        if let Body::Text(text) = &mut self.body {
            if text.plain {
                (0..rows).for_each(|_| text.push(value));
            } else {
                let code = text.code(value);
                text.asked += rows.saturating_sub(1);
                text.codes.resize(text.codes.len() + rows, code);
            }
            self.levels.push_all(rows);
        }
    }

    /// Cuts a page where one is full.
    pub fn settle(&mut self, codec: &mut Codec) -> Result<()> {
        let (poor, full) = match &mut self.body {
            Body::Text(text) => (!text.plain && text.poor(), text.bytes.len() >= PAGE_BYTES),
            _ => (false, false),
        };
        if poor || full || self.levels.rows >= PAGE_ROWS {
            self.cut(codec)?;
        }
        if let Body::Text(text) = &mut self.body
            && poor
        {
            text.plain = true;
            text.known = None;
        }
        Ok(())
    }

    fn cut(&mut self, codec: &mut Codec) -> Result<()> {
        let Levels { bits, rows, nulls } = &self.levels;
        let (rows, nulls) = (*rows, *nulls);
        if rows == 0 {
            return Ok(());
        }
        let page = &mut self.page;
        page.clear();
        if self.optional {
            encode::levels(bits, rows, nulls, page);
        }
        let encoding = match &mut self.body {
            _ if nulls == rows => Encoding::PLAIN,
            Body::Text(text) if text.plain => {
                encode::deltas(&text.lengths, page);
                page.extend_from_slice(&text.bytes);
                text.lengths.clear();
                text.bytes.clear();
                Encoding::DELTA_LENGTH_BYTE_ARRAY
            }
            Body::Text(text) => {
                let width = encode::width((text.dictionary.len() as u64).saturating_sub(1));
                page.push(width);
                encode::hybrid(&text.codes, width, page);
                text.codes.clear();
                text.used = true;
                Encoding::RLE_DICTIONARY
            }
            Body::Integers(values) => {
                if self.ordered {
                    let (least, most) = self.range.unwrap_or((i64::MAX, i64::MIN));
                    self.range = Some(values.iter().fold((least, most), |(l, m), &v| (l.min(v), m.max(v))));
                }
                encode::deltas(values, page);
                values.clear();
                Encoding::DELTA_BINARY_PACKED
            }
            Body::Reals(values) => {
                values.iter().for_each(|value| page.extend_from_slice(&value.to_le_bytes()));
                values.clear();
                Encoding::PLAIN
            }
            Body::Booleans(values) => {
                for eight in values.chunks(8) {
                    page.push(
                        eight.iter().enumerate().fold(0, |byte, (bit, &set)| byte | u8::from(set) << bit),
                    );
                }
                values.clear();
                Encoding::PLAIN
            }
        };
        let compressed = Page::DataPage {
            buf: codec.compress(page)?,
            num_values: rows as u32,
            encoding,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        self.pages.push(CompressedPage::new(compressed, page.len()));
        self.rows += rows;
        self.nulls += nulls;
        self.levels.clear();
        Ok(())
    }

    /// The bytes of the chunk as they go into the file, and what the file's end says of them. The chunk begins anew.
    pub fn finish(&mut self, codec: &mut Codec) -> Result<(bytes::Bytes, ColumnCloseResult)> {
        self.cut(codec)?;
        let mut sink = TrackedWrite::new(Vec::with_capacity(self.size() + 1024));
        let mut writer = SerializedPageWriter::new(&mut sink);
        let mut uncompressed = 0;
        let mut encodings = vec![Encoding::RLE];
        let mut dictionary_offset = None;
        if let Body::Text(text) = &mut self.body {
            if text.used {
                let mut plain = Vec::with_capacity(text.dictionary.bytes() + text.dictionary.len() * 4);
                for code in 0..text.dictionary.len() as u32 {
                    let value = text.dictionary.get(code);
                    plain.extend_from_slice(&(value.len() as u32).to_le_bytes());
                    plain.extend_from_slice(value);
                }
                let page = Page::DictionaryPage {
                    buf: codec.compress(&plain)?,
                    num_values: text.dictionary.len() as u32,
                    encoding: Encoding::PLAIN,
                    is_sorted: false,
                };
                let spec = writer.write_page(CompressedPage::new(page, plain.len()))?;
                uncompressed += spec.uncompressed_size;
                dictionary_offset = Some(spec.offset as i64);
                encodings.extend([Encoding::PLAIN, Encoding::RLE_DICTIONARY]);
            }
            text.dictionary.clear();
            text.recent.clear();
            text.known = None;
            (text.asked, text.judged, text.used) = (0, 0, false);
        }
        let mut data_offset = None;
        for page in self.pages.drain(..) {
            let (kind, encoding) = (page.page_type(), page.encoding());
            let spec = writer.write_page(page)?;
            uncompressed += spec.uncompressed_size;
            if kind == PageType::DATA_PAGE && data_offset.is_none() {
                data_offset = Some(spec.offset as i64);
            }
            if !encodings.contains(&encoding) {
                encodings.push(encoding);
            }
        }
        let bytes: bytes::Bytes = sink.into_inner()?.into();
        let mut metadata = ColumnChunkMetaData::builder(self.column.clone())
            .set_compression(Codec::compression()?)
            .set_encodings(encodings)
            .set_num_values(self.rows as i64)
            .set_total_compressed_size(bytes.len() as i64)
            .set_total_uncompressed_size(uncompressed as i64)
            .set_data_page_offset(data_offset.unwrap_or(0))
            .set_dictionary_page_offset(dictionary_offset);
        if let Some((least, most)) = self.range.take() {
            let nulls = Some(self.nulls as u64);
            metadata =
                metadata.set_statistics(Statistics::int64(Some(least), Some(most), None, nulls, false));
        }
        let close = ColumnCloseResult {
            bytes_written: bytes.len() as u64,
            rows_written: self.rows as u64,
            metadata: metadata.build()?,
            bloom_filter: None,
            column_index: None,
            offset_index: None,
        };
        (self.rows, self.nulls) = (0, 0);
        Ok((bytes, close))
    }
}
