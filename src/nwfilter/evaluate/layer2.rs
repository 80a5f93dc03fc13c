//! Layer-2 elements as matches, as libvirt 11.3.0 has ebtables make them.

use super::driver::Driver;
use super::error::CompileError;
use super::field::Field;
use super::resolved::ResolvedElement;
use super::rule::MatchBuilder;
use crate::frame::ethertype;
use crate::nwfilter::intervals::IntervalSet;
use crate::nwfilter::vocabulary::names::{ETHERTYPES, OPERATIONS, PROTOCOLS};
use crate::nwfilter::vocabulary::parse::{self, masked_address, name_or_number, number};
use crate::nwfilter::vocabulary::{Protocol, SPANNING_TREE};

/// The matches of a layer-2 element, source and destination exchanged where `swap` says so.
///
/// # Errors
/// A value that cannot be bound.
pub fn matches(
    element: &ResolvedElement<'_>,
    swap: bool,
    driver: &dyn Driver,
) -> Result<MatchBuilder, CompileError> {
    let mut matches = MatchBuilder::default();
    driver.check(element)?;
    driver.note_layer2(element, &mut matches);
    macs(element, &mut matches, driver)?;
    match element.protocol {
        Protocol::Mac => mac(element, &mut matches, driver)?,
        Protocol::Vlan => vlan(element, &mut matches, driver)?,
        Protocol::Stp => stp(element, &mut matches, swap)?,
        Protocol::Arp => arp(element, &mut matches, driver)?,
        Protocol::Rarp => driver.rarp(element, swap, &mut matches)?,
        Protocol::Ip | Protocol::Ipv6 => ip(element, &mut matches, driver)?,
        other => return Err(element.refused(format!("<{other}> is no layer-2 element"))),
    }
    if let Some(name) = element.octal() {
        matches.undecided(format!("{name} begins with a zero: octal to some tools"));
    }
    if let Some(name) = element.repeated() {
        matches.undecided(format!("{name} stands in it twice"));
    }
    let mut matches = if swap { matches.swapped() } else { matches };
    if element.protocol == Protocol::Stp {
        matches.add(Field::DstMac, IntervalSet::one(SPANNING_TREE.into()));
    }
    Ok(matches)
}

fn macs(
    element: &ResolvedElement<'_>,
    matches: &mut MatchBuilder,
    driver: &dyn Driver,
) -> Result<(), CompileError> {
    let sides = [
        ("srcmacaddr", "srcmacmask", Field::SrcMac),
        ("dstmacaddr", "dstmacmask", Field::DstMac),
    ];
    for (name, mask, field) in sides {
        let mask = element.value(mask);
        if let Some((set, negated)) = element.read(name, |text| driver.masked_mac(text, mask))? {
            if set == field.all() && !driver.takes_empty_masks() {
                return Err(element.refused(format!("{name} with a mask of zeroes")));
            }
            matches.signed(field, &set, negated);
        }
    }
    Ok(())
}

fn mac(
    element: &ResolvedElement<'_>,
    matches: &mut MatchBuilder,
    driver: &dyn Driver,
) -> Result<(), CompileError> {
    let read = |text: &str| {
        let kind = if element.is_verbatim("protocolid") {
            driver.number_in_variable("protocolid", text, 0xffff)
        } else {
            name_or_number(text, &ETHERTYPES, 0xffff)
        };
        kind.filter(|kind| (driver.least_type()..=0xffff).contains(kind))
    };
    if let Some((kind, negated)) = element.read("protocolid", read)? {
        matches.signed(Field::EtherType, &IntervalSet::one(kind), negated);
    }
    Ok(())
}

fn vlan(
    element: &ResolvedElement<'_>,
    matches: &mut MatchBuilder,
    driver: &dyn Driver,
) -> Result<(), CompileError> {
    matches.add(Field::EtherType, IntervalSet::one(ethertype::VLAN.into()));
    let id = |text: &str| number(text, driver.greatest_vlan());
    if let Some((id, negated)) = element.read("vlanid", id)? {
        matches.signed(Field::VlanId, &IntervalSet::one(id), negated);
    }
    let Some(encap) = element.get("encap-protocol") else {
        return Ok(());
    };
    let types = element.read("encap-protocol", |_| driver.encapsulated_types(encap))?;
    if let Some((types, negated)) = types {
        matches.signed(Field::VlanEncap, &types, negated);
    }
    Ok(())
}

