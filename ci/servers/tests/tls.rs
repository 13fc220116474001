//! TLS on the way to real servers: whom a client trusts, who it is, and that it never goes without.

// A failed unwrap is a failed test, which is what it is for.
#![allow(clippy::unwrap_used)]

use shoal_ci_servers::{Authority, Mariadb, Postgres, Program, Redis, Secured, Server as Process, Tikv};
use shoal_kv::{Durability, Kv, KvError, Verdict};
use shoal_kv_mysql::MysqlServer;
use shoal_kv_postgres::PostgresServer;
use shoal_kv_redis::RedisServer;
use shoal_kv_remote::{RemoteKv, RemoteOptions, Server};
use shoal_kv_tikv::TikvServer;
use std::sync::Arc;
use std::time::Duration;

/// Writes and reads through a store that is made at this URL.
fn use_store<S: Server>(url: &str) -> Result<(), KvError> {
    let server = S::at(&url.parse().unwrap(), Duration::from_secs(10)).unwrap();
    assert!(server.prepare(true)?);
    let kv: Arc<dyn Kv> = RemoteKv::open(server, RemoteOptions::default())?;
    kv.transact(Durability::Durable, |transaction, _| {
        transaction.put(b"key", b"value");
        Ok(((), Verdict::Commit))
    })?;
    assert_eq!(kv.snapshot()?.next()?, [(b"key".to_vec(), b"value".to_vec())]);
    kv.close()
}

fn connections_are_protected_or_refused<S: Server, P: Program>(
    plain: P,
    secure: impl FnOnce(&Arc<Authority>) -> Secured<P>,
) where
    Secured<P>: Program,
{
    let (authority, stranger) = (Arc::new(Authority::default()), Authority::default());
    let process = Process::start(secure(&authority));
    let url = process.url("tls");
    assert_eq!(use_store::<S>(&format!("{url}&{}", authority.options())), Ok(()));
    // Somebody we don't know, with a certificate that is good elsewhere.
    let refused = |options: &str| {
        let error = use_store::<S>(&format!("{url}&{options}")).expect_err(options);
        assert!(!matches!(error, KvError::Damaged(_)), "{error}");
        error.to_string()
    };
    let unknown = refused(&format!("{}&{}", stranger.trust(), authority.identity()));
    assert!(unknown.contains("certificate"), "{unknown}");
    let unknown = refused(&authority.identity());
    assert!(unknown.contains("certificate"), "the system trusts no such authority: {unknown}");
    // Somebody the server doesn't know.
    refused(&authority.trust());
    refused(&format!("{}&{}", authority.trust(), stranger.identity()));
    // A certificate for another host.
    let elsewhere = url.replace("127.0.0.1", "localhost");
    let error = use_store::<S>(&format!("{elsewhere}&{}", authority.options())).unwrap_err().to_string();
    assert!(error.contains("certificate"), "{error}");
    let missing = refused("ca=/nonexistent/ca.pem");
    assert!(missing.contains("/nonexistent/ca.pem") || missing.contains("No such file"), "{missing}");
    // Without protection the server does not talk, and with it no server that has none is talked to.
    let bare = url.replace("rediss://", "redis://").replace("&tls=on", "");
    use_store::<S>(&bare).unwrap_err();
    drop(process);
    let process = Process::start(plain);
    assert_eq!(use_store::<S>(&process.url("tls")), Ok(()));
    let wanted = process.url("tls").replace("redis://", "rediss://");
    use_store::<S>(&format!("{wanted}&tls=on&{}", authority.options())).unwrap_err();
}

#[test]
fn redis() {
    connections_are_protected_or_refused::<RedisServer, _>(Redis::default(), |authority| {
        Secured::new(Redis::default(), authority)
    });
}

#[test]
fn postgresql() {
    connections_are_protected_or_refused::<PostgresServer, _>(Postgres, |authority| Secured::new(Postgres, authority));
}

#[test]
fn mariadb() {
    connections_are_protected_or_refused::<MysqlServer, _>(Mariadb, |authority| Secured::new(Mariadb, authority));
}

#[test]
fn tikv() {
    connections_are_protected_or_refused::<TikvServer, _>(Tikv::default(), |authority| {
        Secured::new(Tikv::default(), authority)
    });
}
