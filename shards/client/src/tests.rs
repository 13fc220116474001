//! The calls, from a thread that is no shard's.

use crate::{Access, AccessTimes, Config, KernelTimeouts, NewInode, RenameFlags, Volume};
use bytes::Bytes;
use shoal_kv::MemoryKv;
use shoal_metadata::{Metadata, SessionKind, SessionRecord};
use shoal_object_store::OpendalStore;
use shoal_types::{Compression, Consistency, Errno, FileKind, Ino, Name, SCHEMA_VERSION, Timestamp, VolumeSettings};
use std::sync::Arc;

fn volume() -> Volume {
    let kv = MemoryKv::new();
    let settings = VolumeSettings {
        schema: SCHEMA_VERSION,
        name: "test".into(),
        uuid: "00000000-0000-4000-8000-000000000000".into(),
        storage: "memory:".into(),
        block_bytes: VolumeSettings::BLOCK_BYTES_MIN,
        inline_bytes_max: 4096,
        staging: Default::default(),
        delete_grace_seconds: 0,
        compression: Compression::None,
        cipher: None,
        also_encrypted: Default::default(),
    };
    Metadata::format(&*kv, &settings, (0, 0), Timestamp::ZERO).unwrap();
    let session = SessionRecord {
        host: "host".into(),
        boot: "boot".into(),
        pid: std::process::id(),
        started: Timestamp::ZERO,
        mount_point: String::new(),
        kind: SessionKind::Mount,
        consistency: Consistency::default(),
    };
    Volume::start(Config {
        kv,
        store: Arc::new(OpendalStore::memory().unwrap()),
        settings,
        sealer: None,
        session,
        shards: 2,
        pin: false,
        cache: None,
        write_buffer_bytes: 4 << 20,
        read_buffer_bytes: 4 << 20,
        readahead_bytes_max: 4 << 20,
        access_times: AccessTimes::default(),
        timeouts: KernelTimeouts::default(),
        holds_inodes: false,
    })
    .unwrap()
}

fn new(kind: FileKind) -> NewInode {
    NewInode { kind, mode: 0o755, umask: 0, uid: 0, gid: 0, rdev: 0, target: Vec::new() }
}

fn name(name: &str) -> Name {
    Name::new(name.as_bytes()).unwrap()
}

#[test]
fn a_front_end_on_another_runtime_can_do_all_it_needs() {
    let volume = volume();
    let runtime = tokio::runtime::Builder::new_multi_thread().build().unwrap();
    runtime.block_on(async {
        let directory = volume.create(Ino::ROOT, &name("d"), new(FileKind::Directory)).await.unwrap().ino;
        let file = volume.create(directory, &name("f"), new(FileKind::Regular)).await.unwrap().ino;
        let data = Bytes::from((0..200_000u32).flat_map(u32::to_le_bytes).collect::<Vec<u8>>());
        assert_eq!(volume.write(file, 5, data.clone()).await, Ok(data.len() as u32));
        assert_eq!(volume.fsync(file).await, Ok(()));
        assert_eq!(volume.read(file, 5, data.len() + 100).await, Ok(data.clone()));
        assert_eq!(volume.read(file, 0, 5).await, Ok(Bytes::from_static(&[0; 5])));
        assert_eq!(volume.lookup_path(b"/d/f").await.unwrap().length, data.len() as u64 + 5);
        let to = name("g");
        volume.rename((directory, &name("f")), (Ino::ROOT, &to), RenameFlags::default()).await.unwrap();
        assert_eq!(volume.lookup_path(b"d/f").await.unwrap_err(), Errno::ENOENT);
        let entries = volume.read_directory(Ino::ROOT).await.unwrap();
        let mut names: Vec<_> = entries.iter().map(|entry| entry.name.clone()).collect();
        names.sort();
        assert_eq!(names, [name("d"), to.clone()]);
        assert_eq!(volume.open(file, Access { write: true, append: false }).await.unwrap().attributes.length, 800_005);
        volume.close(file).await.unwrap();
        volume.unlink(Ino::ROOT, &to).await.unwrap();
        volume.rmdir(Ino::ROOT, &name("d")).await.unwrap();
        assert!(volume.read_directory(Ino::ROOT).await.unwrap().is_empty());
        // What has lost its name can be opened by its number until its removal has begun.
        match volume.open(file, Access::default()).await {
            Ok(opened) => {
                assert_eq!(opened.attributes.nlink, 0);
                volume.close(file).await.unwrap();
            }
            Err(errno) => assert_eq!(errno, Errno::ENOENT),
        }
    });
    volume.stop().unwrap();
}
