//! Operations as values: a shard sends them, a worker runs them, a trace could record them.
//!
//! Each variant's transaction stands in its own file under `ops/`. Numbers (inodes, objects) and times arrive with the
//! operation; nothing here reads a clock or draws lots.

use crate::feed::Stamp;
use crate::records::SessionRecord;
use crate::{Account, Limits};
use serde::{Deserialize, Serialize};
use shoal_types::{
    FileKind, Ino, InodeFlags, LockMode, LockRange, LockSpace, Name, ObjectId, SessionId, Slice, Staging, Timestamp,
    Whiteout, XattrMode, XattrName,
};

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum MetaOp {
    Create(Create),
    Link(Link),
    Unlink(Unlink),
    Rmdir(Rmdir),
    Rename(Rename),
    SetAttributes(SetAttributes),
    SetFlags(SetFlags),
    NoteAccesses(NoteAccesses),
    SetXattr(SetXattr),
    RemoveXattr(RemoveXattr),
    Truncate(Truncate),
    WriteInline(WriteInline),
    WriteSlices(WriteSlices),
    ReplaceSlices(ReplaceSlices),
    Pack(Pack),
    Repack(Repack),
    ForgetSparsePacks(ForgetSparsePacks),
    Sustain(Sustain),
    Release(Release),
    LeaseInodes(LeaseInodes),
    LeaseObjects(LeaseObjects),
    RegisterSession(RegisterSession),
    Heartbeat(Heartbeat),
    EndSession(EndSession),
    RemoveInode(RemoveInode),
    ForgetObjects(ForgetObjects),
    SetLock(SetLock),
    CancelLockWait(CancelLockWait),
    Fallocate(Fallocate),
    CopyRange(CopyRange),
    CreateNameless(CreateNameless),
    Append(Append),
    SetQuota(SetQuota),
    DeleteQuota(DeleteQuota),
    /// One step of what quotas have left to do: counting what was there before them, handing over what they counted.
    /// Answers `Ended`; run it again while that is not `done`. Anybody may, and several at once.
    WalkQuotas,
    AdjustUsage(AdjustUsage),
    SetTrash(SetTrash),
    PurgeTrash(PurgeTrash),
    RemoveTree(RemoveTree),
    BeginClone(BeginClone),
    FillClone(FillClone),
    FinishClone(FinishClone),
    CleanClone(CleanClone),
    TrimFeed(TrimFeed),
    TakeMaintenance(TakeMaintenance),
}

/// A new inode of any kind under a free name. Answers `Attributes`.
///
/// `ENOENT` for a parent that is gone, `ENOTDIR`, `EEXIST`, `ENAMETOOLONG` or `ENOENT` for a symlink's target (4,095
/// bytes at most, not empty), `EDQUOT` and `ENOSPC` (of the volume) for limits, `ESTALE` for a session that has ended.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Create {
    pub parent: Ino,
    pub name: Name,
    pub ino: Ino,
    pub kind: FileKind,
    /// Permission bits. A symlink always gets 0o777. The parent's setgid bit gives its group, and to directories also the
    /// bit.
    pub mode: u16,
    /// Bits to take off the mode, unless the parent has a default ACL: then that decides.
    pub umask: u16,
    pub uid: u32,
    pub gid: u32,
    /// Kept for devices only.
    pub rdev: u32,
    /// Of a symlink; otherwise empty.
    pub target: Vec<u8>,
    pub session: SessionId,
    pub now: Timestamp,
}

/// One name more for an inode that has one, or the first for one that `CreateNameless` made. Answers `Attributes`. `EPERM`
/// for a directory, `EMLINK`, `EXDEV` into a directory that other quotas count, otherwise as `Create`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Link {
    pub ino: Ino,
    pub parent: Ino,
    pub name: Name,
    pub session: SessionId,
    pub now: Timestamp,
}

