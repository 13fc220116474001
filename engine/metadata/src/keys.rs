//! Every key of the schema, byte by byte. Tags and subtags are stored for ever: never renumber one.
//!
//! Integers are big-endian, so that byte order is numeric order. One inode's keys are contiguous, and their subtags are
//! ordered so that one short scan answers `stat`, and a slightly longer one a small file's content too.
//!
//! ```text
//! V                                   volume settings
//! w                                   the wrapped key of an encrypted volume
//! x                                   what opens the object store, sealed with that key
//! b                                   backups of the metadata: when the last one was, who makes one
//! c name                              counter
//! f 00                                who would read the change feed
//! f 01 stamp(10)                      event of the change feed
//! i                                   mark: some inode is, or has been, immutable or append-only
//! k ino(8) 01                         clone under way: what its root's number is, and how far it has come
//! k ino(8) 02 ino(8)                  directory of the copy that is still to be filled
//! k ino(8) 03 ino(8)                  source file that has had several names: what stands for it in the copy
//! l                                   load under way: there is no volume here yet
//! m                                   who maintains the volume
//! n ino(8) 01                         identity
//! n ino(8) 02 field(1)                accumulator
//! n ino(8) 03                         inline data
//! n ino(8) 04                         symlink target
//! n ino(8) 05 chunk(8)                slice list
//! n ino(8) 06 cookie(8) name          directory entry
//! n ino(8) 07                         index of the extended attributes: there if any is
//! n ino(8) 07 name                    extended attribute
//! n ino(8) 08                         reserved: back pointers
//! n ino(8) 09 space(1) session(8) owner(8)   what an owner has locked (space 1: flock, 2: record locks)
//! n ino(8) 09 ff session(8) number(8) a request that waits for a lock
//! n ino(8) 0a                         place in the removal queue, while removal has not begun
//! n ino(8) 0b                         where it was removed from, if its name in the trash doesn't tell all of it
//! o object(8)                         live bytes
//! p 00                                accumulator: bytes that are staged
//! p 01 session(8) directory(8) ino(8) a file that this session has staged
//! p 02 object(8) place(4)             files that a pack was made of, or made anew of
//! p 03 object(8)                      pack of which little is left
//! q 00                                what is counted and limited
//! q kind(1) id(8) 01                  quota of an account: kind 1 the volume, 2 a directory, 3 a user, 4 a group
//! q kind(1) id(8) 02 field(1)         accumulator: its usage
//! q 02 ino(8) 03 ino(8)               directory below it that is still to be walked through
//! s session(8) 01                     session record: a session lives as long as this exists
//! s session(8) 02                     heartbeat
//! s session(8) 03 ino(8)              sustained inode: no name left, still open
//! s session(8) 04 slot(4)             operation record
//! s session(8) 05 start(8)            lease of object numbers
//! s session(8) 06 ino(8) space(1) owner(8)   an owner of this session has locks
//! s session(8) 07 owner(8) number(8)  a request of this owner waits for a lock
//! s session(8) 08                     bell: ADD, rung when a lock that the session waits for may have become free
//! u time(8) ino(8)                    removal queue
//! y 01 number(8)                      folder on some host with objects that are not uploaded yet
//! y 02 number(8) object(8)            object that was deleted while it may have been in this folder
//! z time(8) object(8)                 deletion queue
//! ```
//!
//! A directory entry's cookie is a hash of its name, seeded with the parent so that no set of names collides in every
//! directory. It stays below 2^62 + 16, so that it's a valid `off_t`, and 0 to 15 never occur: they are for "." and "..".

