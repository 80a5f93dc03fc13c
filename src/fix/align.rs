//! Which rules of a filter stand for which of the generated one, and the edits that lead there.

use super::edit::{Anchor, Edit};
use crate::nwfilter::{Element, Entry, Filter, Rule, canonical_rule};

/// What it costs to take a rule away or to add one.
const WHOLE: u32 = 100;

/// Rules that are further apart have nothing to do with each other.
const FAR: u32 = 120;

/// The least and the greatest priority that libvirt takes.
const PRIORITIES: (i16, i16) = (-1000, 1000);

/// A rule without what does nothing: its priority, comments, and the values' other spellings.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Meaning(Rule);

impl Meaning {
    fn of(rule: &Rule) -> Self {
        let mut rule = canonical_rule(rule);
        rule.priority = None;
        rule.statematch |= !rule.is_layer3();
        for element in &mut rule.elements {
            element.attributes.retain(|(name, _)| name != "comment");
        }
        Self(rule)
    }

    /// How much is to be written to make one of the other: 0 for the same.
    fn distance(&self, other: &Self) -> u32 {
        if self == other {
            return 0;
        }
        let (one, two) = (&self.0, &other.0);
        let head = u32::from(one.action != two.action) * 40
            + u32::from(one.direction != two.direction) * 40
            + u32::from(one.statematch != two.statematch) * 10;
        let body = match (one.elements.as_slice(), two.elements.as_slice()) {
            (a, b) if a == b => 0,
            // One of them is for every frame.
            ([], _) | (_, []) => FAR,
            ([a], [b]) => elements(a, b),
            (a, b) => {
                let common = a.iter().filter(|element| b.contains(element)).count();
                let all = a.len().max(b.len());
                u32::try_from(all - common).unwrap_or(9) * 60
            }
        };
        20 + head + body
    }
}

/// How far two elements are apart.
fn elements(one: &Element, two: &Element) -> u32 {
    let value = |element: &Element, name: &str| {
        let mut attributes = element.attributes.iter();
        let found = attributes.find(|(known, _)| known == name);
        found.map(|(_, value)| value.clone())
    };
    let names = one.attributes.iter().chain(&two.attributes);
    let mut names: Vec<&String> = names.map(|(name, _)| name).collect();
    names.sort();
    names.dedup();
    let differ = names.iter().map(|name| {
        match (value(one, name), value(two, name)) {
            (a, b) if a == b => 0,
            // Another mask or port is a slip; another address is another rule.
            (Some(_), Some(_)) if name.ends_with("addr") => 80,
            (Some(_), Some(_)) if *name == "protocol" => 40,
            _ => 12,
        }
    });
    let differ: u32 = differ.sum();
    u32::from(one.protocol != two.protocol) * 60
        + u32::from(one.positive != two.positive) * 40
        + differ
}

/// A step of an alignment: an entry of the filter, a rule of the generated one, or both.
#[derive(Debug, Clone, Copy)]
struct Step {
    /// Position among the filter's rules, in the order in which libvirt applies them.
    own: Option<usize>,
    /// Position among the generated rules.
    wanted: Option<usize>,
}

/// All edits that make the generated filter's rules of a filter's, references gone, each rule
/// that has a counterpart changed in its place.
pub fn edits(filter: &Filter, generated: &Filter) -> Vec<Edit> {
    let own = in_order(filter);
    let wanted: Vec<&Rule> = generated.rules().collect();
    let meanings =
        |rules: &[&Rule]| -> Vec<Meaning> { rules.iter().map(|rule| Meaning::of(rule)).collect() };
    let (own_rules, places): (Vec<&Rule>, Vec<usize>) =
        own.iter().map(|(at, rule)| (*rule, *at)).unzip();
    let steps = aligned(&meanings(&own_rules), &meanings(&wanted));
    let mut out = Vec::new();
    if !filter.in_root() {
        out.push(Edit::ToRoot);
    }
    for (at, entry) in filter.entries.iter().enumerate() {
        if let Entry::Reference(_) = entry {
            out.push(Edit::Remove(at));
        }
    }
    // What the next new rules come behind, and before what.
    let mut behind: Option<(usize, i16)> = None;
    let mut at = 0;
    while at < steps.len() {
        if let Some(own) = steps[at].own {
            let (place, rule) = (places[own], own_rules[own]);
            match steps[at].wanted {
                None => out.push(Edit::Remove(place)),
                Some(wanted_at) => {
                    let wanted = wanted[wanted_at];
                    if Meaning::of(rule) != Meaning::of(wanted) {
                        let changed = Rule {
                            priority: rule.priority,
                            ..wanted.clone()
                        };
                        out.push(Edit::Replace(place, keeping_comment(rule, changed)));
                    }
                }
            }
            behind = Some((place, rule.effective_priority()));
            at += 1;
            continue;
        }
        let run = steps[at..]
            .iter()
            .take_while(|step| step.own.is_none())
            .count();
        let next = steps.get(at + run).and_then(|step| step.own);
        let next = next.map(|own| (places[own], own_rules[own].effective_priority()));
        let new = steps[at..at + run].iter().filter_map(|step| step.wanted);
        let new: Vec<&Rule> = new.map(|at| wanted[at]).collect();
        out.extend(inserted(&new, behind, next));
        at += run;
    }
    moved(filter, out)
}

/// The rules with the places of their entries, in the order in which libvirt applies them.
fn in_order(filter: &Filter) -> Vec<(usize, &Rule)> {
    let entries = filter.entries.iter().enumerate();
    let mut own: Vec<(usize, &Rule)> = entries
        .filter_map(|(at, entry)| match entry {
            Entry::Rule(rule) => Some((at, rule)),
            Entry::Reference(_) => None,
        })
        .collect();
    own.sort_by_key(|(_, rule)| rule.effective_priority());
    own
}

