//! What the end-to-end tests share: the binary, folders of their own, made-up traffic, and the answer by SQL.

mod oracle;
mod proxy;
mod raw;
mod run;
pub mod services;
mod traffic;

pub use oracle::{Document, answer, compare, compare_events};
pub use proxy::{NetworkFault, Proxy};
pub use raw::Raw;
pub use run::{Folder, clickmill, documents, ndjson, summary};
pub use traffic::{Click, Random, Traffic};