use crate::Account;
use crate::feed::Stamp;
use shoal_kv::KeyRange;
use shoal_types::{CHUNK_MAX, Ino, LockSpace, Name, ObjectId, SessionId};
use twox_hash::XxHash3_64;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Key<'a> {
    Settings,
    WrappedKey,
    /// Of a dump.
    Load,
    StorageSecrets,
    Backups,
    Protected,
    Counter(Counter),
    Audience,
    Event(Stamp),
    Maintenance,
    /// By the root of the copy, as the two below.
    Clone(Ino),
    CloneDirectory(Ino, Ino),
    CloneLink(Ino, Ino),
    Identity(Ino),
    Accumulator(Ino, Accumulator),
    Inline(Ino),
    Target(Ino),
    /// A number up to `CHUNK_MAX`.
    Chunk(Ino, u64),
    /// Built by [`Key::dirent`], which knows the cookie.
    Dirent(Ino, u64, &'a [u8]),
    /// The session, and the owner's number in it.
    Lock(Ino, LockSpace, SessionId, u64),
    /// The session, and the request's number in it.
    Waiter(Ino, SessionId, u64),
    XattrIndex(Ino),
    Xattr(Ino, &'a [u8]),
    Queued(Ino),
    Origin(Ino),
    Object(ObjectId),
    StagedBytes,
    /// The session, the directory, the file.
    Staged(SessionId, Ino, Ino),
    /// The pack, and where in it the bytes of the first file in this part of the list begin.
    PackFiles(ObjectId, u32),
    SparsePack(ObjectId),
    Accounting,
    Quota(Account),
    QuotaUsage(Account, UsageField),
    /// The directory with the quota, and the one to be walked through.
    QuotaWalk(Ino, Ino),
    Session(SessionId),
    Heartbeat(SessionId),
    Sustained(SessionId, Ino),
    Operation(SessionId, u32),
    ObjectLease(SessionId, u64),
    LockOf(SessionId, Ino, LockSpace, u64),
    /// The owner's and the request's numbers.
    WaiterOf(SessionId, u64, u64),
    Bell(SessionId),
    /// Nanoseconds since the epoch, inode.
    Removal(u64, Ino),
    /// Nanoseconds since the epoch, object.
    Deletion(u64, ObjectId),
    WritebackFolder(u64),
    /// The folder, and the object.
    DeletedInWriteback(u64, ObjectId),
}

/// What an inode's commutative updates go to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Accumulator {
    /// MAX. Bytes of a file or of a symlink's target.
    Length = 1,
    /// MAX, nanoseconds. Missing: the identity's mtime holds.
    Mtime = 2,
    /// ADD. Bytes of inline data and of all slices that refer to objects.
    Allocated = 3,
    /// ADD. Entries of a directory.
    Entries = 4,
    /// ADD. Those of them that are directories.
    Subdirectories = 5,
    /// MAX, nanoseconds. Missing: the identity's atime holds.
    Atime = 6,
}

/// What is counted of an account. Both are ADD. The volume's are `Counter`s.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum UsageField {
    Bytes = 1,
    Inodes = 2,
}

/// Volume-wide numbers. The first three are the next number to hand out; the others are ADD accumulators.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Counter {
    NextInode,
    NextObject,
    NextSession,
    UsedBytes,
    UsedInodes,
}

/// Cookies from 0 to below this are never an entry's.
pub const COOKIE_MIN: u64 = 16;

impl<'a> Key<'a> {
    pub fn dirent(parent: Ino, name: &'a Name) -> Self {
        Key::Dirent(parent, cookie(parent, name.as_bytes()), name.as_bytes())
    }

