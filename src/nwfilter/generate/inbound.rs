//! What may reach a guest.

use super::draft::{Draft, Macs, Rules, UNSPECIFIED4, UNSPECIFIED6};
use super::outbound::LINK_GROUPS6;
use crate::nwfilter::vocabulary::Protocol;
use crate::nwfilter::vocabulary::RuleDirection::In;
use crate::policy::{LINK_LOCAL4, Policy};
use ipnet::{IpNet, Ipv4Net};

/// Appends the rules for frames to the guest.
pub fn rules(policy: &Policy, rules: &mut Rules) {
    rules.accept(In, Draft::new(Protocol::Arp, "ARP").ethernet_ipv4());
    let lan4 = policy.lan4.iter().copied().map(IpNet::V4);
    let link_local = policy.link_local.then_some(IpNet::V4(LINK_LOCAL4));
    let lan6 = policy.lan6.iter().copied().map(IpNet::V6);
    for net in lan4.chain(link_local).chain(lan6) {
        rules.accept(In, Draft::ip(net, "LAN").source_net(net));
    }
    if !policy.groups4.is_empty() {
        // A snooping bridge asks with no address of its own (RFC 4541 section 2.1.1).
        let query = Draft::new(Protocol::Ip, "IGMP query").protocol("igmp");
        rules.accept(
            In,
            query.source_net(UNSPECIFIED4).target_macs(Macs::Groups4),
        );
    }
    if !policy.lan6.is_empty() {
        // Others ask whether the guest has the address they want (RFC 4862 section 5.4).
        let detection = Draft::new(Protocol::Ipv6, "duplicate address detection");
        let detection = detection.source_net(UNSPECIFIED6).target_net(LINK_GROUPS6);
        rules.accept(In, detection.target_macs(Macs::Groups6));
    }
    for &server in &policy.dhcp.servers {
        let answer = Draft::new(Protocol::Ip, "DHCP").source_net(Ipv4Net::from(server));
        let answer = answer.protocol("udp").source_port(67).target_port(68);
        rules.accept(In, answer);
    }
    for &net in &policy.allow {
        rules.accept(In, Draft::ip(net, "allowed host").source_net(net));
    }
    rules.drop_rest(In);
}
