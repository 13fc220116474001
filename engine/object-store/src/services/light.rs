//! The kinds that every build has.

use super::{Remote, Service, StorageOption, Way, build, s3, secret, text};
use opendal::services;

pub(super) static SERVICES: &[Service] = &[
    Service {
        scheme: "file",
        title: "a folder of this machine, or one that a network file system shares",
        form: "/FOLDER",
        read_only: false,
        own_options: &[],
        way: Way::Folder,
    },
    Service {
        scheme: "s3",
        title: "Amazon S3, and what speaks its protocol",
        form: "BUCKET[/PREFIX]",
        read_only: false,
        own_options: s3::OPTIONS,
        way: Way::Http(Remote { place: ("bucket", ""), puts_are_atomic: true, build: s3::build_s3 }),
    },
    Service {
        scheme: "webdav",
        title: "WebDAV by https",
        form: "HOST[:PORT]/FOLDER",
        read_only: false,
        own_options: LOGIN,
        way: Way::Http(Remote {
            place: ("endpoint", "https://"),
            puts_are_atomic: true,
            build: build::<services::Webdav>,
        }),
    },
    Service {
        scheme: "webdav+http",
        title: "WebDAV, everything in the clear",
        form: "HOST[:PORT]/FOLDER",
        read_only: false,
        own_options: LOGIN,
        way: Way::Http(Remote {
            place: ("endpoint", "http://"),
            puts_are_atomic: true,
            build: build::<services::Webdav>,
        }),
    },
    Service {
        scheme: "sftp",
        title: "SFTP, by the program ssh and its configuration (keys and agents, no passwords)",
        form: "[USER@]HOST[:PORT]/FOLDER",
        read_only: false,
        own_options: &[
            text("key", "file with the private key"),
            text("known_hosts_strategy", "strict; add: trust hosts that are new; accept: trust all [default: strict]"),
        ],
        way: Way::Other(Remote {
            place: ("endpoint", "ssh://"),
            puts_are_atomic: false,
            build: build::<services::Sftp>,
        }),
    },
    Service {
        scheme: "https",
        title: "a web server, for reading only",
        form: "HOST[:PORT]/FOLDER",
        read_only: true,
        own_options: LOGIN,
        way: Way::Http(Remote {
            place: ("endpoint", "https://"),
            puts_are_atomic: true,
            build: build::<services::Http>,
        }),
    },
    Service {
        scheme: "http",
        title: "the same, everything in the clear",
        form: "HOST[:PORT]/FOLDER",
        read_only: true,
        own_options: LOGIN,
        way: Way::Http(Remote {
            place: ("endpoint", "http://"),
            puts_are_atomic: true,
            build: build::<services::Http>,
        }),
    },
    Service {
        scheme: "memory",
        title: "the memory of one process, for trying things out",
        form: "",
        read_only: false,
        own_options: &[],
        way: Way::Memory,
    },
];

static LOGIN: &[StorageOption] = &[
    text("username", "who we are"),
    secret("password", "of that user"),
    secret("token", "bearer token, instead of user and password"),
];
