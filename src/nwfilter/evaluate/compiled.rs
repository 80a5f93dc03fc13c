//! A filter compiled for one interface.

use super::backend::Backend;
use super::chains::{Chains, Layer2Chains, chains};
use super::driver::Driver;
use super::ebtables::Ebtables;
use super::error::CompileError;
use super::fast_path::FastPath;
use super::flatten::{RuleInstance, Scope, flatten};
use super::nftables::Nftables;
use super::parsed_frame::Surroundings;
use super::release::Portability;
use super::rule::{CompiledRule, ConnectionState};
use super::way::Way;
use crate::frame::{Mac, mac_text};
use crate::nwfilter::model::{Filter, RuleId};
use crate::nwfilter::vocabulary::variables;
use std::collections::BTreeSet;

/// The driver of a back end.
fn driver(backend: Backend) -> &'static dyn Driver {
    match backend {
        Backend::Ebtables => &Ebtables,
        Backend::Nftables => &Nftables,
    }
}

/// A filter as an interface gets it.
#[derive(Debug, Clone)]
pub struct Compiled {
    chains: Chains,
    fast_path: FastPath,
    bridge_nf: bool,
    backend: Backend,
    /// Whether layer-3 rules see only what the bridge hands to iptables.
    layer3_needs_bridge_nf: bool,
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
        let driver = driver(backend);
        let mut scope = Scope::of(parameters);
        scope.set_default(variables::MAC, mac_text(mac));
        let priority = |instance: &RuleInstance<'_>| driver.sort_priority(instance);
        let instances = flatten(filters, top, scope, priority)?;
        let chains = chains(&instances, driver)?;
        Ok(Self {
            fast_path: FastPath::of(&chains),
            chains,
            bridge_nf: true,
            backend,
            layer3_needs_bridge_nf: driver.layer3_needs_bridge_nf(),
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
        self.fast_path = FastPath::of(&self.chains);
        self
    }

    /// The chains.
    pub fn chains(&self) -> &Chains {
        &self.chains
    }

    /// The chains as code.
    pub(super) fn fast_path(&self) -> &FastPath {
        &self.fast_path
    }

    /// Whether the host applies layer-3 rules.
    pub(super) fn applies_layer3(&self) -> bool {
        self.bridge_nf || !self.layer3_needs_bridge_nf
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
            _ if !self.applies_layer3() => &[],
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
    pub(super) fn tracks(&self, ether_type: u128) -> bool {
        Way::ALL
            .into_iter()
            .flat_map(|way| self.layer3(way, ether_type))
            .any(|rule| rule.state != ConnectionState::Any)
    }

    /// What there is on a frame's way besides the rules.
    pub(super) fn surroundings(&self) -> Surroundings {
        Surroundings {
            bridge_nf: self.bridge_nf,
            backend: self.backend,
            tracks: [0x0800, 0x86dd].into_iter().any(|kind| self.tracks(kind)),
        }
    }

    /// The back end that it is compiled for.
    pub fn backend(&self) -> Backend {
        self.backend
    }

    /// Whether the host's bridge calls iptables.
    pub fn bridge_nf(&self) -> bool {
        self.bridge_nf
    }
}
