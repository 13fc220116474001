//! Claims about a store with a folder before it: the contract, and what kills, power failures and faults may do.

use super::*;
use crate::chance::Chance;
use crate::contract::{Subject, run};
use crate::{FaultyStore, FsStore, OpendalStore};
use std::collections::HashMap;
use std::path::Path;
use tokio::sync::Semaphore;

const PATIENCE: Duration = Duration::from_secs(300);

fn memory() -> Arc<dyn ObjectStore> {
    Arc::new(OpendalStore::memory().unwrap())
}

fn folder(path: &Path) -> Arc<dyn ObjectStore> {
    Arc::new(FsStore::open(path).unwrap())
}

fn started(disk: &Arc<dyn ObjectStore>, behind: &Arc<dyn ObjectStore>) -> StagedStore {
    StagedStore::start(disk.clone(), behind.clone(), behind.clone(), 1 << 40).unwrap()
}

fn content(number: u64) -> Vec<Bytes> {
    let bytes: Vec<u8> = (0..2_000 + number * 7).map(|at| (at * 31 + number) as u8).collect();
    vec![Bytes::copy_from_slice(&bytes[..1_000]), Bytes::copy_from_slice(&bytes[1_000..])]
}

fn key(number: u64) -> String {
    format!("v/objects/{number}")
}

async fn names(store: &dyn ObjectStore) -> Vec<String> {
    let mut names = Vec::new();
    let mut note = |object: ListedObject| {
        names.push(object.key);
        Ok(())
    };
    store.list("", &mut note).await.unwrap();
    names.sort();
    names
}

/// A store that lets puts through only as it's told to.
struct Gate {
    store: Arc<dyn ObjectStore>,
    puts: Semaphore,
}

impl Gate {
    fn shut() -> Arc<Self> {
        Arc::new(Gate { store: memory(), puts: Semaphore::new(0) })
    }

    fn open(&self) {
        self.puts.add_permits(1 << 20);
    }
}

impl ObjectStore for Gate {
    fn put<'a>(&'a self, key: &'a str, segments: Vec<Bytes>) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(async move {
            let _passed = self.puts.acquire().await.unwrap();
            self.store.put(key, segments).await
        })
    }

    fn get<'a>(&'a self, key: &'a str, range: Range<u64>) -> BoxFuture<'a, StoreResult<Bytes>> {
        self.store.get(key, range)
    }

    fn get_whole<'a>(&'a self, key: &'a str) -> BoxFuture<'a, StoreResult<Bytes>> {
        self.store.get_whole(key)
    }

    fn sync<'a>(&'a self, keys: &'a [String]) -> BoxFuture<'a, StoreResult<()>> {
        self.store.sync(keys)
    }

    fn sync_all(&self) -> BoxFuture<'_, StoreResult<()>> {
        self.store.sync_all()
    }

    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, StoreResult<()>> {
        self.store.delete(key)
    }

    fn list<'a>(
        &'a self,
        prefix: &'a str,
        found: &'a mut (dyn FnMut(ListedObject) -> StoreResult<()> + Send),
    ) -> BoxFuture<'a, StoreResult<()>> {
        self.store.list(prefix, found)
    }
}

mod all_in_the_folder {
    use super::*;

    fn subject() -> Subject {
        let place = tempfile::tempdir().unwrap();
        let away = Arc::new(FaultyStore::new(memory(), 1.0, 1));
        let store = StagedStore::start(folder(place.path()), memory(), away, 1 << 40).unwrap();
        Subject::new(Arc::new(store)).keeping(place)
    }

    crate::contract_tests!(subject());
}

mod all_behind {
    use super::*;

    fn subject() -> Subject {
        let place = tempfile::tempdir().unwrap();
        let store = started(&folder(place.path()), &memory());
        store.stage_no_more();
        Subject::new(Arc::new(store)).keeping(place)
    }

    crate::contract_tests!(subject());
}

