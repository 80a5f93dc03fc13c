//! What tells the policy and the filter of a run apart from others.

use crate::frame::to_hex;
use crate::nwfilter::{FilterTree, TreeError, write};
use crate::policy::Policy;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// What tells a policy and a filter apart from others, whatever their files are called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The policy's name, which is that of the filter generated from it.
    pub policy: String,
    /// The prefixes of its LAN.
    pub lan: Vec<IpNet>,
    /// SHA-256 of the policy's keys and values in hexadecimal digits; comments, blanks and the
    /// order of keys do not count.
    pub policy_sha256: String,
    /// SHA-256 of the names and the XML of the filters, those that are referred to among them,
    /// in the order in which they are defined.
    pub filter_sha256: String,
}

impl Identity {
    /// Of a policy with its text, and of filters by name and XML.
    pub fn of<'a>(
        policy: &Policy,
        text: &str,
        filters: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Self {
        let lan4 = policy.lan4.iter().map(|net| IpNet::V4(*net));
        let lan6 = policy.lan6.iter().map(|net| IpNet::V6(*net));
        let filters: Vec<(&str, &str)> = filters.collect();
        let filters = serde_json::to_string(&filters).expect("pairs of strings");
        Self {
            policy: policy.name.clone(),
            lan: lan4.chain(lan6).collect(),
            policy_sha256: digest(&meaning(text)),
            filter_sha256: digest(&filters),
        }
    }
}

impl Identity {
    /// Of a policy with its text, and of a tree as `verify` hands it to libvirt.
    ///
    /// # Errors
    /// [`TreeError`] where filters refer to each other in a circle.
    pub fn of_tree(policy: &Policy, text: &str, tree: &FilterTree) -> Result<Self, TreeError> {
        let filters = tree.in_definition_order()?.into_iter();
        let filters = filters.map(|(filter, source)| {
            let shipped = source.filter(|source| source.is_shipped);
            let xml = shipped.map_or_else(|| write(filter), |source| source.text.clone());
            (filter.name.as_str(), xml)
        });
        let filters: Vec<(&str, String)> = filters.collect();
        let filters = filters.iter().map(|(name, xml)| (*name, xml.as_str()));
        Ok(Self::of(policy, text, filters))
    }
}

/// The keys and values of a TOML text in a form of their own; a text that is none is all of its
/// bytes.
fn meaning(text: &str) -> String {
    let table = text.parse::<toml::Table>().ok();
    let plain = table.and_then(|table| serde_json::to_string(&table).ok());
    plain.unwrap_or_else(|| text.to_owned())
}

fn digest(text: &str) -> String {
    to_hex(&Sha256::digest(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str, filters: &[(&str, &str)]) -> Identity {
        let policy = Policy::parse(text, "p.toml").expect("a policy");
        Identity::of(&policy, text, filters.iter().copied())
    }

    const POLICY: &str = "name = \"p\"\n[lan]\nprefixes = [\"10.1.0.0/16\", \"fd00::/8\"]\n";

    #[test]
    fn comments_do_not_count_and_values_do() {
        let ours = of(POLICY, &[("f", "<filter/>")]);
        assert_eq!(ours.lan.len(), 2);
        let commented = POLICY.replace("[lan]", "# the LAN\n\n[lan]");
        assert_eq!(of(&commented, &[("f", "<filter/>")]), ours);
        let wider = POLICY.replace("10.1.0.0/16", "10.0.0.0/8");
        let wider = of(&wider, &[("f", "<filter/>")]);
        assert_ne!(wider.policy_sha256, ours.policy_sha256);
        assert_eq!(wider.filter_sha256, ours.filter_sha256);
        let other = of(POLICY, &[("f", "<filter />")]);
        assert_ne!(other.filter_sha256, ours.filter_sha256);
        assert_eq!(other.policy_sha256, ours.policy_sha256);
    }

    #[test]
    fn what_belongs_to_which_filter_counts() {
        let one = of(POLICY, &[("a", "bc")]);
        assert_ne!(one, of(POLICY, &[("ab", "c")]));
    }
}
