//! Blocking transactions from a closure: for tests, the command line and other callers that have a thread to spend.

use crate::{Attempt, Durability, Job, Kv, KvResult, Transaction, Verdict};
use std::sync::mpsc;

impl dyn Kv {
    /// Runs `body` as a transaction and waits for its end. `body` may run several times.
    pub fn transact<T, F>(&self, durability: Durability, body: F) -> KvResult<T>
    where
        T: Send + 'static,
        F: FnMut(&mut dyn Transaction, Attempt) -> KvResult<(T, Verdict)> + Send + 'static,
    {
        let (sender, receiver) = mpsc::sync_channel(1);
        self.submit(Box::new(ClosureJob { body, value: None, sender }), durability);
        receiver.recv().expect("every job is told its end")
    }
}

struct ClosureJob<T, F> {
    body: F,
    value: Option<T>,
    sender: mpsc::SyncSender<KvResult<T>>,
}

impl<T: Send, F> Job for ClosureJob<T, F>
where
    F: FnMut(&mut dyn Transaction, Attempt) -> KvResult<(T, Verdict)> + Send,
{
    fn run(&mut self, transaction: &mut dyn Transaction, attempt: Attempt) -> KvResult<Verdict> {
        let (value, verdict) = (self.body)(transaction, attempt)?;
        self.value = Some(value);
        Ok(verdict)
    }

    fn done(self: Box<Self>, outcome: KvResult<Verdict>) {
        let ClosureJob { value, sender, .. } = *self;
        let result = outcome.map(|_| value.expect("a job that ended well has run"));
        // The caller waits for this message, so the channel is open; were it not, nobody would want the result.
        let _ = sender.send(result);
    }
}
