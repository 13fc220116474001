//! Names made, moved and removed: each change is acknowledged when the call returns, and whole or not at all.

use super::{Workload, told};
use shoal_kv::Random;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

/// Names with the content of their files.
type Listing = BTreeMap<String, String>;

#[derive(Default)]
pub struct Names {
    names: Listing,
    /// How it is if the change that was cut off has happened.
    begun: Option<Listing>,
    count: u64,
}

const NAMES_MAX: usize = 60;

impl Workload for Names {
    fn name(&self) -> &'static str {
        "names"
    }

    fn step(&mut self, folder: &Path, random: &mut Random) -> io::Result<()> {
        self.count += 1;
        let new = format!("n{}", self.count);
        let known: Vec<&String> = self.names.keys().collect();
        let old = (!known.is_empty()).then(|| known[random.below(known.len() as u64) as usize].clone());
        let mut after = self.names.clone();
        match (old, random.below(5)) {
            (Some(old), 0 | 1) if self.names.len() >= NAMES_MAX => {
                after.remove(&old);
                self.begun = Some(after.clone());
                fs::remove_file(folder.join(&old))?;
            }
            (Some(old), 2) => {
                let content = after.remove(&old).expect("chosen from what is there");
                after.insert(new.clone(), content);
                self.begun = Some(after.clone());
                fs::rename(folder.join(&old), folder.join(&new))?;
            }
            (Some(old), 3) => {
                after.insert(new.clone(), after[&old].clone());
                self.begun = Some(after.clone());
                fs::hard_link(folder.join(&old), folder.join(&new))?;
            }
            (Some(old), 4) => {
                // Over a name that is taken: the old content or the new, never none.
                let victim = self.names.keys().next().expect("there is one").clone();
                let content = after.remove(&old).expect("chosen from what is there");
                after.insert(victim.clone(), content);
                self.begun = Some(after.clone());
                fs::rename(folder.join(&old), folder.join(&victim))?;
                // Two names of one file: rename does nothing then. An error that is not "gone" is the daemon's death.
                if old != victim && fs::exists(folder.join(&old))? {
                    fs::remove_file(folder.join(&old))?;
                }
            }
            _ => {
                let content = format!("content of {new}");
                // Made elsewhere first: its appearing here is the one change that counts.
                let beside = folder.with_extension("beside");
                fs::write(&beside, &content)?;
                after.insert(new.clone(), content);
                self.begun = Some(after.clone());
                fs::rename(&beside, folder.join(&new))?;
            }
        }
        self.names = after;
        self.begun = None;
        Ok(())
    }

    fn verify(&mut self, folder: &Path) -> Result<(), String> {
        let mut found = Listing::new();
        for entry in fs::read_dir(folder).map_err(told(folder))? {
            let entry = entry.map_err(told(folder))?;
            let content = fs::read_to_string(entry.path()).map_err(told(&entry.path()))?;
            found.insert(entry.file_name().to_string_lossy().into_owned(), content);
        }
        if found != self.names && Some(&found) != self.begun.as_ref() && !self.is_half_of_a_double_name(&found) {
            return Err(format!("{}: {found:?} instead of {:?} or {:?}", folder.display(), self.names, self.begun));
        }
        self.names = found;
        self.begun = None;
        Ok(())
    }
}

impl Names {
    /// A rename over another name of the same file did nothing, and the removal after it has not happened yet.
    fn is_half_of_a_double_name(&self, found: &Listing) -> bool {
        let Some(begun) = &self.begun else { return false };
        let surplus: Vec<_> = found.iter().filter(|(name, _)| !begun.contains_key(*name)).collect();
        let without: Listing = found.iter().filter(|(name, _)| begun.contains_key(*name)).map(clone).collect();
        surplus.len() == 1 && without == *begun && begun.values().any(|content| content == surplus[0].1)
    }
}

fn clone((name, content): (&String, &String)) -> (String, String) {
    (name.clone(), content.clone())
}