#[test]
fn a_put_returns_while_the_store_is_busy_and_moves_on_later() {
    let place = tempfile::tempdir().unwrap();
    let (disk, gate) = (folder(place.path()), Gate::shut());
    let behind: Arc<dyn ObjectStore> = gate.clone();
    let store = started(&disk, &behind);
    run(async {
        for number in 0..40 {
            store.put(&key(number), content(number)).await.unwrap();
            assert_eq!(store.get(&key(number), 3..1_500).await.unwrap(), content(number).concat()[3..1_500]);
            assert_eq!(store.get_whole(&key(number)).await.unwrap(), content(number).concat());
        }
        assert_eq!(names(&store).await.len(), 40);
        assert_eq!(names(&*behind).await.len(), 0);
    });
    let bytes = (0..40).map(|number| content(number).concat().len() as u64).sum();
    assert_eq!(store.left(), Left { objects: 40, bytes, error: None });
    gate.open();
    assert_eq!(store.drain(PATIENCE), Left::default());
    run(async {
        assert_eq!(names(&*behind).await, names(&store).await);
        for number in 0..40 {
            assert_eq!(behind.get_whole(&key(number)).await.unwrap(), content(number).concat());
            assert_eq!(store.get(&key(number), 0..10).await.unwrap(), content(number).concat()[..10]);
        }
        assert_eq!(names(&*disk).await.len(), 0);
    });
}

#[test]
fn what_an_earlier_mount_has_left_is_taken_over_and_uploaded() {
    let place = tempfile::tempdir().unwrap();
    let (disk, behind) = (folder(place.path()), memory());
    let killed = StagedStore::start(disk.clone(), behind.clone(), Gate::shut(), 1 << 40).unwrap();
    run(async {
        for number in 0..10 {
            killed.put(&key(number), content(number)).await.unwrap();
        }
    });
    drop(killed);
    // One of them had been uploaded when it was killed.
    run(behind.put(&key(3), content(3))).unwrap();
    let store = started(&disk, &behind);
    run(async {
        for number in 0..10 {
            assert_eq!(store.get_whole(&key(number)).await.unwrap(), content(number).concat());
        }
    });
    assert_eq!(store.drain(PATIENCE), Left::default());
    assert_eq!(run(names(&*behind)).len(), 10);
}

#[test]
fn what_is_deleted_at_any_moment_is_nowhere_afterwards() {
    for round in 0..30 {
        let place = tempfile::tempdir().unwrap();
        let (disk, gate) = (folder(place.path()), Gate::shut());
        let behind: Arc<dyn ObjectStore> = match round % 2 {
            0 => gate.clone(),
            _ => Arc::new(FaultyStore::new(gate.clone(), 0.3, round)),
        };
        // The faults are the uploads'; whoever deletes meets none.
        let sound: Arc<dyn ObjectStore> = gate.clone();
        let store = StagedStore::start(disk.clone(), sound, behind, 1 << 40).unwrap();
        run(async {
            for number in 0..20 {
                store.put(&key(number), content(number)).await.unwrap();
            }
            let delete = async {
                for number in (0..20).step_by(2) {
                    if number == round / 2 {
                        gate.open();
                    }
                    let deleted = store.delete(&key(number)).await;
                    assert!(deleted.is_ok() || deleted.is_err_and(|error| error.is_not_found()));
                }
            };
            let open_late = async {
                tokio::time::sleep(Duration::from_millis(5)).await;
                gate.open();
            };
            tokio::join!(delete, open_late);
        });
        assert_eq!(store.drain(PATIENCE).objects, 0);
        run(async {
            let mut odd: Vec<String> = (0..20).filter(|number| number % 2 == 1).map(key).collect();
            odd.sort();
            assert_eq!(names(&*gate.store).await, odd, "round {round}");
            assert_eq!(names(&*disk).await.len(), 0);
        });
    }
}

#[test]
fn what_finds_no_room_in_the_folder_goes_straight_to_the_store() {
    let place = tempfile::tempdir().unwrap();
    let (disk, behind) = (folder(place.path()), memory());
    let store = StagedStore::start(disk, behind.clone(), Gate::shut(), 5_000).unwrap();
    run(async {
        for number in 0..10 {
            store.put(&key(number), content(number)).await.unwrap();
        }
        assert_eq!(store.left().objects, 2);
        assert_eq!(names(&*behind).await.len(), 8);
        assert_eq!(names(&store).await.len(), 10);
    });
}

