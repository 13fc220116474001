//! A plain folder on the same disk.

use super::{Ground, Running, Stop, fresh_folder};
use crate::arguments::TargetKind;
use crate::failure::Outcome;
use std::path::PathBuf;

struct Folder(PathBuf);

impl Stop for Folder {}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            eprintln!("perf: {} could not be removed: {error}", self.0.display());
        }
    }
}

pub(super) fn start(ground: &Ground) -> Outcome<Running> {
    let root = fresh_folder(&ground.disk.join("plain"))?;
    Ok(Running {
        kind: TargetKind::Plain,
        root: root.clone(),
        other_roots: Vec::new(),
        cache: None,
        stop: Box::new(Folder(root)),
    })
}
