//! Real servers for tests, of metadata and of objects: each in a private folder, on a free port of the loopback, gone with its value, and
//! killed with the process that started it. A program that is missing fails the test and names the package.
//!
//! [`Proxy`] stands between a client and a server and is the network that fails.

mod authority;
mod certificate;
mod fdb;
mod mariadb;
mod moto;
mod postgres;
mod program;
mod proxy;
mod redis;
mod redis_groups;
mod s3s;
mod secured;
mod sftp;
mod suites;
mod tikv;
mod webdav;

pub use authority::Authority;
pub use fdb::FoundationDb;
pub use mariadb::Mariadb;
pub use moto::Moto;
pub use postgres::Postgres;
pub use program::{Program, Server};
pub use proxy::Proxy;
pub use redis::{Redis, RedisLog};
pub use redis_groups::{RedisCluster, RedisSentinels};
pub use s3s::S3s;
pub use secured::Secured;
pub use sftp::Sftp;
pub use suites::find_built;
pub use tikv::Tikv;
pub use webdav::Webdav;
