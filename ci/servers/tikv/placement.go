package main

import (
	"context"
	"errors"
	"io"

	"github.com/pingcap/kvproto/pkg/pdpb"
	pd "github.com/tikv/pd/client"
	"google.golang.org/grpc/metadata"
)

// The calls of the placement driver that a client of transactions makes.
type placement struct {
	pdpb.PDServer
	driver pd.Client
}

func (p *placement) header() *pdpb.ResponseHeader {
	return &pdpb.ResponseHeader{ClusterId: p.driver.GetClusterID(context.Background())}
}

func (p *placement) GetMembers(ctx context.Context, _ *pdpb.GetMembersRequest) (*pdpb.GetMembersResponse, error) {
	leader := &pdpb.Member{Name: "mock", MemberId: 1, ClientUrls: []string{"http://" + reached(ctx)}}
	return &pdpb.GetMembersResponse{Header: p.header(), Members: []*pdpb.Member{leader}, Leader: leader}, nil
}

func (p *placement) Tso(stream pdpb.PD_TsoServer) error {
	for {
		request, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		answer := &pdpb.TsoResponse{Header: p.header(), Count: request.Count, Timestamp: &pdpb.Timestamp{}}
		// The last of as many as were asked for.
		for count := uint32(0); count < request.Count; count++ {
			answer.Timestamp.Physical, answer.Timestamp.Logical, err = p.driver.GetTS(stream.Context())
			if err != nil {
				return err
			}
		}
		if err := stream.Send(answer); err != nil {
			return err
		}
	}
}

func (p *placement) GetRegion(ctx context.Context, request *pdpb.GetRegionRequest) (*pdpb.GetRegionResponse, error) {
	region, err := p.driver.GetRegion(ctx, request.RegionKey)
	if err != nil {
		return nil, err
	}
	return &pdpb.GetRegionResponse{Header: p.header(), Region: region.Meta, Leader: region.Leader}, nil
}

func (p *placement) GetStore(ctx context.Context, request *pdpb.GetStoreRequest) (*pdpb.GetStoreResponse, error) {
	store, err := p.driver.GetStore(ctx, request.StoreId)
	if err != nil {
		return nil, err
	}
	told := *store
	told.Address = reached(ctx)
	return &pdpb.GetStoreResponse{Header: p.header(), Store: &told}, nil
}

// The address at which the asking side has reached us.
func reached(ctx context.Context) string {
	sent, _ := metadata.FromIncomingContext(ctx)
	return sent.Get(":authority")[0]
}
