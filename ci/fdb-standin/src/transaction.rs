//! A transaction of the C API: its read version, asked for once and only when needed, and what it will write.

use crate::errors::{CLIENT_INVALID_OPERATION, INVALID_OPTION, KEY_OUTSIDE_LEGAL_RANGE, WATCHES_DISABLED};
use crate::future::Future;
use crate::mutation::{METADATA_VERSION, Mutation};
use crate::network::Network;
use crate::wire::{Answer, Bytes, Commit, Range, Request};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

pub struct Database {
    pub number: u64,
    pub server: SocketAddr,
}

impl Drop for Database {
    fn drop(&mut self) {
        Network::forget(self.number);
    }
}

pub struct Transaction {
    database: Arc<Database>,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    version: Version,
    writes: Commit,
    watches: Vec<(Bytes, Arc<Future>)>,
    reads_own_writes_never: bool,
}

#[derive(Default)]
enum Version {
    #[default]
    Unknown,
    /// With what waits for it.
    Asked(Vec<Waiting>),
    Known {
        version: i64,
        metadata: Option<Bytes>,
    },
}

type Waiting = Box<dyn FnOnce(Result<(i64, Option<Bytes>), i32>) + Send>;

const READ_YOUR_WRITES_DISABLE: i32 = 51;

impl Transaction {
    pub fn new(database: Arc<Database>) -> Self {
        Transaction { database, shared: Arc::default() }
    }

    pub fn set_option(&self, option: i32) -> Result<(), i32> {
        match option {
            READ_YOUR_WRITES_DISABLE => self.shared().reads_own_writes_never = true,
            _ => return Err(INVALID_OPTION),
        }
        Ok(())
    }

    pub fn read_version(&self) -> Arc<Future> {
        let future = Arc::new(Future::default());
        let asked = future.clone();
        self.at_version(move |known| {
            asked.complete(known.map(|(version, _)| Answer::Version { version, metadata: None }));
        });
        future
    }

    pub fn get(&self, key: Bytes, snapshot: bool) -> Arc<Future> {
        if let Err(code) = self.check_read(&key) {
            return Future::known(Err(code));
        }
        if !snapshot {
            self.shared().writes.reads.push((key.clone(), [key.as_slice(), &[0]].concat()));
        }
        let future = Arc::new(Future::default());
        let (asked, database) = (future.clone(), self.database.clone());
        self.at_version(move |known| match known {
            Err(code) => asked.complete(Err(code)),
            // It came with the version.
            Ok((_, metadata)) if key == METADATA_VERSION => asked.complete(Ok(Answer::Value(metadata))),
            Ok((version, _)) => {
                let then = Box::new(move |answer| asked.complete(answer));
                Network::ask(database.number, database.server, Request::Get { version, key }, then);
            }
        });
        future
    }

    pub fn get_range(&self, range: Range, limit: u32, reverse: bool, snapshot: bool) -> Arc<Future> {
        if let Err(code) = self.check_read(&range.0) {
            return Future::known(Err(code));
        }
        if !snapshot {
            self.shared().writes.reads.push(range.clone());
        }
        let future = Arc::new(Future::default());
        let (asked, database) = (future.clone(), self.database.clone());
        self.at_version(move |known| match known {
            Err(code) => asked.complete(Err(code)),
            Ok((version, _)) => {
                let then = Box::new(move |answer| asked.complete(answer));
                let request = Request::GetRange { version, range, limit, reverse };
                Network::ask(database.number, database.server, request, then);
            }
        });
        future
    }

    pub fn mutate(&self, mutation: Mutation) {
        self.shared().writes.mutations.push(mutation);
    }

    pub fn add_conflict_range(&self, range: Range, write: bool) {
        let mut shared = self.shared();
        match write {
            true => shared.writes.writes.push(range),
            false => shared.writes.reads.push(range),
        }
    }