    pub fn encode(&self) -> Vec<u8> {
        let key = Builder(Vec::with_capacity(32));
        match *self {
            Key::Settings => key.byte(b'V'),
            Key::WrappedKey => key.byte(b'w'),
            Key::Load => key.byte(b'l'),
            Key::StorageSecrets => key.byte(b'x'),
            Key::Backups => key.byte(b'b'),
            Key::Protected => key.byte(b'i'),
            Key::Counter(counter) => key.byte(b'c').bytes(counter.name()),
            Key::Audience => key.byte(b'f').byte(AUDIENCE),
            Key::Event(stamp) => key.bytes(EVENT_PREFIX).bytes(&stamp.0),
            Key::Maintenance => key.byte(b'm'),
            Key::Clone(clone) => key.clone_of(clone, CLONE_RECORD),
            Key::CloneDirectory(clone, ino) => key.clone_of(clone, CLONE_DIRECTORY).number(ino.0),
            Key::CloneLink(clone, ino) => key.clone_of(clone, CLONE_LINK).number(ino.0),
            Key::Identity(ino) => key.inode(ino, IDENTITY),
            Key::Accumulator(ino, field) => key.inode(ino, ACCUMULATOR).byte(field as u8),
            Key::Inline(ino) => key.inode(ino, INLINE),
            Key::Target(ino) => key.inode(ino, TARGET),
            Key::Chunk(ino, chunk) => key.inode(ino, CHUNK).number(chunk),
            Key::Dirent(ino, cookie, name) => key.inode(ino, DIRENT).number(cookie).bytes(name),
            Key::Lock(ino, space, session, owner) => {
                key.inode(ino, LOCK).byte(space as u8).number(session.0).number(owner)
            }
            Key::Waiter(ino, session, number) => key.inode(ino, LOCK).byte(WAITER).number(session.0).number(number),
            Key::XattrIndex(ino) => key.inode(ino, XATTR),
            Key::Xattr(ino, name) => key.inode(ino, XATTR).bytes(name),
            Key::Queued(ino) => key.inode(ino, QUEUED),
            Key::Origin(ino) => key.inode(ino, ORIGIN),
            Key::Object(object) => key.byte(b'o').number(object.0),
            Key::StagedBytes => key.byte(b'p').byte(STAGED_BYTES),
            Key::Staged(session, directory, ino) => {
                key.byte(b'p').byte(STAGED).number(session.0).number(directory.0).number(ino.0)
            }
            Key::PackFiles(object, place) => {
                key.byte(b'p').byte(PACK_FILES).number(object.0).bytes(&place.to_be_bytes())
            }
            Key::SparsePack(object) => key.byte(b'p').byte(SPARSE_PACK).number(object.0),
            Key::Accounting => key.byte(b'q').byte(ACCOUNTING),
            Key::Quota(account) => key.account(account, QUOTA_RECORD),
            Key::QuotaUsage(account, field) => key.account(account, QUOTA_USAGE).byte(field as u8),
            Key::QuotaWalk(root, ino) => key.account(Account::Directory(root), QUOTA_WALK).number(ino.0),
            Key::Session(session) => key.session(session, SESSION_RECORD),
            Key::Heartbeat(session) => key.session(session, HEARTBEAT),
            Key::Sustained(session, ino) => key.session(session, SUSTAINED).number(ino.0),
            Key::Operation(session, slot) => key.session(session, OPERATION).bytes(&slot.to_be_bytes()),
            Key::ObjectLease(session, start) => key.session(session, OBJECT_LEASE).number(start),
            Key::LockOf(session, ino, space, owner) => {
                key.session(session, LOCK_OF).number(ino.0).byte(space as u8).number(owner)
            }
            Key::WaiterOf(session, owner, number) => key.session(session, WAITER_OF).number(owner).number(number),
            Key::Bell(session) => key.session(session, BELL),
            Key::Removal(time, ino) => key.byte(b'u').number(time).number(ino.0),
            Key::Deletion(time, object) => key.byte(b'z').number(time).number(object.0),
            Key::WritebackFolder(number) => key.byte(b'y').byte(WRITEBACK_FOLDER).number(number),
            Key::DeletedInWriteback(number, object) => {
                key.byte(b'y').byte(DELETED_IN_WRITEBACK).number(number).number(object.0)
            }
        }
        .0
    }

    /// `None` for bytes that are no key of this schema.
    pub fn parse(key: &'a [u8]) -> Option<Self> {
        let (tag, rest) = key.split_first()?;
        match tag {
            b'V' => rest.is_empty().then_some(Key::Settings),
            b'b' => rest.is_empty().then_some(Key::Backups),
            b'c' => Counter::ALL.into_iter().find(|counter| counter.name() == rest).map(Key::Counter),
            b'f' => match rest.split_first()? {
                (&AUDIENCE, []) => Some(Key::Audience),
                (&EVENT, stamp) => Some(Key::Event(Stamp(stamp.try_into().ok()?))),
                _ => None,
            },
            b'i' => rest.is_empty().then_some(Key::Protected),
            b'k' => Self::parse_clone(rest),
            b'l' => rest.is_empty().then_some(Key::Load),
            b'm' => rest.is_empty().then_some(Key::Maintenance),
            b'n' => Self::parse_inode(rest),
            b'o' => Some(Key::Object(ObjectId(number(rest)?))),
            b'p' => Self::parse_packing(rest),
            b'q' => Self::parse_account(rest),
            b's' => Self::parse_session(rest),
            b'u' => pair(rest).map(|(time, ino)| Key::Removal(time, Ino(ino))),
            b'w' => rest.is_empty().then_some(Key::WrappedKey),
            b'x' => rest.is_empty().then_some(Key::StorageSecrets),
            b'y' => match rest.split_first()? {
                (&WRITEBACK_FOLDER, rest) => Some(Key::WritebackFolder(number(rest)?)),
                (&DELETED_IN_WRITEBACK, rest) => {
                    pair(rest).map(|(number, object)| Key::DeletedInWriteback(number, ObjectId(object)))
                }
                _ => None,
            },
            b'z' => pair(rest).map(|(time, object)| Key::Deletion(time, ObjectId(object))),
            _ => None,
        }
    }

