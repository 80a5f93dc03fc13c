//! What `ebtables-save`, `iptables-save` and `ip6tables-save` print, as data.

use std::collections::HashMap;

/// The tables of one tool.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Tables {
    tables: HashMap<String, Table>,
}

/// A table: its chains by name.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Table {
    chains: HashMap<String, Vec<Rule>>,
}

/// A rule, without counters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// What it says behind the name of its chain.
    pub text: String,
}

impl Tables {
    /// Reads a dump.
    pub fn of(dump: &str) -> Self {
        let mut out = Self::default();
        let mut table = String::new();
        for line in dump.lines().map(str::trim) {
            if let Some(name) = line.strip_prefix('*') {
                name.clone_into(&mut table);
                out.tables.entry(table.clone()).or_default();
            } else if let Some(head) = line.strip_prefix(':') {
                let name = head.split(' ').next().unwrap_or_default();
                let table = out.tables.entry(table.clone()).or_default();
                table.chains.entry(name.to_owned()).or_default();
            } else if let Some((chain, text)) = rule(line) {
                let table = out.tables.entry(table.clone()).or_default();
                let rules = table.chains.entry(chain.to_owned()).or_default();
                rules.push(Rule {
                    text: text.to_owned(),
                });
            }
        }
        out
    }

    /// The rules of a chain; none where there is no such chain.
    pub fn chain(&self, table: &str, chain: &str) -> &[Rule] {
        let table = self.tables.get(table);
        let chain = table.and_then(|table| table.chains.get(chain));
        chain.map_or(&[], Vec::as_slice)
    }
}

/// The chain of a line `[3:156] -A CHAIN …` and what follows.
fn rule(line: &str) -> Option<(&str, &str)> {
    let rule = if line.starts_with('[') {
        line.split_once("] ")?.1
    } else {
        line
    };
    let rule = rule.strip_prefix("-A ")?;
    Some(rule.split_once(' ').unwrap_or((rule, "")))
}

impl Rule {
    /// The value of an option, such as `-j`, where it is not negated.
    pub fn option(&self, name: &str) -> Option<&str> {
        let mut words = self.text.split_whitespace();
        let mut before = "";
        loop {
            let word = words.next()?;
            if word == name && before != "!" {
                return words.next().filter(|value| *value != "!");
            }
            before = word;
        }
    }

    /// The value of an option where it is negated: before it, as iptables writes, or before the value.
    pub fn excluded(&self, name: &str) -> Option<&str> {
        let words: Vec<&str> = self.text.split_whitespace().collect();
        words.windows(3).find_map(|it| match *it {
            ["!", option, value] | [option, "!", value] if option == name => Some(value),
            _ => None,
        })
    }

    /// Where it leads: the chain or verdict behind `-j` or `-g`.
    pub fn target(&self) -> Option<&str> {
        self.option("-j").or_else(|| self.option("-g"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DUMP: &str = "# comment\n*nat\n:PREROUTING ACCEPT\n:libvirt-I-vnet0 ACCEPT\n:EMPTY ACCEPT [0:0]\n\
                        -A PREROUTING -i vnet0 -j libvirt-I-vnet0\n[3:156] -A libvirt-I-vnet0 -s ! 52:54:0:0:0:1 -j DROP\n\
                        *filter\n:PREROUTING DROP\nCOMMIT\n";

    #[test]
    fn chains_belong_to_their_table() {
        let tables = Tables::of(DUMP);
        let of = |table, chain| {
            let rules = tables.chain(table, chain).iter();
            rules.map(|rule| rule.text.as_str()).collect::<Vec<_>>()
        };
        assert_eq!(of("nat", "PREROUTING"), ["-i vnet0 -j libvirt-I-vnet0"]);
        assert_eq!(of("nat", "libvirt-I-vnet0"), ["-s ! 52:54:0:0:0:1 -j DROP"]);
        assert!(of("filter", "PREROUTING").is_empty() && of("nat", "EMPTY").is_empty());
    }

    #[test]
    fn a_negated_option_has_no_value() {
        let option = |text: &str, name| {
            let rule = Rule { text: text.into() };
            rule.option(name).map(str::to_owned)
        };
        assert_eq!(option("-i vnet0 -j DROP", "-i").as_deref(), Some("vnet0"));
        assert_eq!(option("! -i vnet0 -j DROP", "-i"), None);
        assert_eq!(option("-i ! vnet0 -j DROP", "-i"), None);
        assert_eq!(option("-j", "-j"), None);
        for text in ["-p ARP ! -i vnet0 -j DROP", "-i ! vnet0 -j DROP"] {
            let rule = Rule { text: text.into() };
            assert_eq!(rule.excluded("-i"), Some("vnet0"), "{text}");
            assert_eq!(rule.excluded("-p"), None, "{text}");
        }
    }
}
