//! One ordered, transactional key-value trait under every metadata engine.
//!
//! An engine implements [`Kv`] and nothing else: no engine contains file-system logic, and nothing above this trait
//! knows which engine it talks to. The trait is synchronous: an engine runs a transaction's body wherever suits it
//! (SQLite on its group-commit thread, a networked engine on a pool of metadata workers) and reports by callback.
//!
//! Beside the trait stands what engines share, so that each of it exists once: the [`WriteBuffer`] with
//! read-your-writes, the [`BufferedTransaction`] over it, the [`retry`] loop, the [`JobQueue`], the [`contract`] that
//! every engine must keep, and the in-memory engine ([`memory`]) with injected faults.

// In tests a failed unwrap is a failed test, which is what it is for.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod body;
mod buffered;
pub mod contract;
#[cfg(test)]
mod deadline;
mod error;
mod event;
pub mod limits;
pub mod memory;
mod queue;
mod random;
mod range_set;
pub mod retry;
mod traits;
mod transact;
mod update;
mod write_buffer;

pub use body::run_body;
pub use buffered::{BufferedTransaction, ReadSet};
pub use error::{KvError, KvResult};
pub use event::Event;
pub use memory::{Faults, MemoryKv, MemoryOptions, MemoryStore};
pub use queue::{EngineScope, JobQueue, mark_engine_thread, on_engine_thread};
pub use random::Random;
pub use range_set::RangeSet;
pub use traits::{
    Attempt, Direction, Durability, Job, KeyRange, Kv, Pair, Reader, Snapshot, Transaction, Verdict, Watch,
};
pub use update::Update;
pub use write_buffer::{Effect, WriteBuffer, WriteSet};
