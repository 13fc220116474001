//! S3: what its options mean in our words, and what they are if nothing is said.

use super::{Config, StorageOption, build, flag, secret, text};
use crate::{StoreError, StoreResult};
use opendal::{Operator, services};

pub(super) static OPTIONS: &[StorageOption] = &[
    text("endpoint", "of a server that is not Amazon's: https://HOST[:PORT], or http:// for a connection in the clear"),
    text("region", "[default: from AWS_REGION or the AWS configuration; us-east-1 with an endpoint]"),
    flag("path_style", "the bucket in the path instead of the host name [default: true with an endpoint, else false]"),
    flag("anonymous", "sign nothing, for public buckets"),
    text("profile", "section of the AWS configuration"),
    text("role_arn", "role to assume"),
    text("external_id", "to be told when assuming the role"),
    flag("disable_config_load", "take no credentials from the environment or the AWS configuration"),
    flag("disable_ec2_metadata", "take no credentials from the metadata service of a virtual machine"),
    flag("enable_request_payer", "we pay for requests to a bucket of others"),
    text("default_storage_class", "of new objects, for example STANDARD_IA"),
    text("server_side_encryption", "AES256 or aws:kms"),
    text("server_side_encryption_aws_kms_key_id", "key of the latter"),
    text("checksum_algorithm", "crc32c or md5: the server checks each object it takes"),
    flag("disable_list_objects_v2", "for old servers"),
    secret("access_key_id", "without it: the AWS credential chain"),
    secret("secret_access_key", "of that key"),
    secret("session_token", "of temporary credentials"),
];

pub(super) fn build_s3(mut config: Config) -> StoreResult<Operator> {
    let own_endpoint = config.contains_key("endpoint");
    let path_style = config.remove("path_style").map_or(own_endpoint, |value| value == "true");
    // A host name with more dots would not match the certificate.
    let dotted = config.get("bucket").is_some_and(|bucket| bucket.contains('.'));
    config.insert("enable_virtual_host_style".into(), (!path_style && !dotted).to_string());
    if let Some(anonymous) = config.remove("anonymous") {
        config.insert("skip_signature".into(), anonymous);
    }
    if own_endpoint {
        config.entry("region".into()).or_insert_with(|| "us-east-1".into());
    }
    if config.contains_key("access_key_id") != config.contains_key("secret_access_key") {
        return Err(StoreError::Other("access_key_id and secret_access_key go together; set both, or none".into()));
    }
    build::<services::S3>(config)
}
