//! The four questions to the server, each one call of a function; and the wire below, which gives up on slow answers.

use crate::error;
use crate::tls::Connector;
use futures_util::future::{join, try_join, try_join5};
use shoal_kv::limits::VALUE_BYTES_MAX;
use shoal_kv::{Direction, Effect, KeyRange, Update, WriteSet};
use shoal_kv_remote::{Answer, Asked, Commit, CommitEnd, Connection, Evidence, Failure, Tls, Versioned, VersionedPair};
use std::collections::HashMap;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Config, NoTls, Row, Statement};

/// A connection with a runtime of its own, which runs only while somebody waits for an answer.
pub(crate) struct Wire {
    runtime: Runtime,
    pub client: Client,
    answer_max: Duration,
}

impl Wire {
    pub fn open(config: &Config, tls: Option<&Tls>, answer_max: Duration) -> Result<Self, Failure> {
        let connector = tls.map(Connector::of).transpose()?;
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::Later(format!("postgres: starting a runtime: {error}")))?;
        let opened = runtime.block_on(async {
            // A connection ends with its client or with an error, which the client's next question meets as well.
            let client = bounded(answer_max, async {
                match connector {
                    None => {
                        let (client, connection) = config.connect(NoTls).await.map_err(error::translate)?;
                        tokio::spawn(async { drop(connection.await) });
                        Ok(client)
                    }
                    Some(connector) => {
                        let (client, connection) = config.connect(connector).await.map_err(error::translate)?;
                        tokio::spawn(async { drop(connection.await) });
                        Ok(client)
                    }
                }
            })
            .await?;
            bounded(answer_max, async { client.batch_execute(SETTINGS).await.map_err(error::translate) }).await?;
            Ok(client)
        });
        opened.map(|client| Wire { runtime, client, answer_max })
    }

    /// Runs a question to its answer, or until the time is over.
    pub fn run<T>(&self, question: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        self.runtime.block_on(bounded(self.answer_max, question))
    }

    pub fn ask_one(&self, question: &str) -> Result<String, Failure> {
        self.run(async { Ok(self.client.query_one(question, &[]).await.map_err(error::translate)?.get(0)) })
    }
}

pub(crate) async fn bounded<T>(
    time: Duration,
    question: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    match tokio::time::timeout(time, question).await {
        Ok(answer) => answer,
        Err(_) => Err(Failure::Lost(format!("postgres: no answer within {time:?}"))),
    }
}

pub struct PostgresConnection {
    wire: Wire,
    slot: u64,
    read_keys: Statement,
    read_range: Statement,
    commit: Statement,
    close_slot: Statement,
    flush: Statement,
}

impl PostgresConnection {
    pub(crate) fn new(wire: Wire, schema: &str, slot: u64) -> Result<Self, Failure> {
        let call = |function: &str, arguments: usize| {
            let places: Vec<String> = (1..=arguments).map(|number| format!("${number}")).collect();
            format!("SELECT * FROM {schema}.{function}({})", places.join(", "))
        };
        let client = &wire.client;
        let new_slot = format!("INSERT INTO {schema}.slots (id, number) VALUES ($1, 0)");
        let old_slots = format!("DELETE FROM {schema}.slots WHERE used < now() - interval '{SLOT_DAYS} days'");
        let [read_keys, read_range] = [call("read_keys", 8), call("read_range", 11)];
        let [commit, close_slot] = [call("commit", 20), call("close_slot", 1)];
        let statements = [&read_keys, &read_range, &commit, &close_slot, &FLUSH.to_string()];
        let (read_keys, read_range, commit, close_slot, flush) = wire.run(async {
            // All of it in one round trip.
            let (arguments, statements) =
                ([&slot.cast_signed() as &(dyn ToSql + Sync)], statements.map(String::as_str));
            let [read_keys, read_range, commit, close_slot, flush] = statements.map(|text| client.prepare(text));
            let slots = try_join(client.execute(&new_slot, &arguments), client.batch_execute(&old_slots));
            let statements = try_join5(read_keys, read_range, commit, close_slot, flush);
            Ok(try_join(slots, statements).await.map_err(error::translate)?.1)
        })?;
        Ok(PostgresConnection { wire, slot, read_keys, read_range, commit, close_slot, flush })
    }

