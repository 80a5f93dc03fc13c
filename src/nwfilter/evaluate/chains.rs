//! Rules sorted into the chains of one interface.

use super::chain_place::ChainPlace;
use super::driver::Driver;
use super::error::CompileError;
use super::expand::expand;
use super::field::Field;
use super::flatten::RuleInstance;
use super::limits::MAX_RULES;
use super::resolved::ResolvedElement;
use super::rule::{CompiledRule, ConnectionState, Match};
use super::way::Way;
use super::{layer2, layer3};
use crate::nwfilter::intervals::IntervalSet;
use crate::nwfilter::vocabulary::{
    ChainGuard, ChainPrefix, IpVersion, Protocol, ROOT, RuleDirection,
};
use std::collections::HashMap;

/// The layer-2 chains of one direction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Layer2Chains {
    /// The root chain; none where nothing is filtered.
    pub root: Option<Vec<RootStep>>,
    /// Chains that the root jumps to.
    pub subs: Vec<SubChain>,
    /// Groups of chains that libvirt enters in random order, since they have one priority.
    pub tied: Vec<Vec<usize>>,
    /// Whether the end of a sub-chain accepts; else it goes back to the root.
    pub end_accepts: bool,
}

impl Layer2Chains {
    /// All rules, those of sub-chains after those of the root chain.
    pub fn rules(&self) -> impl Iterator<Item = &CompiledRule> {
        let root = self.root.iter().flatten().filter_map(|step| match step {
            RootStep::Rule(rule) => Some(rule),
            RootStep::Jump(_) => None,
        });
        root.chain(self.subs.iter().flat_map(|sub| &sub.rules))
    }
}

/// A step of the root chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RootStep {
    /// A rule.
    Rule(CompiledRule),
    /// A jump to the chain with this position.
    Jump(usize),
}

/// A chain that the root jumps to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubChain {
    /// Name.
    pub name: String,
    /// Where the jump stands.
    pub place: ChainPlace,
    /// Which frames enter.
    pub guard: Option<Match>,
    /// Its rules.
    pub rules: Vec<CompiledRule>,
}

/// The layer-3 rules of one IP version.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Layer3Rules {
    /// For frames from the guest.
    pub from_guest: Vec<CompiledRule>,
    /// For frames that the bridge hands to the guest.
    pub to_guest: Vec<CompiledRule>,
}

/// Everything that an interface gets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chains {
    /// Frames from the guest.
    pub from_guest: Layer2Chains,
    /// Frames to the guest.
    pub to_guest: Layer2Chains,
    /// IPv4 that br_netfilter hands to iptables.
    pub v4: Layer3Rules,
    /// IPv6 that br_netfilter hands to ip6tables.
    pub v6: Layer3Rules,
    /// How many rules there are.
    pub rules: usize,
}

/// A layer-2 rule before it is in a chain.
struct Placed<'a> {
    chain: &'a str,
    chain_priority: i16,
    priority: i16,
    rule: CompiledRule,
}

