//! What operations and reads promise beyond what the oracle judges: sessions, pages, paths, races, unknown results.

// A failed unwrap in a test is a failed test, which is what it is for.
#![allow(clippy::unwrap_used)]

mod executor;
mod namespace;
mod races;
mod reads;
mod support;
