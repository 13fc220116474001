//! Fetching ahead of whoever reads the small files of a directory one after the other.
//!
//! The owner of a directory is told of each of its files that has to be fetched. After a few it lists the directory, and
//! takes the files for one long stream, each file's bytes behind those of the one before: readahead says which part of it
//! is wanted next. It does so for two orders, the one in which the directory is listed and the one of the names. The
//! owners of the files to come are asked to fetch them into the cache; what was fetched so is remembered, and opening it is
//! what tells that the reader has come so far.
//!
//! A reader that finds its files in the cache is never followed, nor is one of a store that answers at once; an open costs
//! a look at a table.

use crate::limits;
use crate::message::Message;
use crate::recent_map::RecentMap;
use crate::seq_table::SeqTable;
use crate::shard::Shard;
use shoal_file_data::Readahead;
use shoal_types::{BLOCK_BYTES, FileKind, FsResult, Ino, Name};
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Instant;

/// Files that were fetched ahead, and the directory whose reader they were fetched for. All shards look.
pub(crate) struct FetchedAhead(SeqTable<1, 1>);

impl FetchedAhead {
    pub fn new() -> Self {
        FetchedAhead(SeqTable::new(limits::FETCHED_AHEAD_MAX))
    }

    pub fn put(&self, ino: Ino, directory: Ino) {
        self.0.put(ino.mix(), &[ino.0], &[directory.0]);
    }

    fn directory_of(&self, ino: Ino) -> Option<Ino> {
        self.0.get(ino.mix(), &[ino.0]).map(|[directory]| Ino(directory))
    }
}

/// The directories of a shard whose files are being read.
pub(crate) struct DirectoryReaders(RefCell<RecentMap<Ino, Rc<RefCell<Followed>>>>);

impl DirectoryReaders {
    pub fn new() -> Self {
        DirectoryReaders(RefCell::new(RecentMap::new(limits::DIRECTORIES_FOLLOWED_MAX)))
    }

    fn of(&self, directory: Ino) -> Rc<RefCell<Followed>> {
        let mut all = self.0.borrow_mut();
        all.get(&directory).unwrap_or_else(|| {
            let new = Rc::new(RefCell::new(Followed::default()));
            all.insert(directory, new.clone());
            new
        })
    }
}

#[derive(Default)]
struct Followed {
    /// Read since it was listed last, and not on the list.
    unknown: Vec<Ino>,
    listed: Option<Instant>,
    orders: Vec<Order>,
}

/// The files of a directory in one order.
struct Order {
    /// Each with the start of its place in the stream.
    files: Vec<(u64, Ino)>,
    places: HashMap<Ino, usize>,
    readahead: Readahead,
}

impl Order {
    fn new(files: impl Iterator<Item = (Ino, u64)>, readahead_bytes_max: u64) -> Self {
        let mut end = 0;
        let place = |(ino, bytes): (Ino, u64)| {
            end += bytes;
            (end - bytes, ino)
        };
        let mut files: Vec<(u64, Ino)> = files.map(place).collect();
        let places = files.iter().enumerate().map(|(place, (_, ino))| (*ino, place)).collect();
        files.push((end, Ino(0)));
        Order {
            files,
            places,
            readahead: Readahead::new(readahead_bytes_max).after_requests(limits::FILES_IN_ORDER_MIN),
        }
    }

    /// The file is read: adds those that are to be fetched now.
    fn on_read(&mut self, ino: Ino, wanted: &mut Vec<Ino>) {
        let Some(place) = self.places.get(&ino) else { return };
        let ((start, _), (end, _)) = (self.files[*place], self.files[place + 1]);
        let Some(ahead) = self.readahead.on_read(start, end - start, 0) else { return };
        let files = &self.files[..self.files.len() - 1];
        for range in ahead.ranges() {
            let first = files.partition_point(|(start, _)| *start < range.start);
            wanted.extend(files[first..].iter().take_while(|(start, _)| *start < range.end).map(|(_, ino)| *ino));
        }
    }
}

