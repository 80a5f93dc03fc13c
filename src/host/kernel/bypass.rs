//! Rules of others that let a guest's frames past its filter.

use super::tables::{Rule, Tables};
use std::fmt;

/// A rule that stands before the jump into an interface's chains and can accept its frames.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bypass {
    /// Which tool shows the rule.
    pub tool: &'static str,
    /// Its table and chain.
    pub place: String,
    /// The rule.
    pub rule: String,
    /// Whether it has every frame of the interface, and not only some.
    pub whole: bool,
}

impl fmt::Display for Bypass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            tool, place, rule, ..
        } = self;
        write!(f, "{tool}: {place}: {rule}")
    }
}

impl Bypass {
    /// Whether the rule names this device, and so is for no other guest.
    pub fn is_of(&self, device: Option<&str>) -> bool {
        let mut words = self.rule.split_whitespace();
        self.tool != "nft"
            && !self.rule.contains('"')
            && device.is_some_and(|device| words.any(|word| word == device))
    }

    /// The command that takes the rule away.
    pub fn cure(&self) -> String {
        let (table, chain) = self.place.split_once(' ').unwrap_or(("nat", &self.place));
        format!("{} -t {table} -D {chain} {}", self.tool, self.rule)
    }
}

/// Most chains that are followed from one rule.
const DEPTH: usize = 16;

/// What frames of an interface come through: its options for the device, and its bridge.
#[derive(Debug, Clone, Copy)]
pub struct Way<'a> {
    /// Tables of the tool.
    pub tables: &'a Tables,
    /// The tool's name.
    pub tool: &'static str,
    /// The table.
    pub table: &'static str,
    /// The base chain.
    pub chain: &'static str,
    /// The option that names the device, such as `-i`.
    pub device_option: &'static str,
    /// The option that names the bridge.
    pub bridge_option: &'static str,
    /// Targets that let a frame past: `ACCEPT`, or in `broute` `DROP`.
    pub lets_past: &'static [&'static str],
}

impl Way<'_> {
    /// The rules among the first `before` of the chain that may let frames of the device past.
    pub fn bypasses(&self, before: usize, device: &str, bridge: Option<&str>) -> Vec<Bypass> {
        let rules = self.tables.chain(self.table, self.chain).iter();
        let rules = rules.take(before);
        let past = rules.filter(|rule| self.may_let_past(rule, device, bridge, 0));
        past.map(|rule| Bypass {
            tool: self.tool,
            place: format!("{} {}", self.table, self.chain),
            rule: rule.text.clone(),
            whole: self.is_whole(rule),
        })
        .collect()
    }

    fn may_let_past(&self, rule: &Rule, device: &str, bridge: Option<&str>, depth: usize) -> bool {
        if !self.may_match(rule, device, bridge) {
            return false;
        }
        let Some(target) = rule.target() else {
            return false;
        };
        if self.lets_past.contains(&target) {
            return true;
        }
        // These change a frame and then accept it, unless they are told otherwise.
        if ["mark", "dnat", "snat", "redirect"].contains(&target) {
            let verdict = format!("--{target}-target");
            let verdict = rule.option(&verdict).unwrap_or("ACCEPT");
            return self.lets_past.contains(&verdict);
        }
        let inside = self.tables.chain(self.table, target);
        depth < DEPTH
            && inside
                .iter()
                .any(|rule| self.may_let_past(rule, device, bridge, depth + 1))
    }

    /// Whether a frame of the device may come under the rule: only what names another device
    /// cannot.
    fn may_match(&self, rule: &Rule, device: &str, bridge: Option<&str>) -> bool {
        let names = |option: &str, own: &str| {
            let named = rule.option(option);
            named.is_none_or(|name| matches_name(name, own))
        };
        names(self.device_option, device)
            && bridge.is_none_or(|bridge| names(self.bridge_option, bridge))
    }

    /// Whether nothing but devices limits the rule, which leads straight to its verdict.
    fn is_whole(&self, rule: &Rule) -> bool {
        let known = [self.device_option, self.bridge_option, "-j", "-g"];
        let mut options = rule.text.split_whitespace();
        let only_known = options.all(|word| !word.starts_with('-') || known.contains(&word));
        only_known
            && !rule.text.contains('!')
            && rule
                .target()
                .is_some_and(|target| self.lets_past.contains(&target))
    }
}

/// Whether a rule's device name, which may end with `+` for any, is that of a device.
fn matches_name(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('+') {
        Some(start) => name.starts_with(start),
        None => pattern == name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn found(rules: &str, device: &str) -> Vec<(String, bool)> {
        let tables = Tables::of(&format!("*nat\n:PREROUTING ACCEPT\n:F ACCEPT\n{rules}"));
        let way = Way {
            tables: &tables,
            tool: "ebtables",
            table: "nat",
            chain: "PREROUTING",
            device_option: "-i",
            bridge_option: "--logical-in",
            lets_past: &["ACCEPT", "RETURN"],
        };
        let found = way.bypasses(9, device, Some("br0"));
        found.into_iter().map(|one| (one.rule, one.whole)).collect()
    }

    #[rstest]
    #[case::of_all("-j ACCEPT", Some(true))]
    #[case::of_this("-i vnet0 -j ACCEPT", Some(true))]
    #[case::of_another("-i vnet1 -j ACCEPT", None)]
    #[case::of_all_but_this("-i ! vnet0 -j ACCEPT", Some(false))]
    #[case::of_some("-i vnet+ -j ACCEPT", Some(true))]
    #[case::of_its_bridge("--logical-in br0 -j ACCEPT", Some(true))]
    #[case::of_another_bridge("--logical-in br1 -j ACCEPT", None)]
    #[case::of_some_frames("-p ARP -j ACCEPT", Some(false))]
    #[case::a_drop("-i vnet0 -j DROP", None)]
    #[case::a_mark_that_goes_on("-j mark --mark-set 0x1 --mark-target CONTINUE", None)]
    #[case::a_mark_that_accepts("-j mark --mark-set 0x1 --mark-target ACCEPT", Some(false))]
    #[case::a_redirect("-j redirect", Some(false))]
    #[case::a_chain_that_accepts("-j F\n-A F -p ARP -j ACCEPT", Some(false))]
    #[case::a_chain_that_drops("-j F\n-A F -p ARP -j DROP", None)]
    #[case::a_circle("-j F\n-A F -j F", None)]
    fn what_lets_frames_past(#[case] rule: &str, #[case] whole: Option<bool>) {
        let found = found(&format!("-A PREROUTING {rule}\n"), "vnet0");
        assert_eq!(found.first().map(|one| one.1), whole, "{found:?}");
    }
}
