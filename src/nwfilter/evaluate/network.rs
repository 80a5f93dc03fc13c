//! Layer-3 elements as the iptables rules that libvirt makes of them.
//!
//! One rule becomes up to two: one for what the guest sends and one for what
//! it gets, with source and destination exchanged in one of them and the
//! connection's state tested (libvirt 11.3.0, measured).

use super::field::Field;
use super::rule::{Attributes, Rule, State, Test, Tests};
use super::value::{address, masked_address, masked_mac, number};
use super::{CompileError, Origin, Portability};
use crate::nwfilter::model::{Action, Direction, Rule as Source};
use crate::nwfilter::sets::Set;

/// Where an expanded rule goes, and how.
struct Copy {
    from_guest: bool,
    swapped: bool,
    state: State,
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
    source: &Source,
    attributes: &Attributes<'_>,
    v6: bool,
) -> Result<(Vec<Rule>, Vec<Rule>), CompileError> {
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
    let mut tests = tests(attributes, v6)?;
    if source.action == Action::Continue && !attributes.nftables() {
        tests.portability.push(Portability::Continue);
    }
    let tests = either_port(tests, attributes)?;
    let (mut from_guest, mut to_guest) = (Vec::new(), Vec::new());
    for copy in copies {
        for tests in &tests {
            let Some(tests) = oriented(tests, attributes, copy.swapped)? else {
                continue;
            };
            let rule = rule(attributes.origin, source.action, tests, copy.state);
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
fn either_port(tests: Tests, attributes: &Attributes<'_>) -> Result<Vec<Tests>, CompileError> {
    let source = port_range(attributes, "srcportstart", "srcportend")?;
    let target = port_range(attributes, "dstportstart", "dstportend")?;
    let (Some((source, true)), Some((target, _))) = (source, target) else {
        return Ok(vec![tests]);
    };
    // Port 0 is to iptables as if there were none to compare at once.
    let single = |set: &Set| match set.intervals() {
        [(low, high)] => low == high && *low != 0,
        _ => false,
    };
    let at_once = matches!(protocol_number(attributes.protocol), Some(6 | 17));
    if !(at_once && single(&source) && single(&target)) || attributes.nftables() {
        return Ok(vec![tests]);
    }
    let without = |field: Field| {
        let mut tests = tests.clone();
        tests.undecided("iptables before 1.8.11 matches where one of two negated ports differs");
        for test in tests.tests.iter_mut().filter(|test| test.field == field) {
            test.set = field.all();
        }
        tests
    };
    let one = [without(Field::DstPort), without(Field::SrcPort)];
    Ok([vec![tests], one.to_vec()].concat())
}

fn rule(origin: &Origin, action: Action, tests: Tests, state: State) -> Rule {
    Rule {
        origin: origin.clone(),
        action,
        tests: tests.tests,
        state,
        undecided: tests.undecided,
        portability: tests.portability,
    }
}

fn copies(source: &Source, attributes: &Attributes<'_>) -> Vec<Copy> {
    use Direction::{In, InOut, Out};
    let copy = |from_guest, swapped, state| Copy {
        from_guest,
        swapped,
        state,
    };
    let accept = source.action == Action::Accept;
    let forward = if accept && source.statematch {
        State::New
    } else {
        State::Any
    };
    let reply = if accept && source.statematch {
        State::Known
    } else {
        State::Any
    };
    let typed =
        matches!(attributes.protocol, "icmp" | "icmpv6") && attributes.get("type").is_some();
    let asked = asked_state(source, attributes);
    if typed || attributes.get("connlimit-above").is_some() {
        let state = match asked {
            Some(asked) => asked,
            None if typed => forward,
            None => State::Any,
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
        InOut => vec![copy(true, true, State::Any), copy(false, false, State::Any)],
    }
}

/// What the attribute `state` asks for; none where there is none or it does not count.
fn asked_state(source: &Source, attributes: &Attributes<'_>) -> Option<State> {
    let states = attributes.value("state").filter(|_| source.statematch)?;
    let named = |name: &str| {
        states
            .split(',')
            .any(|word| word.trim().eq_ignore_ascii_case(name))
    };
    Some(if named("NONE") {
        State::Any
    } else if named("NEW") {
        State::New
    } else {
        State::Known
    })
}

/// The rules of the nftables back end: nothing is turned round but the replies
/// to what is accepted, those with an ICMP type too.
fn nftables_copies(source: &Source, attributes: &Attributes<'_>) -> Vec<Copy> {
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
            copy(true, false, State::Any),
            copy(false, false, State::Any),
        ],
        Out if plain => vec![copy(true, false, State::Any)],
        In if plain => vec![copy(false, false, State::Any)],
        Out => vec![
            copy(true, false, State::New),
            copy(false, true, State::Known),
        ],
        In => vec![
            copy(true, true, State::Known),
            copy(false, false, State::New),
        ],
    }
}

/// The tests of one copy. The sender's MAC is tested only where it is the
/// sender's; a copy that tested nothing else is left out.
fn oriented(
    tests: &Tests,
    attributes: &Attributes<'_>,
    swapped: bool,
) -> Result<Option<Tests>, CompileError> {
    let mac = attributes.read("srcmacaddr", |text| masked_mac(text, None))?;
    if !swapped || attributes.nftables() {
        // The nftables back end tests the sender in replies too, which then do not match.
        let mut tests = if swapped {
            tests.swapped()
        } else {
            tests.clone()
        };
        if let Some((set, negated)) = mac {
            tests.signed(Field::SrcMac, &set, negated);
        }
        return Ok(Some(tests));
    }
    let only_mac = attributes
        .all
        .iter()
        .all(|attribute| attribute.name == "srcmacaddr");
    if mac.is_some() && only_mac {
        return Ok(None);
    }
    Ok(Some(tests.swapped()))
}

fn tests(attributes: &Attributes<'_>, v6: bool) -> Result<Tests, CompileError> {
    let mut tests = Tests::default();
    if let Some(number) = protocol_number(attributes.protocol) {
        tests.add(Field::Protocol, Set::one(number));
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
        addresses(attributes, &mut tests, names, field, v6)?;
    }
    if let Some((dscp, negated)) = attributes.read("dscp", |text| number(text, 63))? {
        tests.signed(Field::Tos, &Set::range(dscp * 4, dscp * 4 + 3), negated);
    }
    ports(attributes, &mut tests)?;
    flags(attributes, &mut tests, v6)?;
    icmp(attributes, &mut tests)?;
    ipset(attributes, &mut tests)?;
    if attributes.get("connlimit-above").is_some() {
        tests.undecided("it counts connections");
    }
    if let Some(name) = attributes.octal() {
        tests.undecided(format!("{name} begins with a zero: octal to some tools"));
    }
    if let Some(name) = attributes.repeated() {
        tests.undecided(format!("{name} stands in it twice"));
    }
    if attributes.nftables() {
        refused_by_nft(attributes, &mut tests)?;
    }
    Ok(tests)
}

/// What the nftables back end emits and nft 1.0.6 refuses (measured).
fn refused_by_nft(attributes: &Attributes<'_>, tests: &mut Tests) -> Result<(), CompileError> {
    let negated = |name: &&&str| attributes.get(name).is_some_and(|found| found.negated);
    let names = ["srcipaddr", "dstipaddr", "srcipfrom", "dstipfrom", "dscp"];
    if let Some(name) = names.iter().find(negated) {
        return Err(attributes.refused(format!("nft takes no negated {name} as it is emitted")));
    }
    if attributes.get("option").is_some() {
        return Err(attributes.refused("nft takes no test of a TCP option as it is emitted"));
    }
    if attributes.get("flags").is_some() {
        tests.undecided("nft 1.0.6 refuses some tests of TCP flags as they are emitted");
    }
    if attributes.get("state").is_some() {
        tests.undecided("it names the connection's state");
    }
    Ok(())
}

fn addresses(
    attributes: &Attributes<'_>,
    tests: &mut Tests,
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
        tests.signed(field, &set, negated);
        return Ok(());
    }
    let Some(((low, _), negated)) = attributes.read(from, |text| address(text, v6))? else {
        return Ok(());
    };
    // libvirt reads the end of an IPv6 range of destinations as an IPv4 address,
    // unless a variable hides it, and ip6tables takes none (measured).
    let bare = |end: &super::expand::Attribute| v6 && to == "dstipto" && !end.variable;
    if attributes.get(to).is_some_and(bare) {
        return Err(attributes.refused("dstipto of IPv6 must come from a variable"));
    }
    let high = attributes.read(to, |text| address(text, v6))?;
    let high = high.map_or(low, |((high, _), _)| high);
    tests.signed(field, &Set::range(low, high), negated);
    Ok(())
}

fn ports(attributes: &Attributes<'_>, tests: &mut Tests) -> Result<(), CompileError> {
    let source = port_range(attributes, "srcportstart", "srcportend")?;
    // The destination's sign is copied from the source port: without one it is lost (measured).
    let negated = source.as_ref().is_some_and(|(_, negated)| *negated);
    let target = port_range(attributes, "dstportstart", "dstportend")?;
    let sides = [(Field::SrcPort, source), (Field::DstPort, target)];
    for (field, range) in sides {
        let Some((set, _)) = range else { continue };
        if set.is_empty() && !attributes.nftables() {
            tests.portability.push(Portability::BackwardPorts);
        }
        tests.signed(field, &set, negated);
    }
    let everything = |test: &Test| {
        matches!(test.field, Field::SrcPort | Field::DstPort)
            && (test.set.is_empty() || test.set == test.field.all())
    };
    if tests.tests.iter().any(everything) {
        tests.undecided("iptables makes another rule of a range of all ports");
    }
    Ok(())
}

/// Ports from `name` to `end`; one port where there is no end. Of UDP, a range that
/// ends before it begins has no port in it where it is taken (iptables 1.8.9, measured).
fn port_range(
    attributes: &Attributes<'_>,
    name: &str,
    end: &str,
) -> Result<Option<(Set, bool)>, CompileError> {
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
        true => Set::range(low, high),
        false if udp => Set::of(Vec::new()),
        false => {
            return Err(attributes.refused(format!("{end} {high} is below {name} {low}")));
        }
    };
    Ok(Some((set, negated)))
}

