//! Everything on the local machine: files and made-up traffic as sources, and a store and an index in one folder.

mod documents;
mod feed;
mod files;
mod folder;
mod generate;
mod index;
mod read;
mod store;
mod table;

pub use files::{FileEnd, FileReader, FileSource, ResumeAt};
pub use generate::{GenerateReader, GenerateSource, Traffic, lines};
pub use index::EmbeddedIndex;
pub use read::StoreReader;
pub use store::{EmbeddedStore, Written};
