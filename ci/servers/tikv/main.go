// The protocol of TiKV and its placement driver on the mock store of TiKV's own Go client, for tests. It is not TiKV: there is
// one process, no Raft, and no promise about power loss or speed. What it keeps is the protocol: regions and their epochs,
// leaders, locks, timestamps, the state of transactions.
//
// All of it answers on one port: whoever asks where a store is, is told the address at which it has reached this server. So a
// proxy in front of it is in front of everything. Its data is in a folder and outlives the process.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"time"

	"github.com/pingcap/kvproto/pkg/pdpb"
	"github.com/pingcap/kvproto/pkg/tikvpb"
	"github.com/tikv/client-go/v2/testutils"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
)

const stores = 3

func main() {
	address := flag.String("listen", "", "serve here")
	ask := flag.String("ask", "", "end well if there is such a server here")
	folder := flag.String("data", "", "where the store is kept")
	unrest := flag.Duration("unrest", 0, "how often a region is split or changes its leader")
	authority := flag.String("ca", "", "the authority of the other side, for TLS")
	certificate := flag.String("cert", "", "our certificate")
	key := flag.String("key", "", "our key")
	flag.Parse()
	secure := transport(*authority, *certificate, *key, *ask != "")
	if *ask != "" {
		probe(*ask, secure)
		return
	}
	client, cluster, driver, err := testutils.NewMockTiKV(*folder, nil)
	check(err)
	ids, peers, _, _ := testutils.BootstrapWithMultiStores(cluster, stores)
	listener, err := net.Listen("tcp", *address)
	check(err)
	server := grpc.NewServer(grpc.Creds(secure), grpc.MaxRecvMsgSize(64<<20), grpc.MaxSendMsgSize(64<<20),
		grpc.UnaryInterceptor(survive),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: time.Second, PermitWithoutStream: true}))
	serving := &store{client: client, cluster: cluster}
	tikvpb.RegisterTikvServer(server, serving)
	pdpb.RegisterPDServer(server, &placement{driver: driver})
	if *unrest > 0 {
		go serving.disturb(*unrest, ids, peers)
	}
	check(server.Serve(listener))
}

// The mock store panics on requests that the real one answers with an error.
func survive(ctx context.Context, request any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (answer any, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			log.Printf("%s: %v", info.FullMethod, cause)
			err = fmt.Errorf("%s: %v", info.FullMethod, cause)
		}
	}()
	return handle(ctx, request)
}

func transport(authority, certificate, key string, asking bool) credentials.TransportCredentials {
	if authority == "" {
		return insecure.NewCredentials()
	}
	text, err := os.ReadFile(authority)
	check(err)
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(text)
	own, err := tls.LoadX509KeyPair(certificate, key)
	check(err)
	config := &tls.Config{Certificates: []tls.Certificate{own}}
	if asking {
		config.RootCAs = trusted
	} else {
		config.ClientCAs, config.ClientAuth = trusted, tls.RequireAndVerifyClientCert
	}
	return credentials.NewTLS(config)
}

func probe(address string, secure credentials.TransportCredentials) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	connection, err := grpc.DialContext(ctx, address, grpc.WithTransportCredentials(secure), grpc.WithBlock())
	check(err)
	_, err = pdpb.NewPDClient(connection).GetMembers(ctx, &pdpb.GetMembersRequest{})
	check(err)
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