/// What it costs to make one rule of the other; none where they have nothing to do with each other.
fn change(own: &Meaning, wanted: &Meaning) -> Option<u32> {
    Some(own.distance(wanted)).filter(|distance| *distance < FAR)
}

/// The least costs of the rest of an alignment, by how much of both is behind.
fn costs(own: &[Meaning], wanted: &[Meaning]) -> Vec<Vec<u32>> {
    let mut cost = vec![vec![0_u32; wanted.len() + 1]; own.len() + 1];
    for row in (0..=own.len()).rev() {
        for column in (0..=wanted.len()).rev() {
            let (more_own, more_wanted) = (row < own.len(), column < wanted.len());
            let both = (more_own && more_wanted)
                .then(|| change(&own[row], &wanted[column]))
                .flatten()
                .map(|change| cost[row + 1][column + 1] + change);
            let gone = more_own.then(|| cost[row + 1][column] + WHOLE);
            let new = more_wanted.then(|| cost[row][column + 1] + WHOLE);
            let least = [both, gone, new].into_iter().flatten().min();
            cost[row][column] = least.unwrap_or(0);
        }
    }
    cost
}

/// The cheapest alignment (Needleman and Wunsch); of equal ones that which changes rules first.
fn aligned(own: &[Meaning], wanted: &[Meaning]) -> Vec<Step> {
    let cost = costs(own, wanted);
    let (mut row, mut column, mut out) = (0, 0, Vec::new());
    while row < own.len() || column < wanted.len() {
        let here = cost[row][column];
        let (more_own, more_wanted) = (row < own.len(), column < wanted.len());
        let pair = more_own
            && more_wanted
            && change(&own[row], &wanted[column])
                .is_some_and(|change| here == cost[row + 1][column + 1] + change);
        let gone = more_own && here == cost[row + 1][column] + WHOLE;
        let (takes_own, takes_wanted) = if pair { (true, true) } else { (gone, !gone) };
        out.push(Step {
            own: takes_own.then_some(row),
            wanted: takes_wanted.then_some(column),
        });
        row += usize::from(takes_own);
        column += usize::from(takes_wanted);
    }
    out
}

/// New rules between two of the filter's, with priorities that put them there: of their own where
/// there is room, else that of the rule before them, among whose equals they come behind it.
fn inserted(
    rules: &[&Rule],
    behind: Option<(usize, i16)>,
    next: Option<(usize, i16)>,
) -> Vec<Edit> {
    let count = i32::try_from(rules.len()).unwrap_or(i32::MAX);
    let (lowest, highest) = PRIORITIES;
    let anchor = match (behind, next) {
        (Some((at, _)), _) => Anchor::After(at),
        (None, Some((at, _))) => Anchor::Before(at),
        (None, None) => Anchor::Alone,
    };
    let first = match (behind, next) {
        (Some((_, low)), Some((_, high))) => {
            let room = i32::from(high) - i32::from(low);
            (room > count).then(|| i32::from(low) + 1)
        }
        (Some((_, low)), None) => {
            (i32::from(highest) - i32::from(low) >= count).then(|| i32::from(low) + 1)
        }
        (None, Some((_, high))) => {
            (i32::from(high) - i32::from(lowest) >= count).then(|| i32::from(high) - count)
        }
        (None, None) => Some(100),
    };
    let equal = behind.or(next).map_or(0, |(_, priority)| priority);
    let rules = rules.iter().zip(0_i32..);
    rules
        .map(|(rule, number)| {
            let own = first.and_then(|first| i16::try_from(first + number).ok());
            let rule = Rule {
                priority: Some(own.unwrap_or(equal)),
                ..(*rule).clone()
            };
            Edit::Insert(anchor, rule)
        })
        .collect()
}

/// A rule that goes here and comes there is one that moves: it gets another priority, where that
/// tells its place by itself.
fn moved(filter: &Filter, edits: Vec<Edit>) -> Vec<Edit> {
    let mut out = edits;
    let mut at = 0;
    while at < out.len() {
        if let Some((gone, rule)) = moving(filter, &out, at) {
            out[at] = Edit::Replace(gone, rule);
            out.retain(|edit| *edit != Edit::Remove(gone));
            at = 0;
        } else {
            at += 1;
        }
    }
    out
}

/// The entry that a new rule is, where it was taken away elsewhere.
fn moving(filter: &Filter, edits: &[Edit], at: usize) -> Option<(usize, Rule)> {
    let Edit::Insert(_, new) = &edits[at] else {
        return None;
    };
    let shares = |priority: i16| {
        let mut rules = filter.rules();
        rules.any(|rule| rule.effective_priority() == priority)
    };
    if shares(new.effective_priority()) {
        return None;
    }
    let mut edits = edits.iter();
    edits.find_map(|edit| match edit {
        Edit::Remove(gone) => match &filter.entries[*gone] {
            Entry::Rule(rule) if Meaning::of(rule) == Meaning::of(new) => {
                let priority = new.priority;
                let rule = rule.clone();
                Some((*gone, Rule { priority, ..rule }))
            }
            _ => None,
        },
        _ => None,
    })
}

/// A changed rule with the user's own comment in place of the generator's.
fn keeping_comment(own: &Rule, mut changed: Rule) -> Rule {
    let mut attributes = own.elements.iter().flat_map(|element| &element.attributes);
    let comment = attributes.find(|(name, _)| name == "comment").cloned();
    for element in &mut changed.elements {
        element.attributes.retain(|(name, _)| name != "comment");
    }
    if let (Some(comment), Some(first)) = (comment, changed.elements.first_mut()) {
        first.attributes.push(comment);
    }
    changed
}
