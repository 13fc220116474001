//! Kills the daemon, or the metadata server, at random moments under programs that remember what was acknowledged, and looks
//! afterwards whether all of it is there.
//!
//! SIGKILL leaves the page cache alone, so this proves what `docs/durability.md` says of the death of the daemon, and nothing
//! about power loss.

// A failed expectation ends the run, which is what it is for.
#![allow(clippy::unwrap_used)]

mod content;
mod crew;
mod rounds;
mod server_rounds;
mod workloads;

pub use rounds::{Plan, run};
pub use server_rounds::{ServerPlan, run_on_server};
