//! Layer-2 elements as matches, as libvirt 11.3.0 has ebtables make them.

use super::field::Field;
use super::rule::{MatchBuilder, ResolvedElement};
use super::{CompileError, Portability};
use crate::nwfilter::intervals::IntervalSet;
use crate::nwfilter::vocabulary::parse::{
    self, ETHERTYPES, OPERATIONS, PROTOCOLS, masked_address, masked_mac, number, word_or_number,
};

/// Group MAC of the spanning tree protocol, which `<stp>` stands for.
const BRIDGES: u128 = 0x0180_c200_0000;

/// The matches of a layer-2 element, source and destination exchanged where `swap` says so.
pub fn matches(attributes: &ResolvedElement<'_>, swap: bool) -> Result<MatchBuilder, CompileError> {
    let mut matches = MatchBuilder::default();
    macs(attributes, &mut matches)?;
    match attributes.protocol {
        "mac" => mac(attributes, &mut matches)?,
        "vlan" => vlan(attributes, &mut matches)?,
        "stp" => stp(attributes, &mut matches, swap)?,
        "arp" => arp(attributes, &mut matches, 0x0806)?,
        "rarp" => arp(attributes, &mut matches, 0x8035)?,
        "ip" => ip(attributes, &mut matches, false)?,
        "ipv6" => ip(attributes, &mut matches, true)?,
        other => return Err(attributes.refused(format!("<{other}> is no layer-2 element"))),
    }
    if let Some(name) = attributes.octal() {
        matches.undecided(format!("{name} begins with a zero: octal to some tools"));
    }
    if let Some(name) = attributes.repeated() {
        matches.undecided(format!("{name} stands in it twice"));
    }
    // The nftables back end forgets to turn the fields of RARP round.
    let swap = swap && !(attributes.nftables() && attributes.protocol == "rarp");
    let mut matches = if swap { matches.swapped() } else { matches };
    if attributes.protocol == "stp" {
        matches.add(Field::DstMac, IntervalSet::one(BRIDGES));
    }
    Ok(matches)
}

fn macs(attributes: &ResolvedElement<'_>, matches: &mut MatchBuilder) -> Result<(), CompileError> {
    let sides = [
        ("srcmacaddr", "srcmacmask", Field::SrcMac),
        ("dstmacaddr", "dstmacmask", Field::DstMac),
    ];
    for (name, mask, field) in sides {
        let mask = attributes.value(mask);
        if let Some((set, negated)) = attributes.read(name, |text| masked_mac(text, mask))? {
            if set == field.all() {
                return Err(attributes.refused(format!("{name} with a mask of zeroes")));
            }
            matches.signed(field, &set, negated);
        }
    }
    Ok(())
}

fn mac(attributes: &ResolvedElement<'_>, matches: &mut MatchBuilder) -> Result<(), CompileError> {
    let read = |text: &str| {
        let kind = if attributes.is_verbatim("protocolid") {
            ebtables_type(text)
        } else {
            word_or_number(text, &ETHERTYPES, 0xffff)
        };
        kind.filter(|kind| (0x600..=0xffff).contains(kind))
    };
    if let Some((kind, negated)) = attributes.read("protocolid", read)? {
        matches.signed(Field::EtherType, &IntervalSet::one(kind), negated);
    }
    Ok(())
}

/// Names that ebtables itself knows (/etc/ethertypes).
const NAMED: [(&str, u128); 4] = [
    ("arp", 0x0806),
    ("rarp", 0x8035),
    ("ipv4", 0x0800),
    ("ipv6", 0x86dd),
];

/// A type as ebtables reads it: hexadecimal with or without 0x, or a name.
fn ebtables_type(text: &str) -> Option<u128> {
    let known = NAMED
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(text));
    let digits = text.strip_prefix("0x").unwrap_or(text);
    known.map_or_else(
        || u128::from_str_radix(digits, 16).ok(),
        |(_, number)| Some(*number),
    )
}

/// A number as those options of ebtables read it that take decimal only.
fn decimal(text: &str, greatest: u128) -> Option<u128> {
    number(text, greatest).filter(|_| !text.starts_with("0x"))
}

fn vlan(attributes: &ResolvedElement<'_>, matches: &mut MatchBuilder) -> Result<(), CompileError> {
    matches.add(Field::EtherType, IntervalSet::one(0x8100));
    // libvirt takes 4095 and ebtables refuses it.
    if let Some((id, negated)) = attributes.read("vlanid", |text| number(text, 4094))? {
        if attributes.is_hex("vlanid") && !attributes.nftables() {
            matches.portability.push(Portability::HexVlanId);
        }
        matches.signed(Field::VlanId, &IntervalSet::one(id), negated);
    }
    let Some(encap) = attributes.get("encap-protocol") else {
        return Ok(());
    };
    // ebtables keeps 16 bits of the number and refuses a length.
    let hexadecimal = |text: &str| {
        let kind = ebtables_type(text)? & 0xffff;
        Some(kind).filter(|kind| *kind >= 0x3c)
    };
    // libvirt prints the number in decimal and ebtables reads it as hexadecimal;
    // what a variable holds goes through as it is (measured).
    let read = |text: &str| {
        if encap.variable && !attributes.nftables() {
            return hexadecimal(text);
        }
        let meant = word_or_number(text, &ETHERTYPES, 0xffff)?;
        if attributes.nftables() {
            return Some(meant);
        }
        hexadecimal(&meant.to_string())
    };
    if let Some((kind, negated)) = attributes.read("encap-protocol", read)? {
        // A length behind the tag is to the kernel another type, which ebtables
        // 1.8.9 does not take; so nothing has a type below 0x600 (measured).
        let set = if kind < 0x600 && !attributes.nftables() {
            IntervalSet::EMPTY
        } else {
            IntervalSet::one(kind)
        };
        matches.signed(Field::VlanEncap, &set, negated);
    }
    Ok(())
}

