//! Layer-3 elements as the iptables rules that libvirt makes of them.
//!
//! One rule becomes up to two: one for what the guest sends and one for what
//! it gets, with source and destination exchanged in one of them and the
//! connection's state tested (libvirt 11.3.0; measured: docs/measurements.md#M1).

use super::driver::Driver;
use super::error::CompileError;
use super::field::Field;
use super::resolved::{ResolvedAttribute, ResolvedElement};
use super::rule::{CompiledRule, ConnectionState, Match, MatchBuilder};
use crate::nwfilter::intervals::IntervalSet;
use crate::nwfilter::model::{Rule, RuleId};
use crate::nwfilter::vocabulary::parse::{address, masked_address, masked_mac, number};
use crate::nwfilter::vocabulary::{Action, IpVersion};

/// The rules for frames from the guest and for frames to it.
///
/// # Errors
/// A value that cannot be bound.
pub fn rules(
    source: &Rule,
    element: &ResolvedElement<'_>,
    version: IpVersion,
    driver: &dyn Driver,
) -> Result<(Vec<CompiledRule>, Vec<CompiledRule>), CompileError> {
    let copies = driver.copies(source, element);
    // What is not emitted cannot be refused (docs/measurements.md#M1: `continue` on an inout
    // rule with an ICMP type is bound everywhere).
    if copies.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    driver.check(element)?;
    let mut matches = matches(element, version == IpVersion::V6, driver)?;
    driver.finish_layer3(source, element, &mut matches)?;
    let variants = driver.port_variants(element, matches)?;
    let (mut from_guest, mut to_guest) = (Vec::new(), Vec::new());
    for copy in copies {
        for matches in &variants {
            let Some(matches) = driver.orient(element, matches, copy.swapped)? else {
                continue;
            };
            let rule = rule(element.origin, source.action, matches, copy.state);
            if copy.from_guest {
                from_guest.push(rule);
            } else {
                to_guest.push(rule);
            }
        }
    }
    Ok((from_guest, to_guest))
}

/// The sender's MAC that a layer-3 element names, and whether it is negated.
///
/// # Errors
/// A value that is no MAC.
pub fn source_mac(
    element: &ResolvedElement<'_>,
) -> Result<Option<(IntervalSet, bool)>, CompileError> {
    element.read("srcmacaddr", |text| masked_mac(text, None))
}

fn rule(
    origin: &RuleId,
    action: Action,
    matches: MatchBuilder,
    state: ConnectionState,
) -> CompiledRule {
    CompiledRule {
        origin: origin.clone(),
        action,
        matches: matches.matches,
        state,
        undecided: matches.undecided,
        portability: matches.portability,
    }
}

fn matches(
    element: &ResolvedElement<'_>,
    v6: bool,
    driver: &dyn Driver,
) -> Result<MatchBuilder, CompileError> {
    let mut matches = MatchBuilder::default();
    if let Some(number) = element.protocol.number() {
        driver.layer3_protocol(element.protocol, number, &mut matches);
    }
    let sides = [
        (
            ["srcipaddr", "srcipmask", "srcipfrom", "srcipto"],
            Field::Src,
        ),
        (
            ["dstipaddr", "dstipmask", "dstipfrom", "dstipto"],
            Field::Dst,
        ),
    ];
    for (names, field) in sides {
        addresses(element, &mut matches, names, (field, v6), driver)?;
    }
    if let Some((dscp, negated)) = element.read("dscp", |text| number(text, 63))? {
        matches.signed(
            Field::Tos,
            &IntervalSet::range(dscp * 4, dscp * 4 + 3),
            negated,
        );
    }
    ports(element, &mut matches, driver)?;
    flags(element, &mut matches, v6, driver)?;
    icmp(element, &mut matches, driver)?;
    driver.ipset(element, &mut matches)?;
    if element.get("connlimit-above").is_some() {
        matches.undecided("it counts connections");
    }
    if let Some(name) = element.octal() {
        matches.undecided(format!("{name} begins with a zero: octal to some tools"));
    }
    if let Some(name) = element.repeated() {
        matches.undecided(format!("{name} stands in it twice"));
    }
    Ok(matches)
}

fn addresses(
    element: &ResolvedElement<'_>,
    matches: &mut MatchBuilder,
    [name, mask, from, to]: [&str; 4],
    (field, v6): (Field, bool),
    driver: &dyn Driver,
) -> Result<(), CompileError> {
    let mask = element.value(mask);
    if let Some((set, negated)) = element.read(name, |text| masked_address(text, mask, v6))? {
        let all = masked_address(if v6 { "::" } else { "0.0.0.0" }, Some("0"), v6);
        if negated && Some(&set) == all.as_ref() {
            return Err(element.refused(format!("{name} that is none of all addresses")));
        }
        matches.signed(field, &set, negated);
        return Ok(());
    }
    let Some(((low, _), negated)) = element.read(from, |text| address(text, v6))? else {
        return Ok(());
    };
    // libvirt reads the end of an IPv6 range of destinations as an IPv4 address,
    // unless a variable hides it, and ip6tables takes none (measured: docs/measurements.md#M1).
    let bare = |end: &ResolvedAttribute| v6 && to == "dstipto" && !end.variable;
    if element.get(to).is_some_and(bare) {
        return Err(element.refused("dstipto of IPv6 must come from a variable"));
    }
    let high = element.read(to, |text| address(text, v6))?;
    let high = high.map_or(low, |((high, _), _)| high);
    if high < low && !driver.takes_backward_ranges() {
        return Err(element.refused(format!("{to} is below {from}")));
    }
    matches.signed(field, &IntervalSet::range(low, high), negated);
    Ok(())
}

