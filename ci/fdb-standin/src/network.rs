//! The network of a process: one thread, the program's own, sends requests, hears answers and completes futures. As long as a
//! server is away, it tries again; requests wait for it for ever. A commit that was on
//! its way when a connection ended has an unknown result.

use crate::errors::{COMMIT_UNKNOWN_RESULT, NETWORK_NOT_SETUP};
use crate::wire::{Answer, Bytes, Request, read_answer, read_frame, request_frame};
use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

pub struct Network {
    events: Mutex<Sender<Event>>,
    heard: Mutex<Option<Receiver<Event>>>,
}

static NETWORK: OnceLock<Network> = OnceLock::new();

enum Event {
    Ask(Asked),
    /// The database is not used any more.
    Forget(u64),
    Heard {
        connection: u64,
        body: Bytes,
    },
    Lost {
        connection: u64,
    },
    Stop,
}

/// What is called with an answer on the network's thread.
pub type Then = Box<dyn FnOnce(Result<Answer, i32>) + Send>;

struct Asked {
    database: u64,
    server: SocketAddr,
    request: Request,
    then: Then,
}

impl Network {
    /// `false`: there is one already.
    pub fn set_up() -> bool {
        let (events, heard) = mpsc::channel();
        NETWORK.set(Network { events: Mutex::new(events), heard: Mutex::new(Some(heard)) }).is_ok()
    }

    /// Until it's stopped.
    pub fn run() -> Result<(), i32> {
        let network = NETWORK.get().ok_or(NETWORK_NOT_SETUP)?;
        let heard = network.heard.lock().expect(UNPOISONED).take().ok_or(NETWORK_NOT_SETUP)?;
        Loop {
            events: network.sender(),
            pending: BTreeMap::new(),
            links: HashMap::new(),
            absent: HashMap::new(),
            next: 0,
        }
        .run(&heard);
        Ok(())
    }

    pub fn stop() -> Result<(), i32> {
        Network::say(Event::Stop)
    }

    pub fn forget(database: u64) {
        // Without a network there is nothing to forget.
        let _ = Network::say(Event::Forget(database));
    }

    pub fn ask(database: u64, server: SocketAddr, request: Request, then: Then) {
        // After its end nothing is answered any more.
        let _ = Network::say(Event::Ask(Asked { database, server, request, then }));
    }

    fn say(event: Event) -> Result<(), i32> {
        NETWORK.get().ok_or(NETWORK_NOT_SETUP)?.sender().send(event).map_err(|_| NETWORK_NOT_SETUP)
    }

    fn sender(&self) -> Sender<Event> {
        self.events.lock().expect(UNPOISONED).clone()
    }
}

struct Loop {
    events: Sender<Event>,
    /// What has no answer yet, in the order in which it was asked.
    pending: BTreeMap<u64, Asked>,
    /// By database.
    links: HashMap<u64, Link>,
    /// Servers that did not answer, and when to try again.
    absent: HashMap<u64, Instant>,
    next: u64,
}

struct Link {
    number: u64,
    stream: TcpStream,
    last_heard: Instant,
    last_asked: Instant,
}

