//! The volume's schema on the server: looked for, made, removed.

use crate::error;
use shoal_kv::KvError;
use shoal_kv_remote::Failure;
use tokio_postgres::Client;

/// Of `schema.sql`, whose functions are called as they are there.
const VERSION: i32 = 2;

/// The schema's name as it stands in statements.
pub(crate) fn quoted(prefix: &str) -> String {
    assert!(!prefix.contains('"'), "a prefix holds no quotes");
    format!("\"{prefix}\"")
}

/// Whether there is a schema that this code can use; with `create`, an absent one is made.
pub(crate) async fn prepare(client: &Client, schema: &str, create: bool) -> Result<bool, Failure> {
    let made = exists(client, schema).await?;
    if !made && !create {
        return Ok(false);
    }
    if !made {
        let text = include_str!("schema.sql").replace("NAME", schema).replace("VERSION", &VERSION.to_string());
        // Two that make it at once: the second waits here, finds that it is there, and is refused by the server.
        let script = format!("BEGIN; SELECT pg_advisory_xact_lock({LOCK}); {text} COMMIT;");
        if let Err(refused) = client.batch_execute(&script).await {
            // An error leaves the transaction open.
            client.batch_execute("ROLLBACK").await.map_err(error::translate)?;
            if !exists(client, schema).await? {
                return Err(error::translate(refused));
            }
        }
    }
    let found: i32 =
        client.query_one(&format!("SELECT {schema}.schema_version()"), &[]).await.map_err(error::translate)?.get(0);
    match found {
        VERSION => Ok(true),
        _ => Err(Failure::Refused(KvError::Other(format!(
            "postgres: the schema {schema} has version {found}, and this program uses {VERSION}"
        )))),
    }
}

pub(crate) async fn remove(client: &Client, schema: &str) -> Result<(), Failure> {
    client.batch_execute(&format!("DROP SCHEMA IF EXISTS {schema} CASCADE")).await.map_err(error::translate)
}

async fn exists(client: &Client, schema: &str) -> Result<bool, Failure> {
    let question = "SELECT EXISTS (SELECT FROM pg_namespace WHERE quote_ident(nspname) = quote_ident($1))";
    let row = client.query_one(question, &[&schema.trim_matches('"')]).await.map_err(error::translate)?;
    Ok(row.get(0))
}

/// An advisory lock of those who make schemas; any number that is always the same.
const LOCK: i64 = 0x5348_4f41_4c00;
