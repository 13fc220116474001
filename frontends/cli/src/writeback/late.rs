//! Objects that files need and that are not in the store because they are not uploaded yet.

use super::place;
use crate::failure::{Failure, Outcome};
use crate::output::{count, say};
use crate::sessions::Here;
use crate::volume::Opened;
use shoal_metadata::WritebackFolder;
use shoal_object_store::{ListedObject, naming};
use shoal_types::ObjectId;
use std::collections::BTreeSet;
use std::path::Path;

#[derive(Default)]
pub struct Late {
    /// In a write-back folder of this host.
    here: BTreeSet<ObjectId>,
    /// Folders of other hosts, with what they had when their mounts told it last.
    elsewhere: Vec<WritebackFolder>,
}

impl Late {
    /// To be held against what was missing before. What isn't here any more is in the store by now.
    pub fn look(opened: &Opened) -> Outcome<Self> {
        let (host, mut late) = (Here::look()?, Late::default());
        let of_metadata = |error| Failure::of_metadata("the volume's metadata", &error);
        for (_, folder) in opened.metadata.writeback_folders().map_err(of_metadata)? {
            if folder.host != host.name() {
                late.elsewhere.push(folder);
                continue;
            }
            let objects = place::objects(Path::new(&folder.path))?;
            let number = |object: &ListedObject| naming::parse_key(&opened.settings.uuid, &object.key);
            late.here.extend(objects.iter().filter_map(number));
        }
        Ok(late)
    }

    pub fn is_here(&self, object: ObjectId) -> bool {
        self.here.contains(&object)
    }

    /// `missing`: how many objects are nowhere to be found.
    pub fn tell(&self, missing: usize) {
        if !self.here.is_empty() {
            let objects = count(self.here.len() as u64, "object", "objects");
            say(format_args!("{objects} in write-back folders of this host are not uploaded yet"));
        }
        for WritebackFolder { host, path, objects, .. } in self.elsewhere.iter().filter(|_| missing > 0) {
            let objects = count(*objects, "object", "objects");
            say(format_args!("what is missing may be on its way: {objects} wait on the host {host} in {path}"));
        }
    }
}
