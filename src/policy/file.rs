//! The policy file as TOML, each value with its place.

use super::error::PolicyError;
use crate::nearest::nearest;
use crate::place::{place, toml_key};
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
    #[serde(default)]
    pub fence: FenceTable,
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

/// `[fence]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FenceTable {
    #[serde(default)]
    pub bridges: Vec<Spanned<String>>,
    #[serde(default)]
    pub networks: Vec<Spanned<String>>,
    #[serde(default)]
    pub guests: Vec<Spanned<String>>,
}

fn yes() -> bool {
    true
}

const KEYS: [&str; 18] = [
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
    "hosts",
    "fence",
    "bridges",
    "networks",
    "guests",
];

/// Parses the text.
///
/// # Errors
/// [`PolicyError::Toml`]; for an unknown key the cure is the nearest known one.
pub fn parse(text: &str, origin: &str) -> Result<File, PolicyError> {
    toml::from_str(text).map_err(|source: toml::de::Error| {
        let span = source.span().unwrap_or_default();
        let unknown = toml_key(text, span.clone()).filter(|key| !KEYS.contains(key));
        let cure = match unknown.map(|key| nearest(key, KEYS)) {
            None => "see the comments in the shipped lanfence.toml for what belongs where".into(),
            Some(Some(known)) => format!("did you mean `{known}`?"),
            Some(None) => {
                "take the key out; the shipped lanfence.toml shows all that there are".into()
            }
        };
        PolicyError::Toml {
            place: place(origin, text, span.start),
            cure,
            source: Box::new(source),
        }
    })
}