    /// The session whose key this is.
    pub fn session(&self) -> Option<SessionId> {
        match *self {
            Key::Session(session)
            | Key::Heartbeat(session)
            | Key::Sustained(session, _)
            | Key::Operation(session, _)
            | Key::ObjectLease(session, _)
            | Key::LockOf(session, ..)
            | Key::WaiterOf(session, ..)
            | Key::Bell(session) => Some(session),
            _ => None,
        }
    }

    fn parse_inode(rest: &'a [u8]) -> Option<Self> {
        let (ino, rest) = rest.split_first_chunk()?;
        let ino = Ino(u64::from_be_bytes(*ino));
        let (subtag, rest) = rest.split_first()?;
        match (*subtag, rest) {
            (IDENTITY, []) => Some(Key::Identity(ino)),
            (ACCUMULATOR, [field]) => Some(Key::Accumulator(ino, Accumulator::from_u8(*field)?)),
            (INLINE, []) => Some(Key::Inline(ino)),
            (TARGET, []) => Some(Key::Target(ino)),
            (CHUNK, rest) => number(rest).filter(|chunk| *chunk <= CHUNK_MAX).map(|chunk| Key::Chunk(ino, chunk)),
            (DIRENT, rest) => {
                let (cookie, name) = rest.split_first_chunk()?;
                Some(Key::Dirent(ino, u64::from_be_bytes(*cookie), name))
            }
            (LOCK, [WAITER, rest @ ..]) => {
                pair(rest).map(|(session, number)| Key::Waiter(ino, SessionId(session), number))
            }
            (LOCK, [space, rest @ ..]) => {
                let (space, (session, owner)) = (LockSpace::from_u8(*space)?, pair(rest)?);
                Some(Key::Lock(ino, space, SessionId(session), owner))
            }
            (XATTR, []) => Some(Key::XattrIndex(ino)),
            (XATTR, name) => Some(Key::Xattr(ino, name)),
            (QUEUED, []) => Some(Key::Queued(ino)),
            (ORIGIN, []) => Some(Key::Origin(ino)),
            _ => None,
        }
    }

    fn parse_clone(rest: &'a [u8]) -> Option<Self> {
        let (clone, rest) = rest.split_first_chunk()?;
        let clone = Ino(u64::from_be_bytes(*clone));
        let (subtag, rest) = rest.split_first()?;
        match (*subtag, rest) {
            (CLONE_RECORD, []) => Some(Key::Clone(clone)),
            (CLONE_DIRECTORY, rest) => Some(Key::CloneDirectory(clone, Ino(number(rest)?))),
            (CLONE_LINK, rest) => Some(Key::CloneLink(clone, Ino(number(rest)?))),
            _ => None,
        }
    }

    fn parse_packing(rest: &'a [u8]) -> Option<Self> {
        match rest.split_first()? {
            (&STAGED_BYTES, []) => Some(Key::StagedBytes),
            (&STAGED, rest) => {
                let (session, rest) = rest.split_first_chunk()?;
                let (directory, ino) = pair(rest)?;
                Some(Key::Staged(SessionId(u64::from_be_bytes(*session)), Ino(directory), Ino(ino)))
            }
            (&PACK_FILES, rest) => {
                let (object, place) = rest.split_first_chunk()?;
                let place = u32::from_be_bytes(place.try_into().ok()?);
                Some(Key::PackFiles(ObjectId(u64::from_be_bytes(*object)), place))
            }
            (&SPARSE_PACK, rest) => Some(Key::SparsePack(ObjectId(number(rest)?))),
            _ => None,
        }
    }

