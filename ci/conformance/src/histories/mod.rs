//! Random histories of system calls: the same on a mount and in a plain folder of this machine, judged by the oracle.
//!
//! `Kernel` puts what Linux does above a file system on top of the oracle's tree, so that each answer can be told before it
//! is given: errno, values, and which times of what was touched have moved. The mount has to answer just that; so has the
//! plain folder, which keeps the oracle honest. `differences` lists what either of them does otherwise, and why.
//!
//! A seed is a history. One that fails is cut down to the calls that it needs, and printed.

mod answer;
mod call;
mod differences;
mod folder;
mod generate;
mod kernel;
mod process;
mod run;
mod scramble;
mod tree;

pub use differences::reasons;
pub use run::{Histories, Players};
pub use scramble::Scramble;
pub use tree::of_folder as tree_of;
