//! What is in the folder, and what is to become of it.

use super::Shared;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// What is in the folder, for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Left {
    pub objects: u64,
    pub bytes: u64,
    /// Why the last upload failed, if none has gone well since.
    pub error: Option<String>,
}

pub(super) struct Objects {
    staged: HashMap<String, Staged>,
    /// Oldest first. One that was deleted may still stand here.
    queue: VecDeque<String>,
    bytes: u64,
    bytes_max: u64,
    error: Option<String>,
    closed: bool,
}

struct Staged {
    bytes: u64,
    state: State,
    /// An upload has been begun once, so it may be behind, too.
    tried: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Waiting,
    Uploading,
    /// Deleted meanwhile.
    Unwanted,
    /// Behind, and about to leave the folder.
    Uploaded,
}

/// Where an object is that shall be deleted.
pub(super) enum Whereabouts {
    Behind,
    /// It was in the folder alone, and is nobody's now.
    Taken,
    /// The same, but it may be behind, too.
    TakenAndBehind,
    /// It is being uploaded; to be asked again.
    OnItsWay,
}

/// Bytes of the folder that a put has for itself until it's done.
pub(super) struct Room<'a> {
    shared: &'a Arc<Shared>,
    bytes: u64,
}

impl<'a> Room<'a> {
    pub fn take(shared: &'a Arc<Shared>, bytes: u64) -> Option<Self> {
        let mut objects = shared.objects();
        if objects.closed || objects.bytes + bytes > objects.bytes_max {
            return None;
        }
        objects.bytes += bytes;
        Some(Room { shared, bytes })
    }

    /// The object is in the folder.
    pub fn fill(mut self, key: &str) {
        let bytes = std::mem::take(&mut self.bytes);
        self.shared.objects().add(key.to_owned(), bytes, false);
        self.shared.tell();
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        self.shared.objects().bytes -= self.bytes;
    }
}

impl Objects {
    pub fn new(bytes_max: u64) -> Self {
        let (staged, queue) = (HashMap::new(), VecDeque::new());
        Objects { staged, queue, bytes: 0, bytes_max, error: None, closed: false }
    }

    /// An earlier user of the folder has left it.
    pub fn adopt(&mut self, key: String, bytes: u64) {
        self.bytes += bytes;
        self.add(key, bytes, true);
    }

    fn add(&mut self, key: String, bytes: u64, tried: bool) {
        self.queue.push_back(key.clone());
        self.staged.insert(key, Staged { bytes, state: State::Waiting, tried });
    }

    pub fn holds(&self, key: &str) -> bool {
        self.staged.get(key).is_some_and(|staged| matches!(staged.state, State::Waiting | State::Uploading))
    }

    pub fn close(&mut self) {
        self.closed = true;
    }

    pub fn left(&self) -> Left {
        let bytes = self.staged.values().map(|staged| staged.bytes).sum();
        Left { objects: self.staged.len() as u64, bytes, error: self.error.clone() }
    }

    pub fn cancel(&mut self, key: &str) -> Whereabouts {
        let Some(staged) = self.staged.get_mut(key) else { return Whereabouts::Behind };
        match staged.state {
            State::Waiting => {}
            State::Uploading => {
                staged.state = State::Unwanted;
                return Whereabouts::OnItsWay;
            }
            State::Unwanted | State::Uploaded => return Whereabouts::OnItsWay,
        }
        let tried = staged.tried;
        self.remove(key);
        if tried { Whereabouts::TakenAndBehind } else { Whereabouts::Taken }
    }

    /// The oldest that waits. It's on its way from now on.
    pub fn take(&mut self) -> Option<String> {
        loop {
            let key = self.queue.pop_front()?;
            if let Some(staged) = self.staged.get_mut(&key)
                && staged.state == State::Waiting
            {
                (staged.state, staged.tried) = (State::Uploading, true);
                return Some(key);
            }
        }
    }

    /// It could not be uploaded. Tells whether it's still wanted; it's for the same task to take it again.
    pub fn failed(&mut self, key: &str, error: String) -> bool {
        self.error = Some(error);
        let staged = self.staged.get_mut(key).expect("what is on its way is removed by who uploads it");
        if staged.state == State::Unwanted {
            return false;
        }
        staged.state = State::Waiting;
        true
    }

    /// After a failure; `false` if it was deleted meanwhile.
    pub fn take_again(&mut self, key: &str) -> bool {
        let staged = self.staged.get_mut(key);
        staged.map(|staged| staged.state = State::Uploading).is_some()
    }

    /// It has been uploaded. Tells whether it's still wanted; readers go behind from here on if so.
    pub fn uploaded(&mut self, key: &str) -> bool {
        self.error = None;
        let staged = self.staged.get_mut(key).expect("what is on its way is removed by who uploads it");
        let wanted = staged.state == State::Uploading;
        if wanted {
            staged.state = State::Uploaded;
        }
        wanted
    }

    pub fn remove(&mut self, key: &str) {
        let removed = self.staged.remove(key);
        self.bytes -= removed.map_or(0, |staged| staged.bytes);
    }
}
