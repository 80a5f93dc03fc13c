//! The filter under test: the generated one, the user's own, or none.

use crate::check::probes::left_out;
use crate::frame::Mac;
use crate::layout::Layout;
use crate::nwfilter::evaluate::Backend;
use crate::nwfilter::learning::{AddressSource, Learning};
use crate::nwfilter::{
    self, Filter, FilterTree, Parameter, Rule, RuleId, Source, TreeError, write,
};
use crate::policy::Policy;
use crate::report::model::{FilterInfo, RuleText};
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;

/// A filter to define.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilterText {
    /// Its name.
    pub name: String,
    /// Its XML.
    pub xml: String,
    /// Comes with libvirt rather than from the user.
    pub shipped: bool,
    /// Tests for the guest's own address.
    pub knows_guest: bool,
}

/// The filters to define, and what the report says of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterUnderTest {
    /// In the order to define them; the bound one last.
    pub texts: Vec<FilterText>,
    /// For the report; its name is that of the bound filter.
    pub info: FilterInfo,
    /// What libvirt learns the guest's address from, where it does.
    pub learning: Option<Learning>,
    /// The guest's address, where a parameter or a reference gives it.
    pub address: Option<Ipv4Addr>,
}

impl FilterUnderTest {
    /// No filter: everything must leak.
    pub fn none() -> Self {
        Self {
            texts: Vec::new(),
            info: FilterInfo {
                name: None,
                source: "none".into(),
                rules: 0,
                texts: Vec::new(),
                parameters: Vec::new(),
                left_out: Vec::new(),
            },
            learning: None,
            address: None,
        }
    }

    /// The filter that is generated from a policy of this origin.
    pub fn generated(policy: &Policy, origin: &str) -> Self {
        let filter = nwfilter::generate(policy);
        Self {
            texts: vec![FilterText {
                name: filter.name.clone(),
                xml: write(&filter),
                shipped: false,
                knows_guest: false,
            }],
            info: FilterInfo {
                name: Some(filter.name.clone()),
                source: format!("generated from {origin}"),
                rules: filter.rule_count(),
                texts: texts(&FilterTree::generated(filter.clone())),
                parameters: Vec::new(),
                left_out: Vec::new(),
            },
            learning: None,
            address: None,
        }
    }

    /// The same with the names of the probes that are not sent, for the report. A guest for which the policy has no
    /// room is refused later.
    #[must_use]
    pub fn leaving_out(mut self, policy: &Policy) -> Self {
        let knows_guest = self.texts.iter().any(|filter| filter.knows_guest);
        let layout = Layout::with_guest(policy, self.address).ok();
        if let Some(layout) = layout.filter(|_| knows_guest) {
            self.info.left_out = left_out(policy, &layout);
        }
        self
    }

    /// The user's own filters, and those of libvirt that they refer to, with the parameters
    /// that they are given.
    ///
    /// # Errors
    /// [`TreeError`] when a filter or a parameter is missing.
    pub fn own(tree: &FilterTree, parameters: &[(String, String)]) -> Result<Self, TreeError> {
        tree.check_complete(parameters)?;
        let address = address_source(tree, parameters);
        let text = |(filter, source): (&Filter, Option<&Source>)| {
            let shipped = source.filter(|source| source.is_shipped);
            FilterText {
                name: filter.name.clone(),
                xml: shipped.map_or_else(|| write(filter), |source| source.text.clone()),
                shipped: shipped.is_some(),
                knows_guest: filter.rules().any(Rule::knows_guest),
            }
        };
        Ok(Self {
            texts: tree.in_definition_order()?.into_iter().map(text).collect(),
            info: FilterInfo {
                name: Some(tree.top.clone()),
                source: tree.given_paths().join(", "),
                rules: tree.rule_count(),
                texts: texts(tree),
                parameters: Parameter::all(parameters, address, None),
                left_out: Vec::new(),
            },
            learning: match address {
                AddressSource::Learnt(learning) => Some(learning),
                AddressSource::NotAsked | AddressSource::Given => None,
            },
            address: tree.given_address(parameters),
        })
    }
}

/// All rules in words.
fn texts(tree: &FilterTree) -> Vec<RuleText> {
    let all = tree.filters.iter().flat_map(|filter| {
        let numbers = 1..=filter.rule_count();
        numbers.map(|rule| RuleId {
            filter: filter.name.clone(),
            rule,
        })
    });
    all.map(|id| RuleText {
        text: tree.rule_text(&id),
        filter: id.filter,
        rule: id.rule,
    })
    .collect()
}

/// Where the guest's address will come from. What the evaluator cannot compile, or libvirt will
/// refuse to learn, is left to libvirt itself.
fn address_source(tree: &FilterTree, parameters: &[(String, String)]) -> AddressSource {
    let any = Ipv4Addr::LOCALHOST;
    let bound = tree.bind(Mac::default(), any, parameters, Backend::Ebtables);
    bound.map_or(AddressSource::NotAsked, |bound| bound.address)
}
