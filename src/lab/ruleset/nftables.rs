//! The rules of libvirt's nftables back end, as `nft` prints them.
//!
//! Each table has a base chain for a direction, which looks the interface up in a map whose
//! elements jump to the interface's own chain (measured: docs/measurements.md#M47).

use super::tool::{Installed, dump, finish, start};
use crate::lab::error::LabError;

/// The tool.
pub(super) const PROGRAM: &str = "nft";

/// The table of layer 2.
const LAYER2: &str = "libvirt_nwfilter_ethernet";

/// The table of layer 3.
const LAYER3: &str = "libvirt_nwfilter_inet";

/// For each direction the base chain, the map that it looks the interface up in, and the
/// end of the name of an interface's chain.
const WAYS: [(&str, &str, &str); 2] = [
    ("prerouting", "vmap-iif", "-out"),
    ("postrouting", "vmap-oif", "-in"),
];

/// A chain with its rules.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Chain {
    table: String,
    name: String,
    rules: Vec<String>,
}

/// What is in libvirt's tables.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Tables {
    chains: Vec<Chain>,
    /// Table, map, interface and the chain that it leads to.
    jumps: Vec<[String; 4]>,
}

/// Reads the tables of the caller's namespace.
///
/// # Errors
/// When nft cannot be started or fails.
pub(super) fn read() -> Result<Tables, LabError> {
    dump(PROGRAM, &["list", "ruleset", "bridge"]).map(|text| Tables::of(&text))
}

/// Takes the rules of layer 2 away and leaves chains and maps, as a foreign flush does.
///
/// # Errors
/// When nft cannot be started or fails.
pub(super) fn flush_layer2() -> Result<(), LabError> {
    dump(PROGRAM, &["flush", "table", "bridge", LAYER2]).map(drop)
}

/// Deletes libvirt's tables, whether or not they are there.
///
/// # Errors
/// When nft cannot be started or fails.
pub(super) fn delete_tables() -> Result<(), LabError> {
    let delete = |table| format!("add table bridge {table}\ndelete table bridge {table}\n");
    let text = [LAYER2, LAYER3].map(delete).concat();
    finish(PROGRAM, start(PROGRAM, &["-f", "-"], &text)).map(drop)
}

impl Tables {
    /// Of what `nft list ruleset bridge` prints.
    pub fn of(text: &str) -> Self {
        let mut out = Self::default();
        let (mut table, mut map) = ("", None);
        let mut chain: Option<Chain> = None;
        for line in text.lines().map(str::trim) {
            let word = |at: usize| line.split_whitespace().nth(at).unwrap_or_default();
            match (word(0), &mut chain, map) {
                ("table", ..) => table = word(2),
                ("chain", ..) => {
                    chain = Some(Chain {
                        table: table.to_owned(),
                        name: word(1).to_owned(),
                        rules: Vec::new(),
                    });
                }
                ("map", ..) => map = Some(word(1)),
                ("}", Some(_), _) => out.chains.extend(chain.take()),
                ("}", None, Some(_)) => map = None,
                // The head of a base chain, and what is in neither chain nor map.
                ("type", Some(_), _) | (_, None, None) => {}
                (_, Some(chain), _) => chain.rules.push(line.to_owned()),
                (_, None, Some(map)) => out.jumps.extend(jumps(table, map, line)),
            }
        }
        out
    }

    fn of_interface<'a>(&'a self, interface: &'a str) -> impl Iterator<Item = &'a Chain> {
        let own = move |chain: &&Chain| {
            let rest = chain.name.strip_prefix(interface);
            let rest = rest.filter(|rest| rest.starts_with('-'));
            rest.is_some_and(|rest| WAYS.iter().any(|(.., end)| rest.ends_with(end)))
        };
        self.chains.iter().filter(own)
    }

