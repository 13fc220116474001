//! How soon a mount sees what other mounts change.

use serde::{Deserialize, Serialize};

/// In every mode, who opens a file sees what was closed before. Stored by position: add at the end only.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum Consistency {
    /// At once: while other mounts live, names and attributes are looked up in the store each time.
    Strict,
    /// Within milliseconds: names and attributes are kept until the change feed takes them back, and no longer than a
    /// second after the last word from it.
    #[default]
    Coherent,
    /// As `Coherent`; and the kernel keeps names and attributes for as long as it is told to, whatever others do.
    Relaxed,
}

impl Consistency {
    /// The mount reads the change feed.
    pub fn follows(self) -> bool {
        self != Consistency::Strict
    }
}