    fn parse_account(rest: &'a [u8]) -> Option<Self> {
        let (kind, rest) = rest.split_first()?;
        if *kind == ACCOUNTING {
            return rest.is_empty().then_some(Key::Accounting);
        }
        let (id, rest) = rest.split_first_chunk()?;
        let account = account_of(*kind, u64::from_be_bytes(*id))?;
        let (subtag, rest) = rest.split_first()?;
        match (*subtag, rest, account) {
            (QUOTA_RECORD, [], _) => Some(Key::Quota(account)),
            (QUOTA_USAGE, [field], _) => Some(Key::QuotaUsage(account, UsageField::from_u8(*field)?)),
            (QUOTA_WALK, rest, Account::Directory(root)) => Some(Key::QuotaWalk(root, Ino(number(rest)?))),
            _ => None,
        }
    }

    fn parse_session(rest: &'a [u8]) -> Option<Self> {
        let (session, rest) = rest.split_first_chunk()?;
        let session = SessionId(u64::from_be_bytes(*session));
        let (subtag, rest) = rest.split_first()?;
        match (*subtag, rest) {
            (SESSION_RECORD, []) => Some(Key::Session(session)),
            (HEARTBEAT, []) => Some(Key::Heartbeat(session)),
            (SUSTAINED, rest) => Some(Key::Sustained(session, Ino(number(rest)?))),
            (OPERATION, rest) => Some(Key::Operation(session, u32::from_be_bytes(rest.try_into().ok()?))),
            (OBJECT_LEASE, rest) => Some(Key::ObjectLease(session, number(rest)?)),
            (LOCK_OF, rest) => {
                let (ino, rest) = rest.split_first_chunk()?;
                let (space, owner) = rest.split_first()?;
                let ino = Ino(u64::from_be_bytes(*ino));
                Some(Key::LockOf(session, ino, LockSpace::from_u8(*space)?, number(owner)?))
            }
            (WAITER_OF, rest) => pair(rest).map(|(owner, number)| Key::WaiterOf(session, owner, number)),
            (BELL, []) => Some(Key::Bell(session)),
            _ => None,
        }
    }
}

impl Accumulator {
    pub fn from_u8(byte: u8) -> Option<Self> {
        use Accumulator::*;
        [Length, Mtime, Allocated, Entries, Subdirectories, Atime].into_iter().find(|field| *field as u8 == byte)
    }
}

impl UsageField {
    pub fn from_u8(byte: u8) -> Option<Self> {
        [UsageField::Bytes, UsageField::Inodes].into_iter().find(|field| *field as u8 == byte)
    }
}

impl Counter {
    pub const ALL: [Counter; 5] =
        [Counter::NextInode, Counter::NextObject, Counter::NextSession, Counter::UsedBytes, Counter::UsedInodes];

    pub fn name(self) -> &'static [u8] {
        match self {
            Counter::NextInode => b"next inode",
            Counter::NextObject => b"next object",
            Counter::NextSession => b"next session",
            Counter::UsedBytes => b"used bytes",
            Counter::UsedInodes => b"used inodes",
        }
    }
}

/// Where an entry stands in its directory.
pub fn cookie(parent: Ino, name: &[u8]) -> u64 {
    (XxHash3_64::oneshot_with_seed(parent.0, name) & COOKIE_MASK) + COOKIE_MIN
}

/// All events of the change feed.
pub fn events() -> KeyRange {
    KeyRange::prefix(EVENT_PREFIX)
}

/// Those from this one on.
pub fn events_from(first: Stamp) -> KeyRange {
    KeyRange { start: Key::Event(first).encode(), ..events() }
}

/// Before this come all events up to and at `last`.
pub(crate) fn after_event(last: Stamp) -> Vec<u8> {
    Builder(Key::Event(last).encode()).byte(0).0
}