    fn ask(&self, statement: &Statement, arguments: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, Failure> {
        self.wire.run(async { self.wire.client.query(statement, arguments).await.map_err(error::translate) })
    }

    /// The same, and waits until everything that is visible by then is durable. Both go out together, as transactions of
    /// their own, so that the first holds its locks no longer than it works.
    fn ask_durably(&self, statement: &Statement, arguments: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, Failure> {
        let client = &self.wire.client;
        self.wire.run(async {
            let (asked, flushed) = join(client.query(statement, arguments), client.query(&self.flush, &[])).await;
            let rows = asked.map_err(error::translate)?;
            match flushed {
                Ok(_) => Ok(rows),
                // What was done is visible, and whether it is durable is not known.
                Err(error) => Err(Failure::Lost(format!("postgres: waiting for the disk: {error}"))),
            }
        })
    }
}

impl Connection for PostgresConnection {
    fn get_many(&mut self, seen: &Evidence, keys: &[&[u8]]) -> Asked<Vec<Option<Versioned>>> {
        let evidence = EvidenceColumns::of(seen);
        let mut arguments = evidence.arguments();
        arguments.push(&keys);
        let rows = self.ask(&self.read_keys, &arguments)?;
        let Some((moment, pairs)) = split(rows) else { return Ok(Answer::Moved) };
        let mut found: HashMap<Vec<u8>, Versioned> = pairs.collect();
        Ok(Answer::At(moment, keys.iter().map(|key| found.remove(*key)).collect()))
    }

    fn scan(
        &mut self,
        seen: &Evidence,
        range: &KeyRange,
        limit: usize,
        direction: Direction,
    ) -> Asked<Vec<VersionedPair>> {
        let evidence = EvidenceColumns::of(seen);
        let count_max = i64::try_from(limit).unwrap_or(i64::MAX);
        let backward = direction == Direction::Backward;
        let mut arguments = evidence.arguments();
        arguments.extend([&range.start as &(dyn ToSql + Sync), &range.end, &count_max, &backward]);
        let rows = self.ask(&self.read_range, &arguments)?;
        Ok(split(rows).map_or(Answer::Moved, |(moment, pairs)| Answer::At(moment, pairs.collect())))
    }

    fn commit(&mut self, commit: &Commit<'_>) -> Result<CommitEnd, Failure> {
        let (slot, number) = (commit.slot.cast_signed(), commit.number.cast_signed());
        let (evidence, writes) = (EvidenceColumns::of(commit.evidence), WriteColumns::of(commit.writes));
        let mut arguments: Vec<&(dyn ToSql + Sync)> = vec![&slot, &number];
        arguments.extend(evidence.arguments());
        arguments.extend(writes.arguments());
        let rows = self.ask_durably(&self.commit, &arguments)?;
        match rows.first().map(|row| row.get(0)) {
            Some("done") => Ok(CommitEnd::Done),
            Some("moved") => Ok(CommitEnd::Moved),
            Some("slot") => Ok(CommitEnd::NoSlot),
            _ => Err(Failure::Lost("postgres: a commit's answer makes no sense".into())),
        }
    }

    fn slot(&self) -> u64 {
        self.slot
    }

    fn close_slot(&mut self, slot: u64) -> Result<Option<u64>, Failure> {
        let rows = self.ask_durably(&self.close_slot, &[&slot.cast_signed()])?;
        Ok(rows.first().map(|row| row.get::<_, i64>(0).cast_unsigned()))
    }
}

/// The number of the last commit, and the pairs after it; nothing if what was read before no longer holds.
fn split(rows: Vec<Row>) -> Option<(u64, impl Iterator<Item = VersionedPair>)> {
    let mut rows = rows.into_iter();
    let version = |row: &Row| row.get::<_, i64>(2).cast_unsigned();
    let moment = version(&rows.next()?);
    Some((moment, rows.map(move |row| (row.get(0), Versioned { version: version(&row), value: row.get(1) }))))
}

/// Evidence as the functions take it: a column for each part.
struct EvidenceColumns<'a> {
    moment: i64,
    keys: Vec<&'a [u8]>,
    versions: Vec<i64>,
    firsts: Vec<&'a [u8]>,
    lasts: Vec<&'a [u8]>,
    counts: Vec<i64>,
    newest: Vec<i64>,
}

impl<'a> EvidenceColumns<'a> {
    fn of(evidence: &'a Evidence) -> Self {
        let ranges = &evidence.ranges;
        EvidenceColumns {
            moment: evidence.moment.cast_signed(),
            keys: evidence.keys.iter().map(|(key, _)| key.as_slice()).collect(),
            versions: evidence.keys.iter().map(|(_, version)| version.cast_signed()).collect(),
            firsts: ranges.iter().map(|seen| seen.range.start.as_slice()).collect(),
            lasts: ranges.iter().map(|seen| seen.range.end.as_slice()).collect(),
            counts: ranges.iter().map(|seen| seen.count.cast_signed()).collect(),
            newest: ranges.iter().map(|seen| seen.newest.cast_signed()).collect(),
        }
    }

