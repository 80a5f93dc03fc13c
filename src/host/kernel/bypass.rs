//! Rules of others that let a guest's frames past its filter.

use super::tables::{Rule, Tables};
use std::fmt;

/// Something of others that can take an interface's frames past its filter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bypass {
    /// Which tool shows it.
    pub tool: &'static str,
    /// Where it is, in the tool's words, such as table and chain.
    pub place: String,
    /// The rule.
    pub rule: String,
    /// The command that takes it away.
    pub cure: String,
    /// It has the frames before the bridge does, so that a closed tap does not hold them either.
    pub is_early: bool,
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
    /// A rule that the tools of iptables show in a chain.
    fn xtables(tool: &'static str, table: &str, chain: &str, rule: &str) -> Self {
        Self {
            tool,
            place: format!("{table} {chain}"),
            rule: rule.to_owned(),
            cure: format!("{tool} -t {table} -D {chain} {rule}"),
            is_early: false,
        }
    }

    /// A rule that nft shows in a table; nft deletes by a number, which it prints when asked.
    pub(super) fn nft(table: &str, chain: &str, rule: &str) -> Self {
        Self {
            tool: "nft",
            place: format!("{table} {chain}").trim_end().to_owned(),
            rule: rule.to_owned(),
            cure: format!(
                "nft -a list table {table}, then nft delete rule {table} CHAIN handle NUMBER"
            ),
            is_early: false,
        }
    }

    /// A table whose rules nft shows, and the kernel does not apply.
    pub(super) fn dormant(table: &str) -> Self {
        Self {
            tool: "nft",
            place: table.to_owned(),
            rule: "flags dormant: the kernel applies none of its rules".to_owned(),
            cure: format!("nft add table {table}"),
            is_early: false,
        }
    }

    /// Whether it is a rule that names this device, and so is for no other guest, and that its
    /// cure takes away as it stands.
    pub fn is_of(&self, device: Option<&str>) -> bool {
        let mut words = self.rule.split_whitespace();
        ["ebtables", "iptables", "ip6tables"].contains(&self.tool)
            && !self.rule.contains('"')
            && device.is_some_and(|device| words.any(|word| word == device))
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
    /// The options that name the bridge.
    pub bridge_options: &'static [&'static str],
    /// Targets that let a frame past: `ACCEPT`, or in `broute` `DROP`.
    pub lets_past: &'static [&'static str],
}

impl Way<'_> {
    /// The rules among the first `before` of the chain that may let frames of the device past.
    pub fn bypasses(&self, before: usize, device: &str, bridge: Option<&str>) -> Vec<Bypass> {
        let rules = self.tables.chain(self.table, self.chain).iter();
        let rules = rules.take(before);
        let past = rules.filter(|rule| self.may_let_past(rule, device, bridge, 0));
        past.map(|rule| Bypass::xtables(self.tool, self.table, self.chain, &rule.text))
            .collect()
    }

    fn may_let_past(&self, rule: &Rule, device: &str, bridge: Option<&str>, depth: usize) -> bool {
        if !self.may_match(rule, device, bridge) {
            return false;
        }
        let Some(target) = rule.target() else {
            return false;
        };
        // A chain that was jumped to only returns to the one before.
        if self.lets_past.contains(&target) && (target != "RETURN" || depth == 0) {
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
            let excluded = rule.excluded(option);
            named.is_none_or(|name| matches_name(name, own))
                && excluded.is_none_or(|name| !matches_name(name, own))
        };
        names(self.device_option, device)
            && bridge.is_none_or(|bridge| {
                let mut options = self.bridge_options.iter();
                options.all(|option| names(option, bridge))
            })
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

    fn found(rules: &str, device: &str) -> Vec<Bypass> {
        let tables = Tables::of(&format!("*nat\n:PREROUTING ACCEPT\n:F ACCEPT\n{rules}"));
        let way = Way {
            tables: &tables,
            tool: "ebtables",
            table: "nat",
            chain: "PREROUTING",
            device_option: "-i",
            bridge_options: &["--logical-in"],
            lets_past: &["ACCEPT", "RETURN"],
        };
        way.bypasses(9, device, Some("br0"))
    }

    #[rstest]
    #[case::of_all("-j ACCEPT", 1)]
    #[case::of_this("-i vnet0 -j ACCEPT", 1)]
    #[case::of_another("-i vnet1 -j ACCEPT", 0)]
    #[case::of_all_but_this("-i ! vnet0 -j ACCEPT", 0)]
    #[case::of_all_but_another("-i ! vnet1 -j ACCEPT", 1)]
    #[case::of_all_but_its_bridge("! --logical-in br0 -j ACCEPT", 0)]
    #[case::of_some("-i vnet+ -j ACCEPT", 1)]
    #[case::of_its_bridge("--logical-in br0 -j ACCEPT", 1)]
    #[case::of_another_bridge("--logical-in br1 -j ACCEPT", 0)]
    #[case::of_some_frames("-p ARP -j ACCEPT", 1)]
    #[case::a_drop("-i vnet0 -j DROP", 0)]
    #[case::a_mark_that_goes_on("-j mark --mark-set 0x1 --mark-target CONTINUE", 0)]
    #[case::a_mark_that_accepts("-j mark --mark-set 0x1 --mark-target ACCEPT", 1)]
    #[case::a_redirect("-j redirect", 1)]
    #[case::a_chain_that_accepts("-j F\n-A F -p ARP -j ACCEPT", 1)]
    #[case::a_chain_that_drops("-j F\n-A F -p ARP -j DROP", 0)]
    #[case::a_return("-j RETURN", 1)]
    #[case::a_chain_that_returns("-j F\n-A F -j RETURN", 0)]
    #[case::a_circle("-j F\n-A F -j F", 0)]
    fn what_lets_frames_past(#[case] rule: &str, #[case] count: usize) {
        let found = found(&format!("-A PREROUTING {rule}\n"), "vnet0");
        assert_eq!(found.len(), count, "{found:?}");
    }

    /// What `repair` runs must take away what it says, and of this guest alone.
    #[rstest]
    #[case::of_this("-i vnet0 -j ACCEPT", true)]
    #[case::of_all("-j ACCEPT", false)]
    #[case::of_some("-i vnet+ -j ACCEPT", false)]
    fn only_a_rule_of_this_device_is_its_own(#[case] rule: &str, #[case] own: bool) {
        let found = found(&format!("-A PREROUTING {rule}\n"), "vnet0");
        assert_eq!(found[0].is_of(Some("vnet0")), own);
        assert_eq!(
            found[0].cure,
            format!("ebtables -t nat -D PREROUTING {rule}")
        );
        assert!(
            !Bypass::nft("bridge nat", "PREROUTING", "iifname vnet0 accept").is_of(Some("vnet0"))
        );
    }
}