fn ports(
    element: &ResolvedElement<'_>,
    matches: &mut MatchBuilder,
    driver: &dyn Driver,
) -> Result<(), CompileError> {
    let source = port_range(element, "srcportstart", "srcportend", driver)?;
    // The destination's sign is copied from the source port: without one it is lost (measured:
    // docs/measurements.md#M1).
    let negated = source.as_ref().is_some_and(|(_, negated)| *negated);
    let target = port_range(element, "dstportstart", "dstportend", driver)?;
    let sides = [(Field::SrcPort, source), (Field::DstPort, target)];
    for (field, range) in sides {
        let Some((set, _)) = range else { continue };
        if set.is_empty() {
            matches.portability.extend(driver.empty_port_range());
        }
        matches.signed(field, &set, negated);
    }
    let everything = |test: &Match| {
        matches!(test.field, Field::SrcPort | Field::DstPort)
            && (test.set.is_empty() || test.set == test.field.all())
    };
    if matches.matches.iter().any(everything) {
        matches.undecided("iptables makes another rule of a range of all ports");
    }
    Ok(())
}

/// Ports from `name` to `end`; one port where there is no end. Of UDP, a range that
/// ends before it begins has no port in it where it is taken (iptables 1.8.9; measured:
/// docs/measurements.md#M4).
///
/// # Errors
/// A value that is no port, and a range that ends before it begins.
pub fn port_range(
    element: &ResolvedElement<'_>,
    name: &str,
    end: &str,
    driver: &dyn Driver,
) -> Result<Option<(IntervalSet, bool)>, CompileError> {
    // nft reads the ports of all protocols alike.
    let udp = element.protocol.is_udp() && driver.empty_port_range().is_some();
    // What a variable holds goes through as it is, and of UDP iptables
    // reads no hexadecimal port (1.8.9 to 1.8.11; measured: docs/measurements.md#M4).
    let port = |name: &str| {
        let verbatim = element.get(name).is_some_and(|port| port.variable);
        let decimal = |text: &str| !(udp && verbatim && text.starts_with("0x"));
        element.read(name, |text| number(text, 0xffff).filter(|_| decimal(text)))
    };
    let Some((low, negated)) = port(name)? else {
        return Ok(None);
    };
    let high = port(end)?.map_or(low, |(high, _)| high);
    let set = match low <= high {
        true => IntervalSet::range(low, high),
        false if udp => IntervalSet::of(Vec::new()),
        false => {
            return Err(element.refused(format!("{end} {high} is below {name} {low}")));
        }
    };
    Ok(Some((set, negated)))
}

fn flags(
    element: &ResolvedElement<'_>,
    matches: &mut MatchBuilder,
    v6: bool,
    driver: &dyn Driver,
) -> Result<(), CompileError> {
    if element.get("option").is_some() {
        matches.undecided("it looks at a TCP option");
    }
    let read = |text: &str| {
        let (mask, flags) = text.split_once('/')?;
        Some((flag_bits(mask)?, flag_bits(flags)?))
    };
    let parsed = element.read("flags", read)?;
    // The parser ignores them on tcp-ipv6 (measured: docs/measurements.md#M1).
    if let Some(((mask, flags), negated)) = parsed.filter(|_| !v6) {
        driver.layer3_flags(element, (mask, flags, negated), matches)?;
    }
    Ok(())
}

fn flag_bits(text: &str) -> Option<u128> {
    text.split(',').try_fold(0, |bits, word| {
        let bit = match word.trim().to_ascii_uppercase().as_str() {
            "FIN" => 0x01,
            "SYN" => 0x02,
            "RST" => 0x04,
            "PSH" => 0x08,
            "ACK" => 0x10,
            "URG" => 0x20,
            "ALL" => 0x3f,
            "NONE" => 0,
            _ => return None,
        };
        Some(bits | bit)
    })
}

fn icmp(
    element: &ResolvedElement<'_>,
    matches: &mut MatchBuilder,
    driver: &dyn Driver,
) -> Result<(), CompileError> {
    let byte = |text: &str| number(text, 0xff);
    let (kind, code) = (element.read("type", byte)?, element.read("code", byte)?);
    driver.layer3_icmp(element.protocol, kind, code, matches);
    Ok(())
}

/// The values of a byte that are `wanted` under a mask.
pub fn under_mask(mask: u128, wanted: u128) -> IntervalSet {
    let good = (0..=0xff_u128).filter(|value| value & mask == wanted);
    IntervalSet::of(good.map(|value| (value, value)).collect())
}