/// Removes the name of anything but a directory (`EISDIR`). Answers `Removed`. When it was the last name, the inode goes to
/// the trash if there is one; else it's sustained for this session where `open` says so, and otherwise goes to the removal
/// queue.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Unlink {
    pub parent: Ino,
    pub name: Name,
    /// Inodes that this mount has open, of those the name can stand for: usually none or one.
    pub open: Vec<Ino>,
    pub session: SessionId,
    pub now: Timestamp,
}

/// Removes an empty directory (`ENOTEMPTY`, `ENOTDIR`). Answers `Removed`. It goes to the trash if there is one; else it's
/// sustained if it's open.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Rmdir {
    pub parent: Ino,
    pub name: Name,
    pub open: Vec<Ino>,
    pub session: SessionId,
    pub now: Timestamp,
}

/// Rename as the oracle specifies it (`shoal_oracle`'s `rename.rs`: order of checks, all cases). Answers `Renamed`.
/// Between directories with different quotas a file takes its usage along (`EDQUOT`), and so does an empty directory;
/// `EXDEV` for one that is not, or is the root of a quota, and for a file that has other names.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Rename {
    pub old_parent: Ino,
    pub old_name: Name,
    pub new_parent: Ino,
    pub new_name: Name,
    pub no_replace: bool,
    pub exchange: bool,
    /// To leave under the old name.
    pub whiteout: Option<Whiteout>,
    /// Inodes that this mount has open, of those that may lose their last name.
    pub open: Vec<Ino>,
    pub session: SessionId,
    pub now: Timestamp,
}

/// Sets what is given, and the change time. Answers `Attributes`. A new mode goes into the access ACL too. `EDQUOT` for a
/// new owner's limits, `EPERM` for flags that stand against it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SetAttributes {
    pub ino: Ino,
    pub mode: Option<u16>,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    pub atime: Option<Timestamp>,
    pub mtime: Option<Timestamp>,
    /// Set-id bits and capabilities go, as they do when content or owner change.
    pub drop_privileges: bool,
    /// On behalf of the superuser: limits of users and groups don't stand against a new owner.
    pub exempt: bool,
    /// Flags of the inode that don't stand against it: somebody only touches it, or it follows from a write that was let in.
    pub despite: InodeFlags,
    pub session: SessionId,
    pub now: Timestamp,
}

/// Sets those of the flags that users set which `decided` names, and the change time. Answers `Attributes`. `EOPNOTSUPP` for
/// a flag that an inode of this kind can't have, `EPERM` for one that is immutable and shall stay so and would become
/// different by it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SetFlags {
    pub ino: Ino,
    pub flags: InodeFlags,
    pub decided: InodeFlags,
    pub session: SessionId,
    pub now: Timestamp,
}

/// These inodes have been read at these times: their access times, unless they were read later still. Answers `Done`. One
/// that is gone is left out.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NoteAccesses {
    pub accesses: Vec<(Ino, Timestamp)>,
    pub session: SessionId,
}

/// Sets an extended attribute, and the change time. Answers `Attributes`.
///
/// `EEXIST` and `ENODATA` as the mode says, `E2BIG` for a value beyond 64 KiB, `ENOSPC` when the names of the inode would
/// take more than 64 KiB or its values more than 4 MiB. An access ACL sets the mode; one that says no more than the mode
/// is not kept. For ACLs also `EINVAL`, `EOPNOTSUPP` on a symlink, `EACCES` for a default ACL on what is no directory.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SetXattr {
    pub ino: Ino,
    pub name: XattrName,
    pub value: Vec<u8>,
    pub mode: XattrMode,
    /// An access ACL takes away the setgid bit: who sets it is not of the group.
    pub drop_setgid: bool,
    pub session: SessionId,
    pub now: Timestamp,
}

/// Removes an extended attribute, and sets the change time. Answers `Attributes`. `ENODATA` where there is none; but an
/// ACL that is not there is as good as removed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RemoveXattr {
    pub ino: Ino,
    pub name: XattrName,
    pub session: SessionId,
    pub now: Timestamp,
}

