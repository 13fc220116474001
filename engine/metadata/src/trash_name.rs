//! How things are called in the trash: `DIRECTORY-INODE-NAME`, with the number of the directory they were removed from.

use shoal_types::{Ino, Name};

/// What something is called in the trash.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TrashName {
    pub name: Name,
    /// It ends with the whole name that the thing had; otherwise what doesn't fit is left out.
    pub whole: bool,
}

impl TrashName {
    pub fn new(from: Ino, ino: Ino, name: &Name) -> Self {
        let mut text = format!("{from}-{ino}-").into_bytes();
        text.extend_from_slice(name.as_bytes());
        let whole = text.len() <= Name::BYTES_MAX;
        text.truncate(Name::BYTES_MAX);
        TrashName { name: Name::new(&text).expect("numbers before a name make a name"), whole }
    }

    /// The directory, the inode, and as much of the name as there is; `None` for what nobody in the trash is called.
    pub fn parse(name: &Name) -> Option<(Ino, Ino, Name)> {
        let mut parts = name.as_bytes().splitn(3, |byte| *byte == b'-');
        let mut number = || std::str::from_utf8(parts.next()?).ok()?.parse().ok().map(Ino);
        let (from, ino) = (number()?, number()?);
        Some((from, ino, Name::new(parts.next()?).ok()?))
    }

    /// The name in the root under which all of the trash is found.
    pub fn of_all() -> Name {
        Name::new(OF_ALL).expect("it is a name")
    }

    pub fn is_of_all(name: &Name) -> bool {
        name.as_bytes() == OF_ALL
    }
}

const OF_ALL: &[u8] = b".trash";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_the_trash_tells_where_it_comes_from() {
        for name in [&b"a"[..], b"-", b"a-b", b"1-2-3", &[0xff; 200]] {
            let name = Name::new(name).unwrap();
            let made = TrashName::new(Ino(1), Ino(23), &name);
            assert!(made.whole);
            assert_eq!(TrashName::parse(&made.name), Some((Ino(1), Ino(23), name)));
        }
        let long = Name::new(&[b'x'; 255]).unwrap();
        let made = TrashName::new(Ino(1), Ino(u64::MAX), &long);
        assert!(!made.whole);
        let (from, ino, part) = TrashName::parse(&made.name).unwrap();
        assert_eq!((from, ino, part.as_bytes().len()), (Ino(1), Ino(u64::MAX), 255 - 23));
        for strange in [&b"a"[..], b"1-2", b"1-2-", b"1-x-y", b"-1-2-x", b"1--2-x", b"99999999999999999999-1-x"] {
            assert_eq!(TrashName::parse(&Name::new(strange).unwrap()), None, "{}", strange.escape_ascii());
        }
    }
}
