//! The kinds that only a full build has: `cargo build --features full`.

use super::{Remote, Service, StorageOption, Way, build, flag, secret, text};
use opendal::services;

pub(super) static SERVICES: &[Service] = &[
    Service {
        scheme: "gcs",
        title: "Google Cloud Storage",
        form: "BUCKET[/PREFIX]",
        read_only: false,
        own_options: &[
            text("endpoint", "of a server that is not Google's"),
            text("credential_path", "file with the key of a service account [default: Google's own chain]"),
            flag("allow_anonymous", "sign nothing, for public buckets"),
            text("predefined_acl", "of new objects"),
            text("default_storage_class", "of new objects, for example NEARLINE"),
            secret("credential", "key of a service account, in base64"),
            secret("token", "access token"),
        ],
        way: Way::Http(Remote { place: BUCKET, puts_are_atomic: true, build: build::<services::Gcs> }),
    },
    Service {
        scheme: "azblob",
        title: "Azure Blob Storage",
        form: "CONTAINER[/PREFIX]",
        read_only: false,
        own_options: &[
            text("endpoint", "https://ACCOUNT.blob.core.windows.net"),
            text("account_name", "[default: that of the endpoint]"),
            secret("account_key", "[default: Azure's own chain]"),
            secret("sas_token", "shared access signature, instead of a key"),
        ],
        way: Way::Http(Remote { place: ("container", ""), puts_are_atomic: true, build: build::<services::Azblob> }),
    },
    Service {
        scheme: "azdls",
        title: "Azure Data Lake Storage Gen2",
        form: "FILESYSTEM[/PREFIX]",
        read_only: false,
        own_options: &[
            text("endpoint", "https://ACCOUNT.dfs.core.windows.net"),
            text("account_name", "[default: that of the endpoint]"),
            secret("account_key", "[default: Azure's own chain]"),
            secret("sas_token", "shared access signature, instead of a key"),
        ],
        way: Way::Http(Remote { place: ("filesystem", ""), puts_are_atomic: false, build: build::<services::Azdls> }),
    },
    Service {
        scheme: "b2",
        title: "Backblaze B2",
        form: "BUCKET[/PREFIX]",
        read_only: false,
        own_options: &[
            text("bucket_id", "the bucket's number, which B2 wants besides its name"),
            secret("application_key_id", "of the key"),
            secret("application_key", "the key"),
        ],
        way: Way::Http(Remote { place: BUCKET, puts_are_atomic: true, build: build::<services::B2> }),
    },
    Service {
        scheme: "oss",
        title: "Alibaba Cloud OSS",
        form: "BUCKET[/PREFIX]",
        read_only: false,
        own_options: &[
            text("endpoint", "https://REGION.aliyuncs.com"),
            flag("allow_anonymous", "sign nothing, for public buckets"),
            text("role_arn", "role to assume"),
            text("server_side_encryption", "AES256 or KMS"),
            secret("access_key_id", "[default: Alibaba's own chain]"),
            secret("access_key_secret", "of that key"),
            secret("security_token", "of temporary credentials"),
        ],
        way: Way::Http(Remote { place: BUCKET, puts_are_atomic: true, build: build::<services::Oss> }),
    },
    Service {
        scheme: "cos",
        title: "Tencent Cloud COS",
        form: "BUCKET[/PREFIX]",
        read_only: false,
        own_options: &[
            text("endpoint", "https://cos.REGION.myqcloud.com"),
            flag("disable_config_load", "take no credentials from the environment"),
            secret("secret_id", "[default: Tencent's own chain]"),
            secret("secret_key", "of that id"),
            secret("security_token", "of temporary credentials"),
        ],
        way: Way::Http(Remote { place: BUCKET, puts_are_atomic: true, build: build::<services::Cos> }),
    },
    Service {
        scheme: "obs",
        title: "Huawei Cloud OBS",
        form: "BUCKET[/PREFIX]",
        read_only: false,
        own_options: &[
            text("endpoint", "https://obs.REGION.myhuaweicloud.com"),
            secret("access_key_id", "[default: Huawei's own chain]"),
            secret("secret_access_key", "of that key"),
        ],
        way: Way::Http(Remote { place: BUCKET, puts_are_atomic: true, build: build::<services::Obs> }),
    },
    Service {
        scheme: "tos",
        title: "Volcengine TOS",
        form: "BUCKET[/PREFIX]",
        read_only: false,
        own_options: &[
            text("endpoint", "https://tos-REGION.volces.com"),
            text("region", "for example cn-beijing"),
            secret("access_key_id", "[default: Volcengine's own chain]"),
            secret("secret_access_key", "of that key"),
            secret("security_token", "of temporary credentials"),
        ],
        way: Way::Http(Remote { place: BUCKET, puts_are_atomic: true, build: build::<services::Tos> }),
    },
    Service {
        scheme: "swift",
        title: "OpenStack Swift",
        form: "CONTAINER[/PREFIX]",
        read_only: false,
        own_options: &[text("endpoint", "https://HOST/v1/ACCOUNT"), secret("token", "the auth token")],
        way: Way::Http(Remote { place: ("container", ""), puts_are_atomic: true, build: build::<services::Swift> }),
    },
    Service {
        scheme: "upyun",
        title: "UPYUN",
        form: "BUCKET[/PREFIX]",
        read_only: false,
        own_options: &[text("operator", "who we are"), secret("password", "of that operator")],
        way: Way::Http(Remote { place: BUCKET, puts_are_atomic: true, build: build::<services::Upyun> }),
    },
    Service {
        scheme: "webhdfs",
        title: "HDFS by its web service, over https",
        form: "HOST[:PORT]/FOLDER",
        read_only: false,
        own_options: WEBHDFS,
        way: Way::Http(Remote {
            place: ("endpoint", "https://"),
            puts_are_atomic: false,
            build: build::<services::Webhdfs>,
        }),
    },
    Service {
        scheme: "webhdfs+http",
        title: "the same, everything in the clear",
        form: "HOST[:PORT]/FOLDER",
        read_only: false,
        own_options: WEBHDFS,
        way: Way::Http(Remote {
            place: ("endpoint", "http://"),
            puts_are_atomic: false,
            build: build::<services::Webhdfs>,
        }),
    },
    Service {
        scheme: "hdfs",
        title: "HDFS by its own protocol, without Java",
        form: "HOST[:PORT]/FOLDER",
        read_only: false,
        own_options: &[],
        way: Way::Other(Remote {
            place: ("name_node", "hdfs://"),
            puts_are_atomic: false,
            build: build::<services::HdfsNative>,
        }),
    },
];

const BUCKET: (&str, &str) = ("bucket", "");
static WEBHDFS: &[StorageOption] = &[text("user_name", "who we are"), secret("delegation", "delegation token")];
