//! TLS below the client library, by rustls.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use shoal_kv::KvError;
use shoal_kv_remote::{Failure, Tls};
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::Socket;
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use tokio_rustls::client::TlsStream as Stream;
use tokio_rustls::{Connect, TlsConnector};

#[derive(Clone)]
pub(crate) struct Connector {
    config: Arc<ClientConfig>,
}

impl Connector {
    /// Reads the files.
    pub fn of(tls: &Tls) -> Result<Self, Failure> {
        Tls::install_cryptography();
        let config = ClientConfig::builder().with_root_certificates(roots(tls.ca.as_deref())?);
        let config = match &tls.identity {
            None => config.with_no_client_auth(),
            Some((certificate, key)) => {
                let read = PrivateKeyDer::from_pem_slice(&Tls::read(key).map_err(Failure::Refused)?);
                let read = read.map_err(|error| refused(key, &error))?;
                let identity = config.with_client_auth_cert(certificates(certificate)?, read);
                identity.map_err(|error| refused(certificate, &error))?
            }
        };
        Ok(Connector { config: Arc::new(config) })
    }
}

fn roots(ca: Option<&Path>) -> Result<RootCertStore, Failure> {
    let mut roots = RootCertStore::empty();
    match ca {
        Some(ca) => {
            let certificates = certificates(ca)?;
            certificates.into_iter().try_for_each(|ca| roots.add(ca)).map_err(|error| refused(ca, &error))?;
        }
        // Some of a system's may be of kinds that nobody knows any more.
        None => drop(roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs)),
    }
    Ok(roots)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let text = Tls::read(path).map_err(Failure::Refused)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(refused(path, &"there is no certificate in it")),
        Err(error) => Err(refused(path, &error)),
    }
}

fn refused(path: &Path, why: &dyn std::fmt::Display) -> Failure {
    Failure::Refused(KvError::Other(format!("postgres: {}: {why}", path.display())))
}

pub(crate) struct ConnectorTo {
    config: Arc<ClientConfig>,
    host: ServerName<'static>,
}

impl MakeTlsConnect<Socket> for Connector {
    type Stream = Secured;
    type TlsConnect = ConnectorTo;
    type Error = io::Error;

    fn make_tls_connect(&mut self, host: &str) -> io::Result<ConnectorTo> {
        let host = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        Ok(ConnectorTo { config: self.config.clone(), host })
    }
}

impl TlsConnect<Socket> for ConnectorTo {
    type Stream = Secured;
    type Error = io::Error;
    type Future = Securing;

    fn connect(self, stream: Socket) -> Securing {
        Securing(TlsConnector::from(self.config).connect(self.host, stream))
    }
}

pub(crate) struct Securing(Connect<Socket>);

impl Future for Securing {
    type Output = io::Result<Secured>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map_ok(Secured)
    }
}

pub(crate) struct Secured(Stream<Socket>);

impl TlsStream for Secured {
    /// Its certificate is verified by TLS itself.
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl AsyncRead for Secured {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, into)
    }
}

impl AsyncWrite for Secured {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, from)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