/// Sets a regular file's length (`EISDIR`, `EINVAL`, `EFBIG`). Answers `Truncated`; run it again while that is not `done`:
/// until then the file is whole and longer than it shall be. Objects that nothing refers to any more are queued at `now`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Truncate {
    pub ino: Ino,
    pub length: u64,
    pub session: SessionId,
    pub now: Timestamp,
}

/// Writes a small file's bytes into metadata. Answers `Attributes`, or `NotInline` with nothing changed when the file has
/// slices or would become longer than `inline_max`, or than `staging` lets wait there. `ENOENT` when the inode is gone, `ESTALE` when the session is. `EDQUOT`
/// or `ENOSPC` (of the volume) when a limit has been reached; the write that reaches it may go beyond it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct WriteInline {
    pub ino: Ino,
    /// Offset and bytes, applied in order.
    pub patches: Vec<(u64, Vec<u8>)>,
    /// The file is at least so long afterwards.
    pub length_min: u64,
    pub inline_max: u32,
    pub staging: Staging,
    pub mtime: Timestamp,
    /// Written by the superuser alone: limits of users and groups don't stand against it.
    pub exempt: bool,
    pub session: SessionId,
}

/// Appends slices to chunks and raises the length. Answers `Attributes`. Inline bytes that are there stay below the slices
/// as the bottom layer. Errors as `WriteInline`; `EINVAL` for a slice that can't be or ends beyond `length`, or a wrong sum;
/// `EFBIG` with nothing changed when a chunk's list is full (some 3,500 slices, none wholly covered by later ones): to be
/// compacted, and then tried again. A list that has grown long is tidied of covered slices on the way, so that it need not
/// be what its writer saw with these slices behind.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct WriteSlices {
    pub ino: Ino,
    pub chunks: Vec<(u64, Vec<Slice>)>,
    /// The file is at least so long afterwards.
    pub length: u64,
    pub mtime: Timestamp,
    /// Sum of the lengths of slices that refer to objects.
    pub allocated: i64,
    /// As in `WriteInline`.
    pub exempt: bool,
    pub session: SessionId,
}

/// Compaction: replaces the beginning of a chunk's list by slices that show the same bytes. Answers `Replaced`; with
/// `false`, and nothing changed, when the list no longer begins with `old`. New objects are then referred to by nothing and
/// not queued either: whoever has put them deletes them. Errors as `WriteSlices`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ReplaceSlices {
    pub ino: Ino,
    pub chunk: u64,
    pub old: Vec<Slice>,
    pub new: Vec<Slice>,
    /// The deletion queue's time for objects that nothing refers to any more: now. The grace is added by whoever deletes,
    /// in asking for what was queued long enough ago.
    pub delete_at: Timestamp,
    pub session: SessionId,
}

/// Bytes that were staged are in a pack: where they are still the same, slices of it take their place. Files of which nothing
/// is staged any more leave the list of what is to be packed; those that were changed meanwhile stay on it. Answers `Done`.
/// The others are noted as the pack's.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Pack {
    pub object: ObjectId,
    /// Of its plain content.
    pub object_length: u32,
    pub files: Vec<PackedFile>,
    /// What is no longer stays inline for good.
    pub inline_max: u32,
    /// The session on whose list they stand.
    pub staged_by: SessionId,
    /// No other files of this pack came before.
    pub first: bool,
    /// None follow. Until then the pack is noted as sparse, lest nobody finds it where they never do. Where the note is gone,
    /// the pack may be as well: then nothing is done for who comes later.
    pub last: bool,
    pub now: Timestamp,
    pub session: SessionId,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PackedFile {
    /// As the list tells it.
    pub directory: Ino,
    pub ino: Ino,
    /// Where its bytes begin in the pack's plain content.
    pub offset: u32,
    /// Empty: it had none.
    pub bytes: Vec<u8>,
}

