//! What is not served yet, and the answer after which the kernel does best without it.
//!
//! To ENOSYS the kernel reacts, mostly, by never asking again and falling back by itself:
//!
//! | request | after ENOSYS |
//! |---|---|
//! | ACCESS | the kernel checks permissions, or everything is allowed, as the mount's options say |
//! | POLL | always ready, as regular files are |
//! | BMAP | not asked again; only swap files and LILO want to know |

use shoal_types::Errno;

pub(super) const ANSWER: Errno = Errno::ENOSYS;
