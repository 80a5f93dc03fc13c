//! The parameters that a filter is bound with, for reports.

use super::learning::{AddressSource, Learning};
use super::vocabulary::variables;
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;

/// Where a parameter's value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ParameterSource {
    /// The user gave it.
    Given,
    /// Nobody gave it; it stands for what libvirt would learn.
    Example,
    /// libvirt learned it from the guest's frames.
    Learnt,
}

/// A parameter with its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// Its value, one of several where the name is repeated; none for what each guest of a
    /// run has another value of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Where it comes from.
    pub source: ParameterSource,
    /// What libvirt learns it from, where it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub learning: Option<Learning>,
}

impl Parameter {
    /// Those that were given, in their order, and the guest's address where libvirt learns it:
    /// the example that stands for it, or none where guests run.
    pub fn all(
        given: &[(String, String)],
        address: AddressSource,
        example: Option<Ipv4Addr>,
    ) -> Vec<Self> {
        let given = given.iter().map(|(name, value)| Self {
            name: name.clone(),
            value: Some(value.clone()),
            source: ParameterSource::Given,
            learning: None,
        });
        let learnt = match address {
            AddressSource::Learnt(learning) => Some(Self {
                name: variables::IP.to_owned(),
                value: example.map(|address| address.to_string()),
                source: example.map_or(ParameterSource::Learnt, |_| ParameterSource::Example),
                learning: Some(learning),
            }),
            AddressSource::NotAsked | AddressSource::Given => None,
        };
        given.chain(learnt).collect()
    }

    /// `IP=192.168.1.77`, and for the guest's address how libvirt comes by it.
    pub fn text(&self) -> String {
        let name = &self.name;
        let learning = self.learning.map_or("any", Learning::word);
        match (self.source, &self.value) {
            (ParameterSource::Given, value) => {
                format!("{name}={}", value.as_deref().unwrap_or_default())
            }
            (ParameterSource::Example, value) => format!(
                "{name}={} (an example: nobody gives it, libvirt learns it, CTRL_IP_LEARNING={learning})",
                value.as_deref().unwrap_or_default()
            ),
            (ParameterSource::Learnt, _) => {
                format!("{name} (nobody gives it: libvirt learns it, CTRL_IP_LEARNING={learning})")
            }
        }
    }
}