/// Everything about one inode.
pub fn inode(ino: Ino) -> KeyRange {
    KeyRange::prefix(&Builder(Vec::new()).byte(b'n').number(ino.0).0)
}

/// Identity and accumulators: what `stat` needs.
pub fn attributes(ino: Ino) -> KeyRange {
    between(ino, IDENTITY, INLINE)
}

pub fn accumulators(ino: Ino) -> KeyRange {
    between(ino, ACCUMULATOR, INLINE)
}

/// Identity, accumulators, inline data and slice lists, in this order.
pub fn attributes_and_content(ino: Ino) -> KeyRange {
    between(ino, IDENTITY, DIRENT)
}

/// Inline data, then slice lists.
pub fn content(ino: Ino) -> KeyRange {
    between(ino, INLINE, DIRENT)
}

pub fn chunks(ino: Ino) -> KeyRange {
    between(ino, CHUNK, DIRENT)
}

/// Those from `first` to before `end`.
pub fn chunks_within(ino: Ino, first: u64, end: u64) -> KeyRange {
    KeyRange { start: Key::Chunk(ino, first).encode(), end: Key::Chunk(ino, end).encode() }
}

/// Those from `first` on.
pub fn chunks_from(ino: Ino, first: u64) -> KeyRange {
    KeyRange { start: Key::Chunk(ino, first).encode(), ..chunks(ino) }
}

pub fn dirents(ino: Ino) -> KeyRange {
    between(ino, DIRENT, DIRENT + 1)
}

/// Entries whose cookie is greater than `cookie`.
pub fn dirents_after(ino: Ino, cookie: u64) -> KeyRange {
    KeyRange { start: Key::Dirent(ino, cookie.saturating_add(1), b"").encode(), ..dirents(ino) }
}

/// Entries of one cookie.
pub fn dirents_at(ino: Ino, cookie: u64) -> KeyRange {
    KeyRange::prefix(&Key::Dirent(ino, cookie, b"").encode())
}

/// What everybody has locked of an inode.
pub fn locks(ino: Ino, space: LockSpace) -> KeyRange {
    KeyRange::prefix(&Builder(Vec::new()).inode(ino, LOCK).byte(space as u8).0)
}

/// All extended attributes of an inode, behind their index.
pub fn xattrs(ino: Ino) -> KeyRange {
    behind(&Key::XattrIndex(ino).encode(), &between(ino, XATTR, XATTR + 1))
}

/// Everything about one clone.
pub fn clone(clone: Ino) -> KeyRange {
    KeyRange::prefix(&Builder(Vec::new()).byte(b'k').number(clone.0).0)
}

/// Directories of a copy that are still to be filled.
pub fn clone_directories(clone: Ino) -> KeyRange {
    KeyRange::prefix(&Builder(Vec::new()).clone_of(clone, CLONE_DIRECTORY).0)
}

/// What a clone needs only while it's under way.
pub fn clone_notes(clone: Ino) -> KeyRange {
    let prefix = |subtag| Builder(Vec::new()).clone_of(clone, subtag).0;
    KeyRange { start: prefix(CLONE_DIRECTORY), end: prefix(CLONE_LINK + 1) }
}

/// Requests that wait for locks of an inode.
pub fn waiters(ino: Ino) -> KeyRange {
    KeyRange::prefix(&Builder(Vec::new()).inode(ino, LOCK).byte(WAITER).0)
}

/// All files that are staged.
pub fn staged() -> KeyRange {
    KeyRange::prefix(&[b'p', STAGED])
}

/// Those that one session has staged.
pub fn staged_by(session: SessionId) -> KeyRange {
    KeyRange::prefix(&Builder(Vec::new()).byte(b'p').byte(STAGED).number(session.0).0)
}

/// The whole list of a pack's files.
pub fn pack_files(object: ObjectId) -> KeyRange {
    KeyRange::prefix(&Builder(Vec::new()).byte(b'p').byte(PACK_FILES).number(object.0).0)
}

/// All packs of which little is left.
pub fn sparse_packs() -> KeyRange {
    KeyRange::prefix(&[b'p', SPARSE_PACK])
}

