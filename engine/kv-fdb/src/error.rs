//! FoundationDB's error codes as what became of the question.

use crate::c::Client;
use shoal_kv::KvError;

/// A code that is not 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Code(pub i32);

impl Code {
    pub const NOT_COMMITTED: Code = Code(1020);
    pub const NO_CLUSTER_FILE: Code = Code(1515);

    /// The version is too old or too new, the storage is behind, the cluster has too much to do or is locked: nothing has
    /// happened, and another transaction may do.
    fn is_passing(self) -> bool {
        matches!(self.0, 1007 | 1009 | 1037 | 1038 | 1042 | 1051 | 1078 | 1213)
    }

    /// What the client library refuses by itself.
    fn is_misuse(self) -> bool {
        matches!(self.0, 2000 | 2004..=2007)
    }

    fn is_limit(self) -> bool {
        matches!(self.0, 2101..=2103)
    }

    /// Whether a commit with this code has not happened and will not. Every other code leaves it open.
    pub fn has_refused(self) -> bool {
        self == Code::NOT_COMMITTED || self.is_passing() || self.is_limit() || self.is_misuse()
    }

    /// For a question that changes nothing, or a commit that was refused.
    pub fn into_error(self, client: &Client) -> KvError {
        let text = format!("fdb: {}", client.text(self));
        match self {
            Code::NOT_COMMITTED => KvError::Conflict,
            _ if self.is_limit() => KvError::Limit(text),
            // What the program itself did wrong, such as a cluster file that is none.
            Code(1515 | 2000..) => KvError::Other(text),
            _ => KvError::Unavailable(text),
        }
    }
}
