//! The four questions to the server, each one call of a script.

use crate::error::{self, unexpected};
use crate::scripts::{self, Script, Scripts};
use crate::server::{Names, Replicas};
use redis::{Cmd, Connection as Wire, Value};
use shoal_kv::limits::VALUE_BYTES_MAX;
use shoal_kv::{Direction, Effect, KeyRange, KvError, Update, WriteSet};
use shoal_kv_remote::{Answer, Asked, Commit, CommitEnd, Connection, Evidence, Failure, Versioned, VersionedPair};
use std::sync::Arc;

pub struct RedisConnection {
    wire: Wire,
    scripts: Scripts,
    names: Arc<Names>,
    slot: u64,
    slot_name: String,
    replicas: Replicas,
}

impl RedisConnection {
    pub(crate) fn new(
        wire: Wire,
        scripts: Scripts,
        names: Arc<Names>,
        slot: u64,
        replicas: Replicas,
    ) -> Result<Self, Failure> {
        let slot_name = names.slot(slot);
        let mut connection = RedisConnection { wire, scripts, names, slot, slot_name, replicas };
        redis::cmd("SET")
            .arg(&connection.slot_name)
            .arg(0)
            .arg("EX")
            .arg(SLOT_SECONDS)
            .exec(&mut connection.wire)
            .map_err(error::translate)?;
        connection.wait_for_replicas()?;
        Ok(connection)
    }

    /// What was written over this connection survives a fail-over from here on. If it's not known to, it counts as not
    /// known to have happened, also to who asks later.
    fn wait_for_replicas(&mut self) -> Result<(), Failure> {
        let Replicas { count, answer_max } = self.replicas;
        if count == 0 {
            return Ok(());
        }
        let patience = answer_max.as_millis() as u64 / 2;
        let reached: u32 =
            redis::cmd("WAIT").arg(count).arg(patience).query(&mut self.wire).map_err(error::translate)?;
        match reached >= count {
            true => Ok(()),
            false => Err(Failure::Lost(format!("redis: {reached} of {count} replicas have it after {patience} ms"))),
        }
    }

    fn call(&self, script: Script) -> Cmd {
        let Names { order, values, commits, snapshot, changed, before, .. } = &*self.names;
        self.scripts.call(script, &[order, values, commits, &self.slot_name, snapshot, changed, before])
    }

    /// Runs a read: the number of the last commit, and the rest of the answer.
    fn read(&mut self, command: &Cmd) -> Asked<std::vec::IntoIter<Value>> {
        match scripts::run(&mut self.wire, command)? {
            Value::Nil => Ok(Answer::Moved),
            Value::Array(values) => {
                let mut values = values.into_iter();
                match values.next() {
                    Some(Value::Int(moment)) => Ok(Answer::At(moment.cast_unsigned(), values)),
                    _ => Err(unexpected("a read without the number of a commit")),
                }
            }
            _ => Err(unexpected("a read that is no list")),
        }
    }
}

impl Connection for RedisConnection {
    fn get_many(&mut self, seen: &Evidence, keys: &[&[u8]]) -> Asked<Vec<Option<Versioned>>> {
        let mut command = self.call(Script::Read);
        write_evidence(&mut command, seen);
        command.arg("get").arg(keys);
        match self.read(&command)? {
            Answer::Moved => Ok(Answer::Moved),
            Answer::At(moment, values) => {
                let found: Vec<_> = values.map(versioned).collect::<Result<_, _>>()?;
                match found.len() == keys.len() {
                    true => Ok(Answer::At(moment, found)),
                    false => Err(unexpected("not a value for each key")),
                }
            }
        }
    }

    fn scan(
        &mut self,
        seen: &Evidence,
        range: &KeyRange,
        limit: usize,
        direction: Direction,
    ) -> Asked<Vec<VersionedPair>> {
        let mut command = self.call(Script::Read);
        write_evidence(&mut command, seen);
        command.arg("scan");
        write_range(&mut command, range);
        command.arg(limit).arg(match direction {
            Direction::Forward => "forward",
            Direction::Backward => "backward",
        });
        let (moment, mut values) = match self.read(&command)? {
            Answer::Moved => return Ok(Answer::Moved),
            Answer::At(moment, values) => (moment, values),
        };
        let mut pairs = Vec::with_capacity(values.len() / 2);
        while let (Some(key), Some(value)) = (values.next(), values.next()) {
            match (key, versioned(value)?) {
                (Value::BulkString(key), Some(value)) => pairs.push((key, value)),
                // The two are always written together.
                (key, _) => {
                    let damage = KvError::Damaged(format!("redis: a key in the order has no value: {key:?}"));
                    return Err(Failure::Refused(damage));
                }
            }
        }
        Ok(Answer::At(moment, pairs))
    }

