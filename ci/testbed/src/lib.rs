//! A volume of one's own on this machine, with the real program: for tests that mount.
//!
//! Relies on a built `shoal`: the one `SHOAL_BIN` names, otherwise the newest beside the test's own program. Whatever the
//! test does, nothing of it stays mounted.

mod bed;
mod daemon;
mod program;

pub use bed::{Bed, Finished};
pub use daemon::Daemon;
