//! Elasticsearch as the index. Promises what [`clickmill_tasks::env::Index`] demands: an older version of a document never
//! replaces a newer one, every document is judged by its own item, and only a document that is itself at fault is refused.
//! An index bears the identity of its store and a strict mapping; one that is deleted under a running host does not come back
//! by itself.
//!
//! One client serves the whole process. Documents of all shards go together into bulk requests, several of them at once; how many,
//! Elasticsearch decides by how it answers. Requests run on a thread of their own; the futures work under any executor. Nothing is
//! retried here.

mod answer;
mod bulk;
mod client;
mod document;
mod index;
mod layout;
mod limit;
mod queue;
mod read;
mod secret;
mod sender;
mod survey;
mod version;

pub use index::ElasticsearchIndex;
pub use layout::IndexSpec;
pub use read::Documents;
pub use survey::Missing;
pub use version::Version;
