//! Layer-3 elements as the iptables rules that libvirt makes of them.
//!
//! One rule becomes up to two: one for what the guest sends and one for what
//! it gets, with source and destination exchanged in one of them and the
//! connection's state tested (libvirt 11.3.0, measured).

use super::field::Field;
use super::rule::{CompiledRule, ConnectionState, Match, MatchBuilder, ResolvedElement};
use super::{CompileError, Portability, RuleId};
use crate::nwfilter::intervals::IntervalSet;
use crate::nwfilter::model::{Action, Direction, Rule};
use crate::nwfilter::vocabulary::parse::{address, masked_address, masked_mac, number};

/// Where an expanded rule goes, and how.
struct Copy {
    from_guest: bool,
    swapped: bool,
    state: ConnectionState,
}

/// The IP version of a layer-3 element; none for a layer-2 element.
pub fn is_v6(protocol: &str) -> Option<bool> {
    match protocol {
        "tcp" | "udp" | "sctp" | "icmp" | "igmp" | "esp" | "ah" | "udplite" | "all" => Some(false),
        "icmpv6" => Some(true),
        other => other.ends_with("-ipv6").then_some(true),
    }
}

/// IP protocol of an element; none for `all`.
fn protocol_number(protocol: &str) -> Option<u128> {
    match protocol.trim_end_matches("-ipv6") {
        "icmp" => Some(1),
        "igmp" => Some(2),
        "tcp" => Some(6),
        "udp" => Some(17),
        "esp" => Some(50),
        "ah" => Some(51),
        "icmpv6" => Some(58),
        "sctp" => Some(132),
        "udplite" => Some(136),
        _ => None,
    }
}

/// The rules for frames from the guest and for frames to it.
pub fn rules(
    source: &Rule,
    attributes: &ResolvedElement<'_>,
    v6: bool,
) -> Result<(Vec<CompiledRule>, Vec<CompiledRule>), CompileError> {
    let copies = if attributes.nftables() {
        nftables_copies(source, attributes)
    } else {
        copies(source, attributes)
    };
    // What is not emitted cannot be refused (measured: `continue` on an inout
    // rule with an ICMP type is bound everywhere).
    if copies.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    let mut matches = matches(attributes, v6)?;
    if source.action == Action::Continue && !attributes.nftables() {
        matches.portability.push(Portability::Continue);
    }
    let matches = either_port(matches, attributes)?;
    let (mut from_guest, mut to_guest) = (Vec::new(), Vec::new());
    for copy in copies {
        for matches in &matches {
            let Some(matches) = oriented(matches, attributes, copy.swapped)? else {
                continue;
            };
            let rule = rule(attributes.origin, source.action, matches, copy.state);
            if copy.from_guest {
                from_guest.push(rule);
            } else {
                to_guest.push(rule);
            }
        }
    }
    Ok((from_guest, to_guest))
}

