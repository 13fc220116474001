//! The statements. Keys and values stand in them as hexadecimal literals, which are binary strings whatever the server's
//! character set and modes are.

use shoal_kv::limits::VALUE_BYTES_MAX;
use shoal_kv::{Direction, Effect, KeyRange, Update, WriteSet};
use shoal_kv_remote::{Commit, Evidence};
use std::fmt::Write;

/// The tables of one volume.
pub(crate) struct Tables {
    pairs: String,
    commits: String,
    slots: String,
}

/// A text's statements, in packets that no server refuses for their size.
#[derive(Default)]
pub(crate) struct Packets {
    pub texts: Vec<String>,
}

impl Packets {
    fn add(&mut self, statement: &str) {
        match self.texts.last_mut() {
            Some(text) if text.len() + statement.len() < PACKET_BYTES_MAX => *text += statement,
            _ => self.texts.push(statement.to_string()),
        }
    }
}

impl Tables {
    pub fn new(prefix: &str) -> Self {
        let name = |what: &str| format!("`{prefix}_{what}`");
        Tables { pairs: name("pairs"), commits: name("commits"), slots: name("slots") }
    }

    /// Each may be run where it has been run before. The row of the number comes last: with it the volume is there.
    pub fn create(&self) -> [String; 4] {
        let Tables { pairs, commits, slots } = self;
        [
            format!(
                "CREATE TABLE IF NOT EXISTS {pairs} (k VARBINARY(2048) NOT NULL PRIMARY KEY, v MEDIUMBLOB NOT NULL, \
                 version BIGINT UNSIGNED NOT NULL) ENGINE = InnoDB, ROW_FORMAT = DYNAMIC"
            ),
            format!(
                "CREATE TABLE IF NOT EXISTS {slots} (id BIGINT UNSIGNED NOT NULL PRIMARY KEY, number BIGINT UNSIGNED NOT \
                 NULL, closed BOOLEAN NOT NULL DEFAULT FALSE, used DATETIME NOT NULL) ENGINE = InnoDB"
            ),
            format!(
                "CREATE TABLE IF NOT EXISTS {commits} (id TINYINT NOT NULL PRIMARY KEY, number BIGINT UNSIGNED NOT NULL) \
                 ENGINE = InnoDB"
            ),
            format!("INSERT IGNORE INTO {commits} VALUES (1, 0)"),
        ]
    }

    pub fn latest(&self) -> String {
        format!("SELECT number FROM {} WHERE id = 1", self.commits)
    }

    pub fn remove(&self) -> String {
        let Tables { pairs, commits, slots } = self;
        format!("DROP TABLE IF EXISTS {commits}, {slots}, {pairs}")
    }

    pub fn new_slot(&self, slot: u64) -> String {
        let slots = &self.slots;
        format!(
            "DELETE FROM {slots} WHERE used < UTC_TIMESTAMP() - INTERVAL {SLOT_DAYS} DAY; \
             INSERT INTO {slots} VALUES ({slot}, 0, FALSE, UTC_TIMESTAMP())"
        )
    }

    /// A row (NULL, NULL, the number of the last commit) if the evidence holds, and a row for each pair found.
    pub fn get_many(&self, seen: &Evidence, keys: &[&[u8]]) -> String {
        let keys: Vec<String> = keys.iter().map(|key| hex(key)).collect();
        let pairs = &self.pairs;
        format!("{} UNION ALL SELECT k, v, version FROM {pairs} WHERE k IN ({})", self.moment(seen), keys.join(","))
    }

    pub fn scan(&self, seen: &Evidence, range: &KeyRange, limit: usize, direction: Direction) -> String {
        let order = if direction == Direction::Backward { "DESC" } else { "ASC" };
        let (moment, pairs, within) = (self.moment(seen), &self.pairs, within(&range.start, &range.end));
        format!(
            "{moment} UNION ALL (SELECT k, v, version FROM {pairs} WHERE {within} ORDER BY k {order} LIMIT {limit})"
        )
    }

    /// In the order of keys, those behind `last`.
    pub fn next_pairs(&self, last: &[u8], limit: usize) -> String {
        format!("SELECT k, v FROM {} WHERE k > {} ORDER BY k LIMIT {limit}", self.pairs, hex(last))
    }

