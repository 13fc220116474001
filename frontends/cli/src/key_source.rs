//! Where the key of an encrypted volume comes from, as the command line says it. No secret is ever an argument: what
//! stands on a command line is for everybody on the machine to see.

use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::places;
use serde::{Deserialize, Serialize};
use shoal_encryption::{KeyError, KeyFile, VolumeKey, WrappedKey};
use std::ffi::OsString;
use std::fmt;
use std::io::Write;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use zeroize::Zeroizing;

/// How an encrypted volume's key is opened
#[derive(clap::Args, Clone, Debug, Default)]
#[group(multiple = false)]
pub struct KeyArguments {
    /// The environment variable that holds the passphrase of an encrypted volume
    #[arg(long, value_name = "VAR")]
    pub passphrase_env: Option<String>,
    /// The key file of an encrypted volume
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
    /// A shell command that opens the key of an encrypted volume: see docs/encryption.md
    #[arg(long, value_name = "COMMAND")]
    pub kms_command: Option<String>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum KeySource {
    PassphraseEnv(String),
    /// An absolute path.
    KeyFile(PathBuf),
    KmsCommand(String),
}

/// What a KMS makes of 32 bytes is far shorter.
const WRAPPED_BYTES_MAX: usize = 64 << 10;

impl KeyArguments {
    pub fn source(&self) -> Outcome<Option<KeySource>> {
        let KeyArguments { passphrase_env, key_file, kms_command } = self;
        Ok(match (passphrase_env, key_file, kms_command) {
            (Some(variable), ..) => Some(KeySource::PassphraseEnv(variable.clone())),
            (_, Some(path), _) => Some(KeySource::KeyFile(places::absolute(path)?)),
            (_, _, Some(command)) => Some(KeySource::KmsCommand(command.clone())),
            (None, None, None) => None,
        })
    }
}

impl KeySource {
    /// Wraps the key, and sees that it can be opened again.
    pub fn wrap(&self, volume: &str, key: &VolumeKey) -> Outcome<WrappedKey> {
        let wrapped = self.wrap_unchecked(volume, key)?;
        match self.open(volume, &wrapped)? == *key {
            true => Ok(wrapped),
            false => Err(Failure::new(
                Exit::Other,
                self,
                "what it wraps it does not open again",
                "see docs/encryption.md for what it must print",
            )),
        }
    }

    fn wrap_unchecked(&self, volume: &str, key: &VolumeKey) -> Outcome<WrappedKey> {
        match self {
            KeySource::PassphraseEnv(variable) => Ok(WrappedKey::by_passphrase(volume, key, &passphrase(variable)?)),
            KeySource::KeyFile(path) => Ok(WrappedKey::by_key_file(volume, key, &read_key_file(path)?)),
            KeySource::KmsCommand(command) => {
                let wrapped = run_kms(command, "wrap", key.as_bytes())?;
                let refuse =
                    |why| Failure::new(Exit::Other, self, why, "see docs/encryption.md for what it must print");
                match wrapped.len() {
                    0 => Err(refuse("it printed nothing for wrap")),
                    length if length > WRAPPED_BYTES_MAX => Err(refuse("it printed far too much for wrap")),
                    // Whoever gives the key itself back keeps no secret.
                    _ if wrapped.windows(VolumeKey::BYTES).any(|window| window == key.as_bytes()) => {
                        Err(refuse("it printed the key itself for wrap"))
                    }
                    _ => Ok(WrappedKey::by_kms(wrapped.to_vec())),
                }
            }
        }
    }

    pub fn open(&self, volume: &str, wrapped: &WrappedKey) -> Outcome<VolumeKey> {
        let opened = match self {
            KeySource::PassphraseEnv(variable) => wrapped.open_by_passphrase(volume, &passphrase(variable)?),
            KeySource::KeyFile(path) => wrapped.open_by_key_file(volume, &read_key_file(path)?),
            KeySource::KmsCommand(command) => match wrapped.kms_bytes() {
                Ok(bytes) => {
                    let opened = run_kms(command, "unwrap", bytes)?;
                    VolumeKey::from_bytes(&opened).ok_or(KeyError::Damaged)
                }
                Err(error) => Err(error),
            },
        };
        opened.map_err(|error| self.explain(&error))
    }