/// One negated port of TCP or UDP on each side: iptables before 1.8.11 compares both at
/// once, so that the rule matches where either differs; later ones where both do
/// (measured with 1.8.9 and 1.8.11). What happens where one differs is left open.
fn either_port(
    matches: MatchBuilder,
    attributes: &ResolvedElement<'_>,
) -> Result<Vec<MatchBuilder>, CompileError> {
    let source = port_range(attributes, "srcportstart", "srcportend")?;
    let target = port_range(attributes, "dstportstart", "dstportend")?;
    let (Some((source, true)), Some((target, _))) = (source, target) else {
        return Ok(vec![matches]);
    };
    // Port 0 is to iptables as if there were none to compare at once.
    let single = |set: &IntervalSet| match set.intervals() {
        [(low, high)] => low == high && *low != 0,
        _ => false,
    };
    let at_once = matches!(protocol_number(attributes.protocol), Some(6 | 17));
    if !(at_once && single(&source) && single(&target)) || attributes.nftables() {
        return Ok(vec![matches]);
    }
    let without = |field: Field| {
        let mut matches = matches.clone();
        matches.undecided("iptables before 1.8.11 matches where one of two negated ports differs");
        for test in matches
            .matches
            .iter_mut()
            .filter(|test| test.field == field)
        {
            test.set = field.all();
        }
        matches
    };
    let one = [without(Field::DstPort), without(Field::SrcPort)];
    Ok([vec![matches], one.to_vec()].concat())
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

fn copies(source: &Rule, attributes: &ResolvedElement<'_>) -> Vec<Copy> {
    use Direction::{In, InOut, Out};
    let copy = |from_guest, swapped, state| Copy {
        from_guest,
        swapped,
        state,
    };
    let accept = source.action == Action::Accept;
    let forward = if accept && source.statematch {
        ConnectionState::New
    } else {
        ConnectionState::Any
    };
    let reply = if accept && source.statematch {
        ConnectionState::Known
    } else {
        ConnectionState::Any
    };
    let typed =
        matches!(attributes.protocol, "icmp" | "icmpv6") && attributes.get("type").is_some();
    let asked = asked_state(source, attributes);
    if typed || attributes.get("connlimit-above").is_some() {
        let state = match asked {
            Some(asked) => asked,
            None if typed => forward,
            None => ConnectionState::Any,
        };
        return match (source.direction, typed) {
            (Out, _) => vec![copy(true, false, state)],
            (In, _) | (InOut, false) => vec![copy(false, false, state)],
            (InOut, true) => Vec::new(),
        };
    }
    if let Some(state) = asked {
        return match source.direction {
            Out => vec![copy(true, false, state)],
            In => vec![copy(false, false, state)],
            InOut => vec![copy(true, true, state), copy(false, false, state)],
        };
    }
    match source.direction {
        Out => vec![copy(true, false, forward), copy(false, true, reply)],
        In => vec![copy(true, true, reply), copy(false, false, forward)],
        InOut => vec![
            copy(true, true, ConnectionState::Any),
            copy(false, false, ConnectionState::Any),
        ],
    }
}

/// What the attribute `state` asks for; none where there is none or it does not count.
fn asked_state(source: &Rule, attributes: &ResolvedElement<'_>) -> Option<ConnectionState> {
    let states = attributes.value("state").filter(|_| source.statematch)?;
    let named = |name: &str| {
        states
            .split(',')
            .any(|word| word.trim().eq_ignore_ascii_case(name))
    };
    Some(if named("NONE") {
        ConnectionState::Any
    } else if named("NEW") {
        ConnectionState::New
    } else {
        ConnectionState::Known
    })
}

/// The rules of the nftables back end: nothing is turned round but the replies
/// to what is accepted, those with an ICMP type too.
fn nftables_copies(source: &Rule, attributes: &ResolvedElement<'_>) -> Vec<Copy> {
    use Direction::{In, InOut, Out};
    let copy = |from_guest, swapped, state| Copy {
        from_guest,
        swapped,
        state,
    };
    let stateful = source.action == Action::Accept && source.statematch;
    let named = attributes.get("state").is_some() && source.statematch;
    let plain = !stateful || named || attributes.get("connlimit-above").is_some();
    match source.direction {
        InOut => vec![
            copy(true, false, ConnectionState::Any),
            copy(false, false, ConnectionState::Any),
        ],
        Out if plain => vec![copy(true, false, ConnectionState::Any)],
        In if plain => vec![copy(false, false, ConnectionState::Any)],
        Out => vec![
            copy(true, false, ConnectionState::New),
            copy(false, true, ConnectionState::Known),
        ],
        In => vec![
            copy(true, true, ConnectionState::Known),
            copy(false, false, ConnectionState::New),
        ],
    }
}

/// The matches of one copy. The sender's MAC is tested only where it is the
/// sender's; a copy that tested nothing else is left out.
fn oriented(
    matches: &MatchBuilder,
    attributes: &ResolvedElement<'_>,
    swapped: bool,
) -> Result<Option<MatchBuilder>, CompileError> {
    let mac = attributes.read("srcmacaddr", |text| masked_mac(text, None))?;
    if !swapped || attributes.nftables() {
        // The nftables back end matches the sender in replies too, which then do not match.
        let mut matches = if swapped {
            matches.swapped()
        } else {
            matches.clone()
        };
        if let Some((set, negated)) = mac {
            matches.signed(Field::SrcMac, &set, negated);
        }
        return Ok(Some(matches));
    }
    let only_mac = attributes
        .all
        .iter()
        .all(|attribute| attribute.name == "srcmacaddr");
    if mac.is_some() && only_mac {
        return Ok(None);
    }
    Ok(Some(matches.swapped()))
}

fn matches(attributes: &ResolvedElement<'_>, v6: bool) -> Result<MatchBuilder, CompileError> {
    let mut matches = MatchBuilder::default();
    if let Some(number) = protocol_number(attributes.protocol) {
        matches.add(Field::Protocol, IntervalSet::one(number));
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
        addresses(attributes, &mut matches, names, field, v6)?;
    }
    if let Some((dscp, negated)) = attributes.read("dscp", |text| number(text, 63))? {
        matches.signed(
            Field::Tos,
            &IntervalSet::range(dscp * 4, dscp * 4 + 3),
            negated,
        );
    }
    ports(attributes, &mut matches)?;
    flags(attributes, &mut matches, v6)?;
    icmp(attributes, &mut matches)?;
    ipset(attributes, &mut matches)?;
    if attributes.get("connlimit-above").is_some() {
        matches.undecided("it counts connections");
    }
    if let Some(name) = attributes.octal() {
        matches.undecided(format!("{name} begins with a zero: octal to some tools"));
    }
    if let Some(name) = attributes.repeated() {
        matches.undecided(format!("{name} stands in it twice"));
    }
    if attributes.nftables() {
        refused_by_nft(attributes, &mut matches)?;
    }
    Ok(matches)
}

/// What the nftables back end emits and nft 1.0.6 refuses (measured).
fn refused_by_nft(
    attributes: &ResolvedElement<'_>,
    matches: &mut MatchBuilder,
) -> Result<(), CompileError> {
    let negated = |name: &&&str| attributes.get(name).is_some_and(|found| found.negated);
    let names = ["srcipaddr", "dstipaddr", "srcipfrom", "dstipfrom", "dscp"];
    if let Some(name) = names.iter().find(negated) {
        return Err(attributes.refused(format!("nft takes no negated {name} as it is emitted")));
    }
    if attributes.get("option").is_some() {
        return Err(attributes.refused("nft takes no test of a TCP option as it is emitted"));
    }
    if attributes.get("flags").is_some() {
        matches.undecided("nft 1.0.6 refuses some matches of TCP flags as they are emitted");
    }
    if attributes.get("state").is_some() {
        matches.undecided("it names the connection's state");
    }
    Ok(())
}

fn addresses(
    attributes: &ResolvedElement<'_>,
    matches: &mut MatchBuilder,
    [name, mask, from, to]: [&str; 4],
    field: Field,
    v6: bool,
) -> Result<(), CompileError> {
    let mask = attributes.value(mask);
    if let Some((set, negated)) = attributes.read(name, |text| masked_address(text, mask, v6))? {
        let all = masked_address(if v6 { "::" } else { "0.0.0.0" }, Some("0"), v6);
        if negated && Some(&set) == all.as_ref() {
            return Err(attributes.refused(format!("{name} that is none of all addresses")));
        }
        matches.signed(field, &set, negated);
        return Ok(());
    }
    let Some(((low, _), negated)) = attributes.read(from, |text| address(text, v6))? else {
        return Ok(());
    };
    // libvirt reads the end of an IPv6 range of destinations as an IPv4 address,
    // unless a variable hides it, and ip6tables takes none (measured).
    let bare = |end: &super::expand::ResolvedAttribute| v6 && to == "dstipto" && !end.variable;
    if attributes.get(to).is_some_and(bare) {
        return Err(attributes.refused("dstipto of IPv6 must come from a variable"));
    }
    let high = attributes.read(to, |text| address(text, v6))?;
    let high = high.map_or(low, |((high, _), _)| high);
    matches.signed(field, &IntervalSet::range(low, high), negated);
    Ok(())
}

fn ports(attributes: &ResolvedElement<'_>, matches: &mut MatchBuilder) -> Result<(), CompileError> {
    let source = port_range(attributes, "srcportstart", "srcportend")?;
    // The destination's sign is copied from the source port: without one it is lost (measured).
    let negated = source.as_ref().is_some_and(|(_, negated)| *negated);
    let target = port_range(attributes, "dstportstart", "dstportend")?;
    let sides = [(Field::SrcPort, source), (Field::DstPort, target)];
    for (field, range) in sides {
        let Some((set, _)) = range else { continue };
        if set.is_empty() && !attributes.nftables() {
            matches.portability.push(Portability::BackwardPorts);
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
/// ends before it begins has no port in it where it is taken (iptables 1.8.9, measured).
fn port_range(
    attributes: &ResolvedElement<'_>,
    name: &str,
    end: &str,
) -> Result<Option<(IntervalSet, bool)>, CompileError> {
    let udp = attributes.protocol.starts_with("udp");
    // What a variable holds goes through as it is, and of UDP iptables
    // reads no hexadecimal port (1.8.9 to 1.8.11, measured).
    let port = |name: &str| {
        let verbatim = attributes.get(name).is_some_and(|port| port.variable);
        let decimal = |text: &str| !(udp && verbatim && text.starts_with("0x"));
        attributes.read(name, |text| number(text, 0xffff).filter(|_| decimal(text)))
    };
    let Some((low, negated)) = port(name)? else {
        return Ok(None);
    };
    let high = port(end)?.map_or(low, |(high, _)| high);
    let set = match low <= high {
        true => IntervalSet::range(low, high),
        false if udp => IntervalSet::of(Vec::new()),
        false => {
            return Err(attributes.refused(format!("{end} {high} is below {name} {low}")));
        }
    };
    Ok(Some((set, negated)))
}

fn flags(
    attributes: &ResolvedElement<'_>,
    matches: &mut MatchBuilder,
    v6: bool,
) -> Result<(), CompileError> {
    if attributes.get("option").is_some() {
        matches.undecided("it looks at a TCP option");
    }
    let read = |text: &str| {
        let (mask, flags) = text.split_once('/')?;
        Some((flag_bits(mask)?, flag_bits(flags)?))
    };
    let parsed = attributes.read("flags", read)?;
    // The parser ignores them on tcp-ipv6 (measured).
    if let Some(((mask, flags), negated)) = parsed.filter(|_| !v6) {
        let good = (0..=0xff_u128).filter(|value| value & mask == flags);
        let set = IntervalSet::of(good.map(|value| (value, value)).collect());
        matches.signed(Field::TcpFlags, &set, negated);
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

fn icmp(attributes: &ResolvedElement<'_>, matches: &mut MatchBuilder) -> Result<(), CompileError> {
    let byte = |text: &str| number(text, 0xff);
    let (kind, code) = (
        attributes.read("type", byte)?,
        attributes.read("code", byte)?,
    );
    // iptables takes type 255 for any type and code.
    if let (Some((255, negated)), "icmp") = (&kind, attributes.protocol) {
        matches.signed(Field::IcmpType, &Field::IcmpType.all(), *negated);
        return Ok(());
    }
    match (kind, code) {
        // A code without a type is not emitted at all (measured).
        (None, _) => {}
        (Some((kind, negated)), None) => {
            matches.signed(Field::IcmpType, &IntervalSet::one(kind), negated)
        }
        (Some((kind, false)), Some((code, false))) => {
            matches.add(Field::IcmpType, IntervalSet::one(kind));
            matches.add(Field::IcmpCode, IntervalSet::one(code));
        }
        _ => matches.undecided("type and code are negated together"),
    }
    Ok(())
}

fn ipset(attributes: &ResolvedElement<'_>, matches: &mut MatchBuilder) -> Result<(), CompileError> {
    let has = |name| attributes.get(name).is_some();
    // The nftables back end logs an error and emits the rule without it.
    if attributes.nftables() {
        return Ok(());
    }
    match (has("ipset"), has("ipsetflags")) {
        (true, false) if attributes.protocol.starts_with("all") => {
            return Err(attributes.refused("ipset needs ipsetflags"));
        }
        // Every other element loses both, and gets the flag `src` where there is none (measured).
        (true, true) if !attributes.protocol.starts_with("all") => {}
        (true, _) => matches.undecided("it looks into an ipset"),
        (false, _) => {}
    }
    Ok(())
}