/// Sorts the rules, in their final order, into chains.
///
/// # Errors
/// Whatever makes libvirt refuse to bind the rules.
pub fn chains(instances: &[RuleInstance<'_>], driver: &dyn Driver) -> Result<Chains, CompileError> {
    driver.check_order(instances)?;
    let mut out = Chains::default();
    let (mut from_guest, mut to_guest) = (Vec::new(), Vec::new());
    let mut steps = 0;
    for instance in instances {
        let protocol = instance.rule.elements.first();
        let protocol = protocol.map_or(Protocol::Mac, |element| element.protocol);
        for attributes in expand(instance, &mut steps)? {
            let element = ResolvedElement {
                protocol,
                origin: &instance.origin,
                all: &attributes,
            };
            out.rules += 1;
            if out.rules > MAX_RULES {
                return Err(CompileError::TooMany {
                    origin: instance.origin.clone(),
                    limit: MAX_RULES,
                });
            }
            let Some(version) = protocol.layer3() else {
                place(instance, &element, driver, &mut from_guest, &mut to_guest)?;
                continue;
            };
            let layer = match version {
                IpVersion::V4 => &mut out.v4,
                IpVersion::V6 => &mut out.v6,
            };
            let (out, into) = layer3::rules(instance.rule, &element, version, driver)?;
            layer.from_guest.extend(out);
            layer.to_guest.extend(into);
        }
    }
    let sorted = |placed, way| Layer2Chains {
        end_accepts: driver.chain_end_accepts(),
        ..layer2(placed, &driver.chain_places(instances, way))
    };
    out.from_guest = sorted(from_guest, Way::FromGuest);
    out.to_guest = sorted(to_guest, Way::ToGuest);
    Ok(out)
}

/// Puts a layer-2 rule where its direction says. A rule for both directions is
/// written from the viewpoint of frames to the guest, and turned round for the others.
fn place<'a>(
    instance: &RuleInstance<'a>,
    element: &ResolvedElement<'_>,
    driver: &dyn Driver,
    from_guest: &mut Vec<Placed<'a>>,
    to_guest: &mut Vec<Placed<'a>>,
) -> Result<(), CompileError> {
    let both = instance.rule.direction == RuleDirection::InOut;
    let placed = |swap| -> Result<Placed<'a>, CompileError> {
        let matches = layer2::matches(element, swap, driver)?;
        Ok(Placed {
            chain: instance.chain,
            chain_priority: instance.chain_priority,
            priority: instance.priority(),
            rule: CompiledRule {
                origin: instance.origin.clone(),
                action: instance.rule.action,
                matches: matches.matches,
                state: ConnectionState::Any,
                undecided: matches.undecided,
                portability: matches.portability,
            },
        })
    };
    if instance.goes(Way::FromGuest) {
        from_guest.push(placed(both)?);
    }
    if instance.goes(Way::ToGuest) {
        to_guest.push(placed(false)?);
    }
    Ok(())
}

fn layer2(placed: Vec<Placed<'_>>, priorities: &HashMap<&str, ChainPlace>) -> Layer2Chains {
    if placed.is_empty() {
        return Layer2Chains::default();
    }
    let mut subs: Vec<SubChain> = Vec::new();
    let mut numbers: HashMap<&str, usize> = HashMap::new();
    let mut roots = Vec::new();
    for Placed {
        chain,
        chain_priority,
        priority,
        rule,
    } in placed
    {
        if chain == ROOT {
            roots.push((priority, rule));
            continue;
        }
        if let Some(at) = numbers.get(chain) {
            subs[*at].rules.push(rule);
            continue;
        }
        numbers.insert(chain, subs.len());
        subs.push(SubChain {
            name: chain.to_owned(),
            place: priorities.get(chain).copied().unwrap_or(ChainPlace {
                priority: chain_priority,
                tie: 0,
            }),
            guard: guard(chain),
            rules: vec![rule],
        });
    }
    subs.sort_by(|a, b| (a.place, &a.name).cmp(&(b.place, &b.name)));
    let mut root = Vec::new();
    let mut next = 0;
    for (priority, rule) in roots {
        while subs
            .get(next)
            .is_some_and(|sub| sub.place.priority <= priority)
        {
            root.push(RootStep::Jump(next));
            next += 1;
        }
        root.push(RootStep::Rule(rule));
    }
    root.extend((next..subs.len()).map(RootStep::Jump));
    let tied = tied(&subs);
    Layer2Chains {
        root: Some(root),
        subs,
        tied,
        end_accepts: true,
    }
}

fn tied(subs: &[SubChain]) -> Vec<Vec<usize>> {
    let positions: Vec<usize> = (0..subs.len()).collect();
    positions
        .chunk_by(|a, b| subs[*a].place == subs[*b].place)
        .filter(|group| group.len() > 1)
        .map(<[usize]>::to_vec)
        .collect()
}

/// Which frames enter a chain, by the prefix of its name.
fn guard(chain: &str) -> Option<Match> {
    let (field, value) = match ChainPrefix::of(chain)?.guard {
        ChainGuard::All => return None,
        ChainGuard::EtherType(kind) => (Field::EtherType, kind.into()),
        ChainGuard::Destination(mac) => (Field::DstMac, mac.into()),
    };
    Some(Match {
        field,
        set: IntervalSet::one(value),
    })
}
