//! What a filter does to a frame, without a kernel: libvirt's translation into
//! ebtables and iptables rules, and the kernel's verdict over them.
//!
//! The facts are measured with libvirt 11.3.0 (ebtables back end), among them
//! its bugs: the evaluator answers what happens, not what the XML seems to say.
//! Those of the nftables back end, which no release has yet, are read in
//! libvirt's source and not measured.
//! A filter that libvirt would not bind is a [`CompileError`]; a frame whose
//! fate hangs on something that is not modelled is [`Decision::Undecided`].

mod backend;
mod bridge;
mod chains;
mod error;
mod expand;
mod fast_path;
pub mod field;
mod flatten;
mod layer2;
mod layer3;
mod release;
mod rule;
#[cfg(test)]
mod tests;
mod tracking;
mod traverse;

pub use backend::Backend;
pub use chains::{Chains, Layer2Chains, Layer3Rules, RootStep, SubChain};
pub use error::{CompileError, Culprit};
pub use release::{IptablesRelease, Portability};
pub use rule::{CompiledRule, ConnectionState, Match};
pub use traverse::{Decision, Evaluation, TraceStep};

use super::model::Filter;
use crate::frame::Mac;
use fast_path::FastPath;
use std::collections::BTreeSet;
use std::fmt;

/// Most rules that a filter may expand to. libvirt needs 15 ms for each, so
/// that this many take five minutes to bind.
pub const MAX_RULES: usize = 20_000;

/// A rule of a filter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleId {
    /// The filter's name.
    pub filter: String,
    /// Position among the filter's rules, from 1.
    pub rule: usize,
}

impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rule {} of {}", self.rule, self.filter)
    }
}

/// Which way a frame goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Way {
    /// The guest sends it.
    FromGuest,
    /// It is on its way to the guest.
    ToGuest,
}

/// Whether an element becomes a rule of iptables rather than ebtables.
pub fn is_layer3(protocol: &str) -> bool {
    layer3::is_v6(protocol).is_some()
}

/// A filter as an interface gets it.
#[derive(Debug, Clone)]
pub struct Compiled {
    chains: Chains,
    flat: FastPath,
    bridge_nf: bool,
    backend: Backend,
}

impl Compiled {
    /// Compiles the filter named `top`. `filters` holds it and all that it
    /// refers to; `parameters` are those of the interface's filterref, where a
    /// repeated name makes a list. `MAC` is set to `mac` unless it is given.
    ///
    /// # Errors
    /// Whatever makes libvirt refuse to define or to bind the filter.
    pub fn new(
        filters: &[Filter],
        top: &str,
        mac: Mac,
        parameters: &[(String, String)],
    ) -> Result<Self, CompileError> {
        Self::with_backend(filters, top, mac, parameters, Backend::Ebtables)
    }

    /// The same for another back end of libvirt.
    ///
    /// # Errors
    /// Whatever makes libvirt refuse to define or to bind the filter.
    pub fn with_backend(
        filters: &[Filter],
        top: &str,
        mac: Mac,
        parameters: &[(String, String)],
        backend: Backend,
    ) -> Result<Self, CompileError> {
        let mut scope = flatten::Scope::of(parameters);
        scope.set_default("MAC", mac.map(|octet| format!("{octet:02x}")).join(":"));
        let instances = flatten::flatten(filters, top, scope, backend)?;
        let chains = chains::chains(&instances, backend)?;
        Ok(Self {
            flat: FastPath::of(&chains),
            chains,
            bridge_nf: true,
            backend,
        })
    }

    /// The same filter on a host whose bridge does not call iptables
    /// (`net.bridge.bridge-nf-call-iptables=0`): layer-3 rules do nothing.
    #[must_use]
    pub fn without_bridge_nf(self) -> Self {
        Self {
            bridge_nf: false,
            ..self
        }
    }

    /// The same where a frame that no rule of a sub-chain decides goes on in
    /// the root chain, as libvirt's documentation has it and its nftables back end does it.
    #[must_use]
    pub fn with_chain_ends_returning(mut self) -> Self {
        self.chains.from_guest.end_accepts = false;
        self.chains.to_guest.end_accepts = false;
        self.flat = FastPath::of(&self.chains);
        self
    }

    /// The chains.
    pub fn chains(&self) -> &Chains {
        &self.chains
    }

    /// The chains as code.
    fn flat(&self) -> &FastPath {
        &self.flat
    }

    /// The layer-2 chains of a direction.
    pub fn layer2(&self, way: Way) -> &Layer2Chains {
        match way {
            Way::FromGuest => &self.chains.from_guest,
            Way::ToGuest => &self.chains.to_guest,
        }
    }

    /// The layer-3 rules for frames of an EtherType; empty where there are
    /// none or the host does not apply them.
    pub fn layer3(&self, way: Way, ether_type: u128) -> &[CompiledRule] {
        let layer = match ether_type {
            0x0800 => &self.chains.v4,
            0x86dd => &self.chains.v6,
            _ => return &[],
        };
        match way {
            _ if !self.bridge_nf && self.backend == Backend::Ebtables => &[],
            Way::FromGuest => &layer.from_guest,
            Way::ToGuest => &layer.to_guest,
        }
    }

    /// What of it not every release of iptables takes, by rule.
    pub fn unportable(&self) -> BTreeSet<(&RuleId, Portability)> {
        let Chains { v4, v6, .. } = &self.chains;
        let layer3 = [v4, v6].map(|layer| layer.from_guest.iter().chain(&layer.to_guest));
        let layer2 = [&self.chains.from_guest, &self.chains.to_guest].map(Layer2Chains::rules);
        let rules = layer3.into_iter().flatten();
        let rules = rules.chain(layer2.into_iter().flatten());
        let things = rules.flat_map(|rule| {
            let things = rule.portability.iter();
            things.map(|thing| (&rule.origin, *thing))
        });
        things.collect()
    }

    /// Whether connection tracking is at work on frames of an EtherType: it is
    /// where any rule of that family asks for a state.
    fn tracks(&self, ether_type: u128) -> bool {
        let ways = [Way::FromGuest, Way::ToGuest];
        ways.into_iter()
            .flat_map(|way| self.layer3(way, ether_type))
            .any(|rule| rule.state != ConnectionState::Any)
    }

    /// The back end that it is compiled for.
    pub fn backend(&self) -> Backend {
        self.backend
    }

    /// Whether the host's bridge calls iptables.
    pub fn bridge_nf(&self) -> bool {
        self.bridge_nf
    }

    /// What becomes of a frame, and why.
    pub fn evaluate(&self, frame: &[u8], way: Way) -> Evaluation {
        traverse::evaluate(self, frame, way)
    }

    /// What becomes of a frame.
    pub fn decide(&self, frame: &[u8], way: Way) -> Decision {
        traverse::decide(self, frame, way)
    }
}
