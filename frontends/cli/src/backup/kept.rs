//! Which backups are kept: all of a day, then one a day for two weeks, then one a week for two months, and always the last.

use std::collections::{BTreeMap, BTreeSet};

const DAY: i64 = 86400;
const WEEK: i64 = 7 * DAY;
const ALL_SECONDS: i64 = DAY;
const DAILY_SECONDS: i64 = 2 * WEEK;
const WEEKLY_SECONDS: i64 = 9 * WEEK;

/// The names to keep, of backups given by their time in seconds. Of a day or a week it's the first, so that what is kept once
/// stays until its time is over.
pub fn kept(mut backups: Vec<(i64, String)>, now: i64) -> BTreeSet<String> {
    backups.sort();
    let mut kept = BTreeSet::new();
    kept.extend(backups.last().map(|(_, name)| name.clone()));
    let (mut days, mut weeks) = (BTreeMap::new(), BTreeMap::new());
    for (time, name) in &backups {
        days.entry(time.div_euclid(DAY)).or_insert((*time, name));
        weeks.entry(time.div_euclid(WEEK)).or_insert((*time, name));
        if now - time < ALL_SECONDS {
            kept.insert(name.clone());
        }
    }
    let mut keep = |firsts: BTreeMap<i64, (i64, &String)>, seconds: i64| {
        let young = firsts.into_values().filter(|(time, _)| now - time < seconds);
        kept.extend(young.map(|(_, name)| name.clone()));
    };
    keep(days, DAILY_SECONDS);
    keep(weeks, WEEKLY_SECONDS);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn years_of_hourly_backups_leave_a_few_of_each_age() {
        let mut there: Vec<(i64, String)> = Vec::new();
        for hour in 0..24 * 365 {
            let now = hour * 3600;
            there.push((now, format!("{now:012}")));
            let kept = kept(there.clone(), now);
            there.retain(|(_, name)| kept.contains(name));
        }
        let now = (24 * 365 - 1) * 3600;
        let aged = |from: i64, to: i64| there.iter().filter(|(time, _)| (from..to).contains(&(now - time))).count();
        assert_eq!(aged(0, DAY), 24);
        assert_eq!(aged(DAY, DAILY_SECONDS), 13);
        assert_eq!(aged(DAILY_SECONDS, WEEKLY_SECONDS), 7);
        assert_eq!(aged(WEEKLY_SECONDS, i64::MAX), 0);
    }

    #[test]
    fn the_last_one_is_kept_however_old_and_one_of_the_future_too() {
        let named = |times: &[i64]| times.iter().map(|time| (*time, time.to_string())).collect::<Vec<_>>();
        assert_eq!(kept(named(&[5, 7]), 100 * WEEK), ["7".to_string()].into());
        assert_eq!(kept(named(&[5, 200 * WEEK]), 100 * WEEK).len(), 1);
        assert!(kept(Vec::new(), 0).is_empty());
    }
}
