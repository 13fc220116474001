//! Facts about the machine, without which numbers mean nothing.

use crate::failure::{During, Outcome};
use serde::Serialize;
use std::path::Path;
use std::process::Command;

#[derive(Debug, Serialize)]
pub struct Host {
    pub name: String,
    pub kernel: String,
    pub cpu: String,
    pub cores: usize,
    pub memory_bytes: u64,
    /// Of the folder that was measured: kind and device.
    pub file_system: String,
    pub device: String,
    pub fio: String,
    /// What was measured, and whether the working tree held more than that.
    pub commit: String,
    pub uncommitted_changes: bool,
}

pub fn facts(folder: &Path) -> Outcome<Host> {
    let system = rustix::system::uname();
    let (file_system, device) = file_system(&folder.canonicalize().during(folder.display())?);
    let cpu = std::fs::read_to_string("/proc/cpuinfo").during("/proc/cpuinfo")?;
    let memory = std::fs::read_to_string("/proc/meminfo").during("/proc/meminfo")?;
    Ok(Host {
        name: system.nodename().to_string_lossy().into_owned(),
        kernel: system.release().to_string_lossy().into_owned(),
        cpu: field(&cpu, "model name").unwrap_or("unknown").to_string(),
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        memory_bytes: field(&memory, "MemTotal").map_or(0, kilobytes),
        file_system,
        device,
        fio: said_by(Command::new("fio").arg("--version")),
        commit: said_by(Command::new("git").args(["rev-parse", "HEAD"])),
        uncommitted_changes: !said_by(Command::new("git").args(["status", "--porcelain"])).is_empty(),
    })
}

/// The value behind `name :` in one of the kernel's lists.
fn field<'a>(list: &'a str, name: &str) -> Option<&'a str> {
    list.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| key.trim() == name)
        .map(|(_, value)| value.trim())
}

fn kilobytes(text: &str) -> u64 {
    text.split_whitespace().next().and_then(|number| number.parse::<u64>().ok()).unwrap_or(0) * 1024
}

/// Kind and device of the mount that holds the path: the longest mount point that it begins with.
fn file_system(path: &Path) -> (String, String) {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let holder = mounts.lines().filter_map(parse_mount).filter(|(point, ..)| path.starts_with(point));
    let holder = holder.max_by_key(|(point, ..)| point.len());
    holder.map_or(("unknown".into(), "unknown".into()), |(_, kind, device)| (kind.into(), device.into()))
}

/// Mount point, kind and device of a line of mountinfo.
fn parse_mount(line: &str) -> Option<(&str, &str, &str)> {
    let (place, source) = line.split_once(" - ")?;
    let point = place.split(' ').nth(4)?;
    let mut source = source.split(' ');
    Some((point, source.next()?, source.next()?))
}

/// What a program prints; nothing where it cannot run, because no fact is worth a failed run.
fn said_by(command: &mut Command) -> String {
    let output = command.output().map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&output).trim().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_facts_of_this_machine_can_be_read() {
        let host = facts(Path::new("/tmp")).unwrap();
        assert!(host.cores > 0 && host.memory_bytes > 1 << 20);
        assert!(!host.kernel.is_empty() && host.file_system != "unknown");
    }

    #[test]
    fn the_kernels_lists_are_understood() {
        assert_eq!(field("a : 1\nmodel name\t: Some CPU @ 2 GHz\n", "model name"), Some("Some CPU @ 2 GHz"));
        assert_eq!(kilobytes("16 kB"), 16384);
        let line = "29 1 254:0 / /srv rw,relatime shared:1 - ext4 /dev/vda rw";
        assert_eq!(parse_mount(line), Some(("/srv", "ext4", "/dev/vda")));
    }
}
