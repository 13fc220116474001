//! Where a server is: `SCHEME://[USER[:PASSWORD]@]HOST[:PORT][,HOST[:PORT]…][/PATH][?NAME=VALUE&…]`.
//!
//! Kinds whose servers are named in a file have `SCHEME:///FILE[?NAME=VALUE&…]`, and no host.
//!
//! Shown and debugged without the password, whoever prints it. User, password and values may be percent-encoded.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    pub scheme: String,
    pub user: Option<String>,
    pub password: Option<String>,
    /// For those who are only asked where the servers are. No part of the text.
    pub sentinel_password: Option<String>,
    /// A name or an address; IPv6 without its brackets.
    pub host: String,
    pub port: Option<u16>,
    /// Further ones, of kinds that take several.
    pub other_hosts: Vec<(String, Option<u16>)>,
    /// Without the slash before it.
    pub path: String,
    pub options: BTreeMap<String, String>,
}

/// Why a text is no address. Never quotes the text, which may hold a password.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AddressError(pub String);

impl Address {
    /// Whether every option is one of `known`; else the first that is not.
    pub fn check_options(&self, known: &[&str]) -> Result<(), AddressError> {
        match self.options.keys().find(|name| !known.contains(&name.as_str())) {
            Some(name) => Err(AddressError(format!("there is no option '{name}'; there are: {}", known.join(", ")))),
            None => Ok(()),
        }
    }

    /// The address with its password: for where only its owner reads.
    pub fn revealed(&self) -> String {
        self.text(self.password.as_deref())
    }

    fn text(&self, password: Option<&str>) -> String {
        let mut text = format!("{}://", self.scheme);
        if self.user.is_some() || password.is_some() {
            text += &encoded(self.user.as_deref().unwrap_or_default());
            text += &password.map(|password| format!(":{}", encoded(password))).unwrap_or_default();
            text.push('@');
        }
        for (number, (host, port)) in self.hosts().enumerate() {
            let separator = if number == 0 { "" } else { "," };
            let host = if host.contains(':') { format!("[{host}]") } else { host.into() };
            text += &format!("{separator}{host}{}", port.map(|port| format!(":{port}")).unwrap_or_default());
        }
        if !self.path.is_empty() {
            text += &format!("/{}", encoded(&self.path));
        }
        for (number, (name, value)) in self.options.iter().enumerate() {
            text += &format!("{}{name}={}", if number == 0 { '?' } else { '&' }, encoded(value));
        }
        text
    }

    pub fn hosts(&self) -> impl Iterator<Item = (&str, Option<u16>)> {
        let others = self.other_hosts.iter().map(|(host, port)| (host.as_str(), *port));
        std::iter::once((self.host.as_str(), self.port)).chain(others)
    }

    /// For kinds that take one.
    pub fn require_one_host(&self) -> Result<(), AddressError> {
        match self.other_hosts.is_empty() {
            true => Ok(()),
            false => Err(AddressError("it names several hosts, and this kind takes one".into())),
        }
    }

    pub fn option(&self, name: &str) -> Option<&str> {
        self.options.get(name).map(String::as_str)
    }

    /// The option `prefix`, under which several volumes live side by side on one server: letters, digits, `_` and `-`.
    pub fn prefix(&self) -> Result<&str, AddressError> {
        Self::checked_prefix(self.option("prefix").unwrap_or(PREFIX_DEFAULT))
    }

    /// The same from elsewhere in an address.
    pub fn checked_prefix(prefix: &str) -> Result<&str, AddressError> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        match !prefix.is_empty() && prefix.len() <= PREFIX_BYTES_MAX && prefix.bytes().all(fits) {
            true => Ok(prefix),
            false => {
                Err(AddressError(format!("the prefix must be 1 to {PREFIX_BYTES_MAX} letters, digits, '_' and '-'")))
            }
        }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let wrong = |what: &str| AddressError(what.to_string());
        let (scheme, rest) = text.split_once("://").ok_or_else(|| wrong("it has no scheme"))?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        // The last one: a password that was not encoded may hold others.
        let (login, place) = match authority.rsplit_once('@') {
            Some((login, place)) => (Some(login), place),
            None => (None, authority),
        };
        let (user, password) = match login.map(|login| login.split_once(':').unwrap_or((login, ""))) {
            Some((user, password)) => (decoded_part(user)?, decoded_part(password)?),
            None => (None, None),
        };
        let mut hosts = place.split(',').map(split_place);
        let (host, port) = match hosts.next().expect("a split gives at least one") {
            _ if authority.is_empty() && FILE_SCHEMES.contains(&scheme) => Default::default(),
            first => first?,
        };
        let other_hosts = hosts.collect::<Result<_, _>>()?;
        let mut options = BTreeMap::new();
        for option in query.split('&').filter(|option| !option.is_empty()) {
            let (name, value) = option.split_once('=').ok_or_else(|| wrong("an option has no value"))?;
            options.insert(name.to_string(), decoded(value)?);
        }
        Ok(Address {
            scheme: scheme.to_string(),
            user,
            password,
            sentinel_password: None,
            host,
            port,
            other_hosts,
            path: decoded(path)?,
            options,
        })
    }
}

