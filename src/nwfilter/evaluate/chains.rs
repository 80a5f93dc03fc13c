//! Rules sorted into the chains of one interface.

use super::expand::expand;
use super::field::Field;
use super::flatten::RuleInstance;
use super::rule::{CompiledRule, ConnectionState, Match, ResolvedElement};
use super::{Backend, CompileError, MAX_RULES, Way, layer2, layer3};
use crate::nwfilter::intervals::IntervalSet;
use crate::nwfilter::model::Direction;
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
    /// Priority of the jump.
    pub priority: i16,
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
pub fn chains(instances: &[RuleInstance<'_>], backend: Backend) -> Result<Chains, CompileError> {
    if backend == Backend::Ebtables {
        in_time(instances)?;
    }
    let mut out = Chains::default();
    let (mut from_guest, mut to_guest) = (Vec::new(), Vec::new());
    let mut steps = 0;
    for instance in instances {
        for attributes in expand(instance, &mut steps)? {
            let protocol = instance.rule.elements.first();
            let attributes = ResolvedElement {
                protocol: protocol.map_or("mac", |element| &element.protocol),
                origin: &instance.origin,
                all: &attributes,
                backend,
            };
            out.rules += 1;
            if out.rules > MAX_RULES {
                return Err(CompileError::TooMany {
                    origin: instance.origin.clone(),
                    limit: MAX_RULES,
                });
            }
            if let Some(v6) = layer3::is_v6(attributes.protocol) {
                let layer = if v6 { &mut out.v6 } else { &mut out.v4 };
                let (out, into) = layer3::rules(instance.rule, &attributes, v6)?;
                layer.from_guest.extend(out);
                layer.to_guest.extend(into);
            } else {
                place(instance, &attributes, &mut from_guest, &mut to_guest)?;
            }
        }
    }
    out.from_guest = layer2(
        from_guest,
        &chain_priorities(instances, Way::FromGuest, backend),
    );
    out.to_guest = layer2(
        to_guest,
        &chain_priorities(instances, Way::ToGuest, backend),
    );
    out.from_guest.end_accepts = backend.chain_end_accepts();
    out.to_guest.end_accepts = backend.chain_end_accepts();
    Ok(out)
}

/// Whether every chain is made before its first rule: libvirt goes through the
/// rules of both directions in their order and makes each chain before the first
/// rule that does not come before it. A chain that several filters share may have
/// a later priority than the rule of one of them; binding then fails, but for a
/// device with the chain that a binding that failed earlier has left behind.
fn in_time(instances: &[RuleInstance<'_>]) -> Result<(), CompileError> {
    let ways = [Way::FromGuest, Way::ToGuest];
    let priorities = ways.map(|way| (way, chain_priorities(instances, way, Backend::Ebtables)));
    let mut latest = i16::MIN;
    for instance in instances.iter().filter(|instance| is_layer2(instance)) {
        let own = if instance.in_root() {
            instance.priority()
        } else {
            instance.priority().max(instance.chain_priority)
        };
        latest = latest.max(own);
        let late = priorities.iter().any(|(way, priorities)| {
            let chain = priorities.get(instance.chain);
            goes(instance, *way) && chain.is_some_and(|priority| *priority > latest)
        });
        if late && !instance.in_root() {
            return Err(CompileError::Refused {
                origin: instance.origin.clone(),
                what: format!(
                    "its priority comes before that of the chain {}, which another filter has set",
                    instance.chain
                ),
            });
        }
    }
    Ok(())
}

/// Whether the rule is for frames that go this way.
fn goes(instance: &RuleInstance<'_>, way: Way) -> bool {
    let other = match way {
        Way::FromGuest => Direction::In,
        Way::ToGuest => Direction::Out,
    };
    instance.rule.direction != other
}

fn is_layer2(instance: &RuleInstance<'_>) -> bool {
    let protocol = instance.rule.elements.first();
    protocol.is_none_or(|element| layer3::is_v6(&element.protocol).is_none())
}

/// Puts a layer-2 rule where its direction says. A rule for both directions is
/// written from the viewpoint of frames to the guest, and turned round for the others.
fn place<'a>(
    instance: &RuleInstance<'a>,
    attributes: &ResolvedElement<'_>,
    from_guest: &mut Vec<Placed<'a>>,
    to_guest: &mut Vec<Placed<'a>>,
) -> Result<(), CompileError> {
    let both = instance.rule.direction == Direction::InOut;
    let placed = |swap| -> Result<Placed<'a>, CompileError> {
        let matches = layer2::matches(attributes, swap)?;
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
    if goes(instance, Way::FromGuest) {
        from_guest.push(placed(both)?);
    }
    if goes(instance, Way::ToGuest) {
        to_guest.push(placed(false)?);
    }
    Ok(())
}

/// The priority of each chain of one direction. With ebtables that of its rule
/// that sorts last, of the rules for that direction only (`chains_in_set` and
/// `chains_out_set` of `ebiptablesApplyNewRules` in libvirt's
/// `nwfilter_ebiptables_driver.c`; measured); with nftables that of its first rule
/// of either direction and layer (`nftablesGetSubChains` in
/// `nwfilter_nftables_driver.c`; not measured).
fn chain_priorities<'a>(
    instances: &[RuleInstance<'a>],
    way: Way,
    backend: Backend,
) -> HashMap<&'a str, i16> {
    let named = |instance: &RuleInstance<'a>| (instance.chain, instance.chain_priority);
    // The last of each name stays.
    match backend {
        Backend::Ebtables => instances
            .iter()
            .filter(|instance| is_layer2(instance) && goes(instance, way))
            .map(named)
            .collect(),
        Backend::Nftables => instances.iter().rev().map(named).collect(),
    }
}

fn layer2(placed: Vec<Placed<'_>>, priorities: &HashMap<&str, i16>) -> Layer2Chains {
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
        if chain == "root" {
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
            priority: priorities.get(chain).copied().unwrap_or(chain_priority),
            guard: guard(chain),
            rules: vec![rule],
        });
    }
    subs.sort_by(|a, b| (a.priority, &a.name).cmp(&(b.priority, &b.name)));
    let mut root = Vec::new();
    let mut next = 0;
    for (priority, rule) in roots {
        while subs.get(next).is_some_and(|sub| sub.priority <= priority) {
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
        .chunk_by(|a, b| subs[*a].priority == subs[*b].priority)
        .filter(|group| group.len() > 1)
        .map(<[usize]>::to_vec)
        .collect()
}

/// Which frames enter a chain, by the first known prefix of its name.
fn guard(chain: &str) -> Option<Match> {
    let by_prefix = [
        ("ipv4", 0x0800),
        ("ipv6", 0x86dd),
        ("arp", 0x0806),
        ("rarp", 0x8035),
        ("vlan", 0x8100),
    ];
    if chain.starts_with("stp") {
        let field = Field::DstMac;
        return Some(Match {
            field,
            set: IntervalSet::one(0x0180_c200_0000),
        });
    }
    let (_, kind) = by_prefix
        .iter()
        .find(|(prefix, _)| chain.starts_with(prefix))?;
    Some(Match {
        field: Field::EtherType,
        set: IntervalSet::one(*kind),
    })
}