    fn moment(&self, seen: &Evidence) -> String {
        let commits = &self.commits;
        let holds = self.holds("number", seen);
        format!(
            "SELECT CAST(NULL AS BINARY) AS k, CAST(NULL AS BINARY) AS v, number AS version FROM {commits} WHERE id = 1 AND {holds}"
        )
    }

    /// An expression: what was read is still so. `latest` gives the number of the last commit.
    fn holds(&self, latest: &str, seen: &Evidence) -> String {
        if seen.is_empty() {
            return "TRUE".into();
        }
        let (pairs, moment) = (&self.pairs, seen.moment);
        let mut text = format!("IF({latest} = {moment}, TRUE, TRUE");
        if !seen.keys.is_empty() {
            let keys = seen.keys.iter().map(|(key, version)| format!("SELECT {} AS k, {version} AS version", hex(key)));
            let keys = keys.collect::<Vec<_>>().join(" UNION ALL ");
            let _ = write!(
                text,
                " AND NOT EXISTS (SELECT 1 FROM ({keys}) AS seen LEFT JOIN {pairs} AS now ON now.k = seen.k \
                 WHERE COALESCE(now.version, 0) <> seen.version)"
            );
        }
        for seen in &seen.ranges {
            let within = within(&seen.range.start, &seen.range.end);
            let _ = write!(
                text,
                " AND (SELECT COUNT(*) = {} AND COALESCE(MAX(version), 0) <= {} FROM {pairs} WHERE {within})",
                seen.count, seen.newest
            );
        }
        text + ")"
    }

    /// Ends with a row: whether the slot is open, whether the evidence holds, how many counters are none, and how many values
    /// would be too long. Something has been done if and only if it's 1, 1, 0, 0.
    pub fn commit(&self, commit: &Commit<'_>) -> Packets {
        let Tables { commits, slots, .. } = self;
        let (slot, number) = (commit.slot, commit.number);
        let mut packets = Packets::default();
        // Whatever an earlier error has left open is not to be committed by accident.
        packets.add(&format!("{BEGIN} SELECT number INTO @latest FROM {commits} WHERE id = 1 FOR UPDATE;"));
        packets.add(&format!(
            "SELECT COUNT(*) INTO @slot FROM {slots} WHERE id = {slot} AND NOT closed; SELECT {} INTO @holds;",
            self.holds("@latest", commit.evidence)
        ));
        let (counters, lengths) = self.doubts(commit.writes);
        packets.add(&format!("SELECT {counters} INTO @damaged; SELECT {lengths} INTO @long;"));
        packets.add("SET @this = @latest + 1, @go = @slot AND @holds AND NOT @damaged AND NOT @long;");
        self.apply(commit.writes, &mut packets);
        packets.add(&format!(
            "UPDATE {commits} SET number = @this WHERE id = 1 AND @go; \
             UPDATE {slots} SET number = {number}, used = UTC_TIMESTAMP() WHERE id = {slot} AND @go; \
             COMMIT; SELECT @slot, @holds, @damaged, @long"
        ));
        packets
    }

    /// Expressions: how many counters hold no number, and how many appends would make too long a value.
    fn doubts(&self, writes: &WriteSet) -> (String, String) {
        let pairs = &self.pairs;
        let (mut counters, mut lengths) = (Vec::new(), Vec::new());
        for (key, updates) in updates(writes) {
            let appended: usize =
                updates.iter().map(|update| if let Update::Append(b) = update { b.len() } else { 0 }).sum();
            match appended {
                0 if updates.iter().all(|update| matches!(update, Update::Append(_))) => {}
                0 => counters.push(hex(key)),
                _ => lengths.push(format!(
                    "(k = {} AND LENGTH(v) > {})",
                    hex(key),
                    VALUE_BYTES_MAX.saturating_sub(appended)
                )),
            }
        }
        let count = |list: Vec<String>, condition: &dyn Fn(String) -> String, by: &str| match list.is_empty() {
            true => "0".to_string(),
            false => format!("(SELECT COUNT(*) FROM {pairs} WHERE {})", condition(list.join(by))),
        };
        (
            count(counters, &|keys| format!("k IN ({keys}) AND LENGTH(v) <> 8"), ","),
            count(lengths, &|conditions| conditions, " OR "),
        )
    }

