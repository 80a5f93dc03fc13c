//! Where the hosts are, for LANs of all sizes.

use super::*;
use rstest::rstest;

fn policy(lan4: &str, router: Option<&str>) -> Policy {
    let gateway = router.map_or_else(String::new, |router| format!("gateway = {router:?}"));
    let text = format!("[lan]\nprefixes = [{lan4:?}]\n{gateway}\n");
    Policy::parse(&text, "test").unwrap()
}

#[rstest]
#[case::home("192.168.1.0/24", Some("192.168.1.1"), "192.168.1.1", "192.168.1.10")]
#[case::router_at_the_end(
    "192.168.1.0/24",
    Some("192.168.1.254"),
    "192.168.1.254",
    "192.168.1.9"
)]
#[case::no_router_named("10.0.0.0/8", None, "10.0.0.1", "10.0.0.10")]
#[case::small("192.168.7.0/29", None, "192.168.7.1", "192.168.7.2")]
fn router_and_peer_have_their_addresses(
    #[case] lan4: &str,
    #[case] router: Option<&str>,
    #[case] gateway: &str,
    #[case] peer: &str,
) {
    let lan = Lan::of(&policy(lan4, router)).unwrap();
    assert_eq!(
        (lan.gateway.v4.to_string(), lan.peer.v4.to_string()),
        (gateway.to_owned(), peer.to_owned())
    );
    assert!(lan.leases.0 < lan.leases.1);
    let taken = [lan.gateway.v4, lan.peer.v4];
    assert!(!taken.contains(&lan.leases.0) && !taken.contains(&lan.leases.1));
}

#[rstest]
#[case::article("192.168.1.0/24", None, 200, "192.168.1.11", "192.168.1.210")]
#[case::router_among_them(
    "192.168.1.0/24",
    Some("192.168.1.12"),
    200,
    "192.168.1.10",
    "192.168.1.210"
)]
#[case::large("10.0.0.0/8", None, 200, "10.0.0.11", "10.0.0.210")]
#[case::small("192.168.7.0/28", None, 3, "192.168.7.11", "192.168.7.13")]
#[case::smallest("192.168.7.0/29", None, 3, "192.168.7.3", "192.168.7.5")]
fn every_guest_has_an_address_of_its_own(
    #[case] lan4: &str,
    #[case] router: Option<&str>,
    #[case] guests: u8,
    #[case] first: &str,
    #[case] last: &str,
) {
    let lan = Lan::of(&policy(lan4, router)).unwrap();
    assert_eq!(lan.guests(), guests);
    let all: Vec<_> = (1..=guests).map(|number| lan.lease(number)).collect();
    assert_eq!(all[0].to_string(), first);
    assert_eq!(all[all.len() - 1].to_string(), last);
    let mut distinct = all.clone();
    distinct.dedup();
    assert_eq!(distinct, all);
    assert!(!all.contains(&lan.gateway.v4) && !all.contains(&lan.peer.v4));
    assert_eq!(lan.lease(guests + 1), lan.lease(1));
}

#[rstest]
#[case::wan_host(&["203.0.113.0/24"], "203.0.113.10")]
#[case::uplink(&["192.0.2.0/29"], "192.0.2.1")]
#[case::wan_host6(&["10.0.0.0/8", "2001:db8:ffff::/64"], "2001:db8:ffff::10")]
fn a_lan_that_contains_the_wan_is_refused_by_the_lab_only(
    #[case] prefixes: &[&str],
    #[case] named: &str,
) {
    let text = format!("lan.prefixes = {prefixes:?}");
    let policy = Policy::parse(&text, "test").unwrap();
    let wan = LayoutError::ContainsWan(named.parse().unwrap());
    assert_eq!(Lan::for_lab(&policy, None), Err(wan));
    assert!(Lan::of(&policy).is_ok());
}

#[test]
fn a_prefix_without_room_is_refused() {
    let policy = policy("192.168.7.0/30", None);
    let error = LayoutError::TooSmall(policy.lan4[0]);
    assert_eq!(Lan::of(&policy), Err(error.clone()));
    assert_eq!(Lan::for_lab(&policy, None), Err(error));
}

#[test]
fn without_ipv4_there_is_a_layout_but_no_lab() {
    let policy = policy("fd00:1::/48", None);
    let layout = Layout::of(&policy).unwrap();
    assert!(policy.lan6[0].contains(&layout.guest.v6));
    assert_eq!(layout.lan6.prefix_len(), 64);
    assert_eq!(Lan::for_lab(&policy, None), Err(LayoutError::NoIpv4));
}

