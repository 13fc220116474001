//! Room under limits, as this mount knows it: so that a program hears of a full account when it writes, and not when it
//! closes.
//!
//! The store decides at each commit. But bytes are acknowledged before that, so a write is held against what its accounts
//! had when somebody last looked, and what this mount has committed and buffered since. What other mounts take meanwhile
//! shows at the commit, which may go beyond a limit once and is refused from then on.
//!
//! Of a volume without limits each shard that writes looks once a second whether there are any now; sooner where others have
//! changed something.

use crate::file::FileState;
use crate::shard::Shard;
use shoal_metadata::{Account, QuotaInfo};
use shoal_types::{Errno, FsResult, Timestamp};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

/// The accounts that files of this mount are written for. Any shard reads and counts, without a lock.
#[derive(Default)]
pub(crate) struct Rooms(papaya::HashMap<Account, Arc<Room>>);

/// What is known of one account.
struct Room {
    account: Account,
    limit: AtomicU64,
    used: AtomicU64,
    /// By all shards of this mount.
    buffered: AtomicI64,
}

/// What a file's buffered bytes are counted for.
#[derive(Default)]
pub(crate) struct Reserved {
    rooms: Vec<Arc<Room>>,
    looked: Option<Instant>,
    bytes: usize,
}

/// Whether the volume had limits when a shard looked.
#[derive(Clone, Copy)]
pub(crate) struct LimitsKnown {
    looked: Timestamp,
    epoch: Option<u64>,
    limited: bool,
}

impl LimitsKnown {
    /// Of a shard that has not looked yet.
    pub const NOT_YET: Self = LimitsKnown { looked: Timestamp::ZERO, epoch: None, limited: false };
}

/// So many bytes would fit, and this is what to say to more.
struct Tight {
    left: u64,
    refusal: Errno,
}

impl Shard {
    /// Takes room for `bytes` that are to be buffered; tells for how many there was some. `EDQUOT`, or `ENOSPC` of the
    /// volume, when there is none.
    pub(crate) async fn reserve(
        self: &Rc<Self>,
        file: &Rc<FileState>,
        bytes: usize,
        exempt: bool,
        now: Timestamp,
    ) -> FsResult<usize> {
        if !self.has_limits(now).await? {
            return Ok(bytes);
        }
        self.look_at_usage(file, USAGE_LOOK_INTERVAL).await?;
        if file.reserved.borrow_mut().take(bytes, exempt).is_ok() {
            return Ok(bytes);
        }
        // What is buffered may take less than it seems, where it covers what was there; and others may have removed some.
        self.flush_file(file).await?;
        self.look_at_usage(file, Duration::ZERO).await?;
        let mut reserved = file.reserved.borrow_mut();
        let Err(Tight { left, refusal }) = reserved.take(bytes, exempt) else { return Ok(bytes) };
        let rest = usize::try_from(left).unwrap_or(usize::MAX).min(bytes);
        match rest > 0 && reserved.take(rest, exempt).is_ok() {
            true => Ok(rest),
            false => Err(refusal),
        }
    }

    /// As `reserve`, for all the bytes or none.
    pub(crate) async fn reserve_whole(
        self: &Rc<Self>,
        file: &Rc<FileState>,
        bytes: usize,
        exempt: bool,
        now: Timestamp,
    ) -> FsResult<()> {
        let taken = self.reserve(file, bytes, exempt, now).await?;
        if taken < bytes {
            file.reserved.borrow_mut().give_back(taken);
            return Err(file.reserved.borrow().tightest(exempt));
        }
        Ok(())
    }

    async fn has_limits(&self, now: Timestamp) -> FsResult<bool> {
        let known = self.limits_known.get();
        let age = now.as_nanos().abs_diff(known.looked.as_nanos());
        let epoch = self.shared.exact_epoch();
        // Limits are set by other processes.
        let age_max =
            if epoch.is_some() && epoch != known.epoch { FOREIGN_LOOK_INTERVAL } else { LIMITS_LOOK_INTERVAL };
        if age < age_max.as_nanos() as u64 {
            return Ok(known.limited);
        }
        let limited = self.read_metadata(|metadata| metadata.accounting()).await?.any;
        self.limits_known.set(LimitsKnown { looked: now, epoch, limited });
        Ok(limited)
    }

    async fn look_at_usage(&self, file: &Rc<FileState>, age_max: Duration) -> FsResult<()> {
        if file.reserved.borrow().looked.is_some_and(|looked| looked.elapsed() < age_max) {
            return Ok(());
        }
        let ino = file.ino;
        let looked = Instant::now();
        let accounts = match self.read_metadata(move |metadata| metadata.quotas_of(ino)).await {
            // It's gone; its writes will be told so.
            Err(Errno::ENOENT) => Vec::new(),
            accounts => accounts?,
        };
        let rooms = accounts.iter().map(|info| (self.shared.rooms.note(info), info.limits.bytes.is_some()));
        let limited = rooms.filter(|(_, limited)| *limited).map(|(room, _)| room).collect();
        let mut reserved = file.reserved.borrow_mut();
        reserved.move_to(limited);
        reserved.looked = Some(looked);
        Ok(())
    }
}

impl Rooms {
    fn note(&self, info: &QuotaInfo) -> Arc<Room> {
        let rooms = self.0.pin();
        let room = rooms.get_or_insert_with(info.account, || Arc::new(Room::new(info.account))).clone();
        room.limit.store(info.limits.bytes.unwrap_or(NO_LIMIT), SeqCst);
        room.used.store(info.usage.bytes, SeqCst);
        room
    }
}

