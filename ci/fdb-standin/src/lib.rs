//! A stand-in for FoundationDB, of our own, for tests on machines that have none: the functions of its C API that
//! `engine/kv-fdb` calls, as a shared library, and a small server that holds the data of a "cluster".
//!
//! It keeps what the documentation promises of transactions: one version for all reads of a transaction, a window of five
//! seconds, conflicts by ranges, atomic operations, stamps of versions, watches, limits of size, callbacks on the network's
//! thread, unknown results of commits when a connection ends. Errors that a real cluster gives seldom it gives as often as
//! it's told to. **It is not FoundationDB**: it shows that our engine keeps to the contract, and nothing about
//! FoundationDB's speed, durability or failures. A transaction that reads what it has written is refused: the engine
//! does that by itself.
//!
//! Client and server are of one build and talk by [`wire`]; no other client is expected.

// In tests a failed unwrap is a failed test, which is what it is for.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod api;
mod errors;
mod future;
mod log;
mod mutation;
mod network;
pub mod server;
mod store;
mod transaction;
mod wire;
