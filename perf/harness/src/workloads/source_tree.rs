//! A real source tree: unpacked from a tar file, and removed again.

use super::Workload;
use crate::arguments::Settings;
use crate::failure::{During, Failure, Outcome};
use crate::interrupt;
use crate::results::{Measured, Unit};
use crate::targets::{Ground, Running};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

#[derive(Default)]
pub(super) struct SourceTree {
    archive: PathBuf,
    files: usize,
}

impl Workload for SourceTree {
    fn name(&self) -> &'static str {
        "source-tree"
    }

    fn about(&self) -> &'static str {
        "tar -x of a toolchain's sources, and rm -r of what came out"
    }

    fn obstacle(&mut self, settings: &Settings, ground: &Ground) -> Outcome<Option<String>> {
        let Some(tree) = candidates().into_iter().find(|tree| tree.is_dir()) else {
            return Ok(Some("no source tree of a toolchain found (neither Rust's library, Go's nor cargo's)".into()));
        };
        let mut files = Vec::new();
        collect(&tree, &tree, settings.tree_files_max, &mut files)?;
        if files.is_empty() {
            return Ok(Some(format!("{} has no files", tree.display())));
        }
        self.files = files.len();
        self.archive = ground.disk.join("tree.tar");
        let list = ground.disk.join("tree.list");
        std::fs::write(&list, files.join("\n")).during(list.display())?;
        let mut tar = Command::new("tar");
        tar.arg("-cf").arg(&self.archive).arg("-C").arg(&tree).arg("-T").arg(&list);
        interrupt::run(&mut tar).during(format_args!("packing {}", tree.display()))?;
        Ok(None)
    }

    fn run(&self, target: &Running, _settings: &Settings) -> Outcome<Vec<Measured>> {
        let tree = target.root.join("tree");
        std::fs::create_dir(&tree).during(tree.display())?;
        let unpack = self.timed("untar", Command::new("tar").arg("-xf").arg(&self.archive).arg("-C").arg(&tree))?;
        let found = count(&tree)?;
        if found != self.files {
            return Err(Failure::new(format_args!("{} of {} files came out of the archive", found, self.files)));
        }
        target.settle()?;
        let remove = self.timed("remove", Command::new("rm").arg("-r").arg(&tree))?;
        Ok(vec![unpack, remove])
    }
}

impl SourceTree {
    fn timed(&self, what: &str, command: &mut Command) -> Outcome<Measured> {
        let began = Instant::now();
        interrupt::run(command)?;
        let metric = format!("{}/{what}", self.name());
        let value = self.files as f64 / began.elapsed().as_secs_f64();
        Ok(Measured { metric, unit: Unit::FilesPerSecond, value, latency: None, instead_of_target: None })
    }
}

/// The best first. Not every machine has any of them.
fn candidates() -> Vec<PathBuf> {
    let said = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output().ok().filter(|output| output.status.success())?;
        Some(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
    };
    let cargo_home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let cargo_home = cargo_home.or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cargo")));
    let trees = [
        said("go", &["env", "GOROOT"]).map(|root| root.join("src")),
        said("rustc", &["--print", "sysroot"]).map(|root| root.join("lib/rustlib/src")),
        cargo_home.map(|home| home.join("registry/src")),
    ];
    trees.into_iter().flatten().filter(|tree| tree.is_absolute()).collect()
}

/// Regular files below `folder` by their paths from `root`, in the order of their names, until there are enough.
fn collect(root: &Path, folder: &Path, files_max: usize, files: &mut Vec<String>) -> Outcome<()> {
    let entries = std::fs::read_dir(folder).during(folder.display())?;
    let mut entries = entries.collect::<Result<Vec<_>, _>>().during(folder.display())?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let (path, kind) = (entry.path(), entry.file_type().during(folder.display())?);
        if kind.is_dir() {
            collect(root, &path, files_max, files)?;
        } else if kind.is_file() && files.len() < files_max {
            // A name with a line break, or that is not text, could not stand in tar's list.
            let name = path.strip_prefix(root).ok().and_then(Path::to_str).filter(|name| !name.contains('\n'));
            files.extend(name.map(str::to_string));
        }
        if files.len() >= files_max {
            return Ok(());
        }
    }
    Ok(())
}

fn count(folder: &Path) -> Outcome<usize> {
    let mut files = Vec::new();
    collect(folder, folder, usize::MAX, &mut files)?;
    Ok(files.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_files_are_collected_as_were_asked_for() {
        let root = tempfile::tempdir().unwrap();
        for name in ["b/1", "b/2", "a/1", "c"] {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, name).unwrap();
        }
        let mut files = Vec::new();
        collect(root.path(), root.path(), 3, &mut files).unwrap();
        assert_eq!(files, ["a/1", "b/1", "b/2"]);
        assert_eq!(count(root.path()).unwrap(), 4);
    }
}
