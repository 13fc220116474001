//! One file a command: its arguments with their help, and what it does.

pub mod clone;
pub mod compact;
pub mod config;
pub mod destroy;
pub mod dump;
pub mod format;
pub mod fsck;
pub mod gc;
pub mod info;
pub mod key;
pub mod load;
pub mod migrate;
pub mod mount;
pub mod mount_helper;
pub mod quota;
pub mod restore;
pub mod rmr;
pub mod status;
pub mod storage_test;
pub mod storages;
pub mod umount;
pub mod up;
pub mod verify;
pub mod warmup;
pub mod watch;
