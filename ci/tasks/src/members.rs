//! The list of workspace members is the map of the project: one a line, each after everything it builds on.

use crate::Finding;
use crate::workspace::Package;

pub fn check(manifest: &str, packages: &[Package]) -> Vec<Finding> {
    let (members, mut found) = parse(manifest);
    let position = |folder: &str| members.iter().position(|(_, member)| member == folder);
    for package in packages {
        let Some(own) = position(&package.folder) else {
            found.push(finding(1, format!("{} is no member of the workspace", package.folder)));
            continue;
        };
        for dependency in package.dependencies.iter().filter(|dependency| !dependency.only_tests) {
            if position(&dependency.folder).is_some_and(|used| used > own) {
                let what = format!("{} stands before {}, which it uses", package.folder, dependency.folder);
                found.push(finding(members[own].0, what));
            }
        }
    }
    found
}

/// The members with their line numbers, and the lines that hold anything but one member.
fn parse(manifest: &str) -> (Vec<(usize, String)>, Vec<Finding>) {
    let (mut members, mut found) = (Vec::new(), Vec::new());
    let mut inside = false;
    for (number, line) in (1..).zip(manifest.lines().map(str::trim)) {
        if !inside {
            inside = line == "members = [";
        } else if line == "]" {
            return (members, found);
        } else if !line.is_empty() && !line.starts_with('#') {
            match line.strip_prefix('"').and_then(|rest| rest.strip_suffix("\",")) {
                Some(member) if !member.contains('"') => members.push((number, member.to_string())),
                _ => found.push(finding(number, "one member a line, as \"folder/name\",".into())),
            }
        }
    }
    found.push(finding(1, "no list of members that opens with `members = [` and ends with `]` on its own line".into()));
    (members, found)
}

fn finding(line: usize, what: String) -> Finding {
    Finding { place: format!("Cargo.toml:{line}"), what }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::Dependency;

    fn package(folder: &str, uses: &[&str], only_tests: bool) -> Package {
        let dependencies = uses.iter().map(|used| Dependency { folder: used.to_string(), only_tests }).collect();
        Package { folder: folder.into(), dependencies }
    }

    const MANIFEST: &str = "[workspace]\nmembers = [\n    # the engine\n    \"a/one\",\n    \"a/two\",\n]\n";

    #[test]
    fn members_in_dependency_order_pass() {
        let packages = [package("a/one", &[], false), package("a/two", &["a/one"], false)];
        assert_eq!(check(MANIFEST, &packages), []);
    }

    #[test]
    fn a_member_before_what_it_uses_is_refused_unless_only_its_tests_do() {
        let found = check(MANIFEST, &[package("a/one", &["a/two"], false)]);
        assert_eq!(found, [finding(4, "a/one stands before a/two, which it uses".into())]);
        assert_eq!(check(MANIFEST, &[package("a/one", &["a/two"], true)]), []);
    }

    #[test]
    fn two_members_on_a_line_or_a_list_on_one_line_are_refused() {
        assert_eq!(check("members = [\n\"a\", \"b\",\n]\n", &[]).len(), 1);
        assert_eq!(check("members = [\"a\", \"b\"]\n", &[]).len(), 1);
        assert_eq!(check("members = [\n\"a\",\n", &[]).len(), 1);
    }

    #[test]
    fn a_crate_that_the_map_does_not_show_is_refused() {
        assert_eq!(check(MANIFEST, &[package("a/three", &[], false)]).len(), 1);
    }
}
