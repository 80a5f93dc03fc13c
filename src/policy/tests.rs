use super::*;
use rstest::rstest;
use std::net::IpAddr;

#[test]
fn the_example_is_the_articles_lan() {
    let policy = Policy::example();
    assert!(policy.may_send_to("192.168.1.77".parse::<IpAddr>().unwrap()));
    assert!(policy.may_send_to("255.255.255.255".parse::<IpAddr>().unwrap()));
    assert!(policy.may_send_to("ff02::fb".parse::<IpAddr>().unwrap()));
    for outside in [
        "192.168.2.1",
        "8.8.8.8",
        "255.255.255.0",
        "2001:db8::1",
        "ff0e::1",
    ] {
        assert!(
            !policy.may_send_to(outside.parse::<IpAddr>().unwrap()),
            "{outside}"
        );
    }
}

fn error(text: &str) -> String {
    Policy::parse(text, "p.toml")
        .expect_err("must be refused")
        .to_string()
}

fn lan(prefixes: &str) -> String {
    format!("[lan]\nprefixes = [{prefixes}]\n")
}

#[rstest]
#[case::host_bits(
    &lan("\"192.168.1.5/24\""),
    "p.toml:2:13: `192.168.1.5/24` has host bits set under its mask\n  cure: write `192.168.1.0/24`"
)]
#[case::overlap(
    &lan("\"10.0.0.0/8\", \"10.1.0.0/16\""),
    "p.toml:2:27: `10.1.0.0/16` overlaps `10.0.0.0/8`\n  cure: keep the wider one only"
)]
#[case::twice(
    &lan("\"10.0.0.0/8\", \"10.0.0.0/8\""),
    "p.toml:2:27: `10.0.0.0/8` overlaps `10.0.0.0/8`\n  cure: keep the wider one only"
)]
#[case::empty(
    &lan(""),
    "p.toml:2:12: the LAN has no prefix\n  cure: name at least one, as in `[\"192.168.1.0/24\"]`"
)]
#[case::everything(
    &lan("\"0.0.0.0/0\""),
    "p.toml:2:13: `0.0.0.0/0` is the whole internet, or no network at all\n  cure: name the networks of the LAN; a filter that lets everything out needs no lanfence"
)]
#[case::multicast(
    &lan("\"224.0.0.0/24\""),
    "p.toml:2:13: `224.0.0.0/24` is multicast\n  cure: put it into `groups` of [multicast]"
)]
#[case::loopback(
    &lan("\"127.0.0.0/8\""),
    "p.toml:2:13: `127.0.0.0/8` is loopback\n  cure: take it out: it never leaves a host"
)]
#[case::link_local(
    &lan("\"169.254.0.0/16\""),
    "p.toml:2:13: `169.254.0.0/16` is IPv4 link-local\n  cure: take it out and set `link-local = true` in [lan]"
)]
#[case::no_mask(
    &lan("\"192.168.1.0\""),
    "p.toml:2:13: `192.168.1.0` is no prefix\n  cure: write the prefix length: `192.168.1.0/32` for one host, `192.168.1.0/24` for a LAN"
)]
#[case::no_prefix(
    &lan("\"home\""),
    "p.toml:2:13: `home` is no prefix\n  cure: write it as `192.168.1.0/24` or `fd00:1::/64`"
)]
#[case::unknown_key(
    "[lan]\nprefixs = []\n",
    "p.toml:2:1: unknown field `prefixs`, expected one of `prefixes`, `gateway`, `link-local`\n  cure: did you mean `prefixes`?"
)]
#[case::unknown_table(
    "[wan]\n",
    "p.toml:1:2: unknown field `wan`, expected one of `name`, `lan`, `dhcp`, `broadcast`, `multicast`, `allow`, `fence`\n  cure: did you mean `lan`?"
)]
#[case::foreign_gateway(
    "[lan]\nprefixes = [\"10.0.0.0/8\"]\ngateway = \"192.168.1.1\"\n",
    "p.toml:3:11: the gateway 192.168.1.1 is in none of the LAN's prefixes\n  cure: name the router's address on the LAN, or leave `gateway` out"
)]
#[case::bad_name(
    "name = \"../x\"\n[lan]\nprefixes = [\"10.0.0.0/8\"]\n",
    "p.toml:1:8: `../x` cannot be the name of a filter\n  cure: start with a letter, then letters, digits, `.`, `_` and `-`, at most 64 in all"
)]
#[case::unicast_group(
    "[lan]\nprefixes = [\"10.0.0.0/8\"]\n[multicast]\ngroups = [\"8.8.8.0/24\"]\n",
    "p.toml:4:11: `8.8.8.0/24` is not multicast\n  cure: groups are within 224.0.0.0/4 and ff00::/8"
)]
#[case::allowed_already(
    "[lan]\nprefixes = [\"10.0.0.0/8\"]\n[allow]\nhosts = [\"10.0.0.1/32\"]\n",
    "p.toml:4:10: `10.0.0.1/32` is in the LAN's `10.0.0.0/8` already\n  cure: take it out"
)]
#[case::no_bridge(
    "[lan]\nprefixes = [\"10.0.0.0/8\"]\n[fence]\nbridges = [\"br0 \"]\n",
    "p.toml:4:12: `br0 ` cannot be the name of a bridge\n  cure: name the bridge as `ip link` does, in at most 15 characters: `br0`"
)]
#[case::no_network(
    "[lan]\nprefixes = [\"10.0.0.0/8\"]\n[fence]\nnetworks = [\"\"]\n",
    "p.toml:4:13: `` cannot be the name of a network\n  cure: name the network as `virsh net-list` does: `default`"
)]
#[case::no_guest(
    "[lan]\nprefixes = [\"10.0.0.0/8\"]\n[fence]\nguests = [\"web-[\"]\n",
    "p.toml:4:11: `web-[` is no pattern for names of guests\n  cure: write the guest's name, or a pattern such as `web-*`; `[` needs its `]`"
)]
#[case::bad_toml(
    "[lan\n",
    "p.toml:1:5: unclosed table, expected `]`\n  cure: see the comments in the shipped lanfence.toml for what belongs where"
)]
#[case::no_lan(
    "name = \"x\"\n",
    "p.toml:1:1: missing field `lan`\n  cure: see the comments in the shipped lanfence.toml for what belongs where"
)]
fn refusals(#[case] text: &str, #[case] expected: &str) {
    assert_eq!(error(text), expected);
}

