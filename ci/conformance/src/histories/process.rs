//! A process of a history: a thread with descriptors, record locks and a working directory of its own, that makes calls on
//! all sides.
//!
//! The kernel tells owners of record locks apart by their table of descriptors, so a thread that has one of its own is a
//! process to it.

use super::answer::Outcome;
use super::call::Call;
use super::folder::{Folder, Ground};
use rustix::thread::UnshareFlags;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

pub struct Process {
    orders: Option<SyncSender<Order>>,
    outcomes: Receiver<Vec<Outcome>>,
    thread: Option<JoinHandle<()>>,
}

enum Order {
    Begin(Vec<Ground>),
    /// To be made on the sides for which it says so.
    Call(Call, Vec<bool>),
    End,
}

impl Process {
    pub fn start() -> Self {
        let (orders, to_do) = sync_channel(1);
        let (done, outcomes) = sync_channel(1);
        let thread = std::thread::spawn(move || work(&to_do, &done));
        Process { orders: Some(orders), outcomes, thread: Some(thread) }
    }

    /// Stands in these folders, with nothing open.
    pub fn begin(&self, sides: Vec<Ground>) {
        self.order(Order::Begin(sides));
    }

    pub fn call(&self, call: &Call, on: Vec<bool>) -> Vec<Outcome> {
        self.order(Order::Call(call.clone(), on))
    }

    /// Closes everything.
    pub fn end(&self) {
        self.order(Order::End);
    }

    fn order(&self, order: Order) -> Vec<Outcome> {
        let orders = self.orders.as_ref().expect("it takes orders until it is dropped");
        orders.send(order).expect("the thread of a process lives");
        self.outcomes.recv().expect("the thread of a process answers")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.orders = None;
        let ended = self.thread.take().expect("joined once").join();
        assert!(ended.is_ok() || std::thread::panicking(), "the thread of a process ends well");
    }
}

fn work(orders: &Receiver<Order>, done: &SyncSender<Vec<Outcome>>) {
    let own = UnshareFlags::FILES | UnshareFlags::FS;
    // SAFETY: from here on this thread uses only descriptors that it opens itself.
    unsafe { rustix::thread::unshare_unsafe(own) }.expect("a thread may have a table of its own");
    // SAFETY: as above; what others have open stays open in their table. The three standard ones are kept for messages.
    let closed = unsafe { libc::close_range(3, u32::MAX, 0) };
    assert_eq!(closed, 0, "close_range: {}", std::io::Error::last_os_error());
    let mut folders: Vec<Folder> = Vec::new();
    while let Ok(order) = orders.recv() {
        let outcomes = match order {
            Order::Begin(sides) => {
                folders = sides.into_iter().map(Folder::new).collect();
                vec![]
            }
            Order::Call(call, on) => folders.iter_mut().zip(on).map(|(folder, on)| folder.call(&call, on)).collect(),
            Order::End => {
                folders.clear();
                rustix::process::chdir("/").expect("there is a root");
                vec![]
            }
        };
        if done.send(outcomes).is_err() {
            return;
        }
    }
}