impl Followed {
    /// The files to fetch now; `None` if one has to list the directory first.
    fn on_read(&mut self, ino: Ino) -> Option<Vec<Ino>> {
        let known = self.orders.first().is_some_and(|order| order.places.contains_key(&ino));
        if !known {
            if !self.unknown.contains(&ino) {
                self.unknown.push(ino);
            }
            let lately = self.listed.is_some_and(|listed| listed.elapsed() < limits::DIRECTORY_LIST_INTERVAL);
            if self.unknown.len() >= limits::FILES_BEFORE_LISTING && !lately {
                // From now on, so that it's listed once.
                self.listed = Some(Instant::now());
                return None;
            }
            self.unknown.truncate(limits::FILES_BEFORE_LISTING);
            return Some(Vec::new());
        }
        let mut wanted = Vec::new();
        self.orders.iter_mut().for_each(|order| order.on_read(ino, &mut wanted));
        Some(wanted)
    }

    fn set_list(&mut self, mut files: Vec<(Name, Ino, u64)>, readahead_bytes_max: u64) -> Vec<Ino> {
        let order = |files: &[(Name, Ino, u64)]| {
            Order::new(files.iter().map(|(_, ino, bytes)| (*ino, *bytes)), readahead_bytes_max)
        };
        let as_listed = order(&files);
        let sorted = files.is_sorted_by(|(a, ..), (b, ..)| a <= b);
        self.orders = vec![as_listed];
        if !sorted {
            files.sort_unstable_by(|(a, ..), (b, ..)| a.cmp(b));
            self.orders.push(order(&files));
        }
        let seen = std::mem::take(&mut self.unknown);
        seen.into_iter().filter_map(|ino| self.on_read(ino)).flatten().collect()
    }
}

impl Shard {
    /// A file was opened: if it was fetched ahead, its reader has come so far.
    pub(crate) fn note_open_in_order(&self, ino: Ino) {
        if let Some(directory) = self.shared.fetched_ahead.directory_of(ino) {
            self.note_read_in_order(directory, ino);
        }
    }

    /// A small file of a directory is read that was not in the cache, or would not have been.
    pub(crate) fn note_read_in_order(&self, directory: Ino, ino: Ino) {
        let owner = self.shared.owner(directory);
        // A shard that has no time does without.
        let _ = self.shared.mailboxes[owner].try_send(Message::ReadInOrder { directory, ino });
    }

    pub(crate) async fn read_in_order_owned(self: &Rc<Self>, directory: Ino, ino: Ino) {
        let followed = self.directory_readers.of(directory);
        let wanted = followed.borrow_mut().on_read(ino);
        let wanted = match wanted {
            Some(wanted) => wanted,
            None => {
                // Nobody is worse off than without, if it can't be listed.
                let Ok(files) = self.list_small_files(directory).await else { return };
                followed.borrow_mut().set_list(files, self.shared.readahead_bytes_max)
            }
        };
        for ino in wanted {
            let message = Message::FetchAhead { directory, ino };
            let _ = self.shared.mailboxes[self.shared.owner(ino)].try_send(message);
        }
    }

    /// Those whose content may be in objects and fits into one, each with the bytes it counts for. Of a directory that is
    /// too large to be remembered, none.
    async fn list_small_files(self: &Rc<Self>, directory: Ino) -> FsResult<Vec<(Name, Ino, u64)>> {
        let (mut files, mut cookie, mut listed) = (Vec::new(), 0, 0);
        loop {
            let page = self.read_directory(directory, cookie, limits::ENTRIES_LISTED_AT_ONCE, true).await?;
            cookie = page.entries.last().map_or(cookie, |entry| entry.cookie);
            listed += page.entries.len();
            for entry in page.entries {
                let Some(attributes) = entry.attributes.filter(|_| entry.kind == FileKind::Regular) else { continue };
                let in_objects = attributes.length > u64::from(self.shared.settings.inline_bytes_max);
                if in_objects && attributes.length <= BLOCK_BYTES {
                    files.push((entry.name, entry.ino, attributes.length.max(limits::FILE_AHEAD_BYTES_MIN)));
                }
            }
            if listed > limits::ENTRIES_FOLLOWED_MAX {
                return Ok(Vec::new());
            }
            if page.end {
                return Ok(files);
            }
        }
    }
}
