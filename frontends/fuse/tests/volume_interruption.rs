//! A client that is killed while it waits for an object store that doesn't answer. The only test of its process, because
//! it forks: a child holds whatever other tests have open.
//!
//! Needs `/dev/fuse` and the right to mount.
#![allow(clippy::unwrap_used)] // In tests a failed unwrap is a failed test, which is what it is for.

#[path = "volume_mount/harness.rs"]
#[allow(dead_code)] // Other tests use the rest of it.
mod harness;

const RINGS: shoal_fuse::RingUse = shoal_fuse::RingUse::Never;

use bytes::Bytes;
use harness::{Disk, pattern};
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap, munmap};
use shoal_object_store::{BoxFuture, ListedObject, ObjectStore, StoreResult};
use std::fs::{self, File};
use std::future::poll_fn;
use std::ops::Range;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::Duration;

/// Far above what an interruption takes, and far below any deadline of the store.
const PATIENCE: Duration = Duration::from_secs(10);

/// Several, so that some are owned by the shard that receives the read and some by another.
const FILES: u32 = 4;
const BYTES: usize = 1 << 20;

/// A store whose reads wait until it's told to go on.
struct Stalling {
    inner: Arc<dyn ObjectStore>,
    gate: Arc<Gate>,
    /// Hears of each read that begins.
    begun: Sender<()>,
}

#[derive(Default)]
struct Gate(Mutex<(bool, Vec<Waker>)>);

impl Gate {
    fn open(&self) {
        let mut state = self.0.lock().unwrap();
        state.0 = true;
        state.1.drain(..).for_each(Waker::wake);
    }

    async fn pass(&self) {
        poll_fn(|context| {
            let mut state = self.0.lock().unwrap();
            if state.0 {
                return Poll::Ready(());
            }
            state.1.push(context.waker().clone());
            Poll::Pending
        })
        .await
    }
}

impl ObjectStore for Stalling {
    fn put<'a>(&'a self, key: &'a str, segments: Vec<Bytes>) -> BoxFuture<'a, StoreResult<()>> {
        self.inner.put(key, segments)
    }

    fn get<'a>(&'a self, key: &'a str, range: Range<u64>) -> BoxFuture<'a, StoreResult<Bytes>> {
        Box::pin(async move {
            // The test may have ended while readahead goes on.
            let _ = self.begun.send(());
            self.gate.pass().await;
            self.inner.get(key, range).await
        })
    }

    fn get_whole<'a>(&'a self, key: &'a str) -> BoxFuture<'a, StoreResult<Bytes>> {
        self.inner.get_whole(key)
    }

    fn sync<'a>(&'a self, keys: &'a [String]) -> BoxFuture<'a, StoreResult<()>> {
        self.inner.sync(keys)
    }

    fn sync_all(&self) -> BoxFuture<'_, StoreResult<()>> {
        self.inner.sync_all()
    }

    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, StoreResult<()>> {
        self.inner.delete(key)
    }

    fn list<'a>(
        &'a self,
        prefix: &'a str,
        found: &'a mut (dyn FnMut(ListedObject) -> StoreResult<()> + Send),
    ) -> BoxFuture<'a, StoreResult<()>> {
        self.inner.list(prefix, found)
    }
}

/// A process of its own that waits in a page fault. It's the one way to read that the kernel sends INTERRUPTs for: a
/// killed reader of readahead just goes away, and direct I/O waits for its answer whatever happens.
struct Faulting(libc::pid_t);

impl Faulting {
    fn start(page: *const u8) -> Faulting {
        // SAFETY: the child touches one mapped page and exits, calling nothing that other threads could hold a lock of.
        match unsafe { libc::fork() } {
            -1 => panic!("no process could be started"),
            0 => unsafe {
                std::ptr::read_volatile(page);
                libc::_exit(0)
            },
            child => Faulting(child),
        }
    }

    /// Gives the signal that ended it.
    fn kill(self) -> i32 {
        let mut status = 0;
        // SAFETY: the child is ours and has not been waited for.
        unsafe {
            assert_eq!(libc::kill(self.0, libc::SIGKILL), 0);
            assert_eq!(libc::waitpid(self.0, &mut status, 0), self.0);
        }
        libc::WTERMSIG(status)
    }
}

/// Kills the reader; false if it goes on waiting for the gate, which then opens so that the test comes to an end.
fn ends_while_shut(reader: Faulting, gate: &Arc<Gate>) -> bool {
    let (ended, waiting) = channel::<()>();
    let gate = gate.clone();
    let watchdog = std::thread::spawn(move || {
        let late = waiting.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout);
        if late {
            gate.open();
        }
        !late
    });
    assert_eq!(reader.kill(), libc::SIGKILL);
    drop(ended);
    watchdog.join().unwrap()
}

#[test]
fn a_killed_reader_does_not_wait_for_the_store() {
    let disk = Disk::new();
    let mount = disk.mount();
    for number in 0..FILES {
        fs::write(mount.path(&format!("f{number}")), pattern(number, BYTES)).unwrap();
    }
    mount.unmount();

    let (begun, reads) = channel();
    let gate = Arc::new(Gate::default());
    let stalling = |inner| Arc::new(Stalling { inner, gate: gate.clone(), begun }) as Arc<dyn ObjectStore>;
    let mount = disk.mount_with_store(stalling);
    for number in 0..FILES {
        let file = File::open(mount.path(&format!("f{number}"))).unwrap();
        let (protection, flags) = (ProtFlags::READ, MapFlags::SHARED);
        // SAFETY: a new mapping at an address of the kernel's choice.
        let address = unsafe { mmap(std::ptr::null_mut(), BYTES, protection, flags, &file, 0) }.unwrap();
        // SAFETY: the mapping made above. Random, so that a fault reads its page and nothing ahead.
        unsafe { madvise(address, BYTES, Advice::Random) }.unwrap();
        let reader = Faulting::start(address.cast());
        reads.recv_timeout(PATIENCE).expect("the read reaches the store");
        assert!(ends_while_shut(reader, &gate), "the reader is gone while the store still waits");
        // SAFETY: the mapping made above, which nothing refers to.
        unsafe { munmap(address, BYTES) }.unwrap();
        while reads.try_recv().is_ok() {}
    }
    gate.open();
    for number in 0..FILES {
        assert!(fs::read(mount.path(&format!("f{number}"))).unwrap() == pattern(number, BYTES));
    }
    mount.unmount();
}
