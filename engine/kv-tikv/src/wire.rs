//! gRPC to any number of addresses, one channel each, which connects anew by itself. Every call has a deadline.

use futures_util::future::BoxFuture;
use http::uri::PathAndQuery;
use prost::Message;
use shoal_kv_remote::{Failure, Tls};
use std::collections::HashMap;
use std::error::Error;
use std::sync::RwLock;
use std::time::{Duration, Instant};
use tonic::client::Grpc;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Request, Status};
use tonic_prost::ProstCodec;

pub(crate) struct Wire {
    tls: Option<Tls>,
    connect_max: Duration,
    channels: RwLock<HashMap<String, Channel>>,
}

impl Wire {
    pub fn new(tls: Option<Tls>, connect_max: Duration) -> Self {
        Wire { tls, connect_max, channels: RwLock::default() }
    }

    pub async fn ask<A: Message + Default + 'static>(
        &self,
        address: &str,
        path: &'static str,
        question: impl Message + Clone + 'static,
        deadline: Instant,
    ) -> Result<A, Failure> {
        self.insist(address, deadline, |mut grpc| {
            let (question, path) = (Request::new(question.clone()), PathAndQuery::from_static(path));
            Box::pin(async move {
                grpc.ready().await.map_err(unready)?;
                Ok(grpc.unary(question, path, ProstCodec::default()).await?.into_inner())
            })
        })
        .await
    }

    /// For calls that carry any number of questions: one, and its answer.
    pub async fn ask_in_stream<A: Message + Default + 'static>(
        &self,
        address: &str,
        path: &'static str,
        question: impl Message + Clone + 'static,
        deadline: Instant,
    ) -> Result<A, Failure> {
        self.insist(address, deadline, |mut grpc| {
            let questions = Request::new(futures_util::stream::iter([question.clone()]));
            Box::pin(async move {
                grpc.ready().await.map_err(unready)?;
                let path = PathAndQuery::from_static(path);
                let mut answers = grpc.streaming(questions, path, ProstCodec::default()).await?.into_inner();
                let answer = answers.message().await?;
                // To its end: a stream that is dropped before is reset, what still comes of it counts as the other side's
                // fault, and after a thousand of these the connection is given up.
                tokio::spawn(async move { while let Ok(Some(_)) = answers.message().await {} });
                answer.ok_or_else(|| Status::unavailable("it ended without an answer"))
            })
        })
        .await
    }

    /// Asks again a few times where an answer is lost with its connection: whatever is asked here may be asked twice.
    async fn insist<A>(
        &self,
        address: &str,
        deadline: Instant,
        ask: impl Fn(Grpc<Channel>) -> BoxFuture<'static, Result<A, Status>>,
    ) -> Result<A, Failure> {
        let mut pause = PAUSE_FIRST;
        loop {
            let lost = |why: String| Failure::Lost(format!("tikv: {address}: {why}"));
            let failure = match tokio::time::timeout_at(deadline.into(), ask(self.grpc(address)?)).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(status)) => lost(chain(&status)),
                Err(_) => lost("no answer in time".into()),
            };
            // Perhaps the way has ended without a word, or our certificate is too old: the next call makes another.
            self.channels.write().expect("no panic under this lock").remove(address);
            if pause > PAUSE_LAST || Instant::now() + pause >= deadline {
                return Err(failure);
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
    }

    fn grpc(&self, address: &str) -> Result<Grpc<Channel>, Failure> {
        let limits = |channel: Channel| {
            Grpc::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX).max_encoding_message_size(MESSAGE_BYTES_MAX)
        };
        if let Some(channel) = self.channels.read().expect("no panic under this lock").get(address) {
            return Ok(limits(channel.clone()));
        }
        let unusable = |error: tonic::transport::Error| Failure::Lost(format!("tikv: {address}: {}", chain(&error)));
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let endpoint = Endpoint::from_shared(format!("{scheme}://{address}")).map_err(unusable)?;
        let endpoint = endpoint
            .connect_timeout(self.connect_max)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE);
        let endpoint = match &self.tls {
            Some(tls) => endpoint.tls_config(secured(tls)?).map_err(unusable)?,
            None => endpoint,
        };
        let channel = endpoint.connect_lazy();
        self.channels.write().expect("no panic under this lock").insert(address.into(), channel.clone());
        Ok(limits(channel))
    }
}

/// Reads the files.
fn secured(tls: &Tls) -> Result<ClientTlsConfig, Failure> {
    Tls::install_cryptography();
    let read = |path: &std::path::Path| Tls::read(path).map_err(Failure::Refused);
    let config = match &tls.ca {
        Some(ca) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(ca)?)),
        None => ClientTlsConfig::new().with_native_roots(),
    };
    Ok(match &tls.identity {
        Some((certificate, key)) => config.identity(Identity::from_pem(read(certificate)?, read(key)?)),
        None => config,
    })
}

fn unready(error: tonic::transport::Error) -> Status {
    Status::from_error(Box::new(error))
}

/// An error with all that has led to it.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// Far more than a page of a scan and a batch of a commit.
const MESSAGE_BYTES_MAX: usize = 256 << 20;
const PAUSE_FIRST: Duration = Duration::from_millis(5);
const PAUSE_LAST: Duration = Duration::from_millis(40);
const KEEP_ALIVE: Duration = Duration::from_secs(10);
