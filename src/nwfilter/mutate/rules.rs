//! Edits of a rule as a whole.

use super::edit::{Change, Edit, Operator};
use super::elements;
use crate::nwfilter::model::{Entry, Filter, Rule};
use crate::nwfilter::vocabulary::{Action, RuleDirection};

/// The least and the greatest priority that libvirt takes.
const PRIORITIES: (i16, i16) = (-1000, 1000);

/// Every edit of the rule at this place of its filter.
pub fn edits(filter: &Filter, place: usize, rule: &Rule) -> Vec<Edit> {
    let mut out = vec![Edit::new(
        Operator::Delete,
        "delete the rule",
        Change::Remove(place),
    )];
    for &action in other_actions(rule.action) {
        let words = format!("{action} instead of {}", rule.action);
        let rule = Rule {
            action,
            ..rule.clone()
        };
        out.push(Edit::rule(Operator::Action, words, place, rule));
    }
    let directions = [RuleDirection::In, RuleDirection::Out, RuleDirection::InOut];
    for direction in directions {
        if direction == rule.direction {
            continue;
        }
        let words = format!("direction {direction} instead of {}", rule.direction);
        let rule = Rule {
            direction,
            ..rule.clone()
        };
        out.push(Edit::rule(Operator::Direction, words, place, rule));
    }
    out.extend(orders(filter, place, rule));
    if rule.is_layer3() {
        let words = if rule.statematch {
            "without a look at connection state"
        } else {
            "with a look at connection state"
        };
        let statematch = !rule.statematch;
        let rule = Rule {
            statematch,
            ..rule.clone()
        };
        out.push(Edit::rule(Operator::StateMatch, words, place, rule));
    }
    for (at, element) in rule.elements.iter().enumerate() {
        for (operator, words, element) in elements::edits(element) {
            let mut rule = rule.clone();
            rule.elements[at] = element;
            out.push(Edit::rule(operator, words, place, rule));
        }
    }
    out
}

/// What a slip may write instead. `reject` and `drop` stop the same frames, and
/// `continue` is a rule that is not there.
const fn other_actions(action: Action) -> &'static [Action] {
    match action {
        Action::Accept => &[Action::Drop, Action::Return],
        Action::Drop | Action::Reject => &[Action::Accept, Action::Return],
        Action::Return => &[Action::Accept, Action::Drop],
        Action::Continue => &[Action::Accept, Action::Drop, Action::Return],
    }
}

/// The rule behind the next one, before all others and behind all others.
fn orders(filter: &Filter, place: usize, rule: &Rule) -> Vec<Edit> {
    let mut out = Vec::new();
    let own = rule.effective_priority();
    let rules = filter.entries.iter().enumerate();
    let others = rules.filter_map(|(at, entry)| match entry {
        Entry::Rule(rule) if at != place => Some((rule.effective_priority(), at)),
        _ => None,
    });
    let others: Vec<(i16, usize)> = others.collect();
    let next = others.iter().filter(|other| **other > (own, place)).min();
    if let Some(&(priority, at)) = next {
        // Among equals libvirt keeps the order of the document.
        let change = if priority == own {
            Change::Exchange(place, at)
        } else {
            Change::ExchangePriorities(place, at)
        };
        out.push(Edit::new(
            Operator::Order,
            "behind the next rule of its filter",
            change,
        ));
    }
    let least = others.iter().min();
    let greatest = others.iter().max();
    let (lowest, highest) = PRIORITIES;
    let before = least.map(|(priority, _)| priority.saturating_sub(1).max(lowest));
    let behind = greatest.map(|(priority, _)| priority.saturating_add(1).min(highest));
    let places = [
        (
            "before all rules of its filter",
            before,
            least > Some(&(own, place)),
        ),
        (
            "behind all rules of its filter",
            behind,
            greatest < Some(&(own, place)),
        ),
    ];
    for (words, priority, is_there) in places {
        let Some(priority) = priority.filter(|priority| *priority != own && !is_there) else {
            continue;
        };
        let words = format!("{words} (priority {priority})");
        let rule = Rule {
            priority: Some(priority),
            ..rule.clone()
        };
        out.push(Edit::rule(Operator::Order, words, place, rule));
    }
    out
}
