//! Runs a job's body so that a bug in it ends that job and not the engine's thread, on which all others wait.
//! Builds that abort on panic (release) never get as far as the catch.

use crate::{Attempt, Job, KvError, KvResult, Transaction, Verdict};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// `Err(Other)` when the body panicked; what it had buffered is to be dropped then.
pub fn run_body(job: &mut dyn Job, transaction: &mut dyn Transaction, attempt: Attempt) -> KvResult<Verdict> {
    // Unwind safety: the transaction is dropped by the caller after an error, and the job is only told its end.
    catch_unwind(AssertUnwindSafe(|| job.run(transaction, attempt))).unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<&str>()
            .map(|text| text.to_string())
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "no message".to_string());
        Err(KvError::Other(format!("a transaction's body panicked: {text}")))
    })
}