    fn explain(&self, error: &KeyError) -> Failure {
        let (exit, cure) = match (error, self) {
            (KeyError::WrongPassphrase, _) => (Exit::Permission, "set the variable to the one used at format"),
            (KeyError::WrongKeyFile, _) => (Exit::Permission, "name the file used at format"),
            (KeyError::OtherKind(_), _) => (Exit::Usage, "give that instead"),
            (KeyError::Damaged, KeySource::KmsCommand(_)) => {
                (Exit::Permission, "it must print the 32 bytes that it was given to wrap")
            }
            (KeyError::Damaged, _) => (Exit::Damaged, "restore the volume's metadata from a backup"),
        };
        Failure::new(exit, self, error, cure)
    }
}

impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeySource::PassphraseEnv(variable) => write!(f, "--passphrase-env {variable}"),
            KeySource::KeyFile(path) => write!(f, "--key-file {}", path.display()),
            KeySource::KmsCommand(command) => write!(f, "--kms-command '{command}'"),
        }
    }
}

fn passphrase(variable: &str) -> Outcome<Zeroizing<Vec<u8>>> {
    let value = std::env::var_os(variable).map(OsString::into_vec).map(Zeroizing::new);
    let what = format_args!("--passphrase-env {variable}").to_string();
    match value {
        Some(value) if !value.is_empty() => Ok(value),
        Some(_) => Err(Failure::new(Exit::Usage, what, "this variable is empty", "set it to the passphrase")),
        None => Err(Failure::new(
            Exit::Usage,
            what,
            "there is no such variable in the environment",
            format_args!("set it: read -rs {variable} && export {variable}"),
        )),
    }
}

fn read_key_file(path: &Path) -> Outcome<KeyFile> {
    let text = std::fs::read_to_string(path).map(Zeroizing::new);
    let text = text.map_err(|error| Failure::of_io(path, "reading the key file", &error))?;
    KeyFile::parse(&text)
        .map_err(|error| Failure::told(Exit::Usage, format_args!("--key-file {}: {error}", path.display())))
}

/// Gives `bytes` to the command's input; what it prints. Its own messages go where ours go.
fn run_kms(command: &str, action: &str, bytes: &[u8]) -> Outcome<Zeroizing<Vec<u8>>> {
    let what = format!("--kms-command '{command}'");
    let broken = |error: std::io::Error| Failure::new(Exit::Other, &what, error, "check that a shell can run it");
    let mut child = Command::new("/bin/sh")
        .args(["-c", &format!("{command} {action}")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(broken)?;
    // So few bytes fit into the pipe whether they are read or not.
    let written = child.stdin.take().expect("its input is piped").write_all(bytes);
    let output = child.wait_with_output().map_err(broken)?;
    if !output.status.success() {
        let why = format!("{action} failed ({})", output.status);
        return Err(Failure::new(Exit::Permission, &what, why, "see what it said above, or run it by hand"));
    }
    match written {
        // One that needs no input may end before it is written.
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(broken(error)),
        _ => Ok(Zeroizing::new(output.stdout)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kms_command_gets_the_action_as_its_last_word_and_the_bytes_on_its_input() {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("kms");
        let turn = "case $1 in wrap) tr '\\000-\\376\\377' '\\001-\\377\\000';; unwrap) tr '\\001-\\377\\000' '\\000-\\377';; esac";
        std::fs::write(&script, format!("export LC_ALL=C\n{turn}\n")).unwrap();
        let source = KeySource::KmsCommand(format!("sh {}", script.display()));
        let key = VolumeKey::generate();
        let wrapped = source.wrap("v", &key).unwrap();
        assert_eq!(source.open("v", &wrapped).unwrap(), key);
        let refusal = |command: &str| KeySource::KmsCommand(command.into()).wrap("v", &key).unwrap_err().to_string();
        assert!(refusal("cat; :").contains("the key itself"));
        assert!(refusal("exit 3; :").contains("wrap failed"));
        assert!(refusal(":").contains("printed nothing"));
        assert!(refusal("date; :").contains("32 bytes"));
        let other = KeySource::PassphraseEnv("HOME".into()).open("v", &wrapped).unwrap_err();
        assert!(other.to_string().contains("--kms-command"), "{other}");
    }

    #[test]
    fn a_passphrase_that_is_missing_or_empty_is_told_with_its_variable() {
        let missing = KeySource::PassphraseEnv("SHOAL_NO_SUCH_VARIABLE".into());
        let refusal = missing.wrap("v", &VolumeKey::generate()).unwrap_err().to_string();
        assert!(refusal.contains("SHOAL_NO_SUCH_VARIABLE") && refusal.contains("export"), "{refusal}");
    }
}
