//! Hearing of commits: a connection that has said LISTEN. The commit function notifies a channel that is called like the
//! schema, when it stamps a key. A pooler that hands connections from one to another must not stand in between.

use crate::connection::bounded;
use crate::error;
use futures_util::future::{Either, poll_fn, select};
use shoal_kv::KvResult;
use shoal_kv_remote::{Failure, LISTEN_PAUSE, Listener};
use std::pin::pin;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::tls::NoTlsStream;
use tokio_postgres::{AsyncMessage, Client, Config, Connection, NoTls, Socket};

pub(crate) struct PostgresListener {
    runtime: Runtime,
    connection: Connection<Socket, NoTlsStream>,
    /// The connection ends with it.
    _client: Client,
}

impl PostgresListener {
    pub fn open(config: &Config, channel: &str, answer_max: Duration) -> Result<Self, Failure> {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::Later(format!("postgres: starting a runtime: {error}")))?;
        let opened = runtime.block_on(bounded(answer_max, async {
            let (client, mut connection) = config.connect(NoTls).await.map_err(error::translate)?;
            listen(&client, &mut connection, channel).await?;
            Ok((client, connection))
        }));
        opened.map(|(client, connection)| PostgresListener { runtime, connection, _client: client })
    }

    /// `false`: the time is over.
    fn hear(&mut self, timeout: Duration) -> KvResult<bool> {
        let heard =
            self.runtime.block_on(async { tokio::time::timeout(timeout, notified(&mut self.connection)).await });
        match heard {
            Ok(heard) => heard.map(|()| true).map_err(Failure::into_error),
            Err(_) => Ok(false),
        }
    }
}

impl Listener for PostgresListener {
    fn wait(&mut self, timeout: Duration) -> KvResult<bool> {
        if !self.hear(timeout)? {
            return Ok(false);
        }
        let more = serve(&mut self.connection);
        match self.runtime.block_on(async { tokio::time::timeout(LISTEN_PAUSE, more).await }) {
            Ok(failure) => Err(failure.into_error()),
            Err(_) => Ok(true),
        }
    }
}

async fn listen(
    client: &Client,
    connection: &mut Connection<Socket, NoTlsStream>,
    channel: &str,
) -> Result<(), Failure> {
    let listen = format!("LISTEN {channel}");
    // The question travels only while somebody looks after the connection.
    match select(pin!(client.batch_execute(&listen)), pin!(serve(connection))).await {
        Either::Left((listening, _)) => listening.map_err(error::translate),
        Either::Right((failure, _)) => Err(failure),
    }
}

/// Runs the connection until it fails.
async fn serve(connection: &mut Connection<Socket, NoTlsStream>) -> Failure {
    loop {
        if let Err(failure) = notified(connection).await {
            return failure;
        }
    }
}

/// Until the next notification.
async fn notified(connection: &mut Connection<Socket, NoTlsStream>) -> Result<(), Failure> {
    loop {
        match poll_fn(|context| connection.poll_message(context)).await {
            Some(Ok(AsyncMessage::Notification(_))) => return Ok(()),
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(error::translate(error)),
            None => return Err(Failure::Lost("postgres: the connection that listens has ended".into())),
        }
    }
}
