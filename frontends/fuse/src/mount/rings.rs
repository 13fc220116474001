//! Whether requests travel through io_uring: the machine has to allow it before the first exchange with the kernel.

use super::MountError;
use std::fs;

/// How much a mount wants rings in place of `/dev/fuse`.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum RingUse {
    #[default]
    Never,
    /// Where the machine allows it already.
    WhereAllowed,
    /// Allow it, where we may, and fail where it can't be had.
    Always,
}

const PARAMETER: &str = "/sys/module/fuse/parameters/enable_uring";

/// Whether to ask the kernel for rings.
pub(super) fn ask_for(wanted: RingUse) -> Result<bool, MountError> {
    match wanted {
        RingUse::Never => Ok(false),
        RingUse::WhereAllowed => Ok(are_allowed()),
        RingUse::Always if are_allowed() => Ok(true),
        RingUse::Always => match fs::write(PARAMETER, "Y") {
            Ok(()) => Ok(true),
            Err(source) => Err(MountError::RingsNotAllowed(source)),
        },
    }
}

fn are_allowed() -> bool {
    fs::read_to_string(PARAMETER).is_ok_and(|value| value.trim() == "Y")
}
