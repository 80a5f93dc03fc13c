//! The rules that are in the kernel, read once for all interfaces.
//!
//! libvirt's XML and its list of bindings say "filtered" when the rules are long gone, so
//! only the kernel's rules are evidence. They are compared with those that this libvirt
//! makes of the same filter in a lab ([`super::reference`]); for that an interface's name and
//! MAC are replaced by words that stand for any.

mod bypass;
mod early;
mod interface;
mod nf_tables;
mod read;
mod tables;
mod tcx;

pub use bypass::Bypass;
pub use interface::{Difference, InterfaceRules, Layer};
pub use nf_tables::DORMANT;
pub use read::{RuleTexts, read};

use crate::frame::Mac;
use crate::lab::ruleset::nftables;
use bypass::Way;
use early::Early;
use interface::Names;
use std::collections::{HashMap, HashSet};
use tables::{Rule, Tables};

/// The rules of the whole host at one moment.
#[derive(Debug, Default)]
pub struct Ruleset {
    ebtables: Tables,
    iptables: Tables,
    ip6tables: Tables,
    nftables: nftables::Tables,
    jumps: HashMap<String, Vec<Jump>>,
    sets_broute: Vec<String>,
    dormant: Vec<String>,
    early: Early,
}

/// A jump from a base chain into the chains of one interface.
#[derive(Debug, Clone)]
struct Jump {
    layer: Layer,
    chain: &'static str,
    position: usize,
    rule: Rule,
}

/// The chains from which libvirt's ebtables back end leads to an interface's chains
/// (`ebtablesCreateTmpRootChainFW` and `iptablesCreateBaseChainsFW` in its
/// `nwfilter_ebiptables_driver.c`), each with the option that names the device.
const HOOKS: [(Layer, &str, &str, &str); 6] = [
    (Layer::Ebtables, "nat", "PREROUTING", "-i"),
    (Layer::Ebtables, "nat", "POSTROUTING", "-o"),
    (Layer::Iptables, "filter", "libvirt-in", "--physdev-in"),
    (Layer::Iptables, "filter", "libvirt-out", "--physdev-out"),
    (Layer::Iptables, "filter", "libvirt-host-in", "--physdev-in"),
    (Layer::Iptables, "filter", "libvirt-in-post", "--physdev-in"),
];

/// The base chains of layer 3 and where each leads to.
const BASES: [(&str, &str); 4] = [
    ("FORWARD", "libvirt-in"),
    ("FORWARD", "libvirt-out"),
    ("FORWARD", "libvirt-in-post"),
    ("INPUT", "libvirt-host-in"),
];

impl Ruleset {
    /// Of what the tools print.
    pub fn of(texts: &RuleTexts) -> Self {
        let mut out = Self {
            ebtables: Tables::of(&texts.ebtables),
            iptables: Tables::of(&texts.iptables),
            ip6tables: Tables::of(&texts.ip6tables),
            nftables: nftables::Tables::of(&texts.nftables),
            jumps: HashMap::new(),
            sets_broute: Vec::new(),
            dormant: texts.tables.dormant.clone(),
            early: Early::of(&texts.early, &texts.tables.flow_tables),
        };
        let broute = texts.nftables.lines().map(str::trim);
        let broute = broute.filter(|line| line.contains("meta broute set 1"));
        out.sets_broute = broute.map(str::to_owned).collect();
        out.index();
        out
    }

    /// Sorts the jumps by device, so that a thousand interfaces are looked at in one go.
    fn index(&mut self) {
        let mut jumps: HashMap<String, Vec<Jump>> = HashMap::new();
        for (layer, table, chain, option) in HOOKS {
            let families: &[(Layer, &Tables)] = match layer {
                Layer::Ebtables => &[(Layer::Ebtables, &self.ebtables)],
                _ => &[
                    (Layer::Iptables, &self.iptables),
                    (Layer::Ip6tables, &self.ip6tables),
                ],
            };
            for (layer, tables) in families {
                for (position, rule) in tables.chain(table, chain).iter().enumerate() {
                    let device = rule.option(option);
                    let leads = rule.target().zip(device);
                    let Some(device) = leads.filter(|(to, device)| {
                        chain == "libvirt-in-post" || interface::is_own_chain(to, device)
                    }) else {
                        continue;
                    };
                    let jump = Jump {
                        layer: *layer,
                        chain,
                        position,
                        rule: rule.clone(),
                    };
                    jumps.entry(device.1.to_owned()).or_default().push(jump);
                }
            }
        }
        self.jumps = jumps;
    }