fn split_place(place: &str) -> Result<(String, Option<u16>), AddressError> {
    let (host, port) = match place.strip_prefix('[').map(|rest| rest.split_once(']')) {
        Some(Some((host, port))) => (host, port.strip_prefix(':')),
        Some(None) => return Err(AddressError("a '[' is not closed".into())),
        None => place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port))),
    };
    if host.is_empty() {
        return Err(AddressError("it names no host".into()));
    }
    let port =
        port.map(str::parse).transpose().map_err(|_| AddressError("the port is no number up to 65535".into()))?;
    Ok((host.to_string(), port))
}

fn decoded_part(text: &str) -> Result<Option<String>, AddressError> {
    Ok(Some(decoded(text)?).filter(|text| !text.is_empty()))
}

fn decoded(text: &str) -> Result<String, AddressError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let digit = |byte: Option<u8>| byte.and_then(|byte| (byte as char).to_digit(16));
        bytes.push(match byte {
            b'%' => match (digit(rest.next()), digit(rest.next())) {
                (Some(high), Some(low)) => (high * 16 + low) as u8,
                _ => return Err(AddressError("a '%' is not followed by two hexadecimal digits".into())),
            },
            byte => byte,
        });
    }
    String::from_utf8(bytes).map_err(|_| AddressError("it is not UTF-8 when decoded".into()))
}

fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/,".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { (byte as char).to_string() } else { format!("%{byte:02X}") }).collect()
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text(None))
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Whose addresses are of a file that tells where the servers are.
const FILE_SCHEMES: [&str; 1] = ["fdb"];
const PREFIX_DEFAULT: &str = "shoal";
const PREFIX_BYTES_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Address {
        text.parse().unwrap()
    }

    #[test]
    fn an_encoded_password_is_decoded_and_never_shown() {
        let address = parse("redis://me%40home:s%3Ae%40cret@db.example:6380/2?prefix=v1&a=b");
        assert_eq!(address.user.as_deref(), Some("me@home"));
        assert_eq!(address.password.as_deref(), Some("s:e@cret"));
        assert_eq!((address.host.as_str(), address.port, address.path.as_str()), ("db.example", Some(6380), "2"));
        assert_eq!(address.prefix(), Ok("v1"));
        assert_eq!(address.to_string(), "redis://me%40home@db.example:6380/2?a=b&prefix=v1");
        assert!(!format!("{address:?}").contains("cret"));
        assert_eq!(parse(&address.revealed()), address);
        assert_eq!(parse(&address.to_string()), Address { password: None, ..address });
    }

    #[test]
    fn a_password_alone_and_an_ipv6_host() {
        let address = parse("redis://:secret@[::1]:7");
        assert_eq!((address.user.as_deref(), address.password.as_deref()), (None, Some("secret")));
        assert_eq!((address.host.as_str(), address.port), ("::1", Some(7)));
        assert_eq!(address.to_string(), "redis://[::1]:7");
        assert_eq!(address.prefix(), Ok("shoal"));
    }

    #[test]
    fn several_hosts_are_told_apart_and_shown_again() {
        let address = parse("redis-cluster://u:p@a,[::1]:7,b:8/0");
        let hosts: Vec<_> = address.hosts().collect();
        assert_eq!(hosts, [("a", None), ("::1", Some(7)), ("b", Some(8))]);
        assert_eq!(address.to_string(), "redis-cluster://u@a,[::1]:7,b:8/0");
        assert!(address.require_one_host().is_err() && parse("redis://a").require_one_host().is_ok());
        assert!("redis-cluster://a,,b".parse::<Address>().is_err());
    }

    #[test]
    fn only_kinds_that_name_a_file_have_no_host() {
        let address = parse("fdb:///etc/fdb.cluster?prefix=a");
        assert_eq!((address.host.as_str(), address.path.as_str()), ("", "etc/fdb.cluster"));
        assert_eq!(address.to_string(), "fdb:///etc/fdb.cluster?prefix=a");
        assert!("redis:///0".parse::<Address>().is_err() && "fdb://:1/f".parse::<Address>().is_err());
    }

    #[test]
    fn refusals_never_quote_what_may_be_a_password() {
        for text in
            ["redis:/secret", "redis://u:secret@", "redis://u:secret@h:99999", "redis://u:%zzsecret@h", "x://[::1"]
        {
            let AddressError(why) = text.parse::<Address>().unwrap_err();
            assert!(!why.contains("secret"), "{why}");
        }
        assert!(parse("x://h?prefix=a/b").prefix().is_err());
        assert!(parse("x://h?prefx=a").check_options(&["prefix"]).is_err());
    }
}