/// Compaction of packs: a new pack holds parts of others, and where the files' first chunks refer to those, they refer to
/// it from now on. Objects never change, so that whatever else has become of a file meanwhile stays as it is. Answers
/// `Done`. Moved files are noted as the new pack's. `EINVAL` for a part that can't be.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Repack {
    pub object: ObjectId,
    /// Of its plain content.
    pub object_length: u32,
    pub parts: Vec<MovedPart>,
    pub files: Vec<Ino>,
    /// As in `Pack`.
    pub first: bool,
    pub last: bool,
    pub now: Timestamp,
    pub session: SessionId,
}

/// Bytes of a pack that another one has as well.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MovedPart {
    pub from: ObjectId,
    pub from_offset: u32,
    pub to_offset: u32,
    pub length: u32,
}

/// There is nothing to be done about these packs, which were noted as sparse at these times: the notes go, until the packs lose
/// something more. One that has done so since stays noted. Answers `Done`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ForgetSparsePacks {
    pub packs: Vec<(ObjectId, Timestamp)>,
}

/// Takes these inodes off the removal queue where they stand in it, and sustains them for the session: it has them open.
/// Answers those that it sustains now, whoever asked for it first. One whose removal has begun, or that only another session
/// sustains, is left as it is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Sustain {
    pub inodes: Vec<Ino>,
    pub session: SessionId,
}

/// The session has closed a sustained inode: it goes to the removal queue. Answers `Done`, also when it was not sustained.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Release {
    pub ino: Ino,
    pub session: SessionId,
    pub now: Timestamp,
}

/// Answers `Leased`: numbers never handed out before. The first inode number ever leased is 2.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LeaseInodes {
    pub count: u64,
    pub session: SessionId,
}

/// As `LeaseInodes`. The lease is recorded: while the session lives, garbage collection leaves these objects alone.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LeaseObjects {
    pub count: u64,
    pub session: SessionId,
}

/// Answers `Registered`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RegisterSession {
    pub record: SessionRecord,
    pub now: Timestamp,
}

/// Answers `Done`; `ESTALE` when the session has been declared dead.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Heartbeat {
    pub session: SessionId,
    pub now: Timestamp,
}

/// Ends a session: its locks are given up, its sustained inodes go to the removal queue, its records are deleted. Answers `Ended`; run it again
/// while that is not `done`. From the first step on the session's writes are refused (`ESTALE`).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct EndSession {
    pub session: SessionId,
    /// Only if its last heartbeat is older than this; otherwise nothing happens, and `done` is true.
    pub if_silent_since: Option<Timestamp>,
    pub now: Timestamp,
}

/// One step of the removal of a queued inode: frees chunks from its end, at the last step everything else; of a directory
/// takes entries out, which are then queued themselves. Answers `Ended` or, for a directory, `Emptied`; run it again while
/// that is not `done`. Does nothing for an inode that is not queued at that time any more.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RemoveInode {
    /// As the queue has it.
    pub queued_at: u64,
    pub ino: Ino,
    /// The deletion queue's time for its objects: now, as in `ReplaceSlices`.
    pub delete_at: Timestamp,
}

/// These objects have been deleted from the store: their deletion queue entries go. Answers `Done`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ForgetObjects {
    /// Queue time and object, as the queue has them.
    pub entries: Vec<(u64, ObjectId)>,
}

/// Locks bytes, converts what is locked, or gives it up (`mode` `None`), as flock(2) and fcntl(2) do. Answers `Lock`.
///
/// A record lock that can't be had leaves the owner's others as they are; a flock that can't be converted is lost, as on
/// Linux. `ENOENT` for an inode that is gone, `ENOLCK` for more ranges or owners than a file can have, `ESTALE` for a
/// session that has ended.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SetLock {
    pub ino: Ino,
    pub space: LockSpace,
    /// A number of the session's for whoever holds locks together.
    pub owner: u64,
    /// For who asks about the lock.
    pub pid: u32,
    pub range: LockRange,
    pub mode: Option<LockMode>,
    /// The request waits where it can't be served at once, and is made again when the session's bell (`keys::Key::Bell`)
    /// rings or an owner of the session has given something up.
    pub wait: Option<LockWait>,
    pub session: SessionId,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LockWait {
    /// The same each time the request is made, and no other's of the session.
    pub number: u64,
    /// Of a record lock: rather be refused than wait for somebody who waits for this owner.
    pub detect_deadlock: bool,
}

