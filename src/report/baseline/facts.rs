//! What a run was made of: what it is about, and what may explain that it differs.

use super::error::BaselineError;
use super::verb::Verb;
use crate::nwfilter::Parameter;
use crate::report::model::{Host, Identity};
use crate::report::text::{clean, plural};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What verdicts are about: other subjects are not compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    /// Which verb found what is accepted.
    #[serde(default, skip_serializing_if = "Verb::is_verify")]
    pub verb: Verb,
    /// Name of the filter that is bound.
    pub filter: String,
    /// Name of the policy.
    pub policy: String,
    /// Prefixes of its LAN.
    pub lan: Vec<IpNet>,
}

impl Subject {
    /// Of a run with the filter of this name.
    pub fn of(filter: &str, identity: &Identity) -> Self {
        Self {
            verb: Verb::Verify,
            filter: filter.to_owned(),
            policy: identity.policy.clone(),
            lan: identity.lan.clone(),
        }
    }

    /// Checks that both were found by one verb and are about one filter and one policy: their names are the same, and their
    /// LANs have addresses in common. That their content has changed is what comparing is for.
    ///
    /// # Errors
    /// [`BaselineError::OtherVerb`] and [`BaselineError::Differs`] with `what` holds this subject, a
    /// file's name for example.
    pub fn check(&self, what: &str, now: &Self) -> Result<(), BaselineError> {
        let lan = |subject: &Self| {
            let lan: Vec<String> = subject.lan.iter().map(ToString::to_string).collect();
            format!("the LAN {}", lan.join(", "))
        };
        let common = |ours: &IpNet| {
            let mut theirs = now.lan.iter();
            // Every LAN has the link-local prefix in common with every other.
            let link_local: IpNet = "fe80::/10".parse().expect("a constant");
            !link_local.contains(ours) && theirs.any(|net| net.contains(ours) || ours.contains(net))
        };
        let differs = |ours: String, theirs: String| BaselineError::Differs {
            what: what.to_owned(),
            ours,
            theirs,
        };
        let named = |word: &str, name: &str| format!("the {word} `{}`", clean(name));
        if self.verb != now.verb {
            return Err(BaselineError::OtherVerb {
                what: what.to_owned(),
                ours: self.verb,
                theirs: now.verb,
            });
        }
        if self.filter != now.filter {
            return Err(differs(
                named("filter", &self.filter),
                named("filter", &now.filter),
            ));
        }
        if self.policy != now.policy {
            return Err(differs(
                named("policy", &self.policy),
                named("policy", &now.policy),
            ));
        }
        if !self.lan.iter().any(common) && self.lan != now.lan {
            return Err(differs(lan(self), lan(now)));
        }
        Ok(())
    }
}

/// Something that verdicts depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fact {
    /// The filter's rules.
    Filter,
    /// What it is bound with.
    Parameters,
    /// The policy's keys and values.
    Policy,
    /// libvirt's version.
    Libvirt,
    /// The back end of libvirt.
    Backend,
    /// Version and variant of iptables.
    Iptables,
    /// Version of nft.
    Nft,
    /// QEMU's version.
    Qemu,
    /// KVM, TCG or none.
    Accelerator,
    /// Release of the host's kernel.
    Kernel,
    /// Whether the bridge hands frames to iptables.
    Sysctls,
    /// Release of the guest's kernel.
    GuestKernel,
    /// As root or in a user namespace.
    Privilege,
    /// What throwaway hosts were made of.
    Hosts,
    /// Version of lanfence.
    Lanfence,
}

impl Fact {
    /// Its name in print.
    pub fn name(self) -> &'static str {
        match self {
            Self::Filter => "filter",
            Self::Parameters => "parameters",
            Self::Policy => "policy",
            Self::Libvirt => "libvirt",
            Self::Backend => "back end",
            Self::Iptables => "iptables",
            Self::Nft => "nft",
            Self::Qemu => "QEMU",
            Self::Accelerator => "accelerator",
            Self::Kernel => "kernel",
            Self::Sysctls => "sysctls",
            Self::GuestKernel => "guest kernel",
            Self::Privilege => "privilege",
            Self::Hosts => "hosts",
            Self::Lanfence => "lanfence",
        }
    }
}

/// Facts by what they are about; what is not known is not there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Facts(pub BTreeMap<Fact, String>);

impl Facts {
    /// Of what was verified, checked or mutated: number of rules, parameters, filter, policy and
    /// version.
    pub fn of(rules: usize, parameters: &[Parameter], identity: &Identity, version: &str) -> Self {
        let rules = plural(rules, "rule");
        let parameters: Vec<String> = parameters.iter().map(Parameter::text).collect();
        let mut facts = Self::default();
        facts.add(
            Fact::Filter,
            &format!("{rules}, sha256 {}", identity.filter_sha256),
        );
        facts.add(Fact::Parameters, &parameters.join(", "));
        facts.add(Fact::Policy, &format!("sha256 {}", identity.policy_sha256));
        facts.add(Fact::Lanfence, version);
        facts
    }

    /// The same with what the host says of itself.
    #[must_use]
    pub fn with_host(mut self, host: &Host) -> Self {
        for (fact, value) in [
            (Fact::Libvirt, &host.libvirt),
            (Fact::Backend, &host.backend),
            (Fact::Iptables, &host.iptables),
            (Fact::Nft, &host.nft),
            (Fact::Qemu, &host.qemu),
            (Fact::Accelerator, &host.accel),
            (Fact::Kernel, &host.kernel),
            (Fact::Sysctls, &host.sysctls.join(" ")),
            (Fact::GuestKernel, &host.guest_kernel),
            (Fact::Privilege, &host.privilege),
        ] {
            self.add(fact, value);
        }
        self
    }

    /// Adds one that is known.
    pub fn add(&mut self, fact: Fact, value: &str) {
        let value = clean(value);
        if !value.is_empty() {
            self.0.insert(fact, value);
        }
    }

    /// What differs between these, which were before, and others.
    pub fn suspects(&self, now: &Self) -> Vec<Suspect> {
        let mut all: Vec<Fact> = self.0.keys().chain(now.0.keys()).copied().collect();
        all.sort_unstable();
        all.dedup();
        let differs = |fact: &Fact| self.0.get(fact) != now.0.get(fact);
        let suspect = |fact: Fact| Suspect {
            fact,
            before: self.0.get(&fact).cloned(),
            now: now.0.get(&fact).cloned(),
        };
        all.into_iter().filter(differs).map(suspect).collect()
    }
}

/// What differs from before, and so may be why verdicts do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspect {
    /// What it is.
    pub fact: Fact,
    /// What it was; none where it was not known or not there.
    pub before: Option<String>,
    /// What it is now; none where it is not known or not there.
    pub now: Option<String>,
}

impl Suspect {
    /// `5 rules, sha256 5f0b9c9e → 6 rules, sha256 77a1c0de`.
    pub fn text(&self) -> String {
        let word = |value: &Option<String>| match value {
            Some(value) => short(value),
            None => "none".to_owned(),
        };
        format!("{} → {}", word(&self.before), word(&self.now))
    }
}

/// A value with digests cut to what tells two of them apart.
fn short(value: &str) -> String {
    const DIGITS: usize = 12;
    let cut = |word: &str| {
        let is_digest = word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        let end = if is_digest { DIGITS } else { word.len() };
        clean(word.get(..end).unwrap_or(word))
    };
    value.split(' ').map(cut).collect::<Vec<_>>().join(" ")
}
