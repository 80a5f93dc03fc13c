//! The policy file as text.

use super::gather::{Facts, Place};
use std::fmt::Write as _;

/// The text of a policy file with the source of each value in a comment.
pub fn policy(place: &Place, facts: &Facts) -> String {
    let (kind, key, name) = match place {
        Place::Bridge(name) => ("bridge", "bridges", name),
        Place::Network(name) => ("network", "networks", name),
    };
    let mut out = format!(
        "# What the guests on the {kind} {name} may reach. Written by `lanfence init` from what is on\n\
         # this host; look it over, then run\n#\n\
         #     lanfence check             # what the filter lets through and stops\n\
         #     lanfence apply GUEST       # put it on a guest (first with --dry-run)\n\
         #     lanfence audit             # is it in force?\n#\n\
         # Everything that is not allowed here is dropped, in both directions.\n\n\
         name = \"lan-only\"\n\n[lan]\n"
    );
    for remark in &facts.remarks {
        let _ = writeln!(out, "# Note: {remark}.");
    }
    out.push_str("prefixes = [\n");
    for (prefix, source) in &facts.prefixes {
        let _ = writeln!(out, "    \"{prefix}\", # {source}");
    }
    out.push_str("]\n");
    match &facts.gateway {
        Some((gateway, source)) => {
            let _ = writeln!(out, "gateway = \"{gateway}\" # {source}");
        }
        None => out.push_str("# gateway = \"192.168.1.1\"\n"),
    }
    out.push_str("link-local = false\n\n[dhcp]\nclient = true\n");
    if facts.servers.is_empty() {
        out.push_str("servers = [] # none outside the prefixes is known\n");
    } else {
        out.push_str("servers = [\n");
        for (server, source) in &facts.servers {
            let _ = writeln!(out, "    \"{server}\", # {source}");
        }
        out.push_str("]\n");
    }
    let _ = write!(
        out,
        "\n[broadcast]\nlimited = true\n\n[multicast]\n\
         # All groups of IPv4, and those of IPv6 that no router forwards.\n\
         groups = [\"224.0.0.0/4\", \"ff02::/16\"]\n\n[allow]\nhosts = []\n\n[fence]\n\
         # With the line below, `lanfence hook` lets no guest start there without the filter.\n# {key} = [\"{name}\"]\n"
    );
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Policy;
    use rstest::rstest;
    use std::net::Ipv4Addr;

    fn facts() -> Facts {
        Facts {
            prefixes: vec![
                (
                    "192.168.7.0/24".parse().unwrap(),
                    "the host's own address".into(),
                ),
                ("fe80::/10".parse().unwrap(), "link-local".into()),
            ],
            gateway: Some((Ipv4Addr::new(192, 168, 7, 1), "the default route".into())),
            servers: vec![(Ipv4Addr::new(10, 9, 0, 1), "a lease".into())],
            remarks: vec!["it may change".into()],
        }
    }

    #[test]
    fn the_text() {
        insta::assert_snapshot!(policy(&Place::Bridge("br0".into()), &facts()));
    }

    #[rstest]
    #[case::all(facts())]
    #[case::little(Facts { gateway: None, servers: Vec::new(), remarks: Vec::new(), ..facts() })]
    fn it_is_a_policy(#[case] facts: Facts) {
        let text = policy(&Place::Network("default".into()), &facts);
        let read = Policy::parse(&text, "init").unwrap();
        assert_eq!(read.lan4.len(), 1);
        assert_eq!(read.gateway, facts.gateway.map(|(gateway, _)| gateway));
        assert_eq!(read.dhcp.servers.len(), facts.servers.len());
        assert!(read.fence.networks.is_empty());
    }
}
