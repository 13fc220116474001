//! The store that an address names: `fdb:///CLUSTER-FILE[?prefix=NAME][&library=FILE][&threads=N]`.
//!
//! The library is the one that the address names, or else `FDB_CLIENT_LIB_PATH`, or else the system's `libfdb_c.so`. TLS and
//! all else that FoundationDB is told by the environment, its library reads by itself.
//!
//! The library works on one thread, which a busy mount may fill. With `threads` it works on several, for which its file must
//! be named in full.

use crate::c::Client as Library;
use crate::client::{Client, FdbKv};
use crate::keys::{Keys, LAYOUT};
use shoal_kv::{KvError, KvResult};
use shoal_kv_remote::{Address, AddressError, Engine, RemoteOptions};
use std::fmt::Display;
use std::fs::File;
use std::io::ErrorKind;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub struct FdbServer {
    cluster_file: PathBuf,
    library: Option<PathBuf>,
    threads: usize,
    keys: Keys,
    answer_max: Duration,
}

impl FdbServer {
    fn library(&self) -> PathBuf {
        let named = || std::env::var_os("FDB_CLIENT_LIB_PATH").map(PathBuf::from);
        self.library.clone().or_else(named).unwrap_or_else(|| LIBRARY.into())
    }

    fn client(&self, options: RemoteOptions) -> KvResult<Client> {
        let path = self.library();
        if self.threads > 1 && !path.is_absolute() {
            return Err(KvError::Unavailable(
                "for several threads FoundationDB's client library must be named: library=FILE, or FDB_CLIENT_LIB_PATH"
                    .into(),
            ));
        }
        let library = Library::get(&path, self.threads).map_err(|why| {
            KvError::Unavailable(format!(
                "FoundationDB's client library can't be used: {}: {why}; install FoundationDB's package of clients, 7.3 or \
                 newer, or name the file of its libfdb_c.so by FDB_CLIENT_LIB_PATH",
                path.display()
            ))
        })?;
        let file = |why: &dyn Display| format!("the cluster file {}: {why}", self.cluster_file.display());
        // The library's words for one that can't be read are of other places that it would look at.
        File::open(&self.cluster_file).map_err(|error| match error.kind() {
            ErrorKind::PermissionDenied => KvError::Permission(file(&error)),
            _ => KvError::Unavailable(file(&error)),
        })?;
        let database = library.database(&self.cluster_file, self.threads);
        let database = database.map_err(|code| KvError::Unavailable(file(&library.text(code))))?;
        Ok(Client::new(database, self.keys.clone(), options, self.answer_max))
    }

    /// One that does not wait as long for a cluster that is away: somebody stands by.
    fn brief_client(&self) -> KvResult<Client> {
        self.client(RemoteOptions::default()).map(Client::brief)
    }
}

impl Engine for FdbServer {
    type Client = FdbKv;

    fn at(address: &Address, answer_max: Duration) -> Result<Self, AddressError> {
        address.check_options(&["prefix", "library", "threads"])?;
        let wrong = |why: &str| Err(AddressError(why.into()));
        if !address.host.is_empty() || address.port.is_some() || address.user.is_some() || address.password.is_some() {
            return wrong("it names a cluster file, and no host or user; write fdb:///CLUSTER-FILE");
        }
        if address.path.is_empty() {
            return wrong("it names no cluster file; write fdb:///etc/foundationdb/fdb.cluster");
        }
        let library = address.option("library").map(PathBuf::from);
        if library.as_ref().is_some_and(|path| !path.is_absolute()) {
            return wrong("library is the full path of a file");
        }
        let threads =
            address.option("threads").map_or(Ok(1), str::parse).ok().filter(|number| THREADS.contains(number));
        let Some(threads) = threads else { return wrong("threads is a number from 1 to 16") };
        let (cluster_file, keys) = (PathBuf::from(format!("/{}", address.path)), Keys::of(address.prefix()?));
        Ok(FdbServer { cluster_file, library, threads, keys, answer_max })
    }

    fn prepare(&self, create: bool) -> KvResult<bool> {
        let client = self.brief_client()?;
        client.run_small(|transaction| {
            let found = transaction.get(&self.keys.format());
            client.wait(&found)?;
            match found.value().map_err(|code| client.error(code))?.as_deref() {
                Some([LAYOUT]) => Ok(true),
                Some(_) => Err(KvError::Damaged("fdb: the volume was laid out by a newer shoal".into())),
                None if !create => Ok(false),
                None => {
                    transaction.set(&self.keys.format(), &[LAYOUT]);
                    client.commit_small(transaction)?;
                    Ok(true)
                }
            }
        })
    }

    fn destroy(&self) -> KvResult<()> {
        let client = self.brief_client()?;
        client.run_small(|transaction| {
            let all = self.keys.everything();
            transaction.clear_range(&all.start, &all.end);
            client.commit_small(transaction)
        })
    }

    /// A commit is on the disks of the cluster's logs before it's acknowledged, however it is set.
    fn durability_warning(&self) -> KvResult<Option<String>> {
        Ok(None)
    }

    fn open(self, options: RemoteOptions) -> KvResult<Arc<FdbKv>> {
        self.brief_client()?.forget_slots()?;
        FdbKv::open(self.client(options)?)
    }
}

const LIBRARY: &str = "libfdb_c.so";
/// More than the workers would be of no use.
const THREADS: RangeInclusive<usize> = 1..=16;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Result<FdbServer, AddressError> {
        FdbServer::at(&text.parse()?, Duration::from_secs(1))
    }

    #[test]
    fn an_address_names_a_cluster_file_and_nothing_of_a_host() {
        let server = at("fdb:///etc/foundationdb/fdb.cluster?prefix=v1&library=/opt/libfdb_c.so").unwrap();
        assert_eq!(server.cluster_file, PathBuf::from("/etc/foundationdb/fdb.cluster"));
        assert_eq!(server.library(), PathBuf::from("/opt/libfdb_c.so"));
        for wrong in [
            "fdb://host/file",
            "fdb://u@/file",
            "fdb:///",
            "fdb:///f?library=x.so",
            "fdb:///f?prefx=a",
            "fdb:///f?threads=0",
        ] {
            assert!(at(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn without_the_library_it_says_what_is_missing_and_how_to_get_it() {
        let error = at("fdb:///f?library=/nonexistent/libfdb_c.so").unwrap().prepare(false).unwrap_err().to_string();
        for part in ["/nonexistent/libfdb_c.so", "No such file", "FDB_CLIENT_LIB_PATH"] {
            assert!(error.contains(part), "{error}");
        }
    }
}
