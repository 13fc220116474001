package main

import (
	"bytes"
	"context"
	"math/rand"
	"sync/atomic"
	"time"

	"github.com/pingcap/kvproto/pkg/errorpb"
	"github.com/pingcap/kvproto/pkg/kvrpcpb"
	"github.com/pingcap/kvproto/pkg/metapb"
	"github.com/pingcap/kvproto/pkg/tikvpb"
	"github.com/tikv/client-go/v2/testutils"
	"github.com/tikv/client-go/v2/tikvrpc"
)

// The calls of a store that a client of transactions makes. Which of the stores is meant, a request says itself.
type store struct {
	tikvpb.TikvServer
	client  *testutils.MockClient
	cluster *testutils.MockCluster
	// Some key that has been written, where a region can be split.
	written atomic.Pointer[[]byte]
}

func send[A any](ctx context.Context, s *store, kind tikvrpc.CmdType, request any, about *kvrpcpb.Context) (*A, error) {
	place := s.cluster.GetStore(about.GetPeer().GetStoreId())
	answer, err := s.client.SendRequest(ctx, place.GetAddress(), tikvrpc.NewRequest(kind, request, *about), time.Minute)
	if err != nil {
		return nil, err
	}
	return answer.Resp.(*A), nil
}

func (s *store) KvBatchGet(ctx context.Context, r *kvrpcpb.BatchGetRequest) (*kvrpcpb.BatchGetResponse, error) {
	return send[kvrpcpb.BatchGetResponse](ctx, s, tikvrpc.CmdBatchGet, r, r.Context)
}

func (s *store) KvScan(ctx context.Context, r *kvrpcpb.ScanRequest) (*kvrpcpb.ScanResponse, error) {
	return send[kvrpcpb.ScanResponse](ctx, s, tikvrpc.CmdScan, r, r.Context)
}

func (s *store) KvPrewrite(ctx context.Context, r *kvrpcpb.PrewriteRequest) (*kvrpcpb.PrewriteResponse, error) {
	key := r.Mutations[0].Key
	s.written.Store(&key)
	return send[kvrpcpb.PrewriteResponse](ctx, s, tikvrpc.CmdPrewrite, r, r.Context)
}

func (s *store) KvCommit(ctx context.Context, r *kvrpcpb.CommitRequest) (*kvrpcpb.CommitResponse, error) {
	return send[kvrpcpb.CommitResponse](ctx, s, tikvrpc.CmdCommit, r, r.Context)
}

func (s *store) KvBatchRollback(ctx context.Context, r *kvrpcpb.BatchRollbackRequest) (*kvrpcpb.BatchRollbackResponse, error) {
	return send[kvrpcpb.BatchRollbackResponse](ctx, s, tikvrpc.CmdBatchRollback, r, r.Context)
}

func (s *store) KvCheckTxnStatus(ctx context.Context, r *kvrpcpb.CheckTxnStatusRequest) (*kvrpcpb.CheckTxnStatusResponse, error) {
	return send[kvrpcpb.CheckTxnStatusResponse](ctx, s, tikvrpc.CmdCheckTxnStatus, r, r.Context)
}

// The mock resolves all of a region; the real one only the keys that are named.
func (s *store) KvResolveLock(ctx context.Context, r *kvrpcpb.ResolveLockRequest) (*kvrpcpb.ResolveLockResponse, error) {
	if len(r.Keys) == 0 {
		return send[kvrpcpb.ResolveLockResponse](ctx, s, tikvrpc.CmdResolveLock, r, r.Context)
	}
	if stale := s.stale(r.Context); stale != nil {
		return &kvrpcpb.ResolveLockResponse{RegionError: stale}, nil
	}
	for _, key := range r.Keys {
		if err := s.client.MvccStore.ResolveLock(key, append(bytes.Clone(key), 0), r.StartVersion, r.CommitVersion); err != nil {
			return nil, err
		}
	}
	return &kvrpcpb.ResolveLockResponse{}, nil
}

func (s *store) stale(about *kvrpcpb.Context) *errorpb.Error {
	region, leader := s.cluster.GetRegion(about.GetRegionId())
	switch {
	case region == nil:
		return &errorpb.Error{Message: "no such region", RegionNotFound: &errorpb.RegionNotFound{RegionId: about.GetRegionId()}}
	case leader != about.GetPeer().GetId():
		return &errorpb.Error{Message: "another leads", NotLeader: &errorpb.NotLeader{RegionId: region.Id}}
	case about.GetRegionEpoch().GetVersion() != region.GetRegionEpoch().GetVersion():
		return &errorpb.Error{Message: "another epoch", EpochNotMatch: &errorpb.EpochNotMatch{CurrentRegions: []*metapb.Region{region}}}
	}
	return nil
}

const regionsMax = 8

// Splits regions while there are few, and moves their leaders.
func (s *store) disturb(pause time.Duration, _ []uint64, _ []uint64) {
	for {
		time.Sleep(pause)
		regions := s.cluster.GetAllRegions()
		key := s.written.Load()
		if key != nil && len(regions) < regionsMax && rand.Intn(2) == 0 {
			s.split(*key)
			continue
		}
		region := regions[rand.Intn(len(regions))].Meta
		s.cluster.ChangeLeader(region.Id, region.Peers[rand.Intn(len(region.Peers))].Id)
	}
}

func (s *store) split(key []byte) {
	region, _, _ := s.cluster.GetRegionByKey(encode(key))
	if region == nil || bytes.Equal(region.StartKey, encode(key)) {
		return
	}
	peers := s.cluster.AllocIDs(len(region.Peers))
	s.cluster.Split(region.Id, s.cluster.AllocID(), key, peers, peers[rand.Intn(len(peers))])
}

// As keys stand in the placement driver: groups of eight bytes, each followed by how many of them count.
func encode(key []byte) []byte {
	var encoded []byte
	for start := 0; start <= len(key); start += 8 {
		group := key[start:min(start+8, len(key))]
		encoded = append(encoded, group...)
		encoded = append(encoded, make([]byte, 8-len(group))...)
		encoded = append(encoded, byte(0xff-(8-len(group))))
	}
	return encoded
}