#[test]
fn what_must_not_wait_in_the_folder_goes_straight_to_the_store() {
    let place = tempfile::tempdir().unwrap();
    let (disk, behind) = (folder(place.path()), memory());
    let store = StagedStore::start(disk, behind.clone(), Gate::shut(), 1 << 40).unwrap();
    run(async {
        store.put(&key(0), content(0)).await.unwrap();
        store.put_through(&key(1), content(1)).await.unwrap();
        store.sync(&[key(0), key(1)]).await.unwrap();
        assert_eq!((store.left().objects, names(&*behind).await), (1, vec![key(1)]));
        assert_eq!(store.get_whole(&key(1)).await.unwrap(), content(1).concat());
        store.delete(&key(1)).await.unwrap();
        assert_eq!(names(&store).await, [key(0)]);
    });
}

#[test]
fn a_broken_disk_costs_time_and_nothing_else() {
    let (place, behind) = (tempfile::tempdir().unwrap(), memory());
    let path = place.path().join("staged");
    let store = started(&folder(&path), &behind);
    std::fs::remove_dir(&path).unwrap();
    std::fs::write(&path, "no folder").unwrap();
    run(async {
        for number in 0..20 {
            store.put(&key(number), content(number)).await.unwrap();
            assert_eq!(store.get_whole(&key(number)).await.unwrap(), content(number).concat());
        }
        assert_eq!(names(&*behind).await.len(), 20);
    });
    assert_eq!(store.left().objects, 0);
}

#[test]
fn an_unreachable_store_is_told_and_waited_for() {
    let place = tempfile::tempdir().unwrap();
    let (disk, behind) = (folder(place.path()), memory());
    let away: Arc<dyn ObjectStore> = Arc::new(FaultyStore::new(behind.clone(), 1.0, 1));
    let store = StagedStore::start(disk.clone(), behind.clone(), away, 1 << 40).unwrap();
    run(store.put(&key(1), content(1))).unwrap();
    store.stage_no_more();
    let left = store.drain(Duration::from_millis(400));
    assert_eq!((left.objects, left.error.is_some()), (1, true));
    drop(store);
    assert_eq!(started(&disk, &behind).drain(PATIENCE), Left::default());
    assert_eq!(run(behind.get_whole(&key(1))).unwrap(), content(1).concat());
}

#[test]
fn a_store_that_fails_often_gets_everything_in_the_end() {
    let place = tempfile::tempdir().unwrap();
    let (disk, behind) = (folder(place.path()), memory());
    let faulty: Arc<dyn ObjectStore> = Arc::new(FaultyStore::new(behind.clone(), 0.2, 7));
    let store = StagedStore::start(disk, behind.clone(), faulty, 1 << 40).unwrap();
    run(async {
        for number in 0..60 {
            store.put(&key(number), content(number)).await.unwrap();
        }
    });
    assert_eq!(store.drain(PATIENCE), Left::default());
    run(async {
        for number in 0..60 {
            assert_eq!(behind.get_whole(&key(number)).await.unwrap(), content(number).concat());
        }
    });
}

/// A disk whose power can fail: what wasn't synced is then gone, torn or there, and what was deleted may be back.
#[derive(Default)]
struct PoweredDisk {
    files: Mutex<HashMap<String, File>>,
}

#[derive(Clone)]
struct File {
    content: Vec<u8>,
    synced: bool,
    deleted: bool,
}

impl PoweredDisk {
    fn fail(&self, random: impl Fn(usize) -> usize) {
        let mut files = self.files.lock().unwrap();
        files.retain(|_, file| match (file.synced, file.deleted) {
            (true, false) => true,
            (true, true) => random(2) == 0,
            (false, _) => random(3) > 0,
        });
        for file in files.values_mut() {
            if !file.synced {
                let end = file.content.len();
                let from = random(end + 1);
                file.content[from..].fill(0);
            }
            (file.synced, file.deleted) = (true, false);
        }
    }

