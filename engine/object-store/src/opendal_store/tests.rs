//! The contract over two services: memory, which has a conditional write, and fs, whose atomic write does not decide
//! races.

use super::*;
use crate::contract::Subject;
use std::sync::Arc;

mod memory {
    use super::*;
    crate::contract_tests!(Subject::new(Arc::new(OpendalStore::memory().unwrap())));
}

mod fs {
    use super::*;
    crate::contract_tests!(fs_subject());
}

fn fs_subject() -> Subject {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_string();
    let service = opendal::services::Fs::default().root(&path("objects")).atomic_write_dir(&path("unfinished"));
    let store = OpendalStore::new(Operator::new(service).unwrap());
    Subject::new(Arc::new(store)).without_deciding_races().keeping(folder)
}
