//! What the workers of a crosscheck are told of filters that the user gave.

use crate::nwfilter::vocabulary::variables;
use crate::nwfilter::{Filter, FilterTree, Rule, TreeError, write};
use std::net::Ipv4Addr;

/// The filters that the top one needs, in the order to define them.
///
/// # Errors
/// When they refer to each other in a circle, or to one that is not there.
pub fn texts(tree: &FilterTree) -> Result<Vec<String>, TreeError> {
    let order = tree.in_definition_order()?;
    let (top, others): (Vec<_>, Vec<_>) = order
        .into_iter()
        .partition(|(filter, _)| filter.name == tree.top);
    let all = others.into_iter().chain(top);
    Ok(all.map(|(filter, _)| write(filter)).collect())
}

/// The parameters of the binding, with the guest's address where a rule asks for it and no
/// parameter gives it: libvirt would wait for the guest to show it.
pub fn parameters(
    given: &[(String, String)],
    tree: &FilterTree,
    address: Ipv4Addr,
) -> Vec<(String, String)> {
    let mut parameters = given.to_vec();
    let knows_guest = tree.filters.iter().flat_map(Filter::rules);
    if knows_guest.into_iter().any(Rule::knows_guest)
        && !parameters.iter().any(|(name, _)| name == variables::IP)
    {
        parameters.push((variables::IP.to_owned(), address.to_string()));
    }
    parameters
}