/// A request that waited is given up. Answers `Done`, also when it did not wait.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CancelLockWait {
    pub ino: Ino,
    pub owner: u64,
    pub number: u64,
    pub session: SessionId,
}

/// What fallocate(2) does to a regular file (`EISDIR`, `EINVAL`, `EFBIG`): the bytes from `start` to before `end` become a
/// hole, the file is at least `length_min` bytes long. Answers `Fallocated`; run it again from where the hole ends then,
/// while that is before `end`. `EFBIG` with nothing changed also when a chunk's list is full, as in `WriteSlices`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Fallocate {
    pub ino: Ino,
    pub start: u64,
    pub end: u64,
    pub length_min: u64,
    pub session: SessionId,
    pub now: Timestamp,
}

/// Gives one regular file (`EISDIR`, `EINVAL`, `EFBIG`) what another one shows, by reference: the target gets slices of the
/// source's objects. Answers `Copied`, with fewer bytes than asked for where the source ends or one transaction takes no
/// more; the source may be the target if the ranges do not overlap (`EINVAL`). Where the source's bytes lie in metadata
/// there is nothing to refer to: then nothing is changed, and the answer is `CopyBytes`. `EFBIG` as in `Fallocate`, `EDQUOT` and
/// `ENOSPC` (of the volume) for limits, which bind the superuser as well.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CopyRange {
    pub source: Ino,
    pub source_offset: u64,
    pub target: Ino,
    pub target_offset: u64,
    pub length: u64,
    pub session: SessionId,
    pub now: Timestamp,
}

/// A new regular file without a name (`O_TMPFILE`), sustained by the session until it's released or linked. Answers
/// `Attributes`. `ENOENT` for a directory that is gone, `ENOTDIR`, `EDQUOT` and `ENOSPC` as `Create`, `ESTALE`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CreateNameless {
    /// Gives its group where its setgid bit is set.
    pub directory: Ino,
    pub ino: Ino,
    /// Permission bits.
    pub mode: u16,
    /// Bits to take off the mode, unless the directory has a default ACL.
    pub umask: u16,
    pub uid: u32,
    pub gid: u32,
    pub session: SessionId,
    pub now: Timestamp,
}

/// Writes behind the end of a regular file, wherever that is when the transaction runs: no two appends ever overlap, from
/// whatever mounts they come. Answers `Appended`, or `NotInline` as `WriteInline` does. Errors as `WriteSlices`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Append {
    pub ino: Ino,
    pub content: AppendedContent,
    pub mtime: Timestamp,
    /// As in `WriteInline`.
    pub exempt: bool,
    pub session: SessionId,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum AppendedContent {
    Inline {
        bytes: Vec<u8>,
        inline_max: u32,
    },
    /// Whole objects and their lengths, one behind the other; none longer than a chunk.
    Objects(Vec<(ObjectId, u32)>),
}

/// Limits an account, or changes its limits. Answers `Done`. A directory's new quota, and the first of a user or group, has
/// to count what is there already: run `WalkQuotas` to its end.
///
/// For a directory: `ENOENT`, `ENOTDIR`, `EMLINK` below too many other quotas, and `EBUSY` while another directory's quota
/// is being counted or given up, or this one is being given up: run `WalkQuotas` first.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SetQuota {
    pub account: Account,
    pub limits: Limits,
}

/// Ends an account's limits. Answers `Done`, also where there are none. A directory's quota is handed over to the one around
/// it by `WalkQuotas`; `EBUSY` as `SetQuota`. With the last quota of a user or group, counting by owner ends.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DeleteQuota {
    pub account: Account,
}

/// Adds to an account's usage, because it was found to be too small by that (`check::accounts`). Answers `Done`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AdjustUsage {
    pub account: Account,
    pub bytes: i64,
    pub inodes: i64,
    pub session: SessionId,
}

