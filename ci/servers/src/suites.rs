//! Programs that ci/install has built or fetched into a folder of their own, for all tests of this user.

use std::path::PathBuf;

/// The newest of this name.
pub fn find_built(name: &str) -> PathBuf {
    let caches = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let caches = caches.unwrap_or_else(|| PathBuf::from(std::env::var_os("HOME").expect("HOME is set")).join(".cache"));
    let kept = std::fs::read_dir(caches.join("shoal-tests")).expect("ci/install has built the suites");
    let kept = kept.map(|entry| entry.expect("listed").path().join("bin").join(name)).filter(|path| path.is_file());
    kept.max().unwrap_or_else(|| panic!("no {name} here: run ci/install"))
}