    fn apply(&self, writes: &WriteSet, packets: &mut Packets) {
        let pairs = &self.pairs;
        for (start, end) in writes.cleared.iter() {
            packets.add(&format!("DELETE FROM {pairs} WHERE {} AND @go;", within(start, end)));
        }
        let put = |key: &str, value: &str, update: &str| {
            format!(
                "INSERT INTO {pairs} (k, v, version) SELECT {key}, {value}, @this FROM DUAL WHERE @go \
                 ON DUPLICATE KEY UPDATE v = {update}, version = @this;"
            )
        };
        for (key, effect) in &writes.effects {
            match effect {
                Effect::Delete => packets.add(&format!("DELETE FROM {pairs} WHERE k = {} AND @go;", hex(key))),
                Effect::Put(value) => packets.add(&put(&hex(key), &hex(value), "VALUES(v)")),
                Effect::Update(_) | Effect::Updates(_) => {}
            }
        }
        for (key, updates) in updates(writes) {
            for update in updates {
                let (alone, over) = updated(update, &format!("{pairs}.v"));
                packets.add(&put(&hex(key), &alone, &over));
            }
        }
        for (prefix, value) in &writes.stamped {
            let key = format!("CONCAT({}, UNHEX(LPAD(CONV(@this, 10, 16), 16, '0')), x'0000')", hex(prefix));
            packets.add(&put(&key, &hex(value), "VALUES(v)"));
        }
    }

    /// Ends with the number of the last commit under the slot, if there is such a slot.
    pub fn close_slot(&self, slot: u64) -> String {
        let Tables { commits, slots, .. } = self;
        // After any commit under it that has begun.
        format!(
            "{BEGIN} SELECT number INTO @latest FROM {commits} WHERE id = 1 FOR UPDATE; \
             UPDATE {slots} SET closed = TRUE, used = UTC_TIMESTAMP() WHERE id = {slot}; \
             COMMIT; SELECT number FROM {slots} WHERE id = {slot}"
        )
    }
}

/// Expressions for what an update makes of nothing, and of `base`.
fn updated(update: &Update, base: &str) -> (String, String) {
    match update {
        Update::Add(amount) => {
            // All counting is modulo 2^64, in decimals that hold more than that.
            let sum = format!(
                "(CAST(CONV(HEX(REVERSE({base})), 16, 10) AS DECIMAL(21)) + {}) MOD {WORD}",
                amount.cast_unsigned()
            );
            let bytes = format!("REVERSE(UNHEX(LPAD(CONV({sum}, 10, 16), 16, '0')))");
            (hex(&amount.to_le_bytes()), bytes)
        }
        Update::Max(value) => {
            let (bytes, ordered) = (hex(&value.to_le_bytes()), hex(&value.to_be_bytes()));
            (bytes.clone(), format!("IF(REVERSE({base}) < {ordered}, {bytes}, {base})"))
        }
        Update::Append(bytes) => (hex(bytes), format!("CONCAT({base}, {})", hex(bytes))),
    }
}

fn updates(writes: &WriteSet) -> impl Iterator<Item = (&Vec<u8>, &[Update])> {
    writes.effects.iter().filter_map(|(key, effect)| match effect {
        Effect::Update(update) => Some((key, std::slice::from_ref(update))),
        Effect::Updates(updates) => Some((key, updates.as_slice())),
        Effect::Put(_) | Effect::Delete => None,
    })
}

fn within(start: &[u8], end: &[u8]) -> String {
    format!("k >= {} AND k < {}", hex(start), hex(end))
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len() + 3);
    text.push_str("x'");
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text.push('\'');
    text
}

const BEGIN: &str = "ROLLBACK; START TRANSACTION;";
const DIGITS: &[u8; 16] = b"0123456789abcdef";
/// 2^64.
const WORD: &str = "18446744073709551616";
/// A quarter of the smallest packet that servers allow by default.
const PACKET_BYTES_MAX: usize = 4 << 20;
/// Longer than any client goes on waiting for what became of its commit.
const SLOT_DAYS: u32 = 7;