    /// Told after the commit, when the value is no longer what this transaction sees.
    pub fn watch(&self, key: Bytes) -> Arc<Future> {
        let mut shared = self.shared();
        if shared.reads_own_writes_never {
            return Future::known(Err(WATCHES_DISABLED));
        }
        let future = Arc::new(Future::default());
        shared.watches.push((key, future.clone()));
        future
    }

    pub fn commit(&self) -> Arc<Future> {
        let future = Arc::new(Future::default());
        let (mut commit, watches) = {
            let mut shared = self.shared();
            (std::mem::take(&mut shared.writes), std::mem::take(&mut shared.watches))
        };
        let system = |mutation: &Mutation| mutation.key.starts_with(b"\xff") && mutation.key != METADATA_VERSION;
        if commit.mutations.iter().any(system) {
            return Future::known(Err(KEY_OUTSIDE_LEGAL_RANGE));
        }
        let (database, told) = (self.database.clone(), future.clone());
        let committed = move |version: i64| {
            move |answer: Result<Answer, i32>| {
                let code = answer.as_ref().err().copied();
                told.complete(answer);
                for (key, watch) in watches {
                    match code {
                        Some(code) => watch.complete(Err(code)),
                        None => {
                            let then = Box::new(move |answer| watch.complete(answer));
                            Network::ask(database.number, database.server, Request::Watch { version, key }, then);
                        }
                    }
                }
            }
        };
        let database = self.database.clone();
        let read_nothing = matches!(self.shared().version, Version::Unknown) && commit.reads.is_empty();
        let changes_nothing = commit.mutations.is_empty() && commit.writes.is_empty();
        let run = move |known: Result<(i64, Option<Bytes>), i32>| match known {
            Err(code) => committed(0)(Err(code)),
            Ok((version, _)) if changes_nothing => committed(version)(Ok(Answer::Done)),
            Ok((version, _)) => {
                commit.version = (!read_nothing).then_some(version);
                let then = Box::new(committed(version));
                Network::ask(database.number, database.server, Request::Commit(commit), then);
            }
        };
        // As in the original, a version is asked for in any case; where nothing was read it does not count.
        self.at_version(run);
        future
    }

    /// Calls with the read version, now or when it's known.
    fn at_version(&self, then: impl FnOnce(Result<(i64, Option<Bytes>), i32>) + Send + 'static) {
        let mut shared = self.shared();
        match &mut shared.version {
            Version::Known { version, metadata } => {
                let known = (*version, metadata.clone());
                drop(shared);
                then(Ok(known));
            }
            Version::Asked(waiting) => waiting.push(Box::new(then)),
            Version::Unknown => {
                shared.version = Version::Asked(vec![Box::new(then)]);
                let owner = self.shared.clone();
                drop(shared);
                let answered = Box::new(move |answer| tell(&owner, answer));
                let Database { number, server } = &*self.database;
                Network::ask(*number, *server, Request::ReadVersion, answered);
            }
        }
    }

    fn check_read(&self, key: &[u8]) -> Result<(), i32> {
        let shared = self.shared();
        match () {
            // What would be right depends on what was written: the engine never asks for it.
            () if !shared.writes.mutations.is_empty() && !shared.reads_own_writes_never => {
                Err(CLIENT_INVALID_OPERATION)
            }
            () if key.starts_with(b"\xff") && key != METADATA_VERSION => Err(KEY_OUTSIDE_LEGAL_RANGE),
            () => Ok(()),
        }
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().expect(UNPOISONED)
    }
}

fn tell(shared: &Mutex<Shared>, answer: Result<Answer, i32>) {
    let (state, known) = match answer {
        Ok(Answer::Version { version, metadata }) => {
            (Version::Known { version, metadata: metadata.clone() }, Ok((version, metadata)))
        }
        Ok(_) => (Version::Unknown, Err(CLIENT_INVALID_OPERATION)),
        Err(code) => (Version::Unknown, Err(code)),
    };
    let before = std::mem::replace(&mut shared.lock().expect(UNPOISONED).version, state);
    if let Version::Asked(waiting) = before {
        waiting.into_iter().for_each(|then| then(known.clone()));
    }
}

const UNPOISONED: &str = "nobody panics who holds it";
