//! Chains that libvirt enters in random order.

use super::region::Region;
use crate::nwfilter::evaluate::{Compiled, Way};

/// Why the order of chains may matter to a region: it can enter several of one priority.
pub fn random_order(filter: &Compiled, way: Way, region: &Region) -> Option<String> {
    let layer = filter.layer2(way);
    let enters = |at: &&usize| {
        let guard = &layer.subs[**at].guard;
        guard
            .as_ref()
            .is_none_or(|guard| region.get(guard.field).meets(&guard.set))
    };
    layer.tied.iter().find_map(|group| {
        let entered: Vec<&str> = group
            .iter()
            .filter(enters)
            .map(|at| layer.subs[*at].name.as_str())
            .collect();
        (entered.len() > 1).then(|| {
            format!(
                "libvirt enters the chains {} in random order, since their priorities are equal",
                entered.join(" and ")
            )
        })
    })
}
