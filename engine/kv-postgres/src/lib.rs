//! Metadata on a PostgreSQL server (13 or later), in a schema of its own.
//!
//! `postgres://USER[:PASSWORD]@HOST[:PORT]/DATABASE[?prefix=NAME][&tls=on…]`. The schema is called `NAME` and holds three tables and
//! the functions that are the only way to them (`schema.sql`): `pairs` with the keys in order, `commits` with the number
//! of the last commit, and `slots` with the last commit of each connection.
//!
//! A read is one call of a function, and so sees one moment. A commit is another, under a lock of the schema: commits go
//! one after another, each within the server, so what was read is validated against what is really there, phantoms
//! included. The lock is held until the commit is visible, but not until it is on disk: the transaction commits without
//! waiting for the disk, and a second statement in the same round trip waits for both. So commits of all clients share
//! flushes, and none is acknowledged before it is durable.

mod connection;
mod error;
mod listener;
mod schema;
mod server;
mod snapshot;
mod tls;

pub use server::PostgresServer;

use shoal_kv_remote::RemoteKv;

pub type PostgresKv = RemoteKv<PostgresServer>;
