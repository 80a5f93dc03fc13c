use super::*;
use crate::frame::parse_mac;
use rstest::rstest;

const GUEST: &str = include_str!("testdata/guest.xml");

fn interface(xml: &str) -> Interface {
    let domain = format!("<domain><name>g</name><devices>{xml}</devices></domain>");
    Domain::parse(&domain).unwrap().interfaces.remove(0)
}

#[test]
fn a_running_guest_is_read() {
    let guest = Domain::parse(GUEST).unwrap();
    assert_eq!(guest.name, "R&D");
    assert_eq!(guest.machine.as_deref(), Some("pc-q35-10.0"));
    for interface in &guest.interfaces {
        let text = &GUEST[interface.span.clone()];
        assert!(text.starts_with("<interface ") && text.ends_with("</interface>"));
        for span in &interface.filterref_spans {
            assert!(GUEST[span.clone()].starts_with("<filterref "));
        }
    }
    insta::assert_debug_snapshot!(guest.interfaces);
    let others: Vec<String> = guest.hostdev_nics.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(others.join("\n"), @r"
    the PCI device 0000:03:10.1 of the host
    the USB device 0bda:8153 of the host
    the USB device bus 1, device 4 of the host
    a NIC from the argument `-nic user,model=e1000` of QEMU
    ");
}

#[rstest]
#[case::mac("52:54:00:5a:00:01", 1)]
#[case::mac_in_capitals("52:54:0:5A:0:1", 1)]
#[case::device("vnet3", 1)]
#[case::alias("net1", 1)]
#[case::nothing("vnet", 0)]
fn a_user_calls_an_interface(#[case] word: &str, #[case] count: usize) {
    let guest = Domain::parse(GUEST).unwrap();
    assert_eq!(guest.interfaces_called(word).count(), count);
}

#[test]
fn a_snapshot_has_the_running_and_the_persistent_definition() {
    let filtered =
        "<devices><interface type='bridge'><filterref filter='x'/></interface></devices>";
    let open = "<devices><interface type='bridge'/></devices>";
    let xml = format!(
        "<domainsnapshot><name>before</name><domain><name>g</name>{filtered}</domain>\
         <inactiveDomain><name>g</name>{open}</inactiveDomain></domainsnapshot>"
    );
    let snapshot = Snapshot::parse(&xml).unwrap();
    assert_eq!(snapshot.domain.interfaces[0].filterrefs.len(), 1);
    assert_eq!(snapshot.inactive.unwrap().interfaces[0].filterrefs.len(), 0);
    let (name, domain) = Domain::parse_snapshot(&xml).unwrap();
    assert_eq!(name, "before");
    assert!(xml[domain.interfaces[0].span.clone()].contains("filterref"));
    let only = "<domainsnapshot><name>s</name><inactiveDomain><name>g</name></inactiveDomain></domainsnapshot>";
    assert_eq!(Domain::parse_snapshot(only).unwrap().1.name, "g");
}

#[test]
fn places_are_right_behind_a_byte_order_mark() {
    let xml = format!("\u{feff}{GUEST}");
    let guest = Domain::parse(&xml).unwrap();
    assert!(xml[guest.interfaces[0].span.clone()].starts_with("<interface "));
}

#[rstest]
#[case::nothing("")]
#[case::no_xml("virsh: error")]
#[case::cut_off("<domain><name>g</name>")]
#[case::crossed("<domain><name>g</domain></name>")]
#[case::a_document_type("<!DOCTYPE x [<!ENTITY a 'b'>]><domain><name>g</name></domain>")]
#[case::an_entity("<domain><name>&a;</name></domain>")]
#[case::a_filter("<filter name='x'/>")]
#[case::no_name("<domain><uuid>x</uuid></domain>")]
#[case::two("<domain><name>g</name></domain><domain/>")]
#[case::attribute_twice("<domain a='1' a='2'><name>g</name></domain>")]
fn what_is_no_domain_is_refused(#[case] xml: &str) {
    let error = Domain::parse(xml).unwrap_err();
    insta::with_settings!({snapshot_suffix => std::thread::current().name().unwrap().rsplit("::").next().unwrap()}, {
        insta::assert_snapshot!(error);
    });
}

#[test]
fn too_many_levels_are_refused() {
    let deep = format!("<domain>{}", "<a>".repeat(100_000));
    let error = Domain::parse(&deep).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("more than 256 elements are nested")
    );
}

#[test]
fn a_network_is_read() {
    let network = Network::parse(
        "<network><name>default</name><uuid>u</uuid><forward mode='nat'/><bridge name='virbr0'/>
         <portgroup name='a' default='yes'><virtualport type='openvswitch'/></portgroup>
         <ip address='192.168.122.1' netmask='255.255.255.0'><dhcp>
         <range start='192.168.122.2' end='192.168.122.254'/></dhcp></ip>
         <ip family='ipv6' address='fd00:1::1' prefix='64'/><ip address='10.0.0.1'/></network>",
    );
    insta::assert_debug_snapshot!(network.unwrap());
}

#[rstest]
#[case::served(
    "<ip address='10.0.0.1' prefix='8'/><ip address='10.0.0.1' prefix='8'><dhcp/></ip>",
    true
)]
#[case::not_served("<ip address='10.0.0.1' prefix='8'/>", false)]
#[case::a_bridge_of_the_host("<forward mode='bridge'/><bridge name='br0'/>", false)]
fn a_network_serves_dhcp_or_does_not(#[case] inside: &str, #[case] serves: bool) {
    let xml = format!("<network><name>n</name>{inside}</network>");
    assert_eq!(Network::parse(&xml).unwrap().serves_dhcp(), serves);
}

