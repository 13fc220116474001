//! IOCTL: what our own programs ask for (`shoal_fuse_protocol::control`; `clone` is in `clone.rs`), and flags (`flags.rs`).
//! Any other is ENOTTY, as on every file system.

use super::trash::is_hour;
use super::{SUPERUSER, VolumeService};
use crate::transport::{Reply, ReplyBody};
use shoal_client::{CacheOrder, Compacted, TrashName, Warmed};
use shoal_fuse_protocol::control::{
    CACHE_DONE, COMPACTED, CacheOrder as Order, ControlRequest, REMOVALS_MAX, origin_output,
};
use shoal_fuse_protocol::ioctl::IOCTL_OUT;
use shoal_fuse_protocol::{Header, IoctlRequest};
use shoal_types::{Errno, FsResult, Ino, Name};
use std::ops::Range;

impl VolumeService {
    pub(super) async fn ioctl<R: Reply>(&self, header: &Header, ino: Ino, command: u32, input: &[u8], reply: R) {
        let answer = match IoctlRequest::parse(command, input) {
            Ok(IoctlRequest::Control(request)) => self.control(header, ino, request).await,
            Ok(IoctlRequest::Clone(request)) => self.clone_tree(header, ino, request).await,
            Ok(IoctlRequest::Flags(request)) => self.flags(header, ino, request).await,
            Err(errno) => Err(errno),
        };
        match answer {
            Ok(output) => reply.send(Ok(ReplyBody::Segments(&[&IOCTL_OUT, &output]))),
            Err(errno) => reply.send(Err(errno)),
        }
    }

    async fn control(&self, header: &Header, ino: Ino, request: ControlRequest<'_>) -> FsResult<Vec<u8>> {
        match request {
            ControlRequest::RemoveTree { name, keep } => {
                self.remove_tree(header, ino, &Name::new(name)?, keep).await.map(|()| Vec::new())
            }
            ControlRequest::TrashOrigin { name } => self.trash_origin(header, ino, &Name::new(name)?).await,
            ControlRequest::Removals => {
                let queued = self.volume.queued_removals(REMOVALS_MAX).await?;
                Ok((queued as u64).to_ne_bytes().to_vec())
            }
            ControlRequest::StoreFigures => self.store_figures(header),
            ControlRequest::Compact { first } => self.compact(header, ino, first).await,
            ControlRequest::Cache { order, first, end } => self.warm(header, ino, order, first..end).await,
        }
    }

    /// What others do is for whoever serves the mount, and for the superuser.
    fn store_figures(&self, header: &Header) -> FsResult<Vec<u8>> {
        if ![SUPERUSER, rustix::process::geteuid().as_raw()].contains(&header.uid) {
            return Err(Errno::EPERM);
        }
        let figures = self.volume.store_figures().ok_or(Errno::EOPNOTSUPP)?;
        let kinds = [figures.put, figures.get, figures.delete].into_iter().flat_map(|kind| {
            [kind.requests, kind.failed, kind.given_up, kind.bytes, kind.half_within_us, kind.most_within_us]
        });
        Ok([figures.at_once.unwrap_or(0)].into_iter().chain(kinds).flat_map(u64::to_ne_bytes).collect())
    }

    /// It costs transfers, so only the file's owner and the superuser may ask for it.
    async fn compact(&self, header: &Header, ino: Ino, first: u64) -> FsResult<Vec<u8>> {
        let owner = self.volume.get_attributes(ino).await?.uid;
        if header.uid != SUPERUSER && header.uid != owner {
            return Err(Errno::EPERM);
        }
        let Compacted { next, slices_before, slices_after, bytes } = self.volume.compact(ino, first).await?;
        let numbers = [next.unwrap_or(COMPACTED), slices_before, slices_after, bytes];
        Ok(numbers.iter().flat_map(|number| number.to_ne_bytes()).collect())
    }

    /// Whoever has the file open may have it cached. What takes room from others, or bytes, is for its owner, for whoever
    /// serves the mount, and for the superuser.
    async fn warm(&self, header: &Header, ino: Ino, order: Order, range: Range<u64>) -> FsResult<Vec<u8>> {
        let order = match order {
            Order::Look => CacheOrder::Look,
            Order::Fill => CacheOrder::Fill,
            Order::Pin => CacheOrder::Pin,
            Order::Unpin => CacheOrder::Unpin,
            Order::Drop => CacheOrder::Drop,
        };
        if !matches!(order, CacheOrder::Look | CacheOrder::Fill) {
            let attributes = self.volume.get_attributes(ino).await?;
            let allowed = [SUPERUSER, attributes.uid, rustix::process::geteuid().as_raw()];
            if !allowed.contains(&header.uid) {
                return Err(Errno::EPERM);
            }
        }
        let Warmed { next, cached, bytes, pinned } = self.volume.warm(ino, order, range).await?;
        let numbers = [next.unwrap_or(CACHE_DONE), cached, bytes, u64::from(pinned)];
        Ok(numbers.iter().flat_map(|number| number.to_ne_bytes()).collect())
    }

    /// `EBUSY` for the root of the mount, `EPERM` for the trash and its hours.
    async fn remove_tree(&self, header: &Header, ino: Ino, name: &Name, keep: bool) -> FsResult<()> {
        if ino == self.nodes.root {
            return Err(Errno::EBUSY);
        }
        if ino.is_trash() {
            return Err(Errno::EPERM);
        }
        let parent = self.volume.get_parent(ino).await?;
        self.may_remove_tree(header, parent, ino).await?;
        self.volume.remove_tree(parent, name, ino, keep).await?;
        // Whoever is told that it's gone shall not find it.
        self.kernel_pages.forget_entry(parent, name).await;
        Ok(())
    }

    async fn trash_origin(&self, header: &Header, hour: Ino, in_trash: &Name) -> FsResult<Vec<u8>> {
        if !is_hour(hour) {
            return Err(Errno::ENOENT);
        }
        let found = self.volume.lookup(hour, in_trash).await?;
        if self.hides(header, hour, &found) {
            return Err(Errno::ENOENT);
        }
        let (directory, name) = self.volume.trash_origin(found.ino, in_trash).await?;
        match self.volume.path_of(directory).await {
            Ok(path) if !path.starts_with(&[b"/", TrashName::of_all().as_bytes(), b"/"].concat()) => {
                let path = if path == b"/" { Vec::new() } else { path };
                origin_output(&[&path, &b"/"[..], name.as_bytes()].concat())
            }
            Ok(_) | Err(Errno::ENOENT) => origin_output(name.as_bytes()),
            Err(errno) => Err(errno),
        }
    }
}