fn stp(
    attributes: &ResolvedElement<'_>,
    matches: &mut MatchBuilder,
    swap: bool,
) -> Result<(), CompileError> {
    if swap && attributes.get("srcmacaddr").is_some() {
        return Err(attributes.refused("<stp> with srcmacaddr in an inout rule"));
    }
    let tested = attributes
        .all
        .iter()
        .find(|attribute| !attribute.name.starts_with("srcmac"));
    if let Some(attribute) = tested {
        matches.undecided(format!(
            "the kernel reads {} of <stp> from the wrong place",
            attribute.name
        ));
    }
    Ok(())
}

const ARP_ADDRESSES: [&str; 2] = ["arpsrcipaddr", "arpdstipaddr"];
const ARP_MACS: [&str; 2] = ["arpsrcmacaddr", "arpdstmacaddr"];

fn arp(
    attributes: &ResolvedElement<'_>,
    matches: &mut MatchBuilder,
    kind: u128,
) -> Result<(), CompileError> {
    matches.add(Field::EtherType, IntervalSet::one(kind));
    if attributes.nftables() && kind == 0x8035 && attributes.get("protocoltype").is_some() {
        matches
            .undecided("the nftables back end reads protocoltype of <rarp> from the wrong place");
    }
    arp_numbers(attributes, matches)?;
    if attributes.any(&ARP_MACS) {
        matches.add(Field::ArpMacs, IntervalSet::one(1));
    }
    for (name, field) in ARP_MACS
        .into_iter()
        .zip([Field::ArpSrcMac, Field::ArpDstMac])
    {
        if let Some((mac, negated)) = attributes.read(name, parse::mac)? {
            matches.signed(field, &IntervalSet::one(mac), negated);
        }
    }
    arp_addresses(attributes, matches)
}

/// What kind of addresses the message carries, and what it does.
fn arp_numbers(
    attributes: &ResolvedElement<'_>,
    matches: &mut MatchBuilder,
) -> Result<(), CompileError> {
    // ebtables reads the one as decimal and the other as hexadecimal; libvirt
    // knows, but hands on what a variable holds as it is (measured).
    let hardware = |text: &str| {
        if attributes.is_verbatim("hwtype") {
            decimal(text, 0xffff)
        } else {
            number(text, 0xffff)
        }
    };
    if let Some((value, negated)) = attributes.read("hwtype", hardware)? {
        matches.signed(Field::ArpHardware, &IntervalSet::one(value), negated);
    }
    let carried = |text: &str| {
        if attributes.is_verbatim("protocoltype") {
            ebtables_type(text).filter(|kind| *kind <= 0xffff)
        } else {
            number(text, 0xffff)
        }
    };
    if let Some((value, negated)) = attributes.read("protocoltype", carried)? {
        matches.signed(Field::ArpProtocol, &IntervalSet::one(value), negated);
    }
    let opcode = |text: &str| {
        let hexadecimal = attributes.is_verbatim("opcode") && text.starts_with("0x");
        word_or_number(text, &OPERATIONS, 0xffff).filter(|_| !hexadecimal)
    };
    if let Some((value, negated)) = attributes.read("opcode", opcode)? {
        matches.signed(Field::ArpOperation, &IntervalSet::one(value), negated);
    }
    Ok(())
}

/// The IPv4 addresses in the message, and whether they are the same.
fn arp_addresses(
    attributes: &ResolvedElement<'_>,
    matches: &mut MatchBuilder,
) -> Result<(), CompileError> {
    let gratuitous = attributes
        .get("gratuitous")
        .filter(|flag| parse::boolean(&flag.value));
    if attributes.any(&ARP_ADDRESSES) || gratuitous.is_some() {
        matches.add(Field::ArpAddresses, IntervalSet::one(1));
    }
    let source_mask = attributes.value("arpsrcipmask");
    // A target without a mask of its own gets the sender's (measured).
    let inherited = source_mask.filter(|_| attributes.get("arpsrcipaddr").is_some());
    let target_mask = attributes.value("arpdstipmask").or(inherited);
    let sides = [(Field::ArpSrc, source_mask), (Field::ArpDst, target_mask)];
    for (name, (field, mask)) in ARP_ADDRESSES.into_iter().zip(sides) {
        let read = |text: &str| masked_address(text, mask, false);
        if let Some((set, negated)) = attributes.read(name, read)? {
            matches.signed(field, &set, negated);
        }
    }
    if let Some(flag) = gratuitous {
        matches.signed(Field::ArpGratuitous, &IntervalSet::one(1), flag.negated);
    }
    Ok(())
}

