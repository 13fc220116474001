//! Stamps, and for how long smaller ones may still come.
//!
//! A stamp is the moment at which its transaction began, so that the stamped key can be locked before the commit moment is
//! known. So stamps do not quite grow in the order of commits. But no transaction commits later after its stamp than the
//! **slack** of the volume; one that would, begins anew. So at any moment all that will ever be stamped before that moment
//! less the slack can be read, and a follower goes no further: it waits for so long if there is something newer.
//!
//! Where commits take longer, one that has failed by it twice widens the slack, for ever. That is safe: with a wider slack
//! commits only those that began after the wider one was there, and whoever reads late enough to see them too early sees
//! the wider slack as well.

use crate::commit::Committing;
use crate::keys::Space;
use crate::placement::LOGICAL_BITS;
use crate::stored::{Kind, Stored};
use crate::view::View;
use shoal_kv::limits::STAMP_BYTES;
use shoal_kv::{Direction, KeyRange, KvError};
use shoal_kv_remote::{Failure, VersionedPair};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// A key that the stamp of a transaction completes.
pub(crate) fn stamped(prefix: &[u8], start: u64) -> Vec<u8> {
    let mut stamp = [0; STAMP_BYTES];
    stamp[..8].copy_from_slice(&start.to_be_bytes());
    [prefix, &stamp].concat()
}

/// Prefix and stamp.
fn split(key: &[u8]) -> Result<(&[u8], u64), Failure> {
    let (rest, _) = key.split_last_chunk::<{ STAMP_BYTES - 8 }>().unwrap_or((&[], &[0; STAMP_BYTES - 8]));
    let (prefix, stamp) = rest
        .split_last_chunk()
        .ok_or_else(|| Failure::Refused(KvError::Damaged(format!("tikv: {} bears no stamp", key.escape_ascii()))))?;
    Ok((prefix, u64::from_be_bytes(*stamp)))
}

/// The last moment at which a transaction that began then may commit, by what was found at that place.
pub(crate) fn moment_max(space: &Space, found: &HashMap<Vec<u8>, Vec<u8>>, start: u64) -> Result<u64, Failure> {
    Ok(start + (slack(space, found)? << LOGICAL_BITS))
}

/// Milliseconds.
fn slack(space: &Space, found: &HashMap<Vec<u8>, Vec<u8>>) -> Result<u64, Failure> {
    let place = space.slack();
    let Some(bytes) = found.get(&place) else { return Ok(SLACK_MILLIS_MIN) };
    let stored = Stored::decode(&place, bytes).map_err(Failure::Refused)?;
    read(&stored).ok_or_else(|| Failure::Refused(KvError::Damaged("tikv: the slack of stamps is no number".into())))
}

fn read(stored: &Stored) -> Option<u64> {
    stored.value.as_slice().try_into().ok().map(u64::from_be_bytes)
}

impl Committing {
    /// Lets commits take this long and as long again.
    pub async fn widen_slack(&self, late: u64, deadline: Instant) -> Result<(), Failure> {
        let wanted = ((late >> LOGICAL_BITS) * 2).clamp(SLACK_MILLIS_MIN, SLACK_MILLIS_MAX);
        let wider = |start, there: Option<Stored>| {
            let narrow = there.as_ref().and_then(read).unwrap_or(SLACK_MILLIS_MIN) < wanted;
            narrow.then(|| Stored { kind: Kind::Plain, start, value: wanted.to_be_bytes().to_vec() }.encode())
        };
        self.write(&self.space.slack(), wider, deadline).await
    }

    /// Stamped keys that none with a smaller stamp will follow, and all that are committed by now.
    pub async fn scan_stamped(
        &self,
        range: &KeyRange,
        limit: usize,
        direction: Direction,
        deadline: Instant,
    ) -> Result<Vec<VersionedPair>, Failure> {
        let mut waited = false;
        loop {
            let moment = self.cluster.placement.timestamp(deadline).await?;
            let view = View::new(&self.cluster, &self.space, moment, deadline);
            let slack_found = view.get_raw(vec![self.space.slack()]);
            let read = futures_util::future::try_join(view.scan(range, limit, direction), slack_found);
            let (found, slack_found) = read.await?;
            let Some((newest, _)) = found.iter().max_by(|(one, _), (other, _)| one.cmp(other)) else {
                return Ok(found);
            };
            let settled = moment.saturating_sub(slack(&self.space, &slack_found)? << LOGICAL_BITS);
            let (prefix, stamp) = split(newest)?;
            if stamp <= settled {
                return Ok(found);
            }
            if waited {
                let end = stamped(prefix, settled + 1).min(range.end.clone());
                return view.scan(&KeyRange { start: range.start.clone(), end }, limit, direction).await;
            }
            tokio::time::sleep(Duration::from_millis(((stamp - settled) >> LOGICAL_BITS) + 1)).await;
            waited = true;
        }
    }
}

/// Of a cluster whose stores are near each other and not overloaded.
const SLACK_MILLIS_MIN: u64 = 50;
const SLACK_MILLIS_MAX: u64 = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_read_back_from_its_key() {
        assert_eq!(split(&stamped(b"feed", 77)), Ok((b"feed".as_slice(), 77)));
        assert_eq!(split(&stamped(b"", u64::MAX)), Ok((b"".as_slice(), u64::MAX)));
        assert!(stamped(b"feed", 1) < stamped(b"feed", 256));
        assert!(split(b"short").is_err());
    }
}
