//! One ordered, transactional key-value trait under every metadata engine.
//!
//! An engine implements [`Kv`] and nothing else: no engine contains file-system logic, and nothing above this trait
//! knows which engine it talks to. The trait is synchronous: an engine runs a transaction's body wherever suits it
//! (SQLite on its group-commit thread, a networked engine on a pool of metadata workers) and reports by callback.

mod error;
pub mod limits;
mod transact;
mod traits;

pub use error::{KvError, KvResult};
pub use traits::{Attempt, Direction, Durability, Job, KeyRange, Kv, Pair, Reader, Transaction, Verdict, Watch};
