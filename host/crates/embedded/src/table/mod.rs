//! Parquet files, one table each: written from columns as the pipeline has them, read back a row at a time.
//!
//! A file is made in memory, so that a full disk costs a second try and no rows. It is written under a name that no reader
//! looks for, and renamed once it is on the disk. Any Parquet reader understands it; what kind of value a column holds beyond
//! Parquet's types is said in the file's own metadata.

mod chunk;
mod encode;
mod scan;

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use clickmill_columns::{Column, Kind};
use parquet::{
    basic::{LogicalType, Repetition, TimeUnit, Type as Physical},
    errors::ParquetError,
    file::{metadata::KeyValue, properties::WriterProperties, writer::SerializedFileWriter},
    schema::types::Type,
};
use thiserror::Error;

use chunk::{Chunk, Codec};
pub use scan::{Rows, Scan};

/// The key of the file's metadata under which the columns' kinds are kept.
const KINDS: &str = "clickmill.kinds";
/// A row group is written when it holds so many rows or bytes.
const GROUP_ROWS: usize = 1 << 20;
const GROUP_BYTES: usize = 64 << 20;

#[derive(Debug, Error)]
pub enum TableError {
    #[error("{}: {error}", path.display())]
    Io { path: PathBuf, error: io::Error },
    #[error("{}: {error}", path.display())]
    Parquet { path: PathBuf, error: ParquetError },
}

impl TableError {
    /// Whether the file is not there (any more).
    pub fn missing(&self) -> bool {
        matches!(self, TableError::Io { error, .. } if error.kind() == io::ErrorKind::NotFound)
    }
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    pub name: Arc<str>,
    pub kind: Kind,
    pub optional: bool,
}

impl Spec {
    pub fn new(name: &str, kind: Kind, optional: bool) -> Spec {
        Spec { name: name.into(), kind, optional }
    }

    fn parquet(&self) -> Result<Type, ParquetError> {
        let (physical, logical) = match self.kind {
            Kind::Text | Kind::Json => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
            Kind::Instant => (Physical::INT64, Some(LogicalType::timestamp(true, TimeUnit::MILLIS))),
            Kind::Unsigned => (Physical::INT64, Some(LogicalType::integer(64, false))),
            Kind::Integer | Kind::Duration => (Physical::INT64, None),
            Kind::Real => (Physical::DOUBLE, None),
            Kind::Boolean => (Physical::BOOLEAN, None),
        };
        let repetition = if self.optional { Repetition::OPTIONAL } else { Repetition::REQUIRED };
        Type::primitive_type_builder(&self.name, physical)
            .with_repetition(repetition)
            .with_logical_type(logical)
            .build()
    }
}

/// Columns, by name, whose text hardly ever comes again: learned from one file, used for the next.
pub type Plain = HashMap<Arc<str>, bool>;

/// A whole file, in memory.
#[derive(Clone, Debug)]
pub struct Sealed {
    pub bytes: Bytes,
    pub rows: u64,
}

impl Sealed {
    /// Brings the file to the disk under this name. The folder is the caller's to sync. After an error the name does not
    /// exist, and another try is right.
    pub fn store(&self, path: &Path) -> Result<(), TableError> {
        let growing = path.with_extension("growing");
        let write = || {
            let mut file = File::create(&growing)?;
            file.write_all(&self.bytes)?;
            file.sync_data()?;
            fs::rename(&growing, path)
        };
        write().map_err(|error| {
            // What it takes on a full disk is better free; that it may stay is no harm: opening the store removes it.
            let _ = fs::remove_file(&growing);
            TableError::Io { path: path.to_owned(), error }
        })
    }
}

/// Makes one file.
pub struct TableWriter {
    specs: Vec<Spec>,
    writer: SerializedFileWriter<Vec<u8>>,
    chunks: Vec<Chunk>,
    codec: Codec,
    group: usize,
    rows: u64,
}

impl TableWriter {
    pub fn new(specs: &[Spec], plain: &Plain) -> Result<TableWriter, ParquetError> {
        let fields = specs.iter().map(|spec| spec.parquet().map(Arc::new)).collect::<Result<_, _>>()?;
        let schema = Type::group_type_builder("row").with_fields(fields).build()?;
        let kinds: HashMap<&str, Kind> = specs.iter().map(|spec| (&*spec.name, spec.kind)).collect();
        let kinds = serde_json::to_string(&kinds).unwrap_or_default();
        let properties = WriterProperties::builder()
            .set_created_by(concat!("clickmill ", env!("CARGO_PKG_VERSION")).to_owned())
            .set_offset_index_disabled(true)
            .set_key_value_metadata(Some(vec![KeyValue::new(KINDS.to_owned(), kinds)]))
            .build();
        let writer = SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::new(properties))?;
        let columns = writer.schema_descr().columns().iter();
        let plain = |spec: &Spec| plain.get(&spec.name).copied().unwrap_or(false);
        let chunk = |(spec, column): (&Spec, &_)| Chunk::new(Arc::clone(column), spec.kind, plain(spec));
        let chunks = specs.iter().zip(columns).map(chunk).collect();
        Ok(TableWriter { specs: specs.to_vec(), writer, chunks, codec: Codec::new()?, group: 0, rows: 0 })
    }

    pub fn specs(&self) -> &[Spec] {
        &self.specs
    }

    /// Appends rows of one column; each column must get as many before [`TableWriter::appended`] is called.
    pub fn column(&mut self, number: usize, column: &Column, rows: &[u32]) {
        self.chunks[number].column(column, rows);
    }

    pub fn integers(&mut self, number: usize, values: impl Iterator<Item = i64>) {
        self.chunks[number].integers(values);
    }

    pub fn repeat(&mut self, number: usize, value: &str, rows: usize) {
        self.chunks[number].repeat(value.as_bytes(), rows);
    }

    /// All columns have got `rows` more.
    pub fn appended(&mut self, rows: usize) -> Result<(), ParquetError> {
        self.rows += rows as u64;
        self.group += rows;
        self.chunks.iter_mut().try_for_each(|chunk| chunk.settle(&mut self.codec))?;
        let bytes = || self.chunks.iter().map(Chunk::size).sum::<usize>();
        if self.group >= GROUP_ROWS || bytes() >= GROUP_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), ParquetError> {
        if self.group == 0 {
            return Ok(());
        }
        self.group = 0;
        let mut group = self.writer.next_row_group()?;
        for chunk in &mut self.chunks {
            let (bytes, close) = chunk.finish(&mut self.codec)?;
            group.append_column(&bytes, close)?;
        }
        group.close().map(|_| ())
    }

    /// Completes the file, and remembers in `plain` what was learned of its columns.
    pub fn seal(mut self, plain: &mut Plain) -> Result<Sealed, ParquetError> {
        self.flush()?;
        for (spec, chunk) in self.specs.iter().zip(&self.chunks) {
            plain.insert(spec.name.clone(), chunk.plain());
        }
        Ok(Sealed { bytes: self.writer.into_inner()?.into(), rows: self.rows })
    }
}

/// Makes the names in a folder last.
pub fn sync_folder(path: &Path) -> Result<(), TableError> {
    let synced = File::open(path).and_then(|folder| folder.sync_all());
    synced.map_err(|error| TableError::Io { path: path.to_owned(), error })
}