fn flags(attributes: &Attributes<'_>, tests: &mut Tests, v6: bool) -> Result<(), CompileError> {
    if attributes.get("option").is_some() {
        tests.undecided("it looks at a TCP option");
    }
    let read = |text: &str| {
        let (mask, flags) = text.split_once('/')?;
        Some((flag_bits(mask)?, flag_bits(flags)?))
    };
    let parsed = attributes.read("flags", read)?;
    // The parser ignores them on tcp-ipv6 (measured).
    if let Some(((mask, flags), negated)) = parsed.filter(|_| !v6) {
        let good = (0..=0xff_u128).filter(|value| value & mask == flags);
        let set = Set::of(good.map(|value| (value, value)).collect());
        tests.signed(Field::TcpFlags, &set, negated);
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

fn icmp(attributes: &Attributes<'_>, tests: &mut Tests) -> Result<(), CompileError> {
    let byte = |text: &str| number(text, 0xff);
    let (kind, code) = (
        attributes.read("type", byte)?,
        attributes.read("code", byte)?,
    );
    // iptables takes type 255 for any type and code.
    if let (Some((255, negated)), "icmp") = (&kind, attributes.protocol) {
        tests.signed(Field::IcmpType, &Field::IcmpType.all(), *negated);
        return Ok(());
    }
    match (kind, code) {
        // A code without a type is not emitted at all (measured).
        (None, _) => {}
        (Some((kind, negated)), None) => tests.signed(Field::IcmpType, &Set::one(kind), negated),
        (Some((kind, false)), Some((code, false))) => {
            tests.add(Field::IcmpType, Set::one(kind));
            tests.add(Field::IcmpCode, Set::one(code));
        }
        _ => tests.undecided("type and code are negated together"),
    }
    Ok(())
}

fn ipset(attributes: &Attributes<'_>, tests: &mut Tests) -> Result<(), CompileError> {
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
        (true, _) => tests.undecided("it looks into an ipset"),
        (false, _) => {}
    }
    Ok(())
}