    fn with<T>(&self, key: &str, work: impl FnOnce(&mut File) -> T) -> StoreResult<T> {
        let mut files = self.files.lock().unwrap();
        let file = files.get_mut(key).filter(|file| !file.deleted);
        file.map(work).ok_or_else(|| StoreError::NotFound(key.into()))
    }
}

impl ObjectStore for PoweredDisk {
    fn put<'a>(&'a self, key: &'a str, segments: Vec<Bytes>) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            let file = File { content: segments.concat(), synced: false, deleted: false };
            self.files.lock().unwrap().insert(key.into(), file);
            Ok(())
        })
    }

    fn get<'a>(&'a self, key: &'a str, range: Range<u64>) -> BoxFuture<'a, StoreResult<Bytes>> {
        let part =
            move |file: &mut File| Bytes::copy_from_slice(&file.content[range.start as usize..range.end as usize]);
        Box::pin(async move { self.with(key, part) })
    }

    fn get_whole<'a>(&'a self, key: &'a str) -> BoxFuture<'a, StoreResult<Bytes>> {
        Box::pin(async move { self.with(key, |file| file.content.clone().into()) })
    }

    fn sync<'a>(&'a self, keys: &'a [String]) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            keys.iter().try_for_each(|key| self.with(key, |file| file.synced = true))
        })
    }

    fn sync_all(&self) -> BoxFuture<'_, StoreResult<()>> {
        Box::pin(async { Ok(()) })
    }

    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(async move { self.with(key, |file| file.deleted = true) })
    }

    fn list<'a>(
        &'a self,
        prefix: &'a str,
        found: &'a mut (dyn FnMut(ListedObject) -> StoreResult<()> + Send),
    ) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(async move {
            let files = self.files.lock().unwrap().clone();
            let there = files.into_iter().filter(|(key, file)| key.starts_with(prefix) && !file.deleted);
            there.into_iter().try_for_each(|(key, file)| {
                found(ListedObject { key, bytes: file.content.len() as u64, modified: None })
            })
        })
    }
}

#[test]
fn after_a_power_failure_at_any_moment_every_object_that_was_put_reaches_the_store_whole() {
    let rounds = if std::env::var_os("SHOAL_LONG").is_some() { 500 } else { 60 };
    let (disk, behind) = (Arc::new(PoweredDisk::default()), memory());
    let as_store: Arc<dyn ObjectStore> = disk.clone();
    let chance = Chance::new(11);
    let random = |below: usize| chance.below(below as u64) as usize;
    let put = Arc::new(Mutex::new(HashMap::new()));
    let mut number = 0;
    for round in 0..rounds {
        let faulty: Arc<dyn ObjectStore> = Arc::new(FaultyStore::new(behind.clone(), 0.1, round));
        let store = Arc::new(StagedStore::start(as_store.clone(), behind.clone(), faulty, 1 << 40).unwrap());
        let moment = Duration::from_micros(random(3_000) as u64);
        run(async {
            let writers: Vec<_> = (0..4)
                .map(|_| {
                    number += 100;
                    let (store, put, first) = (store.clone(), put.clone(), number);
                    tokio::spawn(async move {
                        for number in first..first + 100 {
                            store.put(&key(number), content(number)).await.unwrap();
                            put.lock().unwrap().insert(number, true);
                            if number % 5 == 0 {
                                put.lock().unwrap().remove(&number);
                                let _ = store.delete(&key(number)).await;
                            }
                        }
                    })
                })
                .collect();
            tokio::time::sleep(moment).await;
            writers.iter().for_each(|writer| writer.abort());
            for writer in writers {
                let _ = writer.await;
            }
        });
        // The thread ends in the middle of whatever it does.
        drop(store);
        disk.fail(random);
    }
    assert_eq!(started(&as_store, &behind).drain(PATIENCE), Left::default());
    let put = std::mem::take(&mut *put.lock().unwrap());
    assert!(put.len() > 100, "{} objects were put", put.len());
    run(async {
        for number in put.into_keys() {
            assert_eq!(behind.get_whole(&key(number)).await.unwrap(), content(number).concat(), "object {number}");
        }
    });
}
