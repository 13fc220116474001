//! The placement driver: who leads it, what time it is, which region a key lies in and where a store is.

use crate::messages::{
    FoundRegion, FoundStore, GetMembers, GetRegion, GetStore, GetTimestamps, Members, Peer, Region, RequestHeader,
    ResponseHeader, Timestamps,
};
use crate::wire::Wire;
use shoal_kv_remote::Failure;
use std::sync::{Arc, RwLock};
use std::time::Instant;

pub(crate) struct Placement {
    wire: Arc<Wire>,
    /// Members that the user has named.
    named: Vec<String>,
    leader: RwLock<Option<Leader>>,
}

#[derive(Clone)]
struct Leader {
    address: String,
    cluster: u64,
}

impl Placement {
    pub fn new(wire: Arc<Wire>, named: Vec<String>) -> Self {
        Placement { wire, named, leader: RwLock::default() }
    }

    /// A number that is greater than all that anybody has been given before: milliseconds, and 18 bits that count.
    pub async fn timestamp(&self, deadline: Instant) -> Result<u64, Failure> {
        let leader = self.leader(deadline).await?;
        let question = GetTimestamps { header: leader.header(), count: 1 };
        let answer = self.wire.ask_in_stream(&leader.address, "/pdpb.PD/Tso", question, deadline).await;
        let Timestamps { header, last } = self.heard(answer)?;
        self.check(header)?;
        let last = last.ok_or_else(|| senseless("a timestamp"))?;
        Ok(((last.physical as u64) << LOGICAL_BITS) + last.logical as u64)
    }

    /// The region of an encoded key, and its leader.
    pub async fn region(&self, key: Vec<u8>, deadline: Instant) -> Result<(Region, Option<Peer>), Failure> {
        let leader = self.leader(deadline).await?;
        let question = GetRegion { header: leader.header(), key };
        let answer = self.wire.ask(&leader.address, "/pdpb.PD/GetRegion", question, deadline).await;
        let FoundRegion { header, region, leader } = self.heard(answer)?;
        self.check(header)?;
        Ok((region.ok_or_else(|| senseless("a region"))?, leader))
    }

    pub async fn store(&self, id: u64, deadline: Instant) -> Result<String, Failure> {
        let leader = self.leader(deadline).await?;
        let question = GetStore { header: leader.header(), id };
        let answer = self.wire.ask(&leader.address, "/pdpb.PD/GetStore", question, deadline).await;
        let FoundStore { header, store } = self.heard(answer)?;
        self.check(header)?;
        Ok(store.ok_or_else(|| senseless("a store"))?.address)
    }

    async fn leader(&self, deadline: Instant) -> Result<Leader, Failure> {
        if let Some(leader) = self.leader.read().expect("no panic under this lock").clone() {
            return Ok(leader);
        }
        let mut failure = senseless("the members");
        for address in &self.named {
            match self.wire.ask::<Members>(address, "/pdpb.PD/GetMembers", GetMembers {}, deadline).await {
                Ok(Members { header: Some(header), leader: Some(leader) }) if !leader.client_urls.is_empty() => {
                    let leader = Leader { address: bare(&leader.client_urls[0]).into(), cluster: header.cluster };
                    *self.leader.write().expect("no panic under this lock") = Some(leader.clone());
                    return Ok(leader);
                }
                Ok(_) => {}
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    /// After no answer, perhaps another member leads.
    fn heard<A>(&self, answer: Result<A, Failure>) -> Result<A, Failure> {
        answer.inspect_err(|_| self.forget_leader())
    }

    fn check(&self, header: Option<ResponseHeader>) -> Result<(), Failure> {
        match header.and_then(|header| header.error) {
            Some(error) if error.kind != 0 => {
                self.forget_leader();
                Err(Failure::Lost(format!("tikv: the placement driver: {}", error.message)))
            }
            _ => Ok(()),
        }
    }

    fn forget_leader(&self) {
        *self.leader.write().expect("no panic under this lock") = None;
    }
}

impl Leader {
    fn header(&self) -> Option<RequestHeader> {
        Some(RequestHeader { cluster: self.cluster })
    }
}

/// Without the scheme.
fn bare(url: &str) -> &str {
    url.split_once("://").map_or(url, |(_, rest)| rest)
}

fn senseless(what: &str) -> Failure {
    Failure::Lost(format!("tikv: the placement driver's answer about {what} makes no sense"))
}

/// The rest of a timestamp are milliseconds since the epoch.
pub(crate) const LOGICAL_BITS: u32 = 18;
