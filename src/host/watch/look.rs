//! The quick look at one interface: does the kernel still have for it what it had when its
//! rules were proven? It takes no reference and no libvirt, so it is done in milliseconds;
//! what differs is judged by the audit.

use super::expression::{Rule, Verdict};
use super::tables::{Chain, Place, Table, Tables};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// What the kernel has for an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Look {
    /// Equal for equal rules that are reached in the same way.
    pub print: u64,
    /// Which frames come to the interface's own chains.
    pub ways: Ways,
    /// Chains are there that libvirt has only while it rebuilds.
    pub rebuilding: bool,
}

/// The directions whose frames come to an interface's own chains.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Ways {
    /// Those from the guest.
    pub from: bool,
    /// Those to the guest.
    pub to: bool,
}

impl Ways {
    /// Whether each direction of the other has its rules here too.
    pub fn cover(self, other: Self) -> bool {
        (self.from || !other.from) && (self.to || !other.to)
    }
}

/// Looks at an interface.
pub fn look(tables: &Tables, interface: &str) -> Look {
    look_in(tables.all(), interface)
}

fn look_in<'a>(tables: impl Iterator<Item = (Place, &'a Table)>, interface: &str) -> Look {
    let (mut print, mut ways) = (DefaultHasher::new(), Ways::default());
    let mut rebuilding = false;
    for (place, table) in tables {
        let own = own_chains(place, interface);
        let there = |own: &&OwnChain| table.chains.contains_key(&own.name);
        rebuilding |= own.iter().filter(there).any(|own| own.is_temporary);
        if !own.iter().any(|own| there(&own)) {
            continue;
        }
        for (name, chain) in table.chains.iter().filter(|(_, chain)| chain.is_base) {
            let mut trace = Trace {
                interface,
                table,
                own: &own,
                items: Vec::new(),
                ways: Ways::default(),
            };
            if trace.follow(chain, 0) {
                (place, name, &trace.items).hash(&mut print);
                ways.from |= trace.ways.from;
                ways.to |= trace.ways.to;
            }
        }
    }
    Look {
        print: print.finish(),
        ways,
        rebuilding,
    }
}

/// A chain that libvirt makes for one interface.
#[derive(Debug)]
struct OwnChain {
    name: String,
    /// For frames from the guest.
    is_from: bool,
    /// libvirt has it only while it rebuilds.
    is_temporary: bool,
}

/// Beginnings of the names that the ebtables back end gives to the first chains of an
/// interface; the temporary ones are the second of each pair.
const STARTS: [([&str; 2], bool); 5] = [
    (["libvirt-I", "libvirt-J"], true),
    (["libvirt-O", "libvirt-P"], false),
    (["FI", "FJ"], true),
    (["HI", "HJ"], true),
    (["FO", "FP"], false),
];

/// Ends of the names that the nftables back end gives to them.
const ENDS: [(&str, bool); 2] = [("out", true), ("in", false)];

/// The first chains that an interface can have in a table.
fn own_chains(place: Place, interface: &str) -> Vec<OwnChain> {
    let own = |name, is_from, is_temporary| OwnChain {
        name,
        is_from,
        is_temporary,
    };
    if place.is_of_nftables() {
        let both = |(end, from): (&str, bool)| {
            let name = format!("{interface}-{end}");
            [own(format!("n-{name}"), from, true), own(name, from, false)]
        };
        return ENDS.into_iter().flat_map(both).collect();
    }
    let both = |([steady, temporary], from): ([&str; 2], bool)| {
        [(steady, false), (temporary, true)]
            .map(|(start, is_temporary)| own(format!("{start}-{interface}"), from, is_temporary))
    };
    STARTS.into_iter().flat_map(both).collect()
}

/// Whether a chain is one that libvirt has for the device only while it rebuilds.
pub fn is_temporary(place: Place, chain: &str, device: &str) -> bool {
    let own = own_chains(place, device).into_iter();
    own.filter(|own| own.is_temporary)
        .any(|own| own.name == chain)
}

/// Chains lead into each other at most this deep (`NFT_JUMP_STACK_SIZE`).
const DEPTH: usize = 16;

/// What stands between a hook of the kernel and the end of an interface's own chains.
struct Trace<'a> {
    interface: &'a str,
    table: &'a Table,
    own: &'a [OwnChain],
    items: Vec<u64>,
    ways: Ways,
}

impl<'a> Trace<'a> {
    /// Goes through a chain that is not the interface's own. Whether it leads to one that is;
    /// what stands behind the last such rule does not count.
    fn follow(&mut self, chain: &'a Chain, depth: usize) -> bool {
        let start = self.items.len();
        let mut end = None;
        for rule in &chain.rules {
            if self.is_of_another(rule) {
                continue;
            }
            if self.enter(rule, depth) {
                end = Some(self.items.len());
            } else if rule.can_bypass(self.interface) {
                self.items.push(whole_print(rule));
            }
        }
        self.items.truncate(end.unwrap_or(start));
        end.is_some()
    }

    /// Whether the rule leads to an own chain, directly or through others.
    fn enter(&mut self, rule: &'a Rule, depth: usize) -> bool {
        let table = self.table;
        let targets: Vec<&'a str> = match &rule.verdict {
            Verdict::Chain(chain) => vec![chain],
            Verdict::Map(map) => table.jumps(map, self.interface).collect(),
            _ => return false,
        };
        let mut found = false;
        for target in targets {
            let Some(chain) = table.chains.get(target) else {
                continue;
            };
            let before = self.items.len();
            if let Some(own) = self.own.iter().find(|own| own.name == target) {
                self.ways.from |= own.is_from;
                self.ways.to |= !own.is_from;
                self.items.push(rule.print);
                self.take(chain, depth + 1);
                found = true;
            } else if depth < DEPTH {
                self.items.push(whole_print(rule));
                let leads = self.follow(chain, depth + 1);
                if !leads {
                    self.items.truncate(before);
                }
                found |= leads;
            }
        }
        found
    }

    /// Takes an own chain whole, with all that it leads to. The names of the chains do not
    /// count: libvirt builds under one name and renames.
    fn take(&mut self, chain: &Chain, depth: usize) {
        for rule in &chain.rules {
            self.items.push(rule.print);
            if let Verdict::Chain(target) = &rule.verdict
                && depth < DEPTH
                && let Some(chain) = self.table.chains.get(target)
            {
                self.take(chain, depth + 1);
            }
        }
        // Where a chain ends is part of what it does.
        self.items.push(0);
    }

    /// Whether a rule is for another interface: it compares another name, or leads to
    /// another's chain, as in iptables' tables, where an extension compares the name.
    fn is_of_another(&self, rule: &Rule) -> bool {
        let other = rule
            .interface
            .as_ref()
            .is_some_and(|it| !it.matches(self.interface));
        let of_iptables = || {
            let Verdict::Chain(target) = &rule.verdict else {
                return false;
            };
            let is = |start: &str| {
                target
                    .strip_prefix(start)
                    .is_some_and(|rest| rest.starts_with('-'))
            };
            STARTS[2..]
                .iter()
                .flat_map(|(starts, _)| starts)
                .any(|start| is(start))
                && !self.own.iter().any(|own| own.name == *target)
        };
        other || of_iptables()
    }
}

/// The print of a rule together with the name of the chain that it leads to.
fn whole_print(rule: &Rule) -> u64 {
    let mut print = DefaultHasher::new();
    (rule.print, &rule.verdict).hash(&mut print);
    print.finish()
}
