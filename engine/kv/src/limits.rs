//! The limits every engine and the schema respect; the strictest are FoundationDB's, and for keys PostgreSQL's, whose
//! indexes hold no more than a third of a page.

pub const KEY_BYTES_MAX: usize = 2_048;
pub const VALUE_BYTES_MAX: usize = 100_000;
pub const TRANSACTION_BYTES_MAX: usize = 10_000_000;
/// Length of the stamp that `put_versionstamped` completes a key with.
pub const STAMP_BYTES: usize = 10;
