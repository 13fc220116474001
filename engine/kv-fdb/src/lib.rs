//! Metadata on FoundationDB, whose own transactions are what the trait asks for: reads of one version, conflicts by ranges,
//! atomic updates, stamps of versions, watches.
//!
//! * **No link.** The client library is loaded when the first `fdb:` address is opened ([`c`]): a program starts on a
//!   machine without it.
//! * **Reads** are snapshot reads of the transaction's version, and cost one round trip for what is asked for together
//!   ([`reads`]). What a transaction wants unchanged is declared at its commit ([`commit`]), and nothing else conflicts.
//! * **Unknown results.** Each commit also writes a number into a slot that only its worker uses, and conflicts with any
//!   other write to it. Who does not know what has become of a commit reads the slot; if the number isn't there, it writes
//!   the slot, and from then on the commit can't happen any more ([`job`]). So the body runs again only when the commit
//!   before is known not to have happened, however often its result was unknown in between.
//! * **Time.** Every wait has a bound, and a cluster that is away is waited for as all engines on a server do.
//!
//! Keys of a volume, behind `prefix 00`: see [`keys`]. Why it is so: docs/decisions/0022.

// In tests a failed unwrap is a failed test, which is what it is for.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod c;
mod client;
mod commit;
mod error;
mod job;
mod keys;
mod reads;
mod server;
mod snapshot;
mod watch;

pub use client::FdbKv;
pub use server::FdbServer;
