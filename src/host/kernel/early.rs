//! What takes a device's frames before the bridge does, so that no rule of a filter sees them:
//! XDP, TCX, tc with a redirect, nft's family `netdev` and its flow tables.
//!
//! All of them stand before the bridge's hooks in the kernel's way of a frame
//! (`__netif_receive_skb_core` in its `net/core/dev.c`).

use super::bypass::Bypass;
use super::nf_tables::FlowTable;
use std::collections::HashMap;

/// The actions of tc after which a frame goes its usual way, or none: `libvirt`'s own
/// `<bandwidth>` takes `police` (tc-police(8)), and `gact` passes or drops (tc(8)).
const HARMLESS: [&str; 2] = ["police", "gact"];

/// What the tools print of it, and what the kernel says itself.
#[derive(Debug, Default, Clone)]
pub struct EarlyTexts {
    /// `ip -j link show`
    pub links: String,
    /// `nft list ruleset netdev`
    pub netdev: String,
    /// For each device with a hook for tc: `tc filter show dev DEVICE ingress`.
    pub filters: Vec<(String, String)>,
    /// The devices on which programs hang by TCX.
    pub tcx: Vec<String>,
}

/// What was found, by device.
#[derive(Debug, Default)]
pub struct Early {
    found: HashMap<String, Vec<Bypass>>,
}

impl Early {
    /// Of what the tools print and what the kernel says.
    pub fn of(texts: &EarlyTexts, flow_tables: &[FlowTable]) -> Self {
        let mut out = Self::default();
        for device in with_xdp(&texts.links) {
            let bypass = Bypass {
                tool: "ip",
                place: format!("link {device}"),
                rule: "an XDP program has its frames first".to_owned(),
                cure: format!("ip link set dev {device} xdp off"),
                is_early: true,
            };
            out.add(device, bypass);
        }
        for device in &texts.tcx {
            let bypass = Bypass {
                tool: "bpftool",
                place: format!("net show dev {device}"),
                rule: "a TCX program has its frames first".to_owned(),
                cure: format!(
                    "find the program with bpftool net show dev {device}, then stop what loaded it, or bpftool net detach tcx_ingress dev {device}"
                ),
                is_early: true,
            };
            out.add(device.clone(), bypass);
        }
        for one in flow_tables {
            out.add(one.device.clone(), one.bypass());
        }
        for (device, text) in &texts.filters {
            for bypass in of_tc(device, text) {
                out.add(device.clone(), bypass);
            }
        }
        for (device, bypass) in of_netdev(&texts.netdev) {
            out.add(device, bypass);
        }
        out
    }

    fn add(&mut self, device: String, bypass: Bypass) {
        self.found.entry(device).or_default().push(bypass);
    }

    /// What takes the frames of a device.
    pub fn of_device(&self, device: &str) -> impl Iterator<Item = &Bypass> {
        // nft takes a name that ends with `*` for any.
        let own = self.found.iter().filter(move |(name, _)| {
            let start = name.strip_suffix('*');
            *name == device || start.is_some_and(|start| device.starts_with(start))
        });
        own.flat_map(|(_, found)| found)
    }
}

/// The devices that there are, with their numbers.
pub(super) fn devices(links: &str) -> Vec<(u32, String)> {
    let links: serde_json::Value = serde_json::from_str(links).unwrap_or_default();
    let links = links.as_array().into_iter().flatten();
    let known = links.filter_map(|link| {
        let index = u32::try_from(link["ifindex"].as_u64()?).ok()?;
        Some((index, link["ifname"].as_str()?.to_owned()))
    });
    known.collect()
}

/// The devices with an XDP program: iproute2 prints its mode and number under `xdp`.
fn with_xdp(links: &str) -> Vec<String> {
    let links: serde_json::Value = serde_json::from_str(links).unwrap_or_default();
    let links = links.as_array().into_iter().flatten();
    let own = links.filter(|link| link.get("xdp").is_some_and(|xdp| !xdp.is_null()));
    own.filter_map(|link| Some(link["ifname"].as_str()?.to_owned()))
        .collect()
}

/// The devices with a qdisc that has filters for what comes in: `ingress` and `clsact`
/// (tc-bpf(8)), from `tc -j qdisc show`.
pub(super) fn with_ingress(qdiscs: &str) -> Vec<String> {
    let qdiscs: serde_json::Value = serde_json::from_str(qdiscs).unwrap_or_default();
    let qdiscs = qdiscs.as_array().into_iter().flatten();
    let own =
        qdiscs.filter(|one| ["ingress", "clsact"].contains(&one["kind"].as_str().unwrap_or("")));
    own.filter_map(|one| Some(one["dev"].as_str()?.to_owned()))
        .collect()
}