    fn tables(&self, layer: Layer) -> &Tables {
        match layer {
            Layer::Iptables => &self.iptables,
            Layer::Ip6tables => &self.ip6tables,
            Layer::Ebtables | Layer::Nftables => &self.ebtables,
        }
    }

    /// The rules of an interface, its name and MAC replaced.
    pub fn interface(&self, device: &str, mac: Option<Mac>) -> InterfaceRules {
        let names = Names { device, mac };
        let mut out = InterfaceRules::default();
        let mut seen = HashSet::new();
        for jump in self.jumps.get(device).into_iter().flatten() {
            let text = format!("{} {}", jump.chain, names.replaced(&jump.rule.text));
            out.hooks.push((jump.layer, text));
            self.follow(&mut out, jump, &names, &mut seen);
        }
        for rule in self.nftables.rules(device) {
            out.chains.push((Layer::Nftables, names.replaced(&rule)));
        }
        for hook in self.nftables.hooks(device) {
            out.hooks.push((Layer::Nftables, names.replaced(&hook)));
        }
        self.layer3_bases(&mut out);
        out.sort();
        out
    }

    /// Adds the chains that a jump leads to, each once.
    fn follow<'a>(
        &'a self,
        out: &mut InterfaceRules,
        jump: &'a Jump,
        names: &Names<'_>,
        seen: &mut HashSet<(Layer, &'a str)>,
    ) {
        let table = if jump.layer == Layer::Ebtables {
            "nat"
        } else {
            "filter"
        };
        let tables = self.tables(jump.layer);
        let mut open: Vec<&str> = jump.rule.target().into_iter().collect();
        while let Some(chain) = open.pop() {
            if !seen.insert((jump.layer, chain)) {
                continue;
            }
            if interface::is_temporary(chain) {
                out.rebuilding = true;
            }
            for rule in tables.chain(table, chain) {
                let text = format!("{} {}", names.chain(chain), names.replaced(&rule.text));
                out.chains.push((jump.layer, text));
                let target = rule.target();
                open.extend(target.filter(|to| !tables.chain(table, to).is_empty()));
            }
        }
    }

    /// What leads from the kernel's hooks to libvirt's chains of layer 3, where the interface
    /// has rules there.
    fn layer3_bases(&self, out: &mut InterfaceRules) {
        for layer in [Layer::Iptables, Layer::Ip6tables] {
            if !out.has(layer) {
                continue;
            }
            for (base, to) in BASES {
                let rules = self.tables(layer).chain("filter", base).iter();
                let leads = rules.filter(|rule| rule.target() == Some(to));
                for rule in leads {
                    out.hooks.push((layer, format!("{base} {}", rule.text)));
                }
            }
        }
    }

    /// The rules of others that may let frames of the interface past its filter.
    pub fn bypasses(
        &self,
        device: &str,
        bridge: Option<&str>,
        rules: &InterfaceRules,
    ) -> Vec<Bypass> {
        let mut out = Vec::new();
        if rules.has(Layer::Ebtables) {
            for way in self.layer2() {
                let before = self.first_jump(device, way.chain);
                out.extend(way.bypasses(before, device, bridge));
            }
        }
        let [brouting, _] = self.layer2();
        let brouting = Way {
            table: "broute",
            chain: "BROUTING",
            lets_past: &["DROP"],
            ..brouting
        };
        out.extend(brouting.bypasses(usize::MAX, device, bridge));
        let broute = self.sets_broute.iter();
        out.extend(broute.map(|rule| Bypass::nft("bridge", "", rule)));
        out.extend(self.early.of_device(device).cloned());
        out.extend(self.dormant(rules));
        if rules.has(Layer::Nftables) {
            let before = self.nftables.before_lookup();
            let own = before.filter(|(_, _, rule)| may_let_past(rule, device));
            out.extend(
                own.map(|(table, chain, rule)| {
                    Bypass::nft(&format!("bridge {table}"), chain, rule)
                }),
            );
        }
        for (layer, tool) in LAYER3 {
            if rules.has(layer) {
                for (way, (_, to)) in self.forwarding(layer, tool).into_iter().zip(BASES) {
                    let chain = way.tables.chain(way.table, way.chain);
                    let leads = |rule: &Rule| rule.target() == Some(to);
                    let before = chain.iter().position(leads).unwrap_or(chain.len());
                    let found = way.bypasses(before, device, bridge).into_iter();
                    // The jumps of libvirt itself lead to the filter.
                    let is_own = |it: &Bypass| {
                        let leads_to = it.rule.strip_prefix("-j ");
                        BASES.iter().any(|(_, to)| leads_to == Some(to))
                    };
                    let new: Vec<_> = found
                        .filter(|it| !is_own(it) && !out.contains(it))
                        .collect();
                    out.extend(new);
                }
            }
        }
        out
    }