/// Everything about one account.
pub fn account(account: Account) -> KeyRange {
    KeyRange::prefix(&Builder(Vec::new()).account_prefix(account).0)
}

/// All accounts of directories.
pub fn directory_accounts() -> KeyRange {
    KeyRange::prefix(&[b'q', DIRECTORY])
}

/// All accounts of users and groups.
pub fn owner_accounts() -> KeyRange {
    KeyRange { start: vec![b'q', USER], end: vec![b'q', GROUP + 1] }
}

/// The directories still to be walked through for a directory's quota.
pub fn quota_walks(root: Ino) -> KeyRange {
    KeyRange::prefix(&Builder(Vec::new()).account(Account::Directory(root), QUOTA_WALK).0)
}

/// The inode whose key this is, also of keys that mean nothing to this program.
pub fn inode_of(key: &[u8]) -> Option<Ino> {
    let (number, _) = key.strip_prefix(b"n")?.split_first_chunk()?;
    Some(Ino(u64::from_be_bytes(*number)))
}

/// What stands behind the subtag in a directory entry's key.
pub fn dirent_place(key: &[u8]) -> &[u8] {
    &key[INODE_PREFIX_BYTES..]
}

/// The entries behind a place; all of them behind an empty one.
pub fn dirents_behind(ino: Ino, place: &[u8]) -> KeyRange {
    let range = dirents(ino);
    match place {
        [] => range,
        place => behind(&[&range.start, place].concat(), &range),
    }
}

/// Everything about inodes from this one on.
pub fn inodes_from(ino: Ino) -> KeyRange {
    KeyRange { start: Builder(Vec::new()).byte(b'n').number(ino.0).0, ..tag(b'n') }
}

/// Everything about one session.
pub fn session(session: SessionId) -> KeyRange {
    KeyRange::prefix(&Builder(Vec::new()).byte(b's').number(session.0).0)
}

pub fn sustained(session: SessionId) -> KeyRange {
    KeyRange::prefix(&Builder(Vec::new()).session(session, SUSTAINED).0)
}

pub fn object_leases(session: SessionId) -> KeyRange {
    KeyRange::prefix(&Builder(Vec::new()).session(session, OBJECT_LEASE).0)
}

/// Owners of this session that have locks.
pub fn locks_of(session: SessionId) -> KeyRange {
    KeyRange::prefix(&Builder(Vec::new()).session(session, LOCK_OF).0)
}

/// Requests of this session that wait for locks.
pub fn waiters_of(session: SessionId) -> KeyRange {
    KeyRange::prefix(&Builder(Vec::new()).session(session, WAITER_OF).0)
}

/// Those of them that one owner has made.
pub fn waiters_of_owner(session: SessionId, owner: u64) -> KeyRange {
    KeyRange::prefix(&Builder(Vec::new()).session(session, WAITER_OF).number(owner).0)
}

/// Queue entries up to and at `time`.
pub fn removals_until(time: u64) -> KeyRange {
    queue_until(b'u', time)
}

pub fn deletions_until(time: u64) -> KeyRange {
    queue_until(b'z', time)
}

/// All write-back folders.
pub fn writeback_folders() -> KeyRange {
    KeyRange::prefix(&[b'y', WRITEBACK_FOLDER])
}

/// What was deleted while it may have been in this one.
pub fn deleted_in_writeback(number: u64) -> KeyRange {
    KeyRange::prefix(&Builder(Vec::new()).byte(b'y').byte(DELETED_IN_WRITEBACK).number(number).0)
}

/// Everything under a tag byte.
pub fn tag(tag: u8) -> KeyRange {
    KeyRange::prefix(&[tag])
}

/// The rest of `range` behind `key`.
pub fn behind(key: &[u8], range: &KeyRange) -> KeyRange {
    range.behind(key)
}

fn between(ino: Ino, first: u8, end: u8) -> KeyRange {
    let prefix = |subtag| Builder(Vec::with_capacity(10)).inode(ino, subtag).0;
    KeyRange { start: prefix(first), end: prefix(end) }
}

fn queue_until(tag: u8, time: u64) -> KeyRange {
    let end = match time.checked_add(1) {
        Some(end) => Builder(Vec::new()).byte(tag).number(end).0,
        None => vec![tag + 1],
    };
    KeyRange { start: vec![tag], end }
}

