//! Programs that know what they were promised. Each has a folder of its own on the mount.

mod append;
mod names;
mod overwrite;
mod replace;

pub use append::Append;
pub use names::Names;
pub use overwrite::Overwrite;
pub use replace::Replace;

use shoal_kv::Random;
use std::fs::File;
use std::io;
use std::os::fd::IntoRawFd;
use std::path::Path;

pub trait Workload: Send {
    fn name(&self) -> &'static str;

    /// One thing a program does, up to its acknowledgement. An error says that it was not acknowledged.
    fn step(&mut self, folder: &Path, random: &mut Random) -> io::Result<()>;

    /// What must be there is there; what may be there is taken for granted from now on.
    fn verify(&mut self, folder: &Path) -> Result<(), String>;
}

/// An error that means "the daemon is gone": nothing more will succeed.
pub fn is_dead(error: &io::Error) -> bool {
    // EBADF comes from a kernel that has dropped the file with its connection.
    matches!(error.raw_os_error(), Some(libc::ENOTCONN | libc::ECONNABORTED | libc::EBADF))
}

fn told(path: &Path) -> impl Fn(io::Error) -> String + '_ {
    move |error| format!("{}: {error}", path.display())
}

/// close(2) with its answer, which dropping a file hides.
fn close(file: File) -> io::Result<()> {
    // SAFETY: `file` owned the descriptor and has given it up.
    match unsafe { libc::close(file.into_raw_fd()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