    /// The interface's chains of layer 2, each with a rule, in order.
    pub(super) fn layer2<'a>(
        &'a self,
        interface: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a str)> {
        let chains = self.of_interface(interface);
        let chains = chains.filter(|chain| chain.table == LAYER2);
        chains.flat_map(|chain| {
            let rules = chain.rules.iter();
            rules.map(|rule| (chain.name.as_str(), rule.as_str()))
        })
    }

    /// Whether the frames of both directions come to the interface's chains in a table.
    fn is_hooked(&self, table: &str, interface: &str) -> bool {
        WAYS.iter().all(|(base, map, end)| {
            let looks_up = self.chains.iter().any(|chain| {
                let ends = |rule: &String| rule.ends_with(&format!("vmap @{map}"));
                chain.table == table && chain.name == *base && chain.rules.iter().any(ends)
            });
            let wanted = [table, map, interface, &format!("{interface}{end}")];
            looks_up && self.jumps.iter().any(|jump| *jump == wanted)
        })
    }

    /// What leads to the interface's chains, each behind its table: the elements of the maps,
    /// and the rules that look up in them.
    pub fn hooks(&self, interface: &str) -> Vec<String> {
        let own = self.jumps.iter().filter(|jump| jump[2] == interface);
        let mut out: Vec<String> = own
            .map(|[table, map, device, chain]| format!("{table} {map} {device} : jump {chain}"))
            .collect();
        if out.is_empty() {
            return out;
        }
        for (base, map, _) in WAYS {
            let bases = self.chains.iter().filter(|chain| chain.name == base);
            let looks_up = bases.flat_map(|chain| {
                let ends = move |rule: &&String| rule.ends_with(&format!("vmap @{map}"));
                let rules = chain.rules.iter().filter(ends);
                rules.map(|rule| format!("{} {} {rule}", chain.table, chain.name))
            });
            out.extend(looks_up);
        }
        out
    }

    /// The rules that a frame meets in libvirt's base chains before the interface is looked up,
    /// each with table and chain. libvirt makes none.
    pub fn before_lookup(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        let bases = self.chains.iter().filter_map(|chain| {
            let libvirts = [LAYER2, LAYER3].contains(&chain.table.as_str());
            let (_, map, _) = WAYS.iter().find(|(base, ..)| chain.name == *base)?;
            libvirts.then_some((chain, map))
        });
        bases.flat_map(|(chain, map)| {
            let end = format!("vmap @{map}");
            let rules = chain
                .rules
                .iter()
                .take_while(move |rule| !rule.ends_with(&end));
            rules.map(|rule| (chain.table.as_str(), chain.name.as_str(), rule.as_str()))
        })
    }

    pub(super) fn installed(&self, interface: &str) -> Installed {
        let rules = |table: &str| {
            let chains = self.of_interface(interface);
            let own = chains.filter(|chain| chain.table == table);
            own.map(|chain| chain.rules.len()).sum()
        };
        Installed {
            layer2: rules(LAYER2),
            layer3: rules(LAYER3),
            hooked: [LAYER2, LAYER3]
                .iter()
                .all(|table| self.is_hooked(table, interface)),
        }
    }

    /// The interface's rules, each behind table and chain.
    pub fn rules(&self, interface: &str) -> Vec<String> {
        let of_chain = |chain: &Chain| {
            let Chain { table, name, rules } = chain;
            let of_rule = |rule: &String| format!("{table} {name} {rule}");
            rules.iter().map(of_rule).collect::<Vec<_>>()
        };
        self.of_interface(interface).flat_map(of_chain).collect()
    }
}

/// The jumps in a line of a map's elements: `elements = { "tap0" : jump tap0-out }`.
fn jumps<'a>(table: &'a str, map: &'a str, line: &'a str) -> impl Iterator<Item = [String; 4]> {
    let elements = line.split([',', '{', '}']);
    elements.filter_map(move |element| {
        let (interface, verdict) = element.split_once(" : jump ")?;
        let interface = interface.trim().trim_matches('"');
        Some([table, map, interface, verdict.trim()].map(str::to_owned))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "table bridge TABLE { # comment
	set same-ip-set {
		type ipv4_addr . ipv4_addr
		elements = { 0.0.0.0 . 0.0.0.0,
			     0.0.0.1 . 0.0.0.1 }
	}

	map vmap-oif {
		type iface_index : verdict
		elements = { \"tap0\" : jump tap0-in,
			     \"tap01\" : jump tap01-in }
	}

	map vmap-iif {
		type iface_index : verdict
		elements = { \"tap0\" : jump tap0-out, \"tap01\" : jump tap01-out }
	}

	chain postrouting {
		type filter hook postrouting priority filter; policy accept;
		oif vmap @vmap-oif
	}

	chain prerouting {
		type filter hook prerouting priority filter; policy accept;
		iif vmap @vmap-iif
	}

	chain tap0-in {
	}

	chain tap0-out {
		ether type ip jump tap0-ipv4-out
		counter packets 0 bytes 0 drop
	}

	chain tap0-ipv4-out {
		ip daddr 192.168.1.0/24 counter packets 3 bytes 126 accept
	}

	chain tap01-out {
		counter packets 0 bytes 0 drop
	}

	chain n-tap0-out {
		counter packets 0 bytes 0 drop
	}
}
";

    fn both() -> String {
        [LAYER2, LAYER3]
            .map(|table| ONE.replace("TABLE", table))
            .concat()
    }

    fn installed(text: &str, interface: &str) -> (usize, usize, bool) {
        let found = Tables::of(text).installed(interface);
        (found.layer2, found.layer3, found.hooked)
    }

    #[test]
    fn only_this_interface_counts() {
        assert_eq!(installed(&both(), "tap0"), (3, 3, true));
        assert_eq!(installed(&both(), "tap01"), (1, 1, true));
        assert_eq!(installed(&both(), "tap9"), (0, 0, false));
        assert_eq!(installed("", "tap0"), (0, 0, false));
        let rules = Tables::of(&both()).rules("tap01");
        assert_eq!(
            rules,
            [LAYER2, LAYER3]
                .map(|table| format!("{table} tap01-out counter packets 0 bytes 0 drop"))
        );
    }

    #[test]
    fn what_stands_before_the_lookup_is_of_others() {
        assert_eq!(Tables::of(&both()).before_lookup().count(), 0);
        let text = both().replacen("iif vmap", "iifname \"tap0\" accept\n\t\tiif vmap", 1);
        let tables = Tables::of(&text);
        let found: Vec<_> = tables.before_lookup().collect();
        assert_eq!(found, [(LAYER2, "prerouting", "iifname \"tap0\" accept")]);
    }

    /// A rule that no frame comes to is as good as none.
    #[test]
    fn what_is_not_jumped_to_is_not_in_force() {
        for gone in [
            "oif vmap @vmap-oif",
            "iif vmap @vmap-iif",
            "\"tap0\" : jump tap0-out,",
        ] {
            let text = both().replacen(gone, "", 1);
            assert_ne!(text, both(), "{gone}");
            assert!(!installed(&text, "tap0").2, "{gone}");
        }
        assert!(!installed(&ONE.replace("TABLE", LAYER2), "tap0").2);
    }
}
