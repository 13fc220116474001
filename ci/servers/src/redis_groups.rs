//! Several Redis servers that belong together, as one program: a shell that starts them, and they end with it.

use crate::program::{Program, find, free_port};
use std::fs;
use std::path::Path;
use std::process::Command;

/// A cluster of three nodes without replicas. The program's port is the first node's.
pub struct RedisCluster;

/// A primary, a replica and three Sentinels. Whoever of the two is killed is started again, a primary not before the other
/// one has taken its place. The program's port is the first Sentinel's.
pub struct RedisSentinels;

/// What the Sentinels call the pair.
const GROUP: &str = "pair";

/// `bound COMMAND` runs it until the shell that has started it is killed, and again whenever it ends: it can't begin while one
/// of before, killed as well, has not yet let go of its port and its files.
const BEGIN: &str = "set -eu; cd \"$0\"
bound() {
    setpriv --pdeathsig KILL sh -c 'while :; do setpriv --pdeathsig KILL \"$@\" || sleep 0.1; done' again \"$@\" &
}
";

const CLUSTER: &str = "
ports=$(cat ports)
for pair in $ports; do
    port=${pair%:*}; mkdir -p node-$port
    bound redis-server --bind 127.0.0.1 --port $port --cluster-port ${pair#*:} --cluster-enabled yes --cluster-node-timeout 2000 \
        --save '' --appendonly yes --appendfsync always --dir node-$port
done
if [ ! -e made ]; then
    nodes=''
    for pair in $ports; do
        port=${pair%:*}; nodes=\"$nodes 127.0.0.1:$port\"
        until redis-cli -e -p $port ping >/dev/null 2>&1; do sleep 0.05; done
    done
    redis-cli --cluster create $nodes --cluster-yes
    touch made
fi
wait";

const SENTINELS: &str = "
set -- $(cat ports)
primary=$1; replica=$2; shift 2
for port in $primary $replica; do
    bound sh -c 'while :; do
        setpriv --pdeathsig KILL redis-server server-$0.conf --daemonize no || :
        while [ \"$(redis-cli -e -p $1 sentinel get-master-addr-by-name pair | tail -1)\" = $0 ]; do sleep 0.1; done
    done' $port $1
done
for port in $*; do bound redis-server sentinel-$port.conf --sentinel; done
wait";

fn write(folder: &Path, name: &str, text: &str) {
    fs::write(folder.join(name), text).expect("the folder can be written to");
}

fn shell(folder: &Path, script: &str) -> Command {
    // The scripts name them by their bare names.
    find(&["redis-server"], "redis-server");
    find(&["redis-cli"], "redis-tools");
    let mut command = Command::new("bash");
    command.arg("-c").arg([BEGIN, script].concat()).arg(folder);
    command
}

fn sh(script: &str, folder: &Path) -> Command {
    let mut command = Command::new("sh");
    command.arg("-c").arg(script).arg(folder);
    command
}

impl Program for RedisCluster {
    fn prepare(&self, _: &Path) {}

    fn command(&self, folder: &Path, port: u16) -> Command {
        if !folder.join("ports").exists() {
            // Each has a second one, for the others.
            let pairs = [port, free_port(), free_port()].map(|port| format!("{port}:{}", free_port()));
            write(folder, "ports", &pairs.join("\n"));
        }
        shell(folder, CLUSTER)
    }

    /// All of them are content with it.
    fn probe(&self, folder: &Path, _: u16) -> Command {
        let ask = "redis-cli -e -p ${pair%:*} cluster info | grep -q cluster_state:ok";
        sh(&format!("for pair in $(cat \"$0/ports\"); do {ask} || exit 1; done"), folder)
    }

    fn url(&self, port: u16, prefix: &str) -> String {
        format!("redis-cluster://127.0.0.1:{port}/0?prefix={prefix}")
    }
}

impl RedisSentinels {
    /// SIGKILL for the primary. Returns when the other one is.
    pub fn fail_over(folder: &Path) {
        const SCRIPT: &str = "
            set -e; cd \"$0\"; set -- $(cat ports); sentinel=$3
            primary() { redis-cli -e -p $sentinel sentinel get-master-addr-by-name pair | tail -1; }
            before=$(primary)
            until pid=$(redis-cli -e -p $before info server | tr -d '\\r' | sed -n 's/^process_id://p') && [ -n \"$pid\" ]; do
                sleep 0.1; before=$(primary)
            done
            kill -9 $pid
            while [ $(primary) = $before ]; do sleep 0.1; done";
        let done = sh(SCRIPT, folder).status();
        assert!(done.is_ok_and(|status| status.success()), "there is a primary to kill");
    }

    /// From here on Sentinels answer this user only.
    pub fn guard(folder: &Path, user: &str, password: &str) {
        const SCRIPT: &str = "
            set -e; cd \"$0\"; set -- \"$@\" $(cat ports); user=$1 password=$2; shift 4
            for sentinel in $*; do
                redis-cli -e -p $sentinel acl setuser $user on \">$password\" +@all
                redis-cli -e -p $sentinel acl setuser default off
            done";
        let done = sh(SCRIPT, folder).args([user, password]).status();
        assert!(done.is_ok_and(|status| status.success()), "Sentinels take users");
    }
}

impl Program for RedisSentinels {
    fn prepare(&self, _: &Path) {}

    fn command(&self, folder: &Path, port: u16) -> Command {
        if !folder.join("ports").exists() {
            let [primary, replica] = [free_port(), free_port()];
            let sentinels = [port, free_port(), free_port()];
            let all = [primary, replica].iter().chain(&sentinels).map(u16::to_string).collect::<Vec<_>>();
            write(folder, "ports", &all.join(" "));
            for server in [primary, replica] {
                let data = format!("data-{server}");
                fs::create_dir_all(folder.join(&data)).expect("the folder can be written to");
                let follow = if server == replica { format!("replicaof 127.0.0.1 {primary}\n") } else { String::new() };
                let settings = format!(
                    "bind 127.0.0.1\nport {server}\nsave \"\"\nappendonly yes\nappendfsync everysec\ndir {data}\n\
                     repl-diskless-sync-delay 0\n{follow}"
                );
                write(folder, &format!("server-{server}.conf"), &settings);
            }
            for sentinel in sentinels {
                let settings = format!(
                    "bind 127.0.0.1\nport {sentinel}\nsentinel monitor {GROUP} 127.0.0.1 {primary} 2\n\
                     sentinel down-after-milliseconds {GROUP} 600\nsentinel failover-timeout {GROUP} 1000\n"
                );
                write(folder, &format!("sentinel-{sentinel}.conf"), &settings);
            }
        }
        shell(folder, SENTINELS)
    }

    /// A Sentinel that knows a primary, which has a replica, and the other Sentinels.
    fn probe(&self, folder: &Path, port: u16) -> Command {
        sh(&format!("redis-cli -e -p {port} info sentinel | grep -q 'status=ok,.*slaves=1,sentinels=3'"), folder)
    }

    fn url(&self, port: u16, prefix: &str) -> String {
        format!("redis-sentinel://127.0.0.1:{port}/0?group={GROUP}&replicas=1&prefix={prefix}")
    }
}
