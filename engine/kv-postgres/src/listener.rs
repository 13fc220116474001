//! Hearing of commits: a connection that has said LISTEN. The commit function notifies a channel that is called like the
//! schema, when it stamps a key. A pooler that hands connections from one to another must not stand in between.

use crate::connection::bounded;
use crate::error;
use crate::tls::Connector;
use futures_util::future::{Either, select};
use futures_util::stream::{BoxStream, StreamExt, poll_fn};
use shoal_kv::KvResult;
use shoal_kv_remote::{Failure, LISTEN_PAUSE, Listener, Tls};
use std::pin::pin;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::tls::TlsStream;
use tokio_postgres::{AsyncMessage, Client, Config, Connection, Error, NoTls, Socket};

pub(crate) struct PostgresListener {
    runtime: Runtime,
    messages: Messages,
    /// The connection ends with it.
    _client: Client,
}

/// What the server says unasked, for as long as somebody looks: only then does the connection run.
type Messages = BoxStream<'static, Result<AsyncMessage, Error>>;

impl PostgresListener {
    pub fn open(config: &Config, tls: Option<&Tls>, channel: &str, answer_max: Duration) -> Result<Self, Failure> {
        let connector = tls.map(Connector::of).transpose()?;
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::Later(format!("postgres: starting a runtime: {error}")))?;
        let opened = runtime.block_on(bounded(answer_max, async {
            let (client, mut messages) = match connector {
                None => {
                    let (client, connection) = config.connect(NoTls).await.map_err(error::translate)?;
                    (client, messages_of(connection))
                }
                Some(connector) => {
                    let (client, connection) = config.connect(connector).await.map_err(error::translate)?;
                    (client, messages_of(connection))
                }
            };
            listen(&client, &mut messages, channel).await?;
            Ok((client, messages))
        }));
        opened.map(|(client, messages)| PostgresListener { runtime, messages, _client: client })
    }

    /// `false`: the time is over.
    fn hear(&mut self, timeout: Duration) -> KvResult<bool> {
        let heard = self.runtime.block_on(async { tokio::time::timeout(timeout, notified(&mut self.messages)).await });
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
        let more = serve(&mut self.messages);
        match self.runtime.block_on(async { tokio::time::timeout(LISTEN_PAUSE, more).await }) {
            Ok(failure) => Err(failure.into_error()),
            Err(_) => Ok(true),
        }
    }
}

fn messages_of<S: TlsStream + Unpin + Send + 'static>(mut connection: Connection<Socket, S>) -> Messages {
    poll_fn(move |context| connection.poll_message(context)).boxed()
}

async fn listen(client: &Client, messages: &mut Messages, channel: &str) -> Result<(), Failure> {
    let listen = format!("LISTEN {channel}");
    // The question travels only while somebody looks after the connection.
    match select(pin!(client.batch_execute(&listen)), pin!(serve(messages))).await {
        Either::Left((listening, _)) => listening.map_err(error::translate),
        Either::Right((failure, _)) => Err(failure),
    }
}

/// Runs the connection until it fails.
async fn serve(messages: &mut Messages) -> Failure {
    loop {
        if let Err(failure) = notified(messages).await {
            return failure;
        }
    }
}

/// Until the next notification.
async fn notified(messages: &mut Messages) -> Result<(), Failure> {
    loop {
        match messages.next().await {
            Some(Ok(AsyncMessage::Notification(_))) => return Ok(()),
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(error::translate(error)),
            None => return Err(Failure::Lost("postgres: the connection that listens has ended".into())),
        }
    }
}
