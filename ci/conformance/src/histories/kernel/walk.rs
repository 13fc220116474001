//! From paths to inodes.

use super::Kernel;
use super::permissions::SEARCH;
use crate::histories::call::{Place, User};
use shoal_types::{Errno, FileKind, FsResult, Ino, Name};

/// All of a path but its last component has been walked.
pub struct Walked {
    pub directory: Ino,
    pub last: Last,
    /// Something stands behind the last component: it has to be a directory.
    pub slash: bool,
}

pub enum Last {
    Name(Vec<u8>),
    Dot,
    DotDot,
}

const LINKS_MAX: u32 = 40;
/// With the NUL behind it.
const PATH_BYTES_MAX: usize = 4096;

impl Kernel {
    pub fn resolve(&self, who: &User, place: &Place, follow: bool) -> FsResult<Ino> {
        self.resolve_from(who, self.start(place)?, &place.path, follow, &mut 0)
    }

    pub fn walk(&self, who: &User, place: &Place) -> FsResult<Walked> {
        self.walk_from(who, self.start(place)?, &place.path, &mut 0)
    }

    fn start(&self, place: &Place) -> FsResult<Ino> {
        match place.path.len() {
            0 => Err(Errno::ENOENT),
            PATH_BYTES_MAX.. => Err(Errno::ENAMETOOLONG),
            _ => Ok(place.from.map_or(Ino::ROOT, |slot| self.description(slot).ino)),
        }
    }

    fn resolve_from(&self, who: &User, from: Ino, path: &[u8], follow: bool, links: &mut u32) -> FsResult<Ino> {
        let Walked { directory, last, slash } = self.walk_from(who, from, path, links)?;
        let mut ino = self.step(directory, &last)?;
        if (follow || slash) && self.kind(ino) == FileKind::Symlink {
            ino = self.follow(who, directory, ino, links)?;
        }
        if slash && !self.is_directory(ino) { Err(Errno::ENOTDIR) } else { Ok(ino) }
    }

    fn walk_from(&self, who: &User, from: Ino, path: &[u8], links: &mut u32) -> FsResult<Walked> {
        let components: Vec<&[u8]> = path.split(|byte| *byte == b'/').filter(|part| !part.is_empty()).collect();
        let mut directory = from;
        let (last, before) = components.split_last().expect("histories have no path of slashes alone");
        for component in before {
            self.permit(who, directory, SEARCH)?;
            let mut ino = self.step(directory, &Last::new(component))?;
            if self.kind(ino) == FileKind::Symlink {
                ino = self.follow(who, directory, ino, links)?;
            }
            if !self.is_directory(ino) {
                return Err(Errno::ENOTDIR);
            }
            directory = ino;
        }
        self.permit(who, directory, SEARCH)?;
        Ok(Walked { directory, last: Last::new(last), slash: path.ends_with(b"/") })
    }

    /// What a link leads to in the end; `directory` is where it lies.
    pub fn follow(&self, who: &User, directory: Ino, link: Ino, links: &mut u32) -> FsResult<Ino> {
        *links += 1;
        if *links > LINKS_MAX {
            return Err(Errno::ELOOP);
        }
        self.may_follow(who, directory, link)?;
        let target = self.oracle.read_link(link).expect("a link has a target");
        self.resolve_from(who, directory, &target, true, links)
    }

    /// Where the last component of a link's target lies: what is opened there may have to be made first.
    pub fn walk_link(&self, who: &User, directory: Ino, link: Ino, links: &mut u32) -> FsResult<Walked> {
        *links += 1;
        if *links > LINKS_MAX {
            return Err(Errno::ELOOP);
        }
        self.may_follow(who, directory, link)?;
        let target = self.oracle.read_link(link).expect("a link has a target");
        self.walk_from(who, directory, &target, links)
    }

    /// `protected_symlinks`.
    fn may_follow(&self, who: &User, directory: Ino, link: Ino) -> FsResult<()> {
        let (around, link) = (self.attributes(directory), self.attributes(link));
        let open_to_all = around.mode & 0o1002 == 0o1002;
        let distrusted = open_to_all && link.uid != who.uid && link.uid != around.uid;
        if self.protections.symlinks > 0 && distrusted { Err(Errno::EACCES) } else { Ok(()) }
    }

    pub fn step(&self, directory: Ino, component: &Last) -> FsResult<Ino> {
        match component {
            Last::Dot => Ok(directory),
            Last::DotDot => Ok(self.parent(directory)),
            Last::Name(name) => self.lookup(directory, name),
        }
    }

    /// Nothing is found in a directory that was removed.
    pub fn lookup(&self, directory: Ino, name: &[u8]) -> FsResult<Ino> {
        if self.attributes(directory).nlink == 0 {
            return Err(Errno::ENOENT);
        }
        Ok(self.oracle.lookup(directory, &Name::new(name)?)?.ino)
    }

    fn parent(&self, directory: Ino) -> Ino {
        self.oracle.parent(directory).unwrap_or(directory)
    }
}

impl Last {
    fn new(component: &[u8]) -> Self {
        match component {
            b"." => Last::Dot,
            b".." => Last::DotDot,
            name => Last::Name(name.to_vec()),
        }
    }
}
