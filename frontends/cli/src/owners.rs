//! Names of users and groups, as this machine's `/etc/passwd` and `/etc/group` have them. A volume knows numbers only.

use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use std::collections::BTreeMap;
use std::fs;

pub struct Owners {
    users: BTreeMap<u32, String>,
    groups: BTreeMap<u32, String>,
}

impl Owners {
    /// A file that can't be read has no names.
    pub fn read() -> Self {
        let names = |path| parse(&fs::read_to_string(path).unwrap_or_default());
        Owners { users: names("/etc/passwd"), groups: names("/etc/group") }
    }

    pub fn user(&self, text: &str) -> Outcome<u32> {
        number(&self.users, "user", text)
    }

    pub fn group(&self, text: &str) -> Outcome<u32> {
        number(&self.groups, "group", text)
    }

    pub fn user_name(&self, uid: u32) -> Option<&str> {
        self.users.get(&uid).map(String::as_str)
    }

    pub fn group_name(&self, gid: u32) -> Option<&str> {
        self.groups.get(&gid).map(String::as_str)
    }
}

/// `name:password:number:…`, of several names with one number the first.
fn parse(text: &str) -> BTreeMap<u32, String> {
    let mut names = BTreeMap::new();
    for line in text.lines() {
        let mut fields = line.split(':');
        if let (Some(name), Some(number)) = (fields.next(), fields.nth(1).and_then(|number| number.parse().ok())) {
            names.entry(number).or_insert_with(|| name.to_owned());
        }
    }
    names
}

fn number(names: &BTreeMap<u32, String>, kind: &str, text: &str) -> Outcome<u32> {
    if let Some((number, _)) = names.iter().find(|(_, name)| *name == text) {
        return Ok(*number);
    }
    text.parse().map_err(|_| {
        let why = format_args!("this machine has no such {kind}");
        Failure::new(Exit::NotFound, text, why, format_args!("give the number of the {kind}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_goes_before_a_number() {
        let names = parse("root:x:0:0:root:/root:/bin/sh\ntoor:x:0:0::/:/bin/sh\n7:x:1000:1::/:\nbroken\n:x\n");
        assert_eq!(names, BTreeMap::from([(0, "root".to_owned()), (1000, "7".into())]));
        assert_eq!(number(&names, "user", "root").unwrap(), 0);
        assert_eq!(number(&names, "user", "7").unwrap(), 1000);
        assert_eq!(number(&names, "user", "8").unwrap(), 8);
        assert!(number(&names, "user", "nobody").unwrap_err().to_string().contains("number"));
    }
}
