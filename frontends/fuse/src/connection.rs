//! One shard's share of a mount's traffic: its ring where there are rings, its end of `/dev/fuse`, or both.

use crate::dev_fuse::{DevFuse, DevFuseReply};
use crate::interrupts::Interrupts;
use crate::ring::{Queues, RingReply};
use crate::session::{Service, serve};
use futures_util::future::try_join;
use shoal_fuse_protocol::Negotiated;
use shoal_runtime::RingFile;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

pub struct Connection {
    device: Option<DevFuse>,
    queues: Option<Queues>,
}

impl Connection {
    /// One connection for each of `shards` shards. With rings, all requests come through them, and one shard reads from
    /// `/dev/fuse` what the kernel sends nowhere else.
    pub(crate) fn for_shards(device: &RingFile, negotiated: &Negotiated, shards: usize) -> io::Result<Vec<Self>> {
        if !negotiated.over_io_uring {
            let open = |_| DevFuse::clone_of(device, negotiated, shards);
            return (0..shards).map(|shard| Ok(Connection { device: Some(open(shard)?), queues: None })).collect();
        }
        let mut reader = Some(DevFuse::clone_of(device, negotiated, 1)?);
        let shards = Queues::for_shards(device, negotiated, shards)?.into_iter();
        Ok(shards.map(|queues| Connection { device: reader.take(), queues: Some(queues) }).collect())
    }

    /// Serves requests until the file system is unmounted. `interrupts` is shared by all shards of a mount.
    pub async fn serve<S>(self, service: Rc<S>, interrupts: Arc<Interrupts>) -> io::Result<()>
    where
        S: Service<DevFuseReply> + Service<RingReply>,
    {
        let Connection { device, queues } = self;
        let device = async {
            match device {
                Some(device) => serve(device, service.clone(), interrupts.clone()).await,
                None => Ok(()),
            }
        };
        let ring = async {
            match queues {
                Some(queues) => serve(queues.open(), service.clone(), interrupts.clone()).await,
                None => Ok(()),
            }
        };
        try_join(device, ring).await.map(|_| ())
    }
}
