//! `shoal key`: key files, and what opens the key of an encrypted volume.

use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::key_source::KeyArguments;
use crate::meta_url::MetaUrl;
use crate::output::say;
use crate::places;
use crate::volume;
use shoal_encryption::KeyFile;
use shoal_metadata::{MetaError, Metadata};
use shoal_types::Errno;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Make key files, and change what opens an encrypted volume
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  shoal key new /root/photos.key
  shoal format sqlite:///srv/photos.db photos --encrypt aes-256-gcm --key-file /root/photos.key
  shoal key rotate sqlite:///srv/photos.db --key-file /root/photos.key --new-key-file /root/2027.key
  shoal key rotate sqlite:///srv/photos.db --passphrase-env OLD --new-passphrase-env NEW

Rotating wraps the volume's key anew and encrypts nothing again. Mounts go on, and
what opened the volume before opens it no more. See docs/encryption.md.")]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    /// Make a key file; whoever has it can open what it encrypts, and without it nobody can
    New {
        /// A file that does not exist yet
        file: PathBuf,
    },
    /// Let something else open an encrypted volume
    Rotate(Rotate),
}

#[derive(clap::Args, Debug)]
struct Rotate {
    /// The volume's metadata, for example sqlite:///srv/volume.db
    meta_url: String,
    #[command(flatten)]
    key: KeyArguments,
    #[command(flatten)]
    new: NewKeyArguments,
}

#[derive(clap::Args, Debug)]
#[group(required = true, multiple = false)]
struct NewKeyArguments {
    /// The environment variable that holds the new passphrase
    #[arg(long, value_name = "VAR")]
    new_passphrase_env: Option<String>,
    /// The new key file
    #[arg(long, value_name = "FILE")]
    new_key_file: Option<PathBuf>,
    /// The new shell command that opens the key
    #[arg(long, value_name = "COMMAND")]
    new_kms_command: Option<String>,
}

pub fn run(arguments: Arguments) -> Outcome<Exit> {
    match arguments.command {
        Command::New { file } => new(&places::absolute(&file)?)?,
        Command::Rotate(arguments) => rotate(arguments)?,
    }
    Ok(Exit::Success)
}

fn new(path: &Path) -> Outcome<()> {
    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => {
            Failure::new(Exit::InUse, path.display(), "there is a file already", "name another one")
        }
        _ => Failure::of_io(path, "making the key file", &error),
    };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
    let written = file.write_all(KeyFile::generate().to_pem().as_bytes()).and_then(|()| file.sync_all());
    written.map_err(|error| {
        // Half a key opens nothing; the error is what matters.
        let _ = std::fs::remove_file(path);
        failed(error)
    })?;
    say(format_args!("made the key file {}; keep a copy where the volume is not", path.display()));
    Ok(())
}

fn rotate(arguments: Rotate) -> Outcome<()> {
    let url: MetaUrl = arguments.meta_url.parse()?;
    let NewKeyArguments { new_passphrase_env, new_key_file, new_kms_command } = arguments.new;
    let new = KeyArguments { passphrase_env: new_passphrase_env, key_file: new_key_file, kms_command: new_kms_command };
    let new = new.source()?.expect("clap asks for one of them");
    let opened = volume::open(&url)?;
    let (key, old) = volume::open_key(&url, opened.kv.as_ref(), &opened.settings, arguments.key.source()?.as_ref())?;
    let wrapped = new.wrap(&opened.settings.uuid, &key)?;
    Metadata::replace_wrapped_key(opened.kv.as_ref(), &old, &wrapped).map_err(|error| match error {
        MetaError::Refused(Errno::EAGAIN) => Failure::new(
            Exit::InUse,
            &url,
            "somebody else has rotated the key just now",
            "look who it was, then try again",
        ),
        error => Failure::of_metadata(&url, &error),
    })?;
    say(format_args!("the volume {} is opened by {new} from now on", opened.settings.name));
    Ok(())
}