#[rstest]
#[case::address("<ip address='no'/>", "`no` for its address")]
#[case::prefix("<ip address='10.0.0.1' prefix='33'/>", "`33` for its prefix")]
#[case::netmask(
    "<ip address='10.0.0.1' netmask='255.0.255.0'/>",
    "`255.0.255.0` for its netmask"
)]
fn addresses_of_a_network_that_are_none(#[case] ip: &str, #[case] expected: &str) {
    let xml = format!("<network><name>n</name>{ip}</network>");
    let error = Network::parse(&xml).unwrap_err().to_string();
    assert!(error.contains(expected), "{error}");
}

#[rstest]
#[case::direct("direct", "direct")]
#[case::user("user", "user")]
#[case::vhostuser("vhostuser", "vhostuser")]
#[case::hostdev("hostdev", "hostdev")]
#[case::vdpa("vdpa", "vdpa")]
#[case::udp("udp", "udp")]
#[case::mcast("mcast", "mcast")]
#[case::server("server", "tunnel")]
#[case::client("client", "tunnel")]
#[case::internal("internal", "no-tap")]
#[case::null("null", "no-tap")]
#[case::vds("vds", "no-tap")]
#[case::unknown("carrier-pigeon", "no-tap")]
fn a_kind_that_takes_no_filter(#[case] word: &str, #[case] kind: &str) {
    let found = interface(&format!("<interface type='{word}'/>"));
    assert_eq!(found.filterable(None).unwrap_err().kind(), kind);
}

#[rstest]
#[case::passt("<interface type='user'><backend type='passt'/></interface>", "passt")]
#[case::passt_with_vhost_user(
    "<interface type='vhostuser'><backend type='passt'/></interface>",
    "passt"
)]
#[case::openvswitch(
    "<interface type='bridge'><virtualport type='openvswitch'/></interface>",
    "openvswitch"
)]
#[case::another_port(
    "<interface type='bridge'><virtualport type='midonet'/></interface>",
    "virtualport"
)]
fn an_interface_that_takes_no_filter(#[case] xml: &str, #[case] kind: &str) {
    assert_eq!(interface(xml).filterable(None).unwrap_err().kind(), kind);
}

#[rstest]
#[case::nat("<forward/><bridge name='virbr0'/>", None)]
#[case::isolated("<bridge name='virbr1'/>", None)]
#[case::host_bridge("<forward mode='bridge'/><bridge name='br0'/>", None)]
#[case::routed("<forward mode='route'/><bridge name='virbr2'/>", None)]
#[case::macvtap(
    "<forward mode='bridge'><interface dev='eth0'/></forward>",
    Some("macvtap-network")
)]
#[case::vepa(
    "<forward mode='vepa'><interface dev='eth0'/></forward>",
    Some("macvtap-network")
)]
#[case::hostdev("<forward mode='hostdev'/>", Some("hostdev-network"))]
#[case::openvswitch(
    "<forward mode='bridge'/><bridge name='b'/><virtualport type='openvswitch'/>",
    Some("openvswitch")
)]
#[case::the_port_group(
    "<bridge name='b'/><portgroup name='a'><virtualport type='openvswitch'/></portgroup>",
    Some("openvswitch")
)]
#[case::another_port_group(
    "<bridge name='b'/><portgroup name='c'><virtualport type='openvswitch'/></portgroup>",
    None
)]
fn a_network_says_whether_a_filter_holds(#[case] xml: &str, #[case] expected: Option<&str>) {
    let network = Network::parse(&format!("<network><name>n</name>{xml}</network>")).unwrap();
    let of = interface("<interface type='network'><source network='n' portgroup='a'/></interface>");
    let found = of.filterable(Some(&network)).err();
    assert_eq!(found.map(|reason| reason.kind()), expected);
}

#[test]
fn filterrefs_of_a_network_are_found() {
    let xml = "<network><name>n</name><filterref filter='x'/><portgroup name='a'><filterref filter='y'/></portgroup></network>";
    let network = Network::parse(xml).unwrap();
    assert!(network.filterref_inside());
    assert_eq!(network.filterref_spans.len(), 2);
}

#[test]
fn one_digit_of_an_octet_is_enough() {
    let found = interface("<interface type='bridge'><mac address='52:54:0:A:1:2'/></interface>");
    assert_eq!(found.mac, parse_mac("52:54:00:0a:01:02"));
    let none = interface("<interface type='bridge'><mac address='52:54:0:A:1'/></interface>");
    assert_eq!(none.mac, None);
}

#[test]
fn every_reason_is_one_sentence() {
    use Unfilterable as U;
    let all = [
        U::Direct,
        U::User,
        U::Passt,
        U::VhostUser,
        U::Hostdev,
        U::Vdpa,
        U::Udp,
        U::Mcast,
        U::Tunnel("server"),
        U::NoTap(Kind::Internal),
        U::OpenVswitch,
        U::VirtualPort("midonet".into()),
        U::MacvtapNetwork("pool".into()),
        U::HostdevNetwork("pool".into()),
    ];
    let told: Vec<String> = all
        .iter()
        .map(|reason| format!("{}: {reason}", reason.kind()))
        .collect();
    insta::assert_snapshot!(told.join("\n"));
}
