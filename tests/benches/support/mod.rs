//! What the two benchmarks share: the default plugins as components and as plain Rust, and a host that runs either.

pub mod components;
pub mod host;
pub mod native;

pub type Failed = Box<dyn std::error::Error + Send + Sync>;

/// Whether this is `cargo bench`, and not a test that the benchmark works.
pub fn is_measured() -> bool {
    std::env::args().any(|argument| argument == "--bench")
}

/// The value in the middle, the least and the greatest; not a number where there is none.
pub fn median(values: impl IntoIterator<Item = f64>) -> (f64, f64, f64) {
    let mut values = Vec::from_iter(values);
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    let at = |place: usize| values.get(place).copied().unwrap_or(f64::NAN);
    (at(last / 2), at(0), at(last))
}
