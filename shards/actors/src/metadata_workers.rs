//! Threads that read metadata for the shards, where a read is a round trip and not a matter of microseconds.

use crate::limits;
use shoal_kv::JobQueue;
use shoal_metadata::Metadata;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

type Read = Box<dyn FnOnce(&Metadata) + Send>;

pub(crate) struct MetadataWorkers {
    queue: Arc<JobQueue<Read>>,
    threads: Vec<JoinHandle<()>>,
}

impl MetadataWorkers {
    pub fn start(metadata: &Metadata) -> io::Result<Self> {
        let queue = Arc::new(JobQueue::new(limits::QUEUED_READS_MAX));
        let mut workers = MetadataWorkers { queue, threads: Vec::with_capacity(limits::METADATA_WORKERS) };
        for number in 0..limits::METADATA_WORKERS {
            let (queue, metadata) = (workers.queue.clone(), metadata.clone());
            let worker = std::thread::Builder::new().name(format!("metadata-{number}"));
            workers.threads.push(worker.spawn(move || serve(&queue, &metadata))?);
        }
        Ok(workers)
    }

    /// Waits while the queue is full. A read given after the end is dropped, which its task learns.
    pub fn submit(&self, read: impl FnOnce(&Metadata) + Send + 'static) {
        if self.queue.push(Box::new(read)).is_err() {
            tracing::debug!("a read of metadata after the end");
        }
    }
}

impl Drop for MetadataWorkers {
    fn drop(&mut self) {
        self.queue.close();
        let own = std::thread::current().id();
        for thread in self.threads.drain(..).filter(|thread| thread.thread().id() != own) {
            if thread.join().is_err() {
                tracing::error!("a metadata worker has panicked");
            }
        }
    }
}

fn serve(queue: &JobQueue<Read>, metadata: &Metadata) {
    let mut batch = Vec::new();
    while queue.take(&mut batch, 1) {
        batch.drain(..).for_each(|read| read(metadata));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shoal_kv::memory::MemoryKv;
    use std::sync::mpsc;

    #[test]
    fn reads_queued_before_the_end_are_done() {
        let workers = MetadataWorkers::start(&Metadata::new(MemoryKv::new())).unwrap();
        let (sender, receiver) = mpsc::channel();
        for number in 0..100 {
            let sender = sender.clone();
            workers.submit(move |_| sender.send(number).unwrap());
        }
        drop((workers, sender));
        assert_eq!(receiver.iter().sum::<i32>(), 4950);
    }
}