    fn commit(&mut self, commit: &Commit<'_>) -> Result<CommitEnd, Failure> {
        assert_eq!(commit.slot, self.slot, "a connection commits in its own slot");
        let mut command = self.call(Script::Commit);
        command.arg(&self.names.channel).arg(&self.names.stamped_channel).arg(commit.number).arg(SLOT_SECONDS);
        write_evidence(&mut command, commit.evidence);
        write_writes(&mut command, commit.writes);
        let answer = match scripts::run(&mut self.wire, &command)? {
            Value::Array(answer) => answer,
            _ => return Err(unexpected("a commit's answer is no list")),
        };
        match answer.as_slice() {
            [Value::BulkString(word)] if word == b"done" => {
                self.wait_for_replicas()?;
                Ok(CommitEnd::Done)
            }
            [Value::BulkString(word)] if word == b"moved" => Ok(CommitEnd::Moved),
            [Value::BulkString(word)] if word == b"slot" => Ok(CommitEnd::NoSlot),
            [Value::BulkString(word), Value::BulkString(key), Value::Int(bytes)] if word == b"damaged" => {
                let counter = key.escape_ascii();
                let damage = format!("the counter {counter} holds {bytes} bytes instead of 8");
                Err(Failure::Refused(KvError::Damaged(damage)))
            }
            [Value::BulkString(word), _, Value::Int(bytes)] if word == b"limit" => {
                Err(Failure::Refused(KvError::Limit(format!("an append makes a value of {bytes} bytes"))))
            }
            _ => Err(unexpected("a commit's answer")),
        }
    }

    fn slot(&self) -> u64 {
        self.slot
    }

    fn close_slot(&mut self, slot: u64) -> Result<Option<u64>, Failure> {
        let mut command = self.scripts.call(Script::CloseSlot, &[&self.names.slot(slot)]);
        command.arg(SLOT_SECONDS);
        let answer = scripts::run(&mut self.wire, &command)?;
        self.wait_for_replicas()?;
        match answer {
            Value::Nil => Ok(None),
            Value::Int(number) => Ok(Some(number.cast_unsigned())),
            _ => Err(unexpected("a slot's number")),
        }
    }
}

pub(crate) fn versioned(value: Value) -> Result<Option<Versioned>, Failure> {
    match value {
        Value::Nil => Ok(None),
        Value::BulkString(mut stored) if stored.len() >= VERSION_BYTES => {
            let value = stored.split_off(VERSION_BYTES);
            let version = u64::from_be_bytes(stored.try_into().expect("just so many bytes are left"));
            Ok(Some(Versioned { version, value }))
        }
        _ => Err(Failure::Refused(KvError::Damaged("redis: a value without a version".into()))),
    }
}

fn write_evidence(command: &mut Cmd, evidence: &Evidence) {
    command.arg(evidence.moment).arg(evidence.keys.len());
    for (key, version) in &evidence.keys {
        command.arg(key.as_slice()).arg(*version);
    }
    command.arg(evidence.ranges.len());
    for seen in &evidence.ranges {
        write_range(command, &seen.range);
        command.arg(seen.count).arg(seen.newest);
    }
}

/// The two ends as sorted sets write them: `[` for included, `(` for not.
fn write_range(command: &mut Cmd, range: &KeyRange) {
    command.arg([b"[", range.start.as_slice()].concat()).arg([b"(", range.end.as_slice()].concat());
}

fn write_writes(command: &mut Cmd, writes: &WriteSet) {
    let cleared: Vec<_> = writes.cleared.iter().collect();
    command.arg(cleared.len());
    for (start, end) in cleared {
        write_range(command, &KeyRange { start: start.to_vec(), end: end.to_vec() });
    }
    let deleted = writes.effects.iter().filter(|(_, effect)| **effect == Effect::Delete);
    command.arg(deleted.clone().count());
    for (key, _) in deleted {
        command.arg(key.as_slice());
    }
    let put = writes.effects.iter().filter_map(|(key, effect)| match effect {
        Effect::Put(value) => Some((key, value)),
        _ => None,
    });
    command.arg(put.clone().count());
    for (key, value) in put {
        command.arg(key.as_slice()).arg(value.as_slice());
    }
    let updated = writes.effects.iter().filter_map(|(key, effect)| match effect {
        Effect::Update(update) => Some((key, std::slice::from_ref(update))),
        Effect::Updates(updates) => Some((key, updates.as_slice())),
        _ => None,
    });
    command.arg(VALUE_BYTES_MAX).arg(updated.clone().count());
    for (key, updates) in updated {
        command.arg(key.as_slice()).arg(updates.len());
        updates.iter().for_each(|update| write_update(command, update));
    }
    command.arg(writes.stamped.len());
    for (prefix, value) in &writes.stamped {
        command.arg(prefix.as_slice()).arg(value.as_slice());
    }
}

fn write_update(command: &mut Cmd, update: &Update) {
    match update {
        Update::Add(amount) => command.arg("add").arg(&amount.to_le_bytes()),
        Update::Max(value) => command.arg("max").arg(&value.to_le_bytes()),
        Update::Append(bytes) => command.arg("append").arg(bytes.as_slice()),
    };
}

const VERSION_BYTES: usize = 8;
/// Longer than any client goes on waiting for what became of its commit.
const SLOT_SECONDS: u64 = 7 * 24 * 3600;
