//! The server: the store behind a lock, a thread for each client, and the errors it was told to give.

use crate::errors::{COMMIT_UNKNOWN_RESULT, NOT_COMMITTED, PROCESS_BEHIND, TRANSACTION_TOO_OLD};
use crate::log::Log;
use crate::store::Store;
use crate::wire::{Answer, Bytes, Commit, Request, answer_frame, read_frame, read_request};
use std::collections::HashMap;
use std::io::{self, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

/// How often it fails by order: shares of commits, and of reads.
#[derive(Clone, Copy, Default, Debug)]
pub struct Faults {
    /// Commits that are refused as conflicts.
    pub not_committed: f64,
    /// Commits that happen and are told to be unknown.
    pub unknown_committed: f64,
    /// Commits that do not happen and are told to be unknown.
    pub unknown_not_committed: f64,
    /// Reads and commits of a version that is told to be too old.
    pub too_old: f64,
    /// Reads of a storage that is told to be behind.
    pub process_behind: f64,
}

pub fn serve(listener: &TcpListener, log: &Path, faults: Faults) -> io::Result<()> {
    let shared = Arc::new(Shared {
        state: Mutex::new(State { store: Store::over(Log::open(log)?), watches: HashMap::new(), chance: 1 }),
        faults,
    });
    for stream in listener.incoming() {
        let (stream, shared) = (stream?, shared.clone());
        thread::spawn(move || shared.talk(stream));
    }
    Ok(())
}

struct Shared {
    state: Mutex<State>,
    faults: Faults,
}

struct State {
    store: Store,
    watches: HashMap<Bytes, Vec<Watcher>>,
    /// Of a generator of random numbers.
    chance: u64,
}

/// A client and the number of its question.
type Watcher = (Arc<Mutex<TcpStream>>, u64);

impl Shared {
    fn talk(&self, stream: TcpStream) {
        stream.set_nodelay(true).expect("a connection of TCP");
        let Ok(writing) = stream.try_clone() else { return };
        let (mut reading, writing) = (io::BufReader::new(stream), Arc::new(Mutex::new(writing)));
        while let Ok(Some(body)) = read_frame(&mut reading) {
            let Some((number, request)) = read_request(&body) else { return };
            let Some(answer) = self.answer(number, request, &writing) else { continue };
            // Where a client has gone, its reading end tells.
            let _ = send(&writing, number, &answer);
        }
    }

    /// `None`: later.
    fn answer(&self, number: u64, request: Request, client: &Arc<Mutex<TcpStream>>) -> Option<Result<Answer, i32>> {
        let mut state = self.state();
        Some(match request {
            Request::ReadVersion => {
                let (version, metadata) = state.store.read_version();
                Ok(Answer::Version { version, metadata })
            }
            Request::Get { version, key } => match self.fault_of_read(&mut state) {
                Some(code) => Err(code),
                None => state.store.get(version, &key).map(Answer::Value),
            },
            Request::GetRange { version, range, limit, reverse } => match self.fault_of_read(&mut state) {
                Some(code) => Err(code),
                None => state
                    .store
                    .get_range(version, &range, limit as usize, reverse)
                    .map(|(pairs, more)| Answer::Pairs { pairs, more }),
            },
            Request::Commit(commit) => self.commit(&mut state, commit),
            Request::Watch { version, key } => {
                if !state.store.has_changed(version, &key) {
                    state.watches.entry(key).or_default().push((client.clone(), number));
                    return None;
                }
                Ok(Answer::Done)
            }
        })
    }

    fn commit(&self, state: &mut State, commit: Commit) -> Result<Answer, i32> {
        let faults = &self.faults;
        let shares = [faults.not_committed, faults.unknown_not_committed, faults.unknown_committed];
        let shares = [shares[0], shares[1], shares[2], if commit.version.is_some() { faults.too_old } else { 0.0 }];
        let fault = state.draw(&shares);
        match fault {
            Some(0) => return Err(NOT_COMMITTED),
            Some(1) => return Err(COMMIT_UNKNOWN_RESULT),
            Some(3) => return Err(TRANSACTION_TOO_OLD),
            _ => {}
        }
        for key in state.store.commit(commit)? {
            for (client, number) in state.watches.remove(&key).unwrap_or_default() {
                // One that is gone needs no answer.
                let _ = send(&client, number, &Ok(Answer::Done));
            }
        }
        if fault == Some(2) { Err(COMMIT_UNKNOWN_RESULT) } else { Ok(Answer::Done) }
    }

    fn fault_of_read(&self, state: &mut State) -> Option<i32> {
        let fault = state.draw(&[self.faults.too_old, self.faults.process_behind])?;
        Some([TRANSACTION_TOO_OLD, PROCESS_BEHIND][fault])
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics who holds it")
    }
}

impl State {
    /// One of several that exclude each other, each with its share of all cases.
    fn draw(&mut self, shares: &[f64]) -> Option<usize> {
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 7;
        self.chance ^= self.chance << 17;
        let mut rest = (self.chance >> 11) as f64 / (1u64 << 53) as f64;
        shares.iter().position(|share| {
            rest -= share;
            rest < 0.0
        })
    }
}

fn send(client: &Mutex<TcpStream>, number: u64, answer: &Result<Answer, i32>) -> io::Result<()> {
    client.lock().expect("nobody panics who holds it").write_all(&answer_frame(number, answer))
}
