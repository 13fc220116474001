//! The thread that reads the change feed.

use super::Feed;
use crate::limits;
use crate::shared::Shared;
use shoal_kv::Watch;
use shoal_metadata::MetaResult;
use shoal_metadata::feed::{Change, Event, Follower, Page};
use shoal_types::Consistency;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The thread, until it's ended.
pub(crate) struct Following {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Following {
    /// Of a strict mount there is none.
    pub fn start(shared: &Arc<Shared>) -> io::Result<Self> {
        let follow = shared.clone();
        let thread = shared.feed.consistency.follows().then(|| {
            let thread = std::thread::Builder::new().name("change-feed".into());
            thread.spawn(move || run(&follow))
        });
        Ok(Following { shared: shared.clone(), thread: thread.transpose()? })
    }

    pub fn end(self) {
        self.shared.feed.stop();
        if let Some(Err(_)) = self.thread.map(JoinHandle::join) {
            tracing::error!("the thread that reads the change feed has panicked");
        }
    }
}

fn run(shared: &Shared) {
    let mut follower = Follower::from(shared.feed.last());
    let mut watch: Option<Box<dyn Watch>> = None;
    while shared.feed.wait_until_wanted() {
        let round = match &mut watch {
            None => set_watch(shared, &mut watch),
            Some(watch) => round(shared, &mut follower, watch.as_mut()),
        };
        if let Err(error) = round {
            tracing::warn!(%error, "the change feed can't be read");
            watch = None;
            shared.feed.rest(limits::FEED_RETRY_DELAY);
        }
    }
}

fn set_watch(shared: &Shared, watch: &mut Option<Box<dyn Watch>>) -> MetaResult<()> {
    // Before the first look: what comes in between wakes it.
    *watch = Some(shared.kv.watch_stamped()?);
    Ok(())
}

/// A look at the feed, and the wait for the next.
fn round(shared: &Shared, follower: &mut Follower, watch: &mut dyn Watch) -> MetaResult<()> {
    let began = Instant::now();
    let page = follower.read(&shared.metadata)?;
    let end = page.end;
    apply(shared, page);
    shared.feed.place().last = follower.last();
    if !end {
        return Ok(());
    }
    shared.feed.believe(began);
    // While nobody else lives only their coming is of interest, and they wait for us to notice.
    let others = shared.alone_mark() != shared.mark();
    match others {
        true => drop(watch.wait(limits::FEED_LOOK_INTERVAL)?),
        false => shared.feed.rest(limits::FEED_LOOK_INTERVAL),
    }
    Ok(())
}

fn apply(shared: &Shared, page: Page) {
    let feed = &shared.feed;
    if page.missed {
        tracing::info!("events of the change feed were missed: what was remembered is forgotten");
        feed.generation.fetch_add(1, SeqCst);
        feed.foreign_events.fetch_add(1, SeqCst);
        feed.sessions_changed.store(true, SeqCst);
    }
    let foreign: Vec<Event> = page.events.into_iter().filter(|event| event.session != shared.session).collect();
    for event in &foreign {
        event.change.entries().for_each(|(parent, name)| shared.stamps.raise_entry(parent, name));
        event.change.inodes().into_iter().for_each(|ino| shared.stamps.raise_attributes(ino));
        if event.change == Change::Left {
            feed.sessions_changed.store(true, SeqCst);
        }
    }
    if !foreign.is_empty() {
        feed.foreign_events.fetch_add(foreign.len() as u64, SeqCst);
    }
    if feed.sessions_changed.load(SeqCst) {
        shared.want_maintenance();
    }
    // After all stamps: whatever the kernel asks for anew is read anew.
    foreign.iter().for_each(|event| tell_kernel(shared, &event.change));
}

fn tell_kernel(shared: &Shared, change: &Change) {
    let (view, kernel) = (&shared.feed.kernel, shared.kernel_pages.get());
    // Whatever is missing is looked for each time, so a new name contradicts nothing.
    if !matches!(change, Change::Created { .. } | Change::Linked { .. }) {
        for (parent, name) in change.entries().filter(|(parent, name)| view.change_entry(*parent, name)) {
            kernel.inspect(|kernel| kernel.forget_entry(parent, name.clone()));
        }
    }
    // Of regular files it keeps nothing then, and a notification would only cost it the reply that is on its way. The view
    // can't tell them from directories that share their place.
    if matches!(change, Change::Content { .. }) && shared.feed.consistency != Consistency::Relaxed {
        return;
    }
    for ino in change.inodes().into_iter().filter(|ino| view.change_attributes(*ino)) {
        kernel.inspect(|kernel| kernel.forget_attributes(ino));
    }
}

impl Feed {
    /// Sleeps while nobody wants the feed to be read; `false` at the end.
    fn wait_until_wanted(&self) -> bool {
        let wait = self.changed.wait_while(self.place(), |place| !place.wanted && !place.stopping);
        !wait.expect("no code panics while it holds this lock").stopping
    }

    /// Sleeps for so long, or until the end.
    fn rest(&self, time: Duration) {
        let rested = self.changed.wait_timeout_while(self.place(), time, |place| !place.stopping);
        drop(rested.expect("no code panics while it holds this lock"));
    }
}
