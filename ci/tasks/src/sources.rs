//! What every Rust file keeps to: a header comment, a length one can read, nothing left undone or skipped.

use crate::Finding;
use std::path::Path;

pub fn check(path: &str, text: &str) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut object = |line: usize, what: String| found.push(Finding { place: format!("{path}:{line}"), what });
    if !text.starts_with("//!") {
        object(1, "the first line is no `//!` comment that says what the file is".into());
    }
    let lines = text.lines().count();
    if lines > LINES_MAX {
        object(lines, format!("{lines} lines, more than {LINES_MAX}: split it by story"));
    }
    for (number, line) in (1..).zip(text.lines()) {
        for (pattern, reason) in REFUSED {
            if line.contains(pattern) {
                object(number, format!("`{pattern}`: {reason}"));
            }
        }
    }
    found
}

/// Every Rust file of the checkout's source folders, relative to `root`, in order.
pub fn list(root: &Path) -> Result<Vec<String>, String> {
    let mut files = Vec::new();
    let mut folders: Vec<String> = SOURCE_FOLDERS.iter().map(|folder| folder.to_string()).collect();
    while let Some(folder) = folders.pop() {
        let full = root.join(&folder);
        let entries = std::fs::read_dir(&full).map_err(|error| format!("{folder}: {error}"))?;
        for entry in entries {
            let entry = entry.map_err(|error| format!("{folder}: {error}"))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = format!("{folder}/{name}");
            let kind = entry.file_type().map_err(|error| format!("{path}: {error}"))?;
            if kind.is_dir() && name != "target" && !name.starts_with('.') {
                folders.push(path);
            } else if kind.is_file() && name.ends_with(".rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

const SOURCE_FOLDERS: [&str; 5] = ["engine", "shards", "frontends", "perf", "ci"];
const LINES_MAX: usize = 1000;
/// Put together from halves, so that this file passes its own check.
const REFUSED: [(&str, &str); 4] = [
    (concat!("to", "do!"), "write it or leave it out"),
    (concat!("unimple", "mented!"), "write it or leave it out"),
    (concat!("#[", "ignore"), "a test runs or goes; assert today's behaviour and say why"),
    (concat!(", ", "ignore)]"), "a test runs or goes; assert today's behaviour and say why"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn objections(text: &str) -> Vec<String> {
        check("a.rs", text).into_iter().map(|finding| finding.place).collect()
    }

    #[test]
    fn a_file_with_a_header_and_nothing_undone_passes() {
        assert_eq!(objections("//! What it is.\n\nfn main() {}\n"), [""; 0]);
    }

    #[test]
    fn a_file_without_a_header_is_refused() {
        assert_eq!(objections("use std::fs;\n"), ["a.rs:1"]);
        assert_eq!(objections(""), ["a.rs:1"]);
        assert_eq!(objections("// Only a remark.\n"), ["a.rs:1"]);
    }

    #[test]
    fn a_thousand_lines_pass_and_one_more_is_refused() {
        assert_eq!(objections(&"//! line\n".repeat(1000)), [""; 0]);
        assert_eq!(objections(&"//! line\n".repeat(1001)), ["a.rs:1001"]);
    }

    #[test]
    fn what_is_undone_or_skipped_is_refused_with_its_line() {
        for (pattern, _) in REFUSED {
            assert_eq!(objections(&format!("//! x\n    {pattern}\n")), ["a.rs:2"], "{pattern}");
        }
    }

    #[test]
    fn a_source_folder_that_is_missing_is_an_error_and_not_an_empty_list() {
        assert!(list(Path::new("/nonexistent")).is_err());
    }
}
