//! Metadata on a Redis server (6.2 or later; also Valkey): one by itself, the primary of a group that Sentinels watch, or a node
//! of a cluster ([`place`]).
//!
//! `redis://[USER[:PASSWORD]@]HOST[:PORT][/DATABASE][?prefix=NAME]`, and `rediss://` with TLS; `redis-sentinel://` and
//! `redis-cluster://` with several hosts to ask. Everything of a volume lies in keys that begin with `{NAME}`, so that they
//! share a hash slot:
//!
//! | key | holds |
//! |---|---|
//! | `{NAME}order` | a sorted set of all keys, each with the score 0: what keeps them in order |
//! | `{NAME}values` | a hash: key → version (8 bytes, big-endian), then the value |
//! | `{NAME}commits` | the number of the last commit, in decimal |
//! | `{NAME}slot:…` | of each connection, the number of its last commit; closed ones begin with `c`; forgotten after a week |
//! | `{NAME}snapshot`, `{NAME}changed`, `{NAME}before` | while a snapshot is read: whose, and what stood where something has changed since |
//!
//! A read is one script, and a commit is another ([`scripts`]): Redis runs one at a time, so each is a moment.
//! The server alone decides what survives its death; [`durability`] says how it is set.

mod connection;
mod durability;
mod error;
mod listener;
mod place;
mod scripts;
mod server;
mod snapshot;

pub use durability::Durability;
pub use server::RedisServer;

use shoal_kv_remote::RemoteKv;

pub type RedisKv = RemoteKv<RedisServer>;
