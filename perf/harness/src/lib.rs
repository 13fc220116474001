//! The performance harness: the same work on ShoalFS, on the null server and on a plain folder, interleaved.
//!
//! `targets` starts and stops what is measured, `workloads` does the work, `results` keeps what came out, and `table`,
//! `plot` and `report` show it. Relies on the built binaries, on fio and tar. Never leaves a mount behind, and judges
//! nothing but the floors in `floors`.

// In tests a failed unwrap is a failed test, which is what it is for.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod arguments;
pub mod failure;
pub mod fio;
pub mod floors;
pub mod host;
pub mod interrupt;
pub mod metadata_run;
pub mod plot;
pub mod report;
pub mod results;
pub mod run;
pub mod statistics;
pub mod table;
pub mod targets;
pub mod workloads;
