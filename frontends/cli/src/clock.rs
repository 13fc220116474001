//! The wall clock, and times as people read them. The engine never looks at a clock: commands pass the time in.

use shoal_types::Timestamp;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::new(since.as_secs().cast_signed(), since.subsec_nanos())
}

/// How long ago; nothing for a time to come, which another host's clock may tell.
pub fn age(time: Timestamp, now: Timestamp) -> Duration {
    Duration::from_nanos(now.as_nanos().saturating_sub(time.as_nanos()))
}

/// `5s ago`, `3m ago`, `2h ago`, `4d ago`.
pub fn ago(time: Timestamp, now: Timestamp) -> String {
    let seconds = age(time, now).as_secs();
    match seconds {
        0..120 => format!("{seconds}s ago"),
        120..7200 => format!("{}m ago", seconds / 60),
        7200..172_800 => format!("{}h ago", seconds / 3600),
        _ => format!("{}d ago", seconds / 86400),
    }
}

/// `2026-01-31 23:59:58 UTC`
pub fn date(time: Timestamp) -> String {
    let (days, second) = (time.seconds.div_euclid(86400), time.seconds.rem_euclid(86400));
    let (year, month, day) = calendar(days);
    format!("{year}-{month:02}-{day:02} {:02}:{:02}:{:02} UTC", second / 3600, second / 60 % 60, second % 60)
}

/// `20260131T235958Z`: names that stand in the order of time.
pub fn stamp(time: Timestamp) -> String {
    let digits: String = date(time).chars().filter(char::is_ascii_digit).collect();
    let (day, second) = digits.split_at(digits.len() - 6);
    format!("{day}T{second}Z")
}

/// The seconds since 1970 of such a name.
pub fn of_stamp(text: &str) -> Option<i64> {
    let number = |at: usize, digits: usize| text.get(at..at + digits)?.parse::<i64>().ok();
    let (year, month, day) = (number(0, 4)?, number(4, 2)?, number(6, 2)?);
    let seconds = number(9, 2)? * 3600 + number(11, 2)? * 60 + number(13, 2)?;
    // No month is longer than 31 days: one of these is the day, if it is one.
    let about = (year - 1970) * 365 + (year - 1969) / 4 - (year - 1901) / 100 + (year - 1601) / 400 + (month - 1) * 30;
    let day = (about - 2..about + 40).find(|count| calendar(*count) == (year, month, day))?;
    let seconds = day * 86400 + seconds;
    (stamp(Timestamp::new(seconds, 0)) == text).then_some(seconds)
}

/// The Gregorian date of a day counted from 1970-01-01. Years are taken to begin in March, so that a leap day is the last
/// one of its year.
fn calendar(days: i64) -> (i64, i64, i64) {
    // Day 0 of this count is 0000-03-01. 400 years have 146,097 days.
    let day = days + 719_468;
    let (era, day) = (day.div_euclid(146_097), day.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    // March to January and every fifth month after it: 153 days.
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + next, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        let shown = |seconds| date(Timestamp::new(seconds, 0));
        assert_eq!(shown(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(shown(-1), "1969-12-31 23:59:59 UTC");
        assert_eq!(shown(951_782_400), "2000-02-29 00:00:00 UTC");
        assert_eq!(shown(1_735_689_599), "2024-12-31 23:59:59 UTC");
        assert_eq!(shown(4_107_542_400), "2100-03-01 00:00:00 UTC");
    }

    #[test]
    fn ages_have_one_unit_and_are_never_negative() {
        let since = |seconds: i64| ago(Timestamp::new(1_000_000, 0), Timestamp::new(1_000_000 + seconds, 0));
        assert_eq!([since(-5), since(0), since(119)], ["0s ago", "0s ago", "119s ago"]);
        assert_eq!([since(120), since(7200), since(200_000)], ["2m ago", "2h ago", "2d ago"]);
    }
    #[test]
    fn stamps_stand_in_the_order_of_time_and_lead_back() {
        for seconds in [0, 951_782_399, 951_782_400, 1_735_689_599, 1_795_680_000, 4_107_542_400] {
            for second in (seconds..seconds + 86400 * 800).step_by(86399) {
                let name = stamp(Timestamp::new(second, 0));
                assert_eq!(of_stamp(&name), Some(second), "{name}");
                assert!(name < stamp(Timestamp::new(second + 1, 0)));
            }
        }
        assert_eq!(stamp(Timestamp::new(1_735_689_599, 0)), "20241231T235959Z");
        for alien in
            ["", "20241231T235959", "20241331T235959Z", "20240230T000000Z", "2024-231T235959Z", "20241231T236059Z"]
        {
            assert_eq!(of_stamp(alien), None, "{alien}");
        }
    }
}