fn stp(
    element: &ResolvedElement<'_>,
    matches: &mut MatchBuilder,
    swap: bool,
) -> Result<(), CompileError> {
    if swap && element.get("srcmacaddr").is_some() {
        return Err(element.refused("<stp> with srcmacaddr in an inout rule"));
    }
    let tested = element
        .all
        .iter()
        .find(|attribute| !attribute.name.starts_with("srcmac"));
    if let Some(attribute) = tested {
        // Wrong with either back end, and differently (docs/libvirt-bugs.md#B12, #B31).
        matches.undecided(format!("{} of <stp> is not modelled", attribute.name));
    }
    Ok(())
}

const ARP_ADDRESSES: [&str; 2] = ["arpsrcipaddr", "arpdstipaddr"];
const ARP_MACS: [&str; 2] = ["arpsrcmacaddr", "arpdstmacaddr"];

/// The matches of an `<arp>` element, and of `<rarp>` where they are the same.
///
/// # Errors
/// A value that cannot be bound.
pub fn arp(
    element: &ResolvedElement<'_>,
    matches: &mut MatchBuilder,
    driver: &dyn Driver,
) -> Result<(), CompileError> {
    let kind = match element.protocol {
        Protocol::Rarp => ethertype::RARP,
        _ => ethertype::ARP,
    };
    matches.add(Field::EtherType, IntervalSet::one(kind.into()));
    arp_numbers(element, matches, driver)?;
    if element.any(&ARP_MACS) {
        matches.add(Field::ArpMacs, IntervalSet::one(1));
    }
    for (name, field) in ARP_MACS
        .into_iter()
        .zip([Field::ArpSrcMac, Field::ArpDstMac])
    {
        if let Some((mac, negated)) = element.read(name, parse::mac)? {
            matches.signed(field, &IntervalSet::one(mac), negated);
        }
    }
    arp_addresses(element, matches, driver)
}

/// What kind of addresses the message carries, and what it does.
fn arp_numbers(
    element: &ResolvedElement<'_>,
    matches: &mut MatchBuilder,
    driver: &dyn Driver,
) -> Result<(), CompileError> {
    // libvirt hands on what a variable holds as it is.
    for (name, field) in [
        ("hwtype", Field::ArpHardware),
        ("protocoltype", Field::ArpProtocol),
        ("opcode", Field::ArpOperation),
    ] {
        let read = |text: &str| match name {
            _ if element.is_verbatim(name) => driver.number_in_variable(name, text, 0xffff),
            "opcode" => name_or_number(text, &OPERATIONS, 0xffff),
            _ => number(text, 0xffff),
        };
        if let Some((value, negated)) = element.read(name, read)? {
            matches.signed(field, &IntervalSet::one(value), negated);
        }
    }
    Ok(())
}

/// The IPv4 addresses in the message, and whether they are the same.
fn arp_addresses(
    element: &ResolvedElement<'_>,
    matches: &mut MatchBuilder,
    driver: &dyn Driver,
) -> Result<(), CompileError> {
    let gratuitous = element
        .get("gratuitous")
        .filter(|flag| parse::boolean(&flag.value));
    if element.any(&ARP_ADDRESSES) || gratuitous.is_some() {
        matches.add(Field::ArpAddresses, IntervalSet::one(1));
    }
    let source_mask = element.value("arpsrcipmask");
    // A target without a mask of its own gets the sender's (measured: docs/measurements.md#M1).
    let inherited = source_mask.filter(|_| element.get("arpsrcipaddr").is_some());
    let target_mask = element.value("arpdstipmask").or(inherited);
    let sides = [(Field::ArpSrc, source_mask), (Field::ArpDst, target_mask)];
    for (name, (field, mask)) in ARP_ADDRESSES.into_iter().zip(sides) {
        let read = |text: &str| masked_address(text, mask, false);
        if let Some((set, negated)) = element.read(name, read)? {
            matches.signed(field, &set, negated);
        }
    }
    if let Some(flag) = gratuitous {
        driver.gratuitous(flag.negated, matches);
    }
    Ok(())
}