    /// The tables that hold rules of the interface, and that the kernel does not apply.
    fn dormant(&self, rules: &InterfaceRules) -> impl Iterator<Item = Bypass> {
        // The tools of iptables keep their tables under their own names.
        let places = [
            (Layer::Ebtables, "bridge nat"),
            (Layer::Iptables, "ip filter"),
            (Layer::Ip6tables, "ip6 filter"),
            (Layer::Nftables, "bridge libvirt_nwfilter"),
        ]
        .map(|(layer, place)| rules.has(layer).then_some(place));
        let own = self.dormant.iter().filter(move |table| {
            let mut places = places.into_iter().flatten();
            places.any(|place| {
                let rest = table.strip_prefix(place);
                rest.is_some_and(|rest| rest.is_empty() || place.ends_with("libvirt_nwfilter"))
            })
        });
        own.map(|table| Bypass::dormant(table))
    }

    /// What a frame from the interface and one to it come through at layer 2.
    fn layer2(&self) -> [Way<'_>; 2] {
        let way = |chain, device_option, bridge_options| Way {
            tables: &self.ebtables,
            tool: "ebtables",
            table: "nat",
            chain,
            device_option,
            bridge_options,
            lets_past: &["ACCEPT", "RETURN"],
        };
        [
            way("PREROUTING", "-i", &["--logical-in"]),
            way("POSTROUTING", "-o", &["--logical-out"]),
        ]
    }

    /// What a bridged packet from the interface and one to it come through at layer 3.
    fn forwarding(&self, layer: Layer, tool: &'static str) -> [Way<'_>; 2] {
        let way = |device_option, bridge_options| Way {
            tables: self.tables(layer),
            tool,
            table: "filter",
            chain: "FORWARD",
            device_option,
            bridge_options,
            lets_past: &["ACCEPT", "RETURN"],
        };
        // Those to it come under libvirt's rules where they are bridged, from the same bridge.
        [
            way("--physdev-in", &["-i"]),
            way("--physdev-out", &["-i", "-o"]),
        ]
    }

    /// Position of the jump into the interface's chains; past the end where there is none.
    fn first_jump(&self, device: &str, chain: &str) -> usize {
        let jumps = self.jumps.get(device).into_iter().flatten();
        let of_chain = jumps.filter(|jump| jump.chain == chain);
        of_chain
            .map(|jump| jump.position)
            .min()
            .unwrap_or(usize::MAX)
    }
}

/// Whether a rule of nft may let frames of a device past what follows: not where it names another
/// device, nor where its verdict ends their way, or says nothing of it.
fn may_let_past(rule: &str, device: &str) -> bool {
    let words: Vec<&str> = rule.split_whitespace().collect();
    let other = words.windows(2).any(|pair| {
        let names = ["iif", "iifname", "oif", "oifname"].contains(&pair[0]);
        // A set, a negation and a name with `*` may mean this one.
        names
            && pair[1].starts_with('"')
            && !pair[1].contains('*')
            && pair[1].trim_matches('"') != device
    });
    let verdicts = ["accept", "return", "jump", "goto", "vmap", "queue"];
    !other && words.iter().any(|word| verdicts.contains(word))
}

/// The layers whose packets the kernel takes from the bridge to iptables.
const LAYER3: [(Layer, &str); 2] = [
    (Layer::Iptables, "iptables"),
    (Layer::Ip6tables, "ip6tables"),
];

#[cfg(test)]
mod tests;