fn number(bytes: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(bytes.try_into().ok()?))
}

/// A key's account; `None` for one that can't be.
fn account_of(kind: u8, id: u64) -> Option<Account> {
    match kind {
        VOLUME => (id == 0).then_some(Account::Volume),
        DIRECTORY => Some(Account::Directory(Ino(id))),
        USER => Some(Account::User(u32::try_from(id).ok()?)),
        GROUP => Some(Account::Group(u32::try_from(id).ok()?)),
        _ => None,
    }
}

fn pair(bytes: &[u8]) -> Option<(u64, u64)> {
    let (first, second) = bytes.split_first_chunk()?;
    Some((u64::from_be_bytes(*first), number(second)?))
}

struct Builder(Vec<u8>);

impl Builder {
    fn byte(mut self, byte: u8) -> Self {
        self.0.push(byte);
        self
    }

    fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    fn number(self, number: u64) -> Self {
        self.bytes(&number.to_be_bytes())
    }

    fn inode(self, ino: Ino, subtag: u8) -> Self {
        self.byte(b'n').number(ino.0).byte(subtag)
    }

    fn clone_of(self, clone: Ino, subtag: u8) -> Self {
        self.byte(b'k').number(clone.0).byte(subtag)
    }

    fn account_prefix(self, account: Account) -> Self {
        let (kind, id) = match account {
            Account::Volume => (VOLUME, 0),
            Account::Directory(ino) => (DIRECTORY, ino.0),
            Account::User(uid) => (USER, uid.into()),
            Account::Group(gid) => (GROUP, gid.into()),
        };
        self.byte(b'q').byte(kind).number(id)
    }

    fn account(self, account: Account, subtag: u8) -> Self {
        self.account_prefix(account).byte(subtag)
    }

    fn session(self, session: SessionId, subtag: u8) -> Self {
        self.byte(b's').number(session.0).byte(subtag)
    }
}

const COOKIE_MASK: u64 = (1 << 62) - 1;

const AUDIENCE: u8 = 0x00;
const EVENT: u8 = 0x01;
/// What a stamp completes.
pub(crate) const EVENT_PREFIX: &[u8] = &[b'f', EVENT];

const IDENTITY: u8 = 0x01;
const ACCUMULATOR: u8 = 0x02;
const INLINE: u8 = 0x03;
const TARGET: u8 = 0x04;
const CHUNK: u8 = 0x05;
const DIRENT: u8 = 0x06;
const XATTR: u8 = 0x07;
const LOCK: u8 = 0x09;
const QUEUED: u8 = 0x0a;
const ORIGIN: u8 = 0x0b;

/// Where a lock has its space.
const WAITER: u8 = 0xff;

const INODE_PREFIX_BYTES: usize = 10;

const CLONE_RECORD: u8 = 0x01;
const CLONE_DIRECTORY: u8 = 0x02;
const CLONE_LINK: u8 = 0x03;

const WRITEBACK_FOLDER: u8 = 1;
const DELETED_IN_WRITEBACK: u8 = 2;
const STAGED_BYTES: u8 = 0x00;
const STAGED: u8 = 0x01;
const PACK_FILES: u8 = 0x02;
const SPARSE_PACK: u8 = 0x03;

const ACCOUNTING: u8 = 0x00;
const VOLUME: u8 = 0x01;
const DIRECTORY: u8 = 0x02;
const USER: u8 = 0x03;
const GROUP: u8 = 0x04;

const QUOTA_RECORD: u8 = 0x01;
const QUOTA_USAGE: u8 = 0x02;
const QUOTA_WALK: u8 = 0x03;

const SESSION_RECORD: u8 = 0x01;
const HEARTBEAT: u8 = 0x02;
const SUSTAINED: u8 = 0x03;
const OPERATION: u8 = 0x04;
const OBJECT_LEASE: u8 = 0x05;
const LOCK_OF: u8 = 0x06;
const WAITER_OF: u8 = 0x07;
const BELL: u8 = 0x08;

#[cfg(test)]
#[path = "keys_tests.rs"]
mod tests;