/// The filters of tc that may send a device's frames elsewhere.
fn of_tc(device: &str, text: &str) -> Vec<Bypass> {
    let mut out = Vec::new();
    let (mut head, mut told) = (Head::default(), false);
    let mut add = |head: &Head, what: &str| {
        out.push(Bypass {
            tool: "tc",
            place: format!("filter dev {device} ingress"),
            rule: format!("{}: {what}", head.kind),
            cure: format!(
                "tc filter del dev {device} ingress protocol {} pref {}",
                head.protocol, head.priority
            ),
            is_early: true,
        });
    };
    for line in text.lines() {
        if let Some(next) = Head::of(line) {
            // A filter takes several lines, each with the same head.
            if next != head {
                (head, told) = (next, false);
            }
            // What the program does, nobody can tell from here.
            if head.kind == "bpf" && !std::mem::replace(&mut told, true) {
                add(&head, "a program has its frames first");
            }
            continue;
        }
        let action = line.trim().strip_prefix("action order ");
        let action = action.and_then(|action| action.split_once(": "));
        let Some((_, action)) = action else { continue };
        let action = action.trim();
        let kind = action.split_whitespace().next().unwrap_or_default();
        if !HARMLESS.contains(&kind) && !std::mem::replace(&mut told, true) {
            add(&head, action);
        }
    }
    out
}

/// What a line `filter protocol all pref 49152 u32 …` says of the filter.
#[derive(Debug, Default, PartialEq, Eq)]
struct Head {
    protocol: String,
    priority: String,
    kind: String,
}

impl Head {
    fn of(line: &str) -> Option<Self> {
        let mut words = line.strip_prefix("filter ")?.split_whitespace();
        let mut head = Self::default();
        while let Some(word) = words.next() {
            match word {
                "protocol" => words.next()?.clone_into(&mut head.protocol),
                "parent" => {
                    words.next()?;
                }
                "pref" => {
                    words.next()?.clone_into(&mut head.priority);
                    words.next()?.clone_into(&mut head.kind);
                    return Some(head);
                }
                _ => {}
            }
        }
        None
    }
}

/// The rules of nft's family `netdev` that send frames to another device, or a copy of them
/// (`fwd` and `dup` in nft(8)), for each device that a chain of their table is hooked to.
fn of_netdev(text: &str) -> Vec<(String, Bypass)> {
    let mut out = Vec::new();
    let tables = text
        .split("\ntable ")
        .map(|text| text.trim_start_matches("table "));
    for table in tables {
        let name = table.split_whitespace().nth(1).unwrap_or_default();
        let lines = table.lines().map(str::trim);
        let devices: Vec<String> = lines.clone().flat_map(hooked_devices).collect();
        let mut chain = "";
        for line in lines {
            let mut words = line.split_whitespace();
            if words.clone().next() == Some("chain") {
                chain = words.nth(1).unwrap_or_default();
            } else if words.any(|word| ["fwd", "dup"].contains(&word)) {
                let bypass = Bypass {
                    is_early: true,
                    ..Bypass::nft(&format!("netdev {name}"), chain, line)
                };
                out.extend(
                    devices
                        .iter()
                        .map(|device| (device.clone(), bypass.clone())),
                );
            }
        }
    }
    out
}

