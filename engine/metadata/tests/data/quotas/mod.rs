//! Quotas: what counts where, what is refused, and that usage is what a recount finds.

mod directories;
mod owners;
mod random;
mod volume;

use crate::support::{Volume, at, name};
use shoal_metadata::{
    Account, Create, DeleteQuota, Limits, Link, MetaError, MetaOp, MetaReply, MetaResult, QuotaState, Rename,
    SetAttributes, SetQuota, Usage, check,
};
use shoal_types::{Attributes, Errno, FileKind, Ino};

pub const EDQUOT: MetaError = MetaError::Refused(Errno::EDQUOT);
pub const ENOSPC: MetaError = MetaError::Refused(Errno::ENOSPC);
pub const EXDEV: MetaError = MetaError::Refused(Errno::EXDEV);
pub const EBUSY: MetaError = MetaError::Refused(Errno::EBUSY);

pub fn bytes(bytes: u64) -> Limits {
    Limits { bytes: Some(bytes), inodes: None }
}

pub fn inodes(inodes: u64) -> Limits {
    Limits { bytes: None, inodes: Some(inodes) }
}

impl Volume {
    pub fn start_quota(&self, account: Account, limits: Limits) -> MetaResult<MetaReply> {
        self.try_run(MetaOp::SetQuota(SetQuota { account, limits }))
    }

    /// Sets it and counts what is there.
    pub fn set_quota(&self, account: Account, limits: Limits) {
        self.start_quota(account, limits).unwrap();
        self.run_steps(MetaOp::WalkQuotas);
    }

    pub fn delete_quota(&self, account: Account) {
        self.run(MetaOp::DeleteQuota(DeleteQuota { account }));
        self.run_steps(MetaOp::WalkQuotas);
    }

    pub fn usage_of(&self, account: Account) -> (u64, u64) {
        let Usage { bytes, inodes } = self.metadata.quota(account).unwrap().usage;
        (bytes, inodes)
    }

    pub fn state_of(&self, account: Account) -> Option<QuotaState> {
        self.metadata.quota(account).unwrap().state
    }

    pub fn try_create(&self, parent: Ino, text: &str, kind: FileKind, uid: u32) -> MetaResult<Ino> {
        let ino = self.lease_inodes(1);
        let create = Create {
            parent,
            name: name(text),
            ino,
            kind,
            mode: 0o644,
            umask: 0,
            uid,
            gid: uid + 100,
            rdev: 0,
            target: Vec::new(),
            session: self.session,
            now: at(2),
        };
        self.try_run(MetaOp::Create(create)).map(|_| ino)
    }

    pub fn link(&self, ino: Ino, parent: Ino, text: &str) -> MetaResult<MetaReply> {
        self.try_run(MetaOp::Link(Link { ino, parent, name: name(text), session: self.session, now: at(2) }))
    }

    pub fn renaming(&self, from: (Ino, &str), to: (Ino, &str)) -> Rename {
        Rename {
            old_parent: from.0,
            old_name: name(from.1),
            new_parent: to.0,
            new_name: name(to.1),
            no_replace: false,
            exchange: false,
            whiteout: None,
            open: Vec::new(),
            session: self.session,
            now: at(3),
        }
    }

    pub fn rename(&self, from: (Ino, &str), to: (Ino, &str)) -> MetaResult<MetaReply> {
        self.try_run(MetaOp::Rename(self.renaming(from, to)))
    }

    pub fn chown(&self, ino: Ino, uid: Option<u32>, gid: Option<u32>, exempt: bool) -> MetaResult<Attributes> {
        let set = SetAttributes {
            ino,
            mode: None,
            uid,
            gid,
            atime: None,
            mtime: None,
            drop_privileges: false,
            exempt,
            despite: Default::default(),
            session: self.session,
            now: at(4),
        };
        Ok(self.try_run(MetaOp::SetAttributes(set))?.into_attributes().unwrap())
    }

    /// Everything agrees: names, marks, and usage with a recount.
    pub fn assert_counted(&self) {
        let report = check::run(&self.metadata, &mut |_| {}).unwrap();
        assert!(report.is_clean(), "{:#?}", report.findings);
        for check in check::accounts(&self.metadata, &mut |_| {}).unwrap() {
            assert_eq!(check.recorded, check.counted, "{}", check.account);
        }
    }
}