    fn arguments(&self) -> Vec<&(dyn ToSql + Sync)> {
        vec![&self.moment, &self.keys, &self.versions, &self.firsts, &self.lasts, &self.counts, &self.newest]
    }
}

/// Writes likewise.
struct WriteColumns<'a> {
    clear_firsts: Vec<&'a [u8]>,
    clear_lasts: Vec<&'a [u8]>,
    deleted: Vec<&'a [u8]>,
    put_keys: Vec<&'a [u8]>,
    put_values: Vec<&'a [u8]>,
    update_keys: Vec<&'a [u8]>,
    update_kinds: Vec<i8>,
    update_operands: Vec<Vec<u8>>,
    value_bytes_max: i32,
    stamped_keys: Vec<&'a [u8]>,
    stamped_values: Vec<&'a [u8]>,
}

impl<'a> WriteColumns<'a> {
    fn of(writes: &'a WriteSet) -> Self {
        let (clear_firsts, clear_lasts) = writes.cleared.iter().unzip();
        let (stamped_keys, stamped_values) =
            writes.stamped.iter().map(|(key, value)| (key.as_slice(), value.as_slice())).unzip();
        let mut columns = WriteColumns {
            clear_firsts,
            clear_lasts,
            deleted: Vec::new(),
            put_keys: Vec::new(),
            put_values: Vec::new(),
            update_keys: Vec::new(),
            update_kinds: Vec::new(),
            update_operands: Vec::new(),
            value_bytes_max: VALUE_BYTES_MAX as i32,
            stamped_keys,
            stamped_values,
        };
        for (key, effect) in &writes.effects {
            match effect {
                Effect::Delete => columns.deleted.push(key),
                Effect::Put(value) => {
                    columns.put_keys.push(key);
                    columns.put_values.push(value);
                }
                Effect::Update(update) => columns.update(key, update),
                Effect::Updates(updates) => updates.iter().for_each(|update| columns.update(key, update)),
            }
        }
        columns
    }

    /// Updates of one key stand in a row, and are done in this order.
    fn update(&mut self, key: &'a [u8], update: &Update) {
        let (kind, operand) = match update {
            Update::Add(amount) => (b'+', amount.to_le_bytes().to_vec()),
            Update::Max(value) => (b'm', value.to_le_bytes().to_vec()),
            Update::Append(bytes) => (b'a', bytes.clone()),
        };
        self.update_keys.push(key);
        self.update_kinds.push(kind.cast_signed());
        self.update_operands.push(operand);
    }

    fn arguments(&self) -> [&(dyn ToSql + Sync); 11] {
        [
            &self.clear_firsts,
            &self.clear_lasts,
            &self.deleted,
            &self.put_keys,
            &self.put_values,
            &self.update_keys,
            &self.update_kinds,
            &self.update_operands,
            &self.value_bytes_max,
            &self.stamped_keys,
            &self.stamped_values,
        ]
    }
}

/// Plans are made once, perhaps while the tables are empty, and are to be right for ever: always by the index. Commits
/// wait for the disk by a statement of their own, whatever the server's default is.
const SETTINGS: &str = "
    SET default_transaction_isolation = 'read committed';
    SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; SET jit = off;
    SET plan_cache_mode = force_generic_plan;
    SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'";

/// An empty record that the log has to be written to disk for.
const FLUSH: &str = "SELECT pg_logical_emit_message(true, 'shoal', '')";

/// Longer than any client goes on waiting for what became of its commit.
const SLOT_DAYS: u32 = 7;
