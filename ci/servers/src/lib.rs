//! Real metadata servers for tests: each in a private folder, on a free port of the loopback, gone with its value, and
//! killed with the process that started it. A program that is missing fails the test and names the package.
//!
//! [`Proxy`] stands between a client and a server and is the network that fails.

mod mariadb;
mod postgres;
mod program;
mod proxy;
mod redis;

pub use mariadb::Mariadb;
pub use postgres::Postgres;
pub use program::{Program, Server};
pub use proxy::Proxy;
pub use redis::{Redis, RedisLog};
