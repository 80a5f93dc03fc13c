//! Chains that libvirt enters in random order.

use super::region::Region;
use crate::nwfilter::evaluate::field::Field;
use crate::nwfilter::evaluate::{Compiled, SubChain, Way};
use crate::nwfilter::vocabulary::Action;

/// Why the order of chains may matter to a region: it can enter several of one priority, of
/// which some accept and some drop.
pub fn random_order(filter: &Compiled, way: Way, region: &Region) -> Option<String> {
    let layer = filter.layer2(way);
    layer.tied.iter().find_map(|group| {
        let chains = group.iter().map(|at| &layer.subs[*at]);
        let entered = chains.filter_map(|sub| Some((sub, region.matching(sub.guard.as_slice())?)));
        let entered: Vec<(&SubChain, Region)> = entered.collect();
        let ends = entered.iter();
        let ends = ends.flat_map(|(sub, inside)| endings(sub, inside, layer.end_accepts));
        let ends: Vec<Action> = ends.collect();
        let differ = ends.contains(&Action::Accept) && ends.contains(&Action::Drop);
        let names: Vec<&str> = entered.iter().map(|(sub, _)| sub.name.as_str()).collect();
        (names.len() > 1 && differ).then(|| {
            format!(
                "libvirt enters the chains {} in random order, since their priorities are equal",
                names.join(" and ")
            )
        })
    })
}

/// What a chain may do with frames that do not go back to the root chain.
fn endings(sub: &SubChain, inside: &Region, end_accepts: bool) -> Vec<Action> {
    let mut out = Vec::new();
    for rule in &sub.rules {
        if inside.matching(&rule.matches).is_none() {
            continue;
        }
        match rule.action {
            Action::Accept => out.push(Action::Accept),
            Action::Drop | Action::Reject => out.push(Action::Drop),
            Action::Return | Action::Continue => {}
        }
        let takes_all = inside.failing(&rule.matches, Field::Dst).is_empty();
        if takes_all && rule.undecided.is_none() && rule.action != Action::Continue {
            return out;
        }
    }
    if end_accepts {
        out.push(Action::Accept);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nwfilter::reach::{Form, differences, summaries};
    use crate::nwfilter::read;
    use rstest::rstest;

    const DROP_SOME: &str = "<rule action='drop' direction='out'><arp opcode='1'/></rule>";
    const ACCEPT_SOME: &str = "<rule action='accept' direction='out'><arp opcode='2'/></rule>";
    const RETURN: &str = "<rule action='return' direction='out' priority='900'/>";

    /// Two chains of one priority, their names and rules.
    fn tied(chains: [(&str, &str); 2]) -> Compiled {
        let mut filters = Vec::new();
        for (name, rules) in chains {
            let text =
                format!("<filter name='{name}' chain='{name}' priority='-500'>{rules}</filter>");
            filters.push(read(&text, "test").unwrap());
        }
        let [(a, _), (b, _)] = chains;
        let top =
            format!("<filter name='x'><filterref filter='{a}'/><filterref filter='{b}'/></filter>");
        filters.push(read(&top, "test").unwrap());
        Compiled::new(&filters, "x", [2; 6], &[]).unwrap()
    }

    /// Kinds of frames of which the summary is not exact.
    #[rstest]
    #[case::of_two_protocols([("arp-a", DROP_SOME), ("ipv6-b", RETURN)], &[])]
    #[case::that_drop_or_return([("arp-a", &*[DROP_SOME, RETURN].concat()), ("arp-b", &*[DROP_SOME, RETURN].concat())], &[])]
    #[case::that_accept_or_return([("arp-a", ACCEPT_SOME), ("arp-b", &*[ACCEPT_SOME, RETURN].concat())], &[])]
    #[case::that_accept_and_drop([("arp-a", &*[ACCEPT_SOME, RETURN].concat()), ("arp-b", &*[DROP_SOME, RETURN].concat())], &["ARP"])]
    #[case::whose_end_accepts([("arp-a", DROP_SOME), ("arp-b", &*[DROP_SOME, RETURN].concat())], &["ARP"])]
    #[case::of_all_frames_and_of_one_protocol([("mac-a", RETURN), ("arp-b", DROP_SOME)], &["ARP"])]
    fn chains_of_one_priority(#[case] chains: [(&str, &str); 2], #[case] inexact: &[&str]) {
        let filter = tied(chains);
        let all = summaries(&filter, Way::FromGuest);
        let found = all.iter().filter(|kind| matches!(kind.form, Form::Unknown));
        let mut found: Vec<&str> = found
            .map(|kind| kind.name.split(' ').next().unwrap())
            .collect();
        found.dedup();
        assert_eq!(found, inexact);
        let other = tied([("arp-a", RETURN), ("arp-b", RETURN)]);
        assert_eq!(
            differences(&filter, &other, &[]).inexact.is_some(),
            !inexact.is_empty()
        );
    }
}