/// How many days the trash keeps what loses its last name; 0: nothing is kept from now on. Answers `Done`. `EEXIST` where
/// the root has an entry `.trash`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SetTrash {
    pub days: u32,
    pub now: Timestamp,
}

/// One step of removing what came into the trash in hours that ended before this moment. Answers `Emptied`; run it again
/// while that is not `done`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PurgeTrash {
    pub before: Timestamp,
    pub now: Timestamp,
}

/// Removes a directory with all that lies below it. Answers `Removed`. `ENOENT` also where the name stands for another
/// inode, `ENOTDIR`, `EPERM` for an hour of the trash.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RemoveTree {
    pub parent: Ino,
    pub name: Name,
    pub ino: Ino,
    /// In the trash, if there is one.
    pub keep: bool,
    pub session: SessionId,
    pub now: Timestamp,
}
/// On whose behalf a clone reads, and who gets what it makes. Being user 0 stands for every capability.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Caller {
    pub uid: u32,
    pub gid: u32,
    /// Beside that one.
    pub groups: Vec<u32>,
    /// Access control lists count; otherwise modes alone do.
    pub acls: bool,
}

/// Begins to copy a regular file, or a directory with all below it, by reference: a copy that nobody sees, of which this
/// makes the root. Answers `Cloning`.
///
/// The copy is to appear in the directory in which `beside` was made, a file without a name that this session keeps for the
/// caller (`EBADF`): so it's known that the caller may make names there. `ENOENT` for a source or a directory that is gone,
/// `EEXIST` for a name that is taken, `EINVAL` for a source of another kind, `EACCES` for one that the caller may not read,
/// `EDQUOT` and `ENOSPC` (of the volume) for limits, `ESTALE`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BeginClone {
    pub source: Ino,
    pub beside: Ino,
    pub name: Name,
    /// The number of the copy's root, and of the clone.
    pub root: Ino,
    pub caller: Caller,
    pub session: SessionId,
    pub now: Timestamp,
}

/// One step of filling a copy: some hundred names. Answers `Cloning`; run it again while that is neither `filled`
/// nor refused. A refusal stands for the whole clone. `EDQUOT`, `ENOSPC` and `ESTALE` as `BeginClone`; `ENOENT` for a clone
/// that is not under way.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FillClone {
    pub clone: Ino,
    pub caller: Caller,
    /// Numbers for new inodes: as many as `FillClone::INODES`, or the step ends sooner.
    pub inodes: std::ops::Range<u64>,
    pub session: SessionId,
    pub now: Timestamp,
}

impl FillClone {
    /// Inodes that one step makes at most.
    pub const INODES: u64 = 512;
}

/// Gives a filled copy its name: it appears whole. Answers `Attributes`. `ENOENT` for a parent that is gone, `EEXIST`;
/// `EXDEV` if the parent is counted for another quota than when the clone began; `ESTALE`; `EBUSY` while it's not filled.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FinishClone {
    pub clone: Ino,
    /// As `Cloning` told it.
    pub parent: Ino,
    pub name: Name,
    pub session: SessionId,
    pub now: Timestamp,
}

/// One step of tidying up after a clone: one that has been finished leaves notes, one that its own session gives up, or whose
/// session is gone, leaves a copy for the removal queue. Answers `Ended`; run it again while that is not `done`. Does nothing to a clone
/// that another session is at work on.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CleanClone {
    pub clone: Ino,
    pub session: SessionId,
    /// For the removal queue. Nobody can have anything of a copy open that has not appeared, so it may be long ago.
    pub queue_at: Timestamp,
}

/// Takes some of the change feed's oldest events away, up to and at this one; never the newest. Answers `Ended`; run it again
/// while that is not `done`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TrimFeed {
    pub until: Stamp,
}

/// From now on until it ends the session maintains the volume, unless another one does that lives. Answers `Holder`, whoever
/// it is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TakeMaintenance {
    pub session: SessionId,
}
