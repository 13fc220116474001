//! What opens a store and is for nobody's eyes: keys, passwords, tokens, by the names of the options they stand for.
//!
//! Never shown: not by `Debug`, and [`Secrets::scrub`] takes them out of what services say. Wiped from memory when dropped.

use crate::services::{OptionKind, Service};
use crate::{StoreError, StoreResult};
use std::collections::BTreeMap;
use std::fmt;
use zeroize::Zeroizing;

#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secrets(BTreeMap<&'static str, Zeroizing<String>>);

impl Secrets {
    /// Those of the service that `look_up` knows by the variable of each.
    pub fn from_variables(service: &'static Service, look_up: impl Fn(&str) -> Option<String>) -> Self {
        let found = |name| Some((name, Zeroizing::new(look_up(&variable(name))?)));
        Secrets(
            service
                .options()
                .filter(|option| option.kind == OptionKind::Secret)
                .filter_map(|option| found(option.name))
                .collect(),
        )
    }

    /// Lines `name = value`; empty ones and those that begin with `#` are skipped. The refusals quote no value.
    pub fn parse(service: &'static Service, text: &str) -> StoreResult<Self> {
        let mut secrets = BTreeMap::new();
        for (number, line) in text.lines().enumerate().map(|(at, line)| (at + 1, line.trim())) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let refuse = |why: &str| Err(StoreError::Other(format!("line {number}: {why}")));
            let Some((name, value)) = line.split_once('=') else { return refuse("write NAME = VALUE") };
            match service.option(name.trim()) {
                Some(option) if option.kind == OptionKind::Secret => {
                    secrets.insert(option.name, Zeroizing::new(value.trim().to_string()));
                }
                _ => {
                    return refuse(&format!("this is no secret of {}; {}", service.scheme, service.where_secrets_go()));
                }
            }
        }
        Ok(Secrets(secrets))
    }

    /// In the form that `parse` reads.
    pub fn to_text(&self) -> Zeroizing<String> {
        let lines = self.0.iter().map(|(name, value)| format!("{name} = {}\n", value.as_str()));
        Zeroizing::new(lines.collect())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.as_str())
    }

    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.iter().map(|(name, value)| (*name, value.as_str()))
    }

    /// The text without any of them.
    pub fn scrub(&self, text: String) -> String {
        let worth_it = |secret: &&Zeroizing<String>| !secret.is_empty() && text.contains(secret.as_str());
        let shown: Vec<&str> = self.0.values().filter(worth_it).map(|secret| secret.as_str()).collect();
        shown.into_iter().fold(text.clone(), |text, secret| text.replace(secret, "…"))
    }
}

/// The environment variable of a secret.
pub fn variable(name: &str) -> String {
    format!("SHOAL_STORAGE_{}", name.to_ascii_uppercase())
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services;

    #[test]
    fn secrets_are_read_kept_and_never_shown() {
        let s3 = services::find("s3").unwrap();
        let secrets = Secrets::from_variables(s3, |variable| match variable {
            "SHOAL_STORAGE_ACCESS_KEY_ID" => Some("me".into()),
            "SHOAL_STORAGE_SECRET_ACCESS_KEY" => Some("hu=sh".into()),
            _ => None,
        });
        assert_eq!(secrets.get("secret_access_key"), Some("hu=sh"));
        assert_eq!(Secrets::parse(s3, &secrets.to_text()).unwrap(), secrets);
        assert!(!format!("{secrets:?}").contains("hu=sh"));
        assert_eq!(secrets.scrub("signed with hu=sh, hu=sh".into()), "signed with …, …");
        let refused = Secrets::parse(s3, "# mine\n\nendpoint = hush").unwrap_err().to_string();
        assert!(refused.contains("line 3") && !refused.contains("hush"), "{refused}");
    }
}
