//! The network between a client and a server, with what goes wrong on networks: answers that never arrive, connections
//! that are cut in the middle, and silence.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    server_port: u16,
    /// One answer in so many is lost, with its connection; 0: none.
    lose_one_answer_in: AtomicU64,
    answers: AtomicU64,
    lost: AtomicU64,
    /// Connections with smaller numbers are held.
    held_below: AtomicU64,
    accepted: AtomicU64,
    closed: AtomicBool,
    connections: Mutex<Vec<TcpStream>>,
}

impl Proxy {
    pub fn to(server_port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("the loopback has free ports");
        let port = listener.local_addr().expect("a bound socket has an address").port();
        let shared = Arc::new(Shared {
            server_port,
            lose_one_answer_in: AtomicU64::new(0),
            answers: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            held_below: AtomicU64::new(0),
            accepted: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            connections: Mutex::default(),
        });
        let accepting = shared.clone();
        thread::spawn(move || {
            for client in listener.incoming() {
                if accepting.closed.load(SeqCst) {
                    return;
                }
                if let Ok(client) = client {
                    accepting.join_to_server(client);
                }
            }
        });
        Proxy { port, shared }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// From now on one answer in `count` gets lost on its way to the client, and its connection with it; 0: none.
    pub fn lose_one_answer_in(&self, count: u64) {
        self.shared.lose_one_answer_in.store(count, SeqCst);
    }

    pub fn answers_lost(&self) -> u64 {
        self.shared.lost.load(SeqCst)
    }

    /// Cuts all connections there are.
    pub fn cut(&self) {
        for connection in self.shared.connections.lock().expect("no panic under this lock").drain(..) {
            // It may have ended by itself.
            let _ = connection.shutdown(Shutdown::Both);
        }
    }

    /// From now on nothing is carried over the connections there are, and none of them ends. New ones work.
    pub fn hold(&self) {
        self.shared.held_below.store(self.shared.accepted.load(SeqCst), SeqCst);
    }

    /// The same for all that will be.
    pub fn hold_all(&self) {
        self.shared.held_below.store(u64::MAX, SeqCst);
    }

    /// What was held goes on its way.
    pub fn release(&self) {
        self.shared.held_below.store(0, SeqCst);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.closed.store(true, SeqCst);
        self.release();
        self.cut();
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

impl Shared {
    fn join_to_server(self: &Arc<Self>, client: TcpStream) {
        // A server that is down is what the client is to see.
        let Ok(server) = TcpStream::connect(("127.0.0.1", self.server_port)) else { return };
        let pair = |socket: &TcpStream| {
            socket.set_nodelay(true).expect("a socket can be set");
            socket.try_clone().expect("a socket can be shared")
        };
        let (client_end, server_end) = (pair(&client), pair(&server));
        self.connections.lock().expect("no panic under this lock").extend([pair(&client), pair(&server)]);
        let number = self.accepted.fetch_add(1, SeqCst);
        let (up, down) = (self.clone(), self.clone());
        thread::spawn(move || up.carry(number, client_end, server, false));
        thread::spawn(move || down.carry(number, server_end, client, true));
    }

    fn carry(&self, number: u64, mut from: TcpStream, mut to: TcpStream, answers: bool) {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            while number < self.held_below.load(SeqCst) {
                thread::sleep(Duration::from_millis(1));
            }
            if (answers && self.loses_this_one()) || to.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    }

    fn loses_this_one(&self) -> bool {
        let one_in = self.lose_one_answer_in.load(SeqCst);
        let lost = one_in > 0 && self.answers.fetch_add(1, SeqCst) % one_in == one_in - 1;
        self.lost.fetch_add(u64::from(lost), SeqCst);
        lost
    }
}
