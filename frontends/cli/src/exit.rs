//! The exit codes of `shoal`, in one table. Scripts rely on the numbers: never change one.

/// Why the program ends, as its exit code.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
#[repr(u8)]
pub enum Exit {
    /// Done, nothing found.
    Success = 0,
    /// `fsck` or `gc` ran to its end and found something wrong.
    Findings = 1,
    /// The command line makes no sense (clap uses this number too).
    Usage = 2,
    /// No such volume, folder, file or mount.
    NotFound = 3,
    /// Something is there already, or in use: a volume, a folder, a mount point, live sessions.
    InUse = 4,
    /// This user may not.
    Permission = 5,
    /// A store does not answer.
    Unreachable = 6,
    /// A disk is full.
    NoSpace = 7,
    /// Stored bytes make no sense, or are of a newer format.
    Damaged = 8,
    /// The command destroys something and was not told `--yes`.
    Unconfirmed = 9,
    /// Anything else.
    Other = 10,
}

impl Exit {
    /// What `mount(8)` expects of a helper: 1 for a wrong call or no permission, 32 for a mount that failed.
    pub fn for_mount_helper(self) -> u8 {
        match self {
            Exit::Success => 0,
            Exit::Usage | Exit::Permission => 1,
            Exit::Findings
            | Exit::NotFound
            | Exit::InUse
            | Exit::Unreachable
            | Exit::NoSpace
            | Exit::Damaged
            | Exit::Unconfirmed
            | Exit::Other => 32,
        }
    }
}

/// Shown by `shoal --help`.
pub const TABLE: &str = "\
Exit codes:
  0  done                          5  no permission
  1  fsck or gc found something    6  a store does not answer
  2  wrong command line            7  a disk is full
  3  no such volume or mount       8  damaged, or of a newer format
  4  exists already, or in use     9  --yes is missing
                                  10  anything else";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_on_screen_names_every_code() {
        let shown: Vec<u8> = TABLE.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        for code in Exit::Success as u8..=Exit::Other as u8 {
            assert!(shown.contains(&code), "{code}");
        }
        assert_eq!(shown.len(), 11);
    }
}
