//! Sessions on a real mount with a service of our own: interruption, invalidation, dropped replies, unmounting.
//!
//! Needs `/dev/fuse` and the right to mount.

use shoal_fuse::protocol::{Operation, Validity, attr_out, entry_out};
use shoal_fuse::{
    Interrupts, MountError, MountOptions, Mounted, Received, Reply, ReplyBody, RingUse, Service, mount, open,
};
use shoal_runtime::{ShardThreads, shard_threads};
use shoal_types::{Attributes, Errno, FileKind, Ino, InodeFlags, Timestamp};
use std::path::Path;
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);
/// What holds for one transport holds for the other.
const TRANSPORTS: [RingUse; 2] = [RingUse::Never, RingUse::Always];
const FOR_EVER: Duration = Duration::from_secs(100_000);

/// A root with three names: "blocked" waits until it's interrupted, "dropped" is never answered, "file" is a file.
struct Names {
    interrupts: Arc<Interrupts>,
    seen: Sender<String>,
}

impl<R: Reply> Service<R> for Names {
    async fn dispatch(self: Rc<Self>, received: Received<R>) {
        let Received { message, reply } = received;
        let Some((request, reply)) = open(&message, reply) else { return };
        let validity = Validity { entry: FOR_EVER, attributes: FOR_EVER };
        match request.operation {
            Operation::Lookup { name } => {
                self.seen.send(String::from_utf8_lossy(name).into_owned()).expect("the test listens");
                match name {
                    b"blocked" => {
                        self.interrupts.listen(request.header.unique).wait().await;
                        self.seen.send("interrupted".to_owned()).expect("the test listens");
                        reply.send(Err(Errno::EINTR));
                    }
                    b"dropped" => drop(reply),
                    b"file" => reply.send(Ok(ReplyBody::Bytes(&entry_out(2, 0, validity, &attributes(2))))),
                    _ => reply.send(Err(Errno::ENOENT)),
                }
            }
            Operation::Getattr { .. } => {
                let out = attr_out(FOR_EVER, &attributes(request.header.nodeid));
                reply.send(Ok(ReplyBody::Bytes(&out)));
            }
            _ => reply.send(Err(Errno::ENOSYS)),
        }
    }

    fn forget(&self, _: u64, _: u64) {}
}

fn attributes(ino: u64) -> Attributes {
    let kind = if ino == 1 { FileKind::Directory } else { FileKind::Regular };
    let time = Timestamp::ZERO;
    Attributes {
        ino: Ino(ino),
        kind,
        flags: InodeFlags::default(),
        mode: 0o755,
        uid: 0,
        gid: 0,
        rdev: 0,
        nlink: 1,
        length: 0,
        allocated: 0,
        atime: time,
        mtime: time,
        ctime: time,
        btime: time,
    }
}

fn start(mount_point: &Path, rings: RingUse) -> (Mounted, ShardThreads, Receiver<String>) {
    let options = MountOptions { rings, ..MountOptions::new("names") };
    let mounted = mount(mount_point, &options).expect("mounted");
    let (seen, listener) = channel();
    let connections = mounted.connections(2).expect("cloned");
    let connections: Vec<_> = connections.into_iter().map(|connection| Mutex::new(Some(connection))).collect();
    let interrupts = mounted.interrupts();
    let threads = shard_threads(2, false, move |shard| {
        let connection = connections[shard].lock().expect("not poisoned").take().expect("one a shard");
        let service = Rc::new(Names { interrupts: interrupts.clone(), seen: seen.clone() });
        let interrupts = interrupts.clone();
        async move { connection.serve(service, interrupts).await.expect("it ends well") }
    });
    (mounted, threads.expect("started"), listener)
}

#[test]
fn a_killed_client_interrupts_its_request() {
    for rings in TRANSPORTS {
        let folder = tempfile::tempdir().expect("temporary folder");
        let (mounted, threads, seen) = start(folder.path(), rings);
        let mut client =
            Command::new("stat").arg(folder.path().join("blocked")).stdout(Stdio::null()).spawn().expect("started");
        while seen.recv_timeout(PATIENCE).expect("the lookup arrives") != "blocked" {}
        client.kill().expect("killed");
        assert_eq!(seen.recv_timeout(PATIENCE).expect("the interrupt arrives"), "interrupted");
        assert!(!client.wait().expect("it ends").success());
        mounted.unmount(false).expect("nothing holds the mount");
        threads.join();
    }
}

#[test]
fn a_reply_that_is_dropped_fails_the_call_instead_of_blocking_it() {
    for rings in TRANSPORTS {
        let folder = tempfile::tempdir().expect("temporary folder");
        let (mounted, threads, _seen) = start(folder.path(), rings);
        let error = std::fs::metadata(folder.path().join("dropped")).expect_err("dropped");
        assert_eq!(rustix::io::Errno::from_io_error(&error), Some(rustix::io::Errno::IO));
        drop(mounted);
        threads.join();
        assert!(shoal_fuse::find_mount(folder.path()).expect("a mount table").is_none(), "dropping it unmounts");
    }
}

#[test]
fn the_kernel_asks_again_for_what_was_invalidated() {
    for rings in TRANSPORTS {
        let folder = tempfile::tempdir().expect("temporary folder");
        let (mounted, threads, seen) = start(folder.path(), rings);
        let look = || std::fs::metadata(folder.path().join("file")).expect("there").len();
        let lookups = || seen.try_iter().filter(|name| name == "file").count();
        look();
        assert_eq!(lookups(), 1);
        look();
        assert_eq!(lookups(), 0, "answered from the kernel's memory");
        let notifier = mounted.notifier();
        notifier.invalidate_entry(1, b"file").expect("taken");
        look();
        assert_eq!(lookups(), 1);
        notifier.expire_entry(1, b"file").expect("taken");
        look();
        assert_eq!(lookups(), 1);
        notifier.invalidate_inode(2).expect("taken");
        notifier.invalidate_attributes(2).expect("taken");
        notifier.invalidate_entry(1, b"never seen").expect("nothing to forget is no error");
        notifier.invalidate_inode(77).expect("nothing to forget is no error");
        mounted.unmount(false).expect("nothing holds the mount");
        threads.join();
    }
}

#[test]
fn a_second_mount_on_the_same_place_is_refused() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let (mounted, threads, _seen) = start(folder.path(), RingUse::Never);
    let Err(error) = mount(folder.path(), &MountOptions::new("other")) else { panic!("not refused") };
    assert!(matches!(error, MountError::AlreadyMounted { ref volume, .. } if volume == "names"), "{error}");
    mounted.unmount(false).expect("nothing holds the mount");
    threads.join();
}
