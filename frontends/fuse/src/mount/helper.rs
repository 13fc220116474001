//! Mounting for ordinary users through `fusermount3`, which is setuid root.
//!
//! The helper opens `/dev/fuse`, mounts it, and sends the descriptor over a socket whose number it reads from the
//! environment. The socket is its standard input, so that no descriptor has to be left open across other programs'
//! starts.

use super::{MountError, MountOptions, SUBTYPE, UnmountError};
use rustix::fs::OFlags;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SocketFlags, SocketType, recvmsg, socketpair,
};
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const HELPER: &str = "fusermount3";
const SOCKET_VARIABLE: &str = "_FUSE_COMMFD";

pub(super) fn mount(mount_point: &Path, options: &MountOptions) -> Result<OwnedFd, MountError> {
    let flags = SocketFlags::CLOEXEC;
    let pair = socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None);
    let (ours, theirs) = pair.map_err(|error| MountError::HelperBroken(error.into()))?;
    let mut command = Command::new(HELPER);
    command.arg("-o").arg(option_list(options)).arg("--").arg(mount_point);
    let output = run(command.env(SOCKET_VARIABLE, "0").stdin(theirs)).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => MountError::HelperMissing,
        _ => MountError::HelperBroken(error),
    })?;
    // The command keeps its end of the socket until it is dropped.
    drop(command);
    if !output.status.success() {
        return Err(explain(mount_point, &output));
    }
    receive_device(&ours).map_err(MountError::HelperBroken)
}

pub(super) fn unmount(mount_point: &Path, lazily: bool) -> Result<(), UnmountError> {
    let mut command = Command::new(HELPER);
    command.arg("-u");
    if lazily {
        command.arg("-z");
    }
    let output = run(command.arg("--").arg(mount_point).stdin(Stdio::null())).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => UnmountError::HelperMissing,
        _ => UnmountError::HelperBroken(error),
    })?;
    if output.status.success() {
        return Ok(());
    }
    let (path, message) = (mount_point.to_owned(), last_line(&output));
    Err(match message {
        busy if busy.contains("busy") => UnmountError::Busy(path),
        missing if missing.contains("not found") || missing.contains("not mounted") => UnmountError::NotMounted(path),
        message => UnmountError::Helper { path, message },
    })
}

/// `fusermount3` reads a comma in a value only behind a backslash.
fn option_list(options: &MountOptions) -> String {
    let source = options.source().replace('\\', "\\\\").replace(',', "\\,");
    let mut list = format!("{},fsname={source},subtype={SUBTYPE}", if options.read_only { "ro" } else { "rw" });
    if options.default_permissions {
        list.push_str(",default_permissions");
    }
    if options.allow_other {
        list.push_str(",allow_other");
    }
    list
}

fn run(command: &mut Command) -> io::Result<Output> {
    command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?.wait_with_output()
}

fn explain(mount_point: &Path, output: &Output) -> MountError {
    let message = last_line(output);
    if message.contains("user_allow_other") {
        return MountError::AllowOtherDenied;
    }
    if message.contains("fuse device not found") || message.contains("/dev/fuse: No such file") {
        return MountError::DeviceMissing;
    }
    if message.contains("/dev/fuse: Permission denied") {
        return MountError::DeviceDenied(io::ErrorKind::PermissionDenied.into());
    }
    MountError::Helper { path: mount_point.to_owned(), message }
}

fn last_line(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let line = text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it gave no reason");
    line.trim_start_matches(HELPER).trim_start_matches(':').trim().to_owned()
}

fn receive_device(socket: &OwnedFd) -> io::Result<OwnedFd> {
    let mut byte = [0];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    recvmsg(socket, &mut [IoSliceMut::new(&mut byte)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let device = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    let device = device.ok_or_else(|| io::Error::other("fusermount3 sent no descriptor"))?;
    let flags = rustix::fs::fcntl_getfl(&device)?;
    rustix::fs::fcntl_setfl(&device, flags | OFlags::NONBLOCK)?;
    Ok(device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_listed_as_the_helper_reads_them() {
        let mut options = MountOptions::new("a,b\\c");
        assert_eq!(option_list(&options), "rw,fsname=shoal:a\\,b\\\\c,subtype=shoal,default_permissions");
        options = MountOptions { read_only: true, allow_other: true, default_permissions: false, ..options };
        assert_eq!(option_list(&options), "ro,fsname=shoal:a\\,b\\\\c,subtype=shoal,allow_other");
    }

    #[test]
    fn refusals_of_the_helper_become_errors_with_a_cure() {
        let refused = |text: &str| {
            let status = std::os::unix::process::ExitStatusExt::from_raw(256);
            explain(Path::new("/m"), &Output { status, stdout: Vec::new(), stderr: text.as_bytes().to_vec() })
        };
        let text = "fusermount3: option allow_other only allowed if 'user_allow_other' is set in /etc/fuse.conf\n";
        assert!(matches!(refused(text), MountError::AllowOtherDenied));
        assert!(matches!(
            refused("fusermount3: fuse device not found, try 'modprobe fuse' first\n"),
            MountError::DeviceMissing
        ));
        let other = refused("fusermount3: user has no write access to mountpoint /m\n").to_string();
        assert_eq!(other, "fusermount3 could not mount on /m: user has no write access to mountpoint /m");
    }
}
