//! Metadata on a MariaDB (10.5 or later) or MySQL (8.0 or later) server, in tables of a database that is there already.
//!
//! `mysql://USER[:PASSWORD]@HOST[:PORT]/DATABASE[?prefix=NAME][&tls=on…]`. The tables are `NAME_pairs` with the keys in order,
//! `NAME_commits` with the number of the last commit, and `NAME_slots` with the last commit of each connection.
//!
//! A read is one SELECT, and so sees one moment. A commit is several statements that go out in one packet ([`script`]):
//! the first locks the row with the number of the last commit, so commits go one after another, and what was read is
//! validated against what is really there, phantoms included; all later ones change something only if it holds. The
//! locks live within the server for as long as the packet takes.
//!
//! Commits are as durable as the server's `innodb_flush_log_at_trx_commit` makes them.

mod connection;
mod error;
mod script;
mod server;
mod snapshot;

pub use server::MysqlServer;

use shoal_kv_remote::RemoteKv;

pub type MysqlKv = RemoteKv<MysqlServer>;