fn ip(
    element: &ResolvedElement<'_>,
    matches: &mut MatchBuilder,
    driver: &dyn Driver,
) -> Result<(), CompileError> {
    let v6 = element.protocol == Protocol::Ipv6;
    let kind = if v6 { ethertype::IPV6 } else { ethertype::IPV4 };
    matches.add(Field::EtherType, IntervalSet::one(kind.into()));
    let macs = ["srcmacaddr", "srcmacmask", "dstmacaddr", "dstmacmask"];
    if element
        .all
        .iter()
        .any(|attribute| !macs.contains(&attribute.name.as_str()))
    {
        matches.add(Field::Header, IntervalSet::one(1));
    }
    let sides = [
        ("srcipaddr", "srcipmask", Field::Src),
        ("dstipaddr", "dstipmask", Field::Dst),
    ];
    for (name, mask, field) in sides {
        let mask = element.value(mask);
        let read = |text: &str| masked_address(text, mask, v6);
        if let Some((set, negated)) = element.read(name, read)? {
            matches.signed(field, &set, negated);
        }
    }
    let protocol = protocol(element, matches, driver)?;
    ports(element, matches, protocol, driver)?;
    if let Some((value, negated)) = element.read("dscp", |text| number(text, 63))? {
        let set = driver.layer2_dscp(value);
        matches.signed(Field::Tos, &set, negated);
    }
    icmp6(element, matches, protocol, driver)
}

fn protocol(
    element: &ResolvedElement<'_>,
    matches: &mut MatchBuilder,
    driver: &dyn Driver,
) -> Result<Option<(u128, bool)>, CompileError> {
    let read = |text: &str| name_or_number(text, &PROTOCOLS, 0xff);
    let protocol = element.read("protocol", read)?;
    if let Some(protocol) = protocol {
        driver.layer2_protocol(element.protocol, protocol, matches);
    }
    Ok(protocol)
}

fn ports(
    element: &ResolvedElement<'_>,
    matches: &mut MatchBuilder,
    protocol: Option<(u128, bool)>,
    driver: &dyn Driver,
) -> Result<(), CompileError> {
    let sides = [
        ("srcportstart", "srcportend", Field::SrcPort),
        ("dstportstart", "dstportend", Field::DstPort),
    ];
    for (name, end, field) in sides {
        let range = port_range(element, name, end)?;
        // An end alone is looked at as well, though no rule comes of it (`virNWFilterRuleValidate`
        // in libvirt's nwfilter_conf.c).
        let Some(named) = [name, end].into_iter().find(|it| element.get(it).is_some()) else {
            continue;
        };
        // libvirt looks for the protocol before it knows any variable.
        let known = element
            .get("protocol")
            .is_some_and(|protocol| !protocol.variable);
        let has_ports = matches!(protocol, Some((6 | 17 | 33 | 132, negated))
            if !negated || driver.takes_ports_of_negated());
        if !known || !has_ports {
            return Err(element.refused(format!(
                "{named} needs a protocol with ports, in an element that is not negated"
            )));
        }
        if let Some((set, negated)) = range {
            matches.signed(field, &set, negated);
        }
    }
    Ok(())
}

/// Ports from `name` to `end`; one port where there is no end.
fn port_range(
    element: &ResolvedElement<'_>,
    name: &str,
    end: &str,
) -> Result<Option<(IntervalSet, bool)>, CompileError> {
    let port = |text: &str| number(text, 0xffff);
    let Some((low, negated)) = element.read(name, port)? else {
        return Ok(None);
    };
    let high = element.read(end, port)?.map_or(low, |(high, _)| high);
    if high < low {
        return Err(element.refused(format!("{end} {high} is below {name} {low}")));
    }
    Ok(Some((IntervalSet::range(low, high), negated)))
}

fn icmp6(
    element: &ResolvedElement<'_>,
    matches: &mut MatchBuilder,
    protocol: Option<(u128, bool)>,
    driver: &dyn Driver,
) -> Result<(), CompileError> {
    if !element.any(&["type", "typeend", "code", "codeend"]) {
        return Ok(());
    }
    if protocol != Some((58, false)) {
        return Err(element.refused("type and code need protocol='icmpv6'"));
    }
    let byte = |text: &str| number(text, 0xff);
    let range = |start: &str, end: &str| -> Result<Option<(IntervalSet, bool)>, CompileError> {
        let Some((low, negated)) = element.read(start, byte)? else {
            return Ok(None);
        };
        let high = element
            .read(end, byte)?
            .filter(|_| driver.has_icmp6_ranges());
        let high = high.map_or(low, |(high, _)| high);
        if high < low {
            return Err(element.refused(format!("{end} {high} is below {start} {low}")));
        }
        Ok(Some((IntervalSet::range(low, high), negated)))
    };
    let (kind, code) = (range("type", "typeend")?, range("code", "codeend")?);
    match (kind, code) {
        (Some((kind, negated)), None) => matches.signed(Field::IcmpType, &kind, negated),
        (Some((kind, false)), Some((code, false))) => {
            matches.add(Field::IcmpType, kind);
            matches.add(Field::IcmpCode, code);
        }
        (kind, code) => driver.layer2_icmp6(kind, code, matches),
    }
    Ok(())
}