#[test]
fn a_missing_file_and_foreign_bytes_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let missing = Policy::read(&dir.path().join("none.toml"))
        .unwrap_err()
        .to_string();
    assert!(missing.contains("No such file"), "{missing}");
    let path = dir.path().join("latin1.toml");
    std::fs::write(&path, b"name = \"\xff\"").unwrap();
    let foreign = Policy::read(&path).unwrap_err().to_string();
    assert!(foreign.contains("byte 8 is not UTF-8"), "{foreign}");
}

#[test]
fn without_an_ipv6_prefix_no_ipv6_group_may_be_sent_to() {
    let policy = Policy::parse("[lan]\nprefixes = [\"192.168.7.16/28\"]\n", "test").unwrap();
    assert!(!policy.may_send_to("ff02::fb".parse::<IpAddr>().unwrap()));
    assert!(policy.may_send_to("224.0.0.251".parse::<IpAddr>().unwrap()));
}

#[rstest]
#[case::bridge("mail", Some("br0"), None, true)]
#[case::network("mail", Some("virbr0"), Some("default"), true)]
#[case::guest("web-1", None, None, true)]
#[case::a_bridge_is_no_pattern("mail", Some("br01"), None, false)]
#[case::a_network_is_no_bridge("mail", Some("default"), Some("br0"), false)]
#[case::another_case("WEB-1", None, None, false)]
fn the_fence_covers(
    #[case] guest: &str,
    #[case] bridge: Option<&str>,
    #[case] network: Option<&str>,
    #[case] expected: bool,
) {
    let text = lan("\"10.0.0.0/8\"")
        + "[fence]\nbridges = [\"br0\"]\nnetworks = [\"default\"]\nguests = [\"web-*\"]\n";
    let policy = Policy::parse(&text, "test").unwrap();
    assert_eq!(policy.fence.covers(guest, bridge, network), expected);
}

#[test]
fn the_example_fences_nothing() {
    assert_eq!(Policy::example().fence, Fence::default());
}
