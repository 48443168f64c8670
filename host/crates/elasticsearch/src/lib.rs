//! Elasticsearch as the index. Promises what [`clickmill_tasks::env::Index`] demands: an older version of a document never
//! replaces a newer one, every document is judged by its own item, and only a document that is itself at fault is refused.
//! An index bears the identity of its store and a strict mapping; one that is deleted under a running host does not come back
//! by itself.
//!
//! Requests run on a thread of their own, which is the only place that knows tokio; the futures work under any executor.
//! Nothing is retried here.

mod bulk;
mod client;
mod document;
mod index;
mod layout;
mod read;
mod secret;

pub use index::{ElasticsearchIndex, Missing};
pub use layout::IndexSpec;
pub use read::Documents;