fn ip(
    attributes: &ResolvedElement<'_>,
    matches: &mut MatchBuilder,
    v6: bool,
) -> Result<(), CompileError> {
    matches.add(
        Field::EtherType,
        IntervalSet::one(if v6 { 0x86dd } else { 0x0800 }),
    );
    let macs = ["srcmacaddr", "srcmacmask", "dstmacaddr", "dstmacmask"];
    if attributes
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
        let mask = attributes.value(mask);
        let read = |text: &str| masked_address(text, mask, v6);
        if let Some((set, negated)) = attributes.read(name, read)? {
            matches.signed(field, &set, negated);
        }
    }
    let protocol = protocol(attributes, matches)?;
    ports(attributes, matches, protocol)?;
    if let Some((value, negated)) = attributes.read("dscp", |text| number(text, 63))? {
        let set = if attributes.nftables() {
            IntervalSet::range(value * 4, value * 4 + 3)
        } else {
            // libvirt hands the number to a test of the whole TOS byte (measured).
            IntervalSet::one(value)
        };
        matches.signed(Field::Tos, &set, negated);
    }
    icmp6(attributes, matches, protocol)
}

fn protocol(
    attributes: &ResolvedElement<'_>,
    matches: &mut MatchBuilder,
) -> Result<Option<(u128, bool)>, CompileError> {
    let read = |text: &str| word_or_number(text, &PROTOCOLS, 0xff);
    let protocol = attributes.read("protocol", read)?;
    let Some((number, negated)) = protocol else {
        return Ok(None);
    };
    if attributes.nftables() && negated {
        // `ether type != ip ip protocol != X` contradicts itself.
        matches.add(Field::Protocol, IntervalSet::EMPTY);
    } else if attributes.nftables() && attributes.protocol == "ipv6" {
        matches.add(Field::NextHeader, IntervalSet::one(number));
    } else {
        matches.signed(Field::Protocol, &IntervalSet::one(number), negated);
    }
    Ok(protocol)
}

fn ports(
    attributes: &ResolvedElement<'_>,
    matches: &mut MatchBuilder,
    protocol: Option<(u128, bool)>,
) -> Result<(), CompileError> {
    let sides = [
        ("srcportstart", "srcportend", Field::SrcPort),
        ("dstportstart", "dstportend", Field::DstPort),
    ];
    for (name, end, field) in sides {
        let Some((set, negated)) = port_range(attributes, name, end)? else {
            continue;
        };
        // libvirt looks for the protocol before it knows any variable.
        let known = attributes
            .get("protocol")
            .is_some_and(|protocol| !protocol.variable);
        if !known || !matches!(protocol, Some((6 | 17 | 33 | 132, false))) {
            return Err(attributes.refused(format!(
                "{name} needs a protocol with ports, in an element that is not negated"
            )));
        }
        if !attributes.nftables() && (attributes.is_hex(name) || attributes.is_hex(end)) {
            matches.portability.push(Portability::HexPort);
        }
        matches.signed(field, &set, negated);
    }
    Ok(())
}

/// Ports from `name` to `end`; one port where there is no end.
fn port_range(
    attributes: &ResolvedElement<'_>,
    name: &str,
    end: &str,
) -> Result<Option<(IntervalSet, bool)>, CompileError> {
    let port = |text: &str| number(text, 0xffff);
    let Some((low, negated)) = attributes.read(name, port)? else {
        return Ok(None);
    };
    let high = attributes.read(end, port)?.map_or(low, |(high, _)| high);
    if high < low {
        return Err(attributes.refused(format!("{end} {high} is below {name} {low}")));
    }
    Ok(Some((IntervalSet::range(low, high), negated)))
}

fn icmp6(
    attributes: &ResolvedElement<'_>,
    matches: &mut MatchBuilder,
    protocol: Option<(u128, bool)>,
) -> Result<(), CompileError> {
    if !attributes.any(&["type", "typeend", "code", "codeend"]) {
        return Ok(());
    }
    if protocol != Some((58, false)) {
        return Err(attributes.refused("type and code need protocol='icmpv6'"));
    }
    let byte = |text: &str| number(text, 0xff);
    let range = |start: &str, end: &str| -> Result<Option<(IntervalSet, bool)>, CompileError> {
        let Some((low, negated)) = attributes.read(start, byte)? else {
            return Ok(None);
        };
        // The nftables back end takes the start only.
        let high = attributes
            .read(end, byte)?
            .filter(|_| !attributes.nftables());
        let high = high.map_or(low, |(high, _)| high);
        if high < low {
            return Err(attributes.refused(format!("{end} {high} is below {start} {low}")));
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
        // One option in ebtables, so that its sign is that of the pair.
        _ => matches.undecided("type and code are negated together, or stand without a start"),
    }
    Ok(())
}