/// `check` has [`Layout::of`], `verify` what the lab's LAN gives its first guest.
#[rstest]
#[case::shipped(Policy::EXAMPLE)]
#[case::router_at_the_end("lan = {prefixes = [\"10.1.0.0/16\"], gateway = \"10.1.255.254\"}")]
#[case::both_families("lan.prefixes = [\"fe80::/10\", \"fd00:7::/56\", \"172.16.0.0/28\"]")]
fn check_and_verify_have_the_same_addresses(#[case] policy: &str) {
    let policy = Policy::parse(policy, "test").unwrap();
    let checked = Layout::of(&policy).unwrap();
    let verified = Lan::for_lab(&policy, None).unwrap().layout(1, None);
    assert_eq!(checked, verified);
    let hosts = [&checked.guest, &checked.peer, &checked.gateway];
    for host in hosts {
        assert!(checked.lan4.contains(&host.v4), "{host:?}");
        assert!(checked.lan6.contains(&host.v6), "{host:?}");
    }
}

#[test]
fn the_layout_of_the_example() {
    let layout = Layout::of(&Policy::example()).unwrap();
    let host = |host: &Host| {
        let [v4, link_local, v6] = host.addresses();
        format!(
            "{} {v4} {link_local} {v6}",
            crate::frame::mac_text(host.mac)
        )
    };
    assert_eq!(
        [&layout.guest, &layout.peer, &layout.gateway].map(host),
        [
            "52:54:00:00:01:01 192.168.1.11 fe80::5054:ff:fe00:101 2001:db8:1::101",
            "52:54:00:00:00:0a 192.168.1.10 fe80::5054:ff:fe00:a 2001:db8:1::a",
            "52:54:00:00:00:01 192.168.1.1 fe80::5054:ff:fe00:1 2001:db8:1::1",
        ]
    );
}

#[test]
fn a_nic_that_replaces_the_first_octet_makes_another_mac_and_link_local_address() {
    let lan = Lan::of(&Policy::example()).unwrap();
    let guest = lan.layout(7, Some(0xee)).guest;
    assert_eq!(guest.mac, [0xee, 0x54, 0, 0, 1, 7]);
    assert_eq!(guest.link_local.to_string(), "fe80::ec54:ff:fe00:107");
    assert_eq!(guest.v4, lan.lease(7));
}

#[test]
fn another_mac_of_the_guest_changes_its_link_local_address() {
    let layout = Layout::of(&Policy::example()).unwrap();
    let guest = layout
        .with_guest_mac([0x52, 0x54, 0, 0x12, 0x34, 0x56])
        .guest;
    assert_eq!(guest.link_local.to_string(), "fe80::5054:ff:fe12:3456");
    assert_eq!(guest.v4.to_string(), "192.168.1.11");
}

#[rstest]
#[case::in_the_first_prefix("192.168.1.77", "192.168.1.1", "192.168.1.10")]
#[case::where_the_peer_would_be("192.168.1.10", "192.168.1.1", "192.168.1.11")]
#[case::in_the_second_prefix("10.7.0.9", "10.7.0.1", "10.7.0.11")]
#[case::where_the_router_would_be("10.7.0.1", "10.7.0.2", "10.7.0.11")]
fn the_others_make_room_for_a_guest_with_an_address(
    #[case] guest: &str,
    #[case] gateway: &str,
    #[case] peer: &str,
) {
    let text =
        "lan = {prefixes = [\"192.168.1.0/24\", \"10.7.0.0/16\"], gateway = \"192.168.1.1\"}";
    let policy = Policy::parse(text, "test").unwrap();
    let lan = Lan::for_lab(&policy, Some(guest.parse().unwrap())).unwrap();
    assert_eq!(lan.gateway.v4.to_string(), gateway);
    assert_eq!(lan.peer.v4.to_string(), peer);
    for number in 1..=lan.guests() {
        assert_eq!(lan.layout(number, None).guest.v4.to_string(), guest);
    }
}

#[rstest]
#[case::outside("10.0.0.9", "is in no IPv4 prefix of the policy")]
#[case::network("192.168.1.0", "the prefix's own")]
#[case::broadcast("192.168.1.255", "the prefix's broadcast address")]
#[case::router("192.168.1.1", "the router's")]
fn an_address_that_no_guest_can_have(#[case] guest: &str, #[case] why: &str) {
    let guest = Some(guest.parse().unwrap());
    let error = Lan::for_lab(&Policy::example(), guest).unwrap_err();
    assert!(error.to_string().contains(why), "{error}");
}

/// A guest of one's own may have any MAC.
#[rstest]
#[case::of_the_router(mac::GATEWAY)]
#[case::of_the_peer(mac::PEER)]
#[case::of_nobody([0x52, 0x54, 0, 0x12, 0x34, 0x56])]
fn a_host_makes_room_for_a_guest_with_its_mac(#[case] mac: Mac) {
    let lan = Lan::of(&Policy::example()).expect("room for hosts");
    let layout = lan.with_guest_mac(Some(mac)).layout(1, None);
    assert_eq!(layout.guest.mac, mac);
    let hosts = [&layout.guest, &layout.gateway, &layout.peer];
    for (at, one) in hosts.iter().enumerate() {
        for other in &hosts[at + 1..] {
            assert_ne!(one.mac, other.mac);
            assert_ne!(one.link_local, other.link_local);
            assert_ne!(one.v4, other.v4);
        }
    }
}
