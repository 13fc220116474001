//! Where the program under test is.

use std::path::{Path, PathBuf};

pub fn find() -> PathBuf {
    if let Some(named) = std::env::var_os("SHOAL_BIN") {
        return named.into();
    }
    let own = std::env::current_exe().expect("a running program has a file");
    let built = own.ancestors().flat_map(|folder| [folder.join("shoal"), folder.join("release/shoal")]);
    let newest = built.filter(|path| path.is_file()).max_by_key(|path| modified(path));
    newest.expect("no shoal beside the tests: build it (cargo build --release -p shoal-cli), or name it in SHOAL_BIN")
}

fn modified(path: &Path) -> Option<std::time::SystemTime> {
    path.metadata().and_then(|metadata| metadata.modified()).ok()
}
