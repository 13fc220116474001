//! Metadata on a TiKV cluster, which orders all keys, splits them into regions and keeps old versions of each.
//!
//! `tikv://PD[:PORT][,PD[:PORT]…]/PREFIX[?tls=on…]`: the members of the placement driver.
//!
//! TiKV itself offers snapshots and atomic writes, and lets two transactions commit each of which has read what the other
//! writes. [`commit`] makes them serializable, without a lock that all commits would have to pass: a commit reads again, at its
//! own moment, all that it relies on. For that, something has to be done between the two phases of a commit, and there
//! the clients that exist have no room; so the protocol is spoken here, by gRPC ([`messages`], [`wire`], [`cluster`]).
//! Decision 0021 has the reasons.

// In tests a failed unwrap is a failed test, which is what it is for.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod cluster;
mod commit;
mod connection;
mod keys;
mod locks;
mod messages;
mod placement;
mod plan;
mod server;
mod slot;
mod snapshot;
mod stamps;
mod stored;
mod two_phases;
mod view;
mod wire;

pub use server::TikvServer;

use shoal_kv_remote::RemoteKv;

pub type TikvKv = RemoteKv<TikvServer>;
