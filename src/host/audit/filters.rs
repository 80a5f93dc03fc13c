//! What a filter that is not lanfence's does, held against the policy: once for each.

use crate::check::Expectations;
use crate::frame::{Mac, summary};
use crate::host::inventory::Inventory;
use crate::host::reference::Prepared;
use crate::layout::Layout;
use crate::nwfilter::FilterRef;
use crate::nwfilter::FilterTree;
use crate::nwfilter::learning::given_address;
use crate::nwfilter::statements::Ruling;
use crate::policy::Policy;
use crate::verdict::{Failure, Verdict};
use std::collections::HashMap;

/// What is known of each filter with its parameters.
#[derive(Debug, Default)]
pub struct Filters {
    prepared: HashMap<FilterRef, Option<Prepared>>,
    /// Those that treat all guests alike have one MAC for all of them.
    known: HashMap<(FilterRef, Mac), Kept>,
}

/// Whether a filter keeps to the policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    /// No frame passes that the policy forbids.
    Yes,
    /// Some do.
    No {
        /// The first.
        example: String,
        /// How many kinds of them.
        count: usize,
    },
    /// It cannot be told.
    Unknown(String),
}

impl Filters {
    /// Holds a filter against the policy.
    pub fn keeps(
        &mut self,
        reference: &FilterRef,
        mac: Mac,
        inventory: &Inventory,
        policy: &Policy,
    ) -> Kept {
        let prepared = self.prepared.entry(reference.clone()).or_insert_with(|| {
            let FilterRef { filter, parameters } = reference;
            Prepared::of(&inventory.filters, filter, parameters).ok()
        });
        let of = prepared.as_ref().map_or(mac, |it| it.wanted(mac).mac);
        let kept = self.known.entry((reference.clone(), of));
        let judge = || judge(reference, mac, inventory, policy);
        kept.or_insert_with(|| judge().unwrap_or_else(Kept::Unknown))
            .clone()
    }
}

fn judge(
    reference: &FilterRef,
    mac: Mac,
    inventory: &Inventory,
    policy: &Policy,
) -> Result<Kept, String> {
    let tree = FilterTree::defined(&inventory.filters, &reference.filter);
    let tree = tree.map_err(|error| error.to_string())?;
    let parameters = &reference.parameters;
    let layout = Layout::with_guest(policy, given_address(parameters));
    let layout = layout.map_err(|error| error.to_string())?;
    let layout = layout.with_guest_mac(mac);
    let bound = tree.bind(mac, layout.guest.v4, parameters, inventory.backend);
    let bound = bound.map_err(|error| error.to_string())?;
    let own: Vec<_> = given_address(parameters)
        .map(Into::into)
        .into_iter()
        .collect();
    let expectations = Expectations::of(policy, &layout, &own, inventory.backend);
    let judgement = expectations.judge(&bound.filter);
    let broken: Vec<String> = judgement
        .broken(Ruling::Forbidden)
        .filter_map(|held| Some(summary(&held.wrong.first()?.frame)))
        .collect();
    let leaks = judgement.with(Verdict::Fail(Failure::Leak));
    let leaks: Vec<String> = leaks.map(|judged| judged.probe.summary.clone()).collect();
    let all = [leaks, broken].concat();
    Ok(match all.first() {
        None => Kept::Yes,
        Some(example) => Kept::No {
            example: example.clone(),
            count: all.len(),
        },
    })
}