impl Loop {
    fn run(mut self, heard: &Receiver<Event>) {
        let mut next_look = Instant::now();
        loop {
            match heard.recv_timeout(next_look.saturating_duration_since(Instant::now())) {
                Ok(Event::Ask(asked)) => self.ask(asked),
                Ok(Event::Forget(database)) => {
                    self.end_link(database);
                    self.pending.retain(|_, asked| asked.database != database);
                }
                Ok(Event::Heard { connection, body }) => self.hear(connection, &body),
                Ok(Event::Lost { connection }) => self.lose(connection),
                Ok(Event::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {}
            }
            if next_look <= Instant::now() {
                self.look_around();
                next_look = Instant::now() + LOOK_INTERVAL;
            }
        }
    }

    fn ask(&mut self, asked: Asked) {
        self.next += 1;
        let (number, database, server) = (self.next, asked.database, asked.server);
        match self.links.get_mut(&database) {
            Some(link) => {
                link.send(number, &asked.request);
                self.pending.insert(number, asked);
            }
            None => {
                self.pending.insert(number, asked);
                self.link(database, server);
            }
        }
    }

    /// Connects, if the server is there, and asks everything that waits.
    fn link(&mut self, database: u64, server: SocketAddr) {
        if self.absent.get(&database).is_some_and(|again| Instant::now() < *again) {
            return;
        }
        match self.connect(server) {
            Ok(mut link) => {
                let waiting = self.pending.iter().filter(|(_, asked)| asked.database == database);
                waiting.for_each(|(number, asked)| link.send(*number, &asked.request));
                self.links.insert(database, link);
            }
            Err(_) => drop(self.absent.insert(database, Instant::now() + CONNECT_INTERVAL)),
        }
    }

    fn connect(&mut self, server: SocketAddr) -> io::Result<Link> {
        let stream = TcpStream::connect_timeout(&server, CONNECT_TIME_MAX)?;
        stream.set_nodelay(true)?;
        self.next += 1;
        let (connection, events) = (self.next, self.events.clone());
        let mut reading = io::BufReader::new(stream.try_clone()?);
        thread::Builder::new().name("fdb-standin-ear".into()).spawn(move || {
            while let Ok(Some(body)) = read_frame(&mut reading) {
                if events.send(Event::Heard { connection, body }).is_err() {
                    return;
                }
            }
            // The network may have ended before.
            let _ = events.send(Event::Lost { connection });
        })?;
        Ok(Link { number: connection, stream, last_heard: Instant::now(), last_asked: Instant::now() })
    }

    fn hear(&mut self, connection: u64, body: &[u8]) {
        let Some(link) = self.links.values_mut().find(|link| link.number == connection) else { return };
        link.last_heard = Instant::now();
        let Some((number, answer)) = read_answer(body) else { return };
        if let Some(asked) = self.pending.remove(&number) {
            (asked.then)(answer);
        }
    }

    fn lose(&mut self, connection: u64) {
        let lost = self.links.iter().find(|(_, link)| link.number == connection).map(|(database, _)| *database);
        if let Some(database) = lost {
            self.end_link(database);
            let commits = self
                .pending
                .extract_if(.., |_, asked| asked.database == database && matches!(asked.request, Request::Commit(_)));
            let commits: Vec<_> = commits.collect();
            commits.into_iter().for_each(|(_, asked)| (asked.then)(Err(COMMIT_UNKNOWN_RESULT)));
            self.ask_again();
        }
    }

    fn end_link(&mut self, database: u64) {
        if let Some(link) = self.links.remove(&database) {
            // It may have ended already.
            let _ = link.stream.shutdown(Shutdown::Both);
        }
    }

    fn ask_again(&mut self) {
        let waiting = self.pending.values().filter(|asked| !self.links.contains_key(&asked.database));
        let waiting: BTreeMap<_, _> = waiting.map(|asked| (asked.database, asked.server)).collect();
        waiting.into_iter().for_each(|(database, server)| self.link(database, server));
    }

    fn look_around(&mut self) {
        let now = Instant::now();
        let silent = |link: &Link| now.duration_since(link.last_heard) > SILENCE_MAX;
        let dead: Vec<u64> = self.links.values().filter(|link| silent(link)).map(|link| link.number).collect();
        dead.into_iter().for_each(|connection| self.lose(connection));
        for link in self.links.values_mut().filter(|link| now.duration_since(link.last_asked) > ASK_INTERVAL) {
            link.last_asked = now;
            // To be heard of.
            link.send(0, &Request::ReadVersion);
        }
        self.ask_again();
    }
}

impl Link {
    fn send(&mut self, number: u64, request: &Request) {
        // Where it fails, the reading end tells.
        let _ = self.stream.write_all(&request_frame(number, request));
    }
}

const LOOK_INTERVAL: Duration = Duration::from_millis(20);
const ASK_INTERVAL: Duration = Duration::from_millis(250);
const SILENCE_MAX: Duration = Duration::from_millis(1500);
const CONNECT_TIME_MAX: Duration = Duration::from_secs(1);
const CONNECT_INTERVAL: Duration = Duration::from_millis(50);
const UNPOISONED: &str = "nobody panics who holds it";
