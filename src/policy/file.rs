//! The policy file as TOML, each value with its place.

use super::error::PolicyError;
use crate::nearest::nearest;
use serde::Deserialize;
use toml::Spanned;

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    pub name: Option<Spanned<String>>,
    pub lan: Lan,
    #[serde(default)]
    pub dhcp: DhcpTable,
    #[serde(default)]
    pub broadcast: Broadcast,
    #[serde(default)]
    pub multicast: Multicast,
    #[serde(default)]
    pub allow: Allow,
}

/// `[lan]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lan {
    pub prefixes: Spanned<Vec<Spanned<String>>>,
    pub gateway: Option<Spanned<String>>,
    #[serde(default, rename = "link-local")]
    pub link_local: bool,
}

/// `[dhcp]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DhcpTable {
    #[serde(default = "yes")]
    pub client: bool,
    #[serde(default)]
    pub servers: Vec<Spanned<String>>,
}

impl Default for DhcpTable {
    fn default() -> Self {
        Self {
            client: true,
            servers: Vec::new(),
        }
    }
}

/// `[broadcast]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Broadcast {
    #[serde(default = "yes")]
    pub limited: bool,
}

impl Default for Broadcast {
    fn default() -> Self {
        Self { limited: true }
    }
}

/// `[multicast]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Multicast {
    pub groups: Option<Vec<Spanned<String>>>,
}

/// `[allow]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Allow {
    #[serde(default)]
    pub hosts: Vec<Spanned<String>>,
}

fn yes() -> bool {
    true
}

const KEYS: [&str; 13] = [
    "name",
    "lan",
    "prefixes",
    "gateway",
    "link-local",
    "dhcp",
    "client",
    "servers",
    "broadcast",
    "limited",
    "multicast",
    "groups",
    "allow",
];

/// Parses the text; unknown keys are errors with the nearest known one.
pub fn parse(text: &str, origin: &str) -> Result<File, PolicyError> {
    toml::from_str(text).map_err(|error| {
        let offset = error.span().map_or(0, |span| span.start);
        let what = error.message().to_owned();
        let unknown = what
            .strip_prefix("unknown field `")
            .and_then(|rest| rest.split('`').next());
        let cure = unknown.map_or_else(
            || "see the comments in the shipped lanfence.toml for what belongs where".to_owned(),
            |key| match nearest(key, KEYS) {
                Some(known) => format!("did you mean `{known}`?"),
                None => "take the key out; the shipped lanfence.toml shows all that there are"
                    .to_owned(),
            },
        );
        PolicyError::at(origin, text, offset, what, cure)
    })
}
