//! A shard's main loop: takes a message, begins with it, takes the next. It never waits for anything in between.

use crate::message::Message;
use crate::shard::Shard;
use crate::{limits, maintenance};
use shoal_metadata::SessionRecord;
use shoal_runtime::MailboxReceiver;
use shoal_types::{FsResult, Ino};
use std::rc::Rc;
use std::sync::atomic::Ordering::SeqCst;

pub(crate) async fn run(shard: Rc<Shard>, mut receiver: MailboxReceiver<Message>, record: SessionRecord) {
    if shard.index == 0 {
        shoal_runtime::spawn(maintenance::run(shard.clone(), record));
        if shard.shared.settings.staging.file_bytes_max > 0 {
            shoal_runtime::spawn(maintenance::pack(shard.clone()));
        }
    }
    for number in 0..shard.cache.as_ref().map_or(0, |cache| cache.parts().count()) {
        shoal_runtime::spawn(look_after_cache(shard.clone(), number));
    }
    while let Some(message) = receiver.receive().await {
        match message {
            Message::Stop => break,
            Message::Run(task) => task(&shard),
            Message::Maintain => {
                shard.shared.maintenance_wanted.store(false, SeqCst);
                shard.maintenance_due.set(true);
                shard.maintenance.notify();
            }
            other => shoal_runtime::spawn_eager(answer(shard.clone(), other)),
        }
    }
    shard.stopped.set(true);
}

async fn answer(shard: Rc<Shard>, message: Message) {
    match message {
        Message::Read { ino, offset, length, buffer, respond } => {
            respond(shard.read_owned(ino, offset, length, buffer).await);
        }
        Message::Write { ino, offset, data, exempt, now, respond } => {
            respond(shard.write_owned(ino, offset, data, exempt, now).await);
        }
        Message::Append { ino, data, exempt, now, respond } => {
            respond(shard.append_owned(ino, data, exempt, now).await);
        }
        Message::Flush { ino, respond } => respond(shard.flush_owned(ino).await),
        Message::Fsync { ino, respond } => respond(shard.fsync_owned(ino).await),
        Message::SetFlags { operation, respond } => respond(shard.set_flags_owned(operation).await),
        Message::Truncate { ino, length, now, respond } => respond(shard.truncate_owned(ino, length, now).await),
        Message::Fallocate { ino, how, offset, length, now, respond } => {
            respond(shard.fallocate_owned(ino, how, offset, length, now).await);
        }
        Message::CopyRange { source, source_offset, target, target_offset, length, now, respond } => {
            let (from, to) = ((source, source_offset), (target, target_offset));
            respond(shard.copy_range_owned(from, to, length, now).await);
        }
        Message::Seek { ino, offset, to, respond } => respond(shard.seek_owned(ino, offset, to).await),
        Message::Compact { ino, first, respond } => respond(shard.compact_owned(ino, first).await),
        Message::Warm { ino, order, range, respond } => respond(shard.warm_owned(ino, order, range).await),
        Message::ReadInOrder { directory, ino } => shard.read_in_order_owned(directory, ino).await,
        Message::FetchAhead { directory, ino } => shard.fetch_ahead_owned(directory, ino).await,
        Message::Lend { ino, respond } => respond(shard.lend_owned(ino).await),
        Message::GiveBack { ino } => shard.give_back_owned(ino),
        Message::Revalidate { ino, epoch, respond } => respond(shard.revalidate_owned(ino, epoch).await),
        Message::SetLock { request, wait, respond } => respond(shard.set_lock_owned(request, wait).await),
        Message::GiveUpWaiting { ino, number } => shard.give_up_waiting_owned(ino, number),
        Message::ReleaseLocks { ino, holder, respond } => {
            shard.release_locks_owned(ino, holder).await;
            respond(Ok(()));
        }
        Message::AwaitReleases { request, respond } => {
            shard.await_releases_owned(request).await;
            respond(Ok(()));
        }
        Message::RetryLocks => shard.retry_locks(),
        Message::Barrier { respond } => {
            // What was read from the kernel may lie in the ring, and this message was ahead of it.
            shoal_runtime::ring_turn().await;
            respond(Ok(()));
        }
        Message::Closed { ino } => shard.closed(ino).await,
        Message::Removed { ino } => shard.removed_owned(ino).await,
        Message::FlushFiles { respond } => respond(flush_files(&shard).await),
        Message::FlushAll { respond } => respond(flush_all(&shard).await),
        Message::Run(_) | Message::Maintain | Message::Stop => unreachable!("dealt with by the loop"),
    }
}

async fn flush_all(shard: &Rc<Shard>) -> FsResult<()> {
    let lost = shard.lost.get().map_or(Ok(()), Err);
    flush_files(shard).await.and(lost)
}

/// Tries all files, whatever becomes of one.
async fn flush_files(shard: &Rc<Shard>) -> FsResult<()> {
    shard.store_accesses().await;
    let mut result = Ok(());
    let files = shard.all_files();
    // All uploads begin before the first is waited for.
    files.iter().for_each(|file| shard.seal(file));
    for file in files {
        if let Err(error) = shard.flush_file(&file).await {
            tracing::warn!(ino = %file.ino, %error, "a file could not be flushed");
            result = Err(error);
        }
    }
    result
}

/// What an earlier run left in the cache folder is taken over step by step; later the disk's free space is looked at.
async fn look_after_cache(shard: Rc<Shard>, number: usize) {
    let part = shard.cache.as_ref().and_then(|cache| cache.parts().nth(number)).expect("started for each part");
    let mut looked_at = Ino(0);
    loop {
        if part.adopt_step().await {
            shoal_runtime::yield_now().await;
            continue;
        }
        looked_at = shard.look_after_pins(part, looked_at).await;
        shoal_runtime::sleep(limits::CACHE_LOOK_INTERVAL).await;
    }
}
