//! The HTTP client of every service that speaks HTTP: TLS by rustls, with the system's roots or a CA of the user's, and
//! a certificate of the user's where the server wants one.
//!
//! An answer that redirects from https to http is an error: nothing that was to be encrypted is ever sent in the clear.

use crate::{StoreError, StoreResult};
use opendal::HttpTransporter;
use opendal_http_transport_reqwest::ReqwestTransport;
use reqwest::redirect::{Attempt, Policy};
use reqwest::{Certificate, Client, Identity};
use std::path::Path;
use std::time::Duration;

const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);
/// Without a byte for so long, a connection counts as lost.
const SILENCE_MAX: Duration = Duration::from_secs(30);
const IDLE_CONNECTIONS_MAX: usize = 64;
const REDIRECTS_MAX: usize = 10;

/// `ca` holds certificates in PEM, which replace the system's; `certificate` a chain and its key in PEM.
pub(crate) fn transport(ca: Option<&Path>, certificate: Option<&Path>) -> StoreResult<HttpTransporter> {
    // Another part of the program may have installed the same one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = Client::builder()
        .user_agent(concat!("shoal/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIME_MAX)
        .read_timeout(SILENCE_MAX)
        .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
        .redirect(Policy::custom(never_into_the_clear));
    if let Some(path) = ca {
        let pem = read(path)?;
        let certificates = Certificate::from_pem_bundle(&pem).map_err(|error| refuse(path, &error))?;
        if certificates.is_empty() {
            return Err(StoreError::Other(format!("{}: there is no certificate in it", path.display())));
        }
        builder = builder.tls_certs_only(certificates);
    }
    if let Some(path) = certificate {
        builder = builder.identity(Identity::from_pem(&read(path)?).map_err(|error| refuse(path, &error))?);
    }
    let client = builder.build().map_err(|error| StoreError::Other(format!("starting the HTTP client: {error}")))?;
    Ok(HttpTransporter::new(ReqwestTransport::new(client)))
}

fn never_into_the_clear(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    let was_encrypted = attempt.previous().iter().any(|url| url.scheme() == "https");
    if was_encrypted && attempt.url().scheme() != "https" {
        return attempt.error("the server redirects from https to a connection in the clear");
    }
    match attempt.previous().len() > REDIRECTS_MAX {
        true => attempt.error("the server redirects in circles"),
        false => attempt.follow(),
    }
}

fn read(path: &Path) -> StoreResult<Vec<u8>> {
    std::fs::read(path).map_err(|error| StoreError::Other(format!("{}: {error}", path.display())))
}

fn refuse(path: &Path, error: &reqwest::Error) -> StoreError {
    StoreError::Other(format!("{}: this is no certificate in PEM: {error}", path.display()))
}