impl Room {
    fn new(account: Account) -> Self {
        Room { account, limit: AtomicU64::new(NO_LIMIT), used: AtomicU64::new(0), buffered: AtomicI64::new(0) }
    }

    /// Whom limits of users and groups don't bind is bound by those of directories and the volume.
    fn binds(&self, exempt: bool) -> bool {
        !exempt || matches!(self.account, Account::Volume | Account::Directory(_))
    }

    /// Apart from `own` bytes that have been counted already.
    fn left(&self, own: i64) -> u64 {
        let others = (self.buffered.load(SeqCst) - own).max(0).cast_unsigned();
        self.limit.load(SeqCst).saturating_sub(self.used.load(SeqCst).saturating_add(others))
    }
}

impl Reserved {
    fn take(&mut self, bytes: usize, exempt: bool) -> Result<(), Tight> {
        let amount = bytes as i64;
        // Counted before it's looked at: of two who want the last room, not both get it.
        self.count(amount);
        let binding = self.rooms.iter().filter(|room| room.binds(exempt));
        let tightest = binding.map(|room| (room.left(amount), room.account)).min();
        match tightest {
            Some((left, account)) if left < bytes as u64 => {
                self.count(-amount);
                Err(Tight { left, refusal: refusal(account) })
            }
            _ => {
                self.bytes += bytes;
                Ok(())
            }
        }
    }

    /// What to say to more than there is room for.
    fn tightest(&self, exempt: bool) -> Errno {
        let binding = self.rooms.iter().filter(|room| room.binds(exempt));
        refusal(binding.map(|room| (room.left(0), room.account)).min().map_or(Account::Volume, |(_, account)| account))
    }

    /// These bytes have been given up. Those buffered before there were limits were never counted.
    pub fn give_back(&mut self, bytes: usize) {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        self.count(-(bytes as i64));
    }

    /// These bytes have been committed. What they really take is seen at the next look.
    pub fn spend(&mut self, bytes: usize) {
        for room in &self.rooms {
            room.used.fetch_add(bytes.min(self.bytes) as u64, SeqCst);
        }
        self.give_back(bytes);
    }

    /// The file is counted for these accounts now, and so is what it has buffered.
    fn move_to(&mut self, rooms: Vec<Arc<Room>>) {
        let bytes = self.bytes as i64;
        self.count(-bytes);
        self.rooms = rooms;
        self.count(bytes);
    }

    fn count(&self, bytes: i64) {
        self.rooms.iter().for_each(|room| {
            room.buffered.fetch_add(bytes, SeqCst);
        });
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.give_back(self.bytes);
    }
}

fn refusal(account: Account) -> Errno {
    if account == Account::Volume { Errno::ENOSPC } else { Errno::EDQUOT }
}

const NO_LIMIT: u64 = u64::MAX;
/// Time between looks at whether there are limits at all, while nobody else changes the volume and while somebody does.
const FOREIGN_LOOK_INTERVAL: Duration = Duration::from_millis(50);
const LIMITS_LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// Time between looks at what accounts take, while there seems to be room.
const USAGE_LOOK_INTERVAL: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use super::*;
    use shoal_metadata::{Limits, Usage};

    fn info(account: Account, used: u64, limit: Option<u64>) -> QuotaInfo {
        let limits = Limits { bytes: limit, inodes: None };
        QuotaInfo { account, state: None, limits, usage: Usage { bytes: used, inodes: 1 } }
    }

    fn reserved(rooms: &Rooms, infos: &[QuotaInfo]) -> Reserved {
        let mut reserved = Reserved::default();
        reserved.move_to(infos.iter().map(|info| rooms.note(info)).collect());
        reserved
    }

    #[test]
    fn files_of_one_account_share_its_room() {
        let rooms = Rooms::default();
        let user = info(Account::User(7), 100, Some(200));
        let (mut one, mut other) = (reserved(&rooms, &[user]), reserved(&rooms, &[user]));
        assert!(one.take(60, false).is_ok());
        assert_eq!(other.take(60, false).unwrap_err().left, 40);
        assert!(other.take(40, false).is_ok() && one.take(1, false).is_err());
        one.give_back(10);
        assert!(other.take(10, false).is_ok());
        other.spend(50);
        assert_eq!(other.take(1, false).unwrap_err().left, 0, "what is committed takes room as before");
        drop(one);
        assert!(other.take(50, false).is_ok(), "who is forgotten holds nothing");
    }

    #[test]
    fn the_tightest_account_decides_and_the_superuser_is_bound_by_places_only() {
        let rooms = Rooms::default();
        let user = info(Account::User(7), 0, Some(10));
        let volume = info(Account::Volume, 0, Some(100));
        let mut file = reserved(&rooms, &[user, volume]);
        assert_eq!(file.take(50, false).unwrap_err().refusal, Errno::EDQUOT);
        assert!(file.take(50, true).is_ok());
        assert_eq!(file.take(51, true).unwrap_err().refusal, Errno::ENOSPC);
    }

    #[test]
    fn buffered_bytes_move_with_their_file() {
        let rooms = Rooms::default();
        let (a, b) =
            (info(Account::Directory(shoal_types::Ino(2)), 0, Some(100)), info(Account::User(1), 0, Some(100)));
        let mut file = reserved(&rooms, &[a]);
        assert!(file.take(80, false).is_ok());
        file.move_to(vec![rooms.note(&b)]);
        assert_eq!(reserved(&rooms, &[b]).take(100, false).unwrap_err().left, 20);
        assert!(reserved(&rooms, &[a]).take(100, false).is_ok());
    }
}