/// The devices in the head of a base chain: `device "vnet0"`, `devices = { "vnet0", lo }`.
fn hooked_devices(line: &str) -> Vec<String> {
    let head = line.strip_prefix("type filter hook ingress device");
    let names = head.and_then(|head| head.split("priority").next());
    // The rest of the word `devices`, and what stands around the names.
    let names = names.unwrap_or_default().trim_start_matches("s = ");
    let names = names.split(|c: char| c.is_whitespace() || "{},\"".contains(c));
    names
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    /// As iproute2 6.1 prints it.
    const REDIRECT: &str = "\
filter protocol all pref 49152 u32 chain 0 
filter protocol all pref 49152 u32 chain 0 fh 800: ht divisor 1 
filter protocol all pref 49152 u32 chain 0 fh 800::800 order 2048 key ht 800 bkt 0 terminal flowid not_in_hw 
  match 00000000/00000000 at 0
\taction order 1: mirred (Egress Redirect to device br0) stolen
 \tindex 1 ref 1 bind 1

";

    /// What libvirt makes of `<bandwidth>` (`virNetDevBandwidthSet` in its `virnetdevbandwidth.c`).
    const POLICE: &str = "\
filter parent ffff: protocol all pref 49152 u32 chain 0 fh 800::800 order 2048 key ht 800 bkt 0 flowid :1 not_in_hw 
  match 00000000/00000000 at 0
\taction order 1:  police 0x1 rate 8Mbit burst 10Kb mtu 64Kb action drop overhead 0b 
\tref 1 bind 1 
";

    const BPF: &str = "\
filter protocol ip pref 7 bpf chain 0 
filter protocol ip pref 7 bpf chain 0 handle 0x1 prog.o:[classifier] direct-action not_in_hw id 9 tag a04f5eef06a7f555 
";

    fn tc(text: &str) -> Vec<Bypass> {
        let texts = EarlyTexts {
            filters: vec![("vnet0".to_owned(), text.to_owned())],
            ..EarlyTexts::default()
        };
        Early::of(&texts, &[]).of_device("vnet0").cloned().collect()
    }

    #[rstest]
    #[case::nothing("", None)]
    #[case::bandwidth(POLICE, None)]
    #[case::a_drop(
        "filter protocol all pref 1 matchall chain 0 handle 0x1 \n\taction order 1: gact action drop\n",
        None
    )]
    #[case::a_redirect(
        REDIRECT,
        Some("tc filter del dev vnet0 ingress protocol all pref 49152")
    )]
    #[case::a_program(BPF, Some("tc filter del dev vnet0 ingress protocol ip pref 7"))]
    fn what_tc_sends_elsewhere(#[case] text: &str, #[case] cure: Option<&str>) {
        let found = tc(text);
        let cures: Vec<&str> = found.iter().map(|one| one.cure.as_str()).collect();
        assert_eq!(cures, Vec::from_iter(cure), "{found:?}");
    }

    #[test]
    fn each_filter_of_tc_is_told_once() {
        assert_eq!(tc(&format!("{POLICE}{REDIRECT}{BPF}")).len(), 2);
    }

    #[test]
    fn an_xdp_program_is_told() {
        let links = r#"[{"ifname":"vnet0","xdp":{"mode":2,"prog":{"id":5}}},{"ifname":"vnet1"}]"#;
        let texts = EarlyTexts {
            links: links.to_owned(),
            ..EarlyTexts::default()
        };
        let early = Early::of(&texts, &[]);
        assert_eq!(early.of_device("vnet0").count(), 1);
        assert_eq!(early.of_device("vnet1").count(), 0);
    }

    /// As nft 1.0.6 prints them.
    const NETDEV: &str = "table netdev x {
\tchain y {
\t\ttype filter hook ingress device \"vnet0\" priority filter; policy accept;
\t\tip daddr 1.2.3.4 fwd to \"br0\"
\t\tip daddr 1.2.3.5 drop
\t}
}
table netdev z {
\tchain ours {
\t\ttype filter hook ingress devices = { vnet7, \"vnet8\" } priority filter; policy accept;
\t\tdup to \"br0\"
\t}
\tchain quiet {
\t\ttype filter hook ingress device \"lo\" priority filter; policy accept;
\t}
}
table netdev w {
\tchain drops {
\t\ttype filter hook ingress device \"vnet9\" priority filter; policy accept;
\t\tip daddr 1.2.3.5 drop
\t}
}
";

    #[rstest]
    #[case::forwarded("vnet0", 1)]
    #[case::copied("vnet8", 1)]
    #[case::first_of_several("vnet7", 1)]
    #[case::dropped("vnet9", 0)]
    #[case::another("vnet1", 0)]
    fn what_nft_sends_elsewhere(#[case] device: &str, #[case] count: usize) {
        let texts = EarlyTexts {
            netdev: NETDEV.to_owned(),
            ..EarlyTexts::default()
        };
        let early = Early::of(&texts, &[]);
        let found: Vec<_> = early.of_device(device).collect();
        assert_eq!(found.len(), count, "{found:?}");
    }

    #[test]
    fn devices_with_a_hook_for_tc() {
        let qdiscs = r#"[{"kind":"noqueue","dev":"lo"},{"kind":"ingress","dev":"vnet0"},{"kind":"clsact","dev":"vnet1"}]"#;
        assert_eq!(with_ingress(qdiscs), ["vnet0", "vnet1"]);
        assert!(with_ingress("").is_empty());
    }
}
