//! The messages of TiKV and its placement driver that are sent and read here, with the fields that are used: numbers as in
//! kvproto. What is not named is skipped when it comes, and absent when it goes.

use prost::Message;

macro_rules! messages {
    ($($(#[$about:meta])* $name:ident { $($(#[$rule:meta])* $field:ident: $kind:ty,)* })*) => {
        $($(#[$about])* #[derive(Clone, PartialEq, Message)] pub(crate) struct $name { $($(#[$rule])* pub $field: $kind,)* })*
    };
}

messages! {
    RequestHeader {
        #[prost(uint64, tag = "1")]
        cluster: u64,
    }
    ResponseHeader {
        #[prost(uint64, tag = "1")]
        cluster: u64,
        #[prost(message, optional, tag = "2")]
        error: Option<PlacementError>,
    }
    PlacementError {
        #[prost(int32, tag = "1")]
        kind: i32,
        #[prost(string, tag = "2")]
        message: String,
    }
    GetMembers {}
    Members {
        #[prost(message, optional, tag = "1")]
        header: Option<ResponseHeader>,
        #[prost(message, optional, tag = "3")]
        leader: Option<Member>,
    }
    Member {
        #[prost(string, repeated, tag = "4")]
        client_urls: Vec<String>,
    }
    GetTimestamps {
        #[prost(message, optional, tag = "1")]
        header: Option<RequestHeader>,
        #[prost(uint32, tag = "2")]
        count: u32,
    }
    Timestamps {
        #[prost(message, optional, tag = "1")]
        header: Option<ResponseHeader>,
        #[prost(message, optional, tag = "3")]
        last: Option<Timestamp>,
    }
    Timestamp {
        #[prost(int64, tag = "1")]
        physical: i64,
        #[prost(int64, tag = "2")]
        logical: i64,
    }
    GetRegion {
        #[prost(message, optional, tag = "1")]
        header: Option<RequestHeader>,
        #[prost(bytes = "vec", tag = "2")]
        key: Vec<u8>,
    }
    FoundRegion {
        #[prost(message, optional, tag = "1")]
        header: Option<ResponseHeader>,
        #[prost(message, optional, tag = "2")]
        region: Option<Region>,
        #[prost(message, optional, tag = "3")]
        leader: Option<Peer>,
    }
    Region {
        #[prost(uint64, tag = "1")]
        id: u64,
        #[prost(bytes = "vec", tag = "2")]
        start: Vec<u8>,
        #[prost(bytes = "vec", tag = "3")]
        end: Vec<u8>,
        #[prost(message, optional, tag = "4")]
        epoch: Option<Epoch>,
        #[prost(message, repeated, tag = "5")]
        peers: Vec<Peer>,
    }
    Epoch {
        #[prost(uint64, tag = "1")]
        members: u64,
        #[prost(uint64, tag = "2")]
        version: u64,
    }
    Peer {
        #[prost(uint64, tag = "1")]
        id: u64,
        #[prost(uint64, tag = "2")]
        store: u64,
        #[prost(int32, tag = "3")]
        role: i32,
    }
    GetStore {
        #[prost(message, optional, tag = "1")]
        header: Option<RequestHeader>,
        #[prost(uint64, tag = "2")]
        id: u64,
    }
    FoundStore {
        #[prost(message, optional, tag = "1")]
        header: Option<ResponseHeader>,
        #[prost(message, optional, tag = "2")]
        store: Option<Store>,
    }
    Store {
        #[prost(string, tag = "2")]
        address: String,
    }
    /// To which region a request goes, as the sender knows it.
    Context {
        #[prost(uint64, tag = "1")]
        region: u64,
        #[prost(message, optional, tag = "2")]
        epoch: Option<Epoch>,
        #[prost(message, optional, tag = "3")]
        peer: Option<Peer>,
        /// Transactions whose locks don't matter.
        #[prost(uint64, repeated, tag = "13")]
        passed_locks: Vec<u64>,
    }
    RegionError {
        #[prost(string, tag = "1")]
        message: String,
        #[prost(message, optional, tag = "2")]
        not_leader: Option<NotLeader>,
        #[prost(message, optional, tag = "6")]
        busy: Option<Nothing>,
        #[prost(message, optional, tag = "15")]
        disk_full: Option<Nothing>,
    }
    NotLeader {
        #[prost(message, optional, tag = "2")]
        leader: Option<Peer>,
    }
    Nothing {}
    KeyError {
        #[prost(message, optional, tag = "1")]
        locked: Option<Lock>,
        #[prost(string, tag = "2")]
        retryable: String,
        #[prost(string, tag = "3")]
        abort: String,
        #[prost(message, optional, tag = "4")]
        conflict: Option<WriteConflict>,
        #[prost(message, optional, tag = "7")]
        expired: Option<Nothing>,
        #[prost(message, optional, tag = "8")]
        absent: Option<Nothing>,
    }
    WriteConflict {
        #[prost(bytes = "vec", tag = "3")]
        key: Vec<u8>,
    }
    Lock {
        #[prost(bytes = "vec", tag = "1")]
        primary: Vec<u8>,
        #[prost(uint64, tag = "2")]
        start: u64,
        #[prost(bytes = "vec", tag = "3")]
        key: Vec<u8>,
    }
    Pair {
        #[prost(message, optional, tag = "1")]
        error: Option<KeyError>,
        #[prost(bytes = "vec", tag = "2")]
        key: Vec<u8>,
        #[prost(bytes = "vec", tag = "3")]
        value: Vec<u8>,
    }
    BatchGet {
        #[prost(message, optional, tag = "1")]
        context: Option<Context>,
        #[prost(bytes = "vec", repeated, tag = "2")]
        keys: Vec<Vec<u8>>,
        #[prost(uint64, tag = "3")]
        moment: u64,
    }
    BatchGot {
        #[prost(message, optional, tag = "1")]
        region_error: Option<RegionError>,
        #[prost(message, repeated, tag = "2")]
        pairs: Vec<Pair>,
        #[prost(message, optional, tag = "5")]
        error: Option<KeyError>,
    }
    Scan {
        #[prost(message, optional, tag = "1")]
        context: Option<Context>,
        /// With `reverse`, the end of the range.
        #[prost(bytes = "vec", tag = "2")]
        start: Vec<u8>,
        #[prost(uint32, tag = "3")]
        limit: u32,
        #[prost(uint64, tag = "4")]
        moment: u64,
        #[prost(bool, tag = "5")]
        keys_only: bool,
        #[prost(bool, tag = "6")]
        reverse: bool,
        #[prost(bytes = "vec", tag = "7")]
        end: Vec<u8>,
    }
    Scanned {
        #[prost(message, optional, tag = "1")]
        region_error: Option<RegionError>,
        #[prost(message, repeated, tag = "2")]
        pairs: Vec<Pair>,
        #[prost(message, optional, tag = "3")]
        error: Option<KeyError>,
    }
    Mutation {
        /// 0: put, 1: delete.
        #[prost(int32, tag = "1")]
        operation: i32,
        #[prost(bytes = "vec", tag = "2")]
        key: Vec<u8>,
        #[prost(bytes = "vec", tag = "3")]
        value: Vec<u8>,
    }
    Prewrite {
        #[prost(message, optional, tag = "1")]
        context: Option<Context>,
        #[prost(message, repeated, tag = "2")]
        mutations: Vec<Mutation>,
        #[prost(bytes = "vec", tag = "3")]
        primary: Vec<u8>,
        #[prost(uint64, tag = "4")]
        start: u64,
        /// Milliseconds.
        #[prost(uint64, tag = "5")]
        lock_time: u64,
        #[prost(uint64, tag = "8")]
        size: u64,
        /// Not 0, or readers could not move it on.
        #[prost(uint64, tag = "10")]
        commit_min: u64,
    }
    Prewritten {
        #[prost(message, optional, tag = "1")]
        region_error: Option<RegionError>,
        #[prost(message, repeated, tag = "2")]
        errors: Vec<KeyError>,
    }
    CommitKeys {
        #[prost(message, optional, tag = "1")]
        context: Option<Context>,
        #[prost(uint64, tag = "2")]
        start: u64,
        #[prost(bytes = "vec", repeated, tag = "3")]
        keys: Vec<Vec<u8>>,
        #[prost(uint64, tag = "4")]
        moment: u64,
    }
    /// Of a commit, of a roll-back, and of locks that were resolved.
    Changed {
        #[prost(message, optional, tag = "1")]
        region_error: Option<RegionError>,
        #[prost(message, optional, tag = "2")]
        error: Option<KeyError>,
    }
    RollBack {
        #[prost(message, optional, tag = "1")]
        context: Option<Context>,
        #[prost(uint64, tag = "2")]
        start: u64,
        #[prost(bytes = "vec", repeated, tag = "3")]
        keys: Vec<Vec<u8>>,
    }
    CheckTransaction {
        #[prost(message, optional, tag = "1")]
        context: Option<Context>,
        #[prost(bytes = "vec", tag = "2")]
        primary: Vec<u8>,
        #[prost(uint64, tag = "3")]
        start: u64,
        /// While it goes on, it must not commit at this moment or before.
        #[prost(uint64, tag = "4")]
        reader: u64,
        #[prost(uint64, tag = "5")]
        now: u64,
        #[prost(bool, tag = "6")]
        roll_back_if_absent: bool,
    }
    CheckedTransaction {
        #[prost(message, optional, tag = "1")]
        region_error: Option<RegionError>,
        #[prost(message, optional, tag = "2")]
        error: Option<KeyError>,
        #[prost(uint64, tag = "3")]
        lock_time: u64,
        #[prost(uint64, tag = "4")]
        committed: u64,
        /// 3: it won't commit before the reader's moment.
        #[prost(int32, tag = "5")]
        action: i32,
    }
    ResolveLocks {
        #[prost(message, optional, tag = "1")]
        context: Option<Context>,
        #[prost(uint64, tag = "2")]
        start: u64,
        /// 0: rolled back.
        #[prost(uint64, tag = "3")]
        committed: u64,
        #[prost(bytes = "vec", repeated, tag = "5")]
        keys: Vec<Vec<u8>>,
    }
}

pub(crate) const PUSHED: i32 = 3;
pub(crate) const DELETE: i32 = 1;

/// A request to a region, and what answers it.
pub(crate) trait RegionRequest: Message + Clone + 'static {
    type Answer: RegionAnswer;
    const PATH: &'static str;

    fn context(&mut self) -> &mut Option<Context>;
}

pub(crate) trait RegionAnswer: Message + Default + 'static {
    fn take_region_error(&mut self) -> Option<RegionError>;
}

macro_rules! region_requests {
    ($($request:ident $path:literal $answer:ident;)*) => {
        $(impl RegionRequest for $request {
            type Answer = $answer;
            const PATH: &'static str = concat!("/tikvpb.Tikv/", $path);

            fn context(&mut self) -> &mut Option<Context> {
                &mut self.context
            }
        })*
    };
}

region_requests! {
    BatchGet "KvBatchGet" BatchGot;
    Scan "KvScan" Scanned;
    Prewrite "KvPrewrite" Prewritten;
    CommitKeys "KvCommit" Changed;
    RollBack "KvBatchRollback" Changed;
    CheckTransaction "KvCheckTxnStatus" CheckedTransaction;
    ResolveLocks "KvResolveLock" Changed;
}

macro_rules! region_answers {
    ($($answer:ident)*) => {
        $(impl RegionAnswer for $answer {
            fn take_region_error(&mut self) -> Option<RegionError> {
                self.region_error.take()
            }
        })*
    };
}

region_answers! { BatchGot Scanned Prewritten Changed CheckedTransaction }
