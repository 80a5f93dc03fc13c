//! Values of attributes: how libvirt reads them, and how it prints them again.
//!
//! Every form was tried on libvirt 11.3.0. It reads more than anybody means:
//! `12` as the address 0.0.0.12, `abc` as the hexadecimal number 0xabc, `ja` as
//! false. Such a value is [`Reading::Odd`].

use super::names::{
    ETHERTYPES, Name, OPERATIONS, PROTOCOLS, STATES, TCP_FLAGS, name_of, number_of,
};
use super::parse::{mac, prefix_length};
use super::variables;
use std::net::{Ipv4Addr, Ipv6Addr};

/// What the value of an attribute is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueKind {
    /// A MAC address.
    Mac,
    /// A MAC of leading ones.
    MacMask,
    /// An IPv4 address.
    Ip4,
    /// An IPv6 address.
    Ip6,
    /// A prefix length up to 32, or an address of leading ones.
    Mask4,
    /// A prefix length up to 128, or an address of leading ones.
    Mask6,
    /// A number, decimal or hexadecimal with 0x.
    Number {
        /// The greatest.
        greatest: u32,
    },
    /// A decimal number.
    Decimal {
        /// The greatest.
        greatest: u32,
    },
    /// An EtherType by name, or a number.
    EtherType {
        /// The least number.
        least: u32,
    },
    /// An IP protocol by name, or a number up to 255.
    IpProtocol,
    /// An ARP operation by name, or a number.
    Operation,
    /// `true`, `yes`, `1`, or anything else for false.
    Boolean,
    /// States of a connection, separated by commas.
    State,
    /// TCP flags: those looked at, `/`, those of them that must be set.
    TcpFlags,
    /// The name of an ipset.
    IpsetName,
    /// `src` and `dst`, one for each dimension of an ipset.
    IpsetFlags,
    /// Any text.
    Comment,
}

/// How libvirt reads a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// As it says; the text is what libvirt prints for it.
    Plain(String),
    /// As something that the text hardly means.
    Odd(String),
    /// Not at all: libvirt refuses the filter, and this is what it takes.
    Refused(&'static str),
}

use Reading::{Odd, Plain, Refused};

/// Most bytes of a comment; libvirt cuts off the rest.
pub const COMMENT_BYTES: usize = 256;

impl ValueKind {
    /// How libvirt reads a value of this kind.
    pub fn reading(self, text: &str) -> Reading {
        if text.starts_with('$') {
            return variable(text);
        }
        match self {
            Self::Mac => plain_or(mac_text(text), "a MAC as 52:54:00:12:34:56"),
            Self::MacMask => plain_or(
                mac(text)
                    .filter(|mask| is_leading(*mask))
                    .and_then(|_| mac_text(text)),
                "a MAC whose ones all lead: ff:ff:ff:00:00:00; a single bit such as 01:00:00:00:00:00 cannot be tested",
            ),
            Self::Ip4 => address4(text),
            Self::Ip6 => plain_or(text.parse().ok().map(address6), "an IPv6 address"),
            Self::Mask4 => mask(
                text,
                false,
                "a prefix length from 0 to 32, or 255.255.255.0",
            ),
            Self::Mask6 => mask(text, true, "a prefix length from 0 to 128, or ffff:ffff::"),
            Self::Number { greatest } => number(text, greatest),
            Self::Decimal { greatest } => decimal(text, greatest),
            Self::EtherType { least } => ether_type(text, least),
            Self::IpProtocol => named(
                text,
                &PROTOCOLS,
                number(text, 0xff),
                "tcp, udp, udplite, esp, ah, icmp, igmp, sctp, icmpv6 or a number from 0 to 255",
            ),
            Self::Operation => operation(text),
            Self::Boolean => match text {
                "true" | "yes" | "1" => Plain("true".into()),
                "false" | "no" | "0" => Plain("false".into()),
                _ => Odd("false".into()),
            },
            Self::State => states(text),
            Self::TcpFlags => flags(text),
            Self::IpsetName => ipset_name(text),
            Self::IpsetFlags => ipset_flags(text),
            Self::Comment => comment(text),
        }
    }

    /// The text as libvirt prints it; as it is where libvirt refuses it.
    pub fn printed(self, text: &str) -> String {
        match self.reading(text) {
            Plain(text) | Odd(text) => text,
            Refused(_) => text.to_owned(),
        }
    }
}

fn plain_or(text: Option<String>, wanted: &'static str) -> Reading {
    text.map_or(Refused(wanted), Plain)
}

/// `$NAME`, `$NAME[@iterator]` or `$NAME[element]`.
fn variable(text: &str) -> Reading {
    let wanted = "$NAME, $NAME[@iterator] or $NAME[element]";
    let reference = &text[1..];
    if reference.is_empty() {
        // libvirt takes it for a variable without a name, which nothing can set.
        return Odd("$".into());
    }
    let (name, index) = match reference.split_once('[') {
        None => (reference, None),
        Some((name, rest)) => match rest.split_once(']') {
            Some((index, rest)) => (name, Some((index.trim(), rest))),
            None => return Refused(wanted),
        },
    };
    let good = variables::is_name(name);
    let Some((index, rest)) = index else {
        return plain_or(good.then(|| format!("${name}")), wanted);
    };
    let iterator = index.strip_prefix('@');
    let number = iterator.unwrap_or(index);
    let (Some(value), true) = (c_unsigned(number), good) else {
        return Refused(wanted);
    };
    let printed = match (iterator, value) {
        // The iterator that is meant where none is written.
        (Some(_), 0) => format!("${name}"),
        (Some(_), iterator) => format!("${name}[@{iterator}]"),
        (None, element) => format!("${name}[{element}]"),
    };
    // What follows the bracket is not looked at.
    if rest.is_empty() && number.bytes().all(|c| c.is_ascii_digit()) {
        Plain(printed)
    } else {
        Odd(printed)
    }
}

/// A number of 32 bits as C reads it, where a minus counts down from 2^32.
fn c_unsigned(text: &str) -> Option<u32> {
    let text = text.trim_start();
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let plain = !digits.is_empty() && digits.bytes().all(|c| c.is_ascii_digit());
    let value: u32 = plain.then(|| digits.parse().ok())??;
    Some(if text.starts_with('-') {
        value.wrapping_neg()
    } else {
        value
    })
}

fn mac_text(text: &str) -> Option<String> {
    let octets = mac(text)?.to_be_bytes();
    let octets = octets[10..].iter().map(|octet| format!("{octet:02x}"));
    Some(octets.collect::<Vec<_>>().join(":"))
}

/// Whether the ones of a number of 48 bits all come before its zeros.
fn is_leading(mask: u128) -> bool {
    let zeros = mask.trailing_zeros().min(48);
    mask >> zeros == (1 << (48 - zeros)) - 1
}

fn address4(text: &str) -> Reading {
    if let Ok(address) = text.parse::<Ipv4Addr>() {
        return Plain(address.to_string());
    }
    let mapped = text.parse::<Ipv6Addr>().ok();
    let odd = mapped.and_then(|address| address.to_ipv4_mapped());
    odd.or_else(|| classic(text))
        .map_or(Refused("an IPv4 address"), |address| {
            Odd(address.to_string())
        })
}

/// Forms of before 1993 that the C library still reads: one to four numbers,
/// the last of which fills all octets that are left.
fn classic(text: &str) -> Option<Ipv4Addr> {
    let parts: Vec<&str> = text.split('.').collect();
    let (last, octets) = parts.split_last()?;
    if octets.len() > 3 {
        return None;
    }
    let mut bits = 0_u64;
    for (at, octet) in octets.iter().enumerate() {
        bits |= c_number(octet).filter(|octet| *octet <= 0xff)? << (24 - 8 * at);
    }
    let room = 32 - 8 * u32::try_from(octets.len()).ok()?;
    let last = c_number(last).filter(|last| *last < 1 << room)?;
    u32::try_from(bits | last).ok().map(Ipv4Addr::from_bits)
}

/// A number as C writes them: 0x is hexadecimal, a leading 0 octal.
fn c_number(text: &str) -> Option<u64> {
    let (digits, radix) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None if text.len() > 1 && text.starts_with('0') => (&text[1..], 8),
        None => (text, 10),
    };
    let plain = !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix));
    plain.then(|| u64::from_str_radix(digits, radix).ok())?
}

/// As the C library prints addresses: the last 32 bits of one that is otherwise
/// zero as IPv4.
fn address6(address: Ipv6Addr) -> String {
    let segments = address.segments();
    let embedded = segments[..6].iter().all(|segment| *segment == 0) && segments[6] != 0;
    if !embedded {
        return address.to_string();
    }
    let low = (u32::from(segments[6]) << 16) | u32::from(segments[7]);
    format!("::{}", Ipv4Addr::from_bits(low))
}

fn mask(text: &str, v6: bool, wanted: &'static str) -> Reading {
    let odd = text.starts_with(['+', ' ']);
    let length = prefix_length(text.trim_start_matches([' ', '+']), v6);
    match length {
        Some(length) if odd => Odd(length.to_string()),
        Some(length) => Plain(length.to_string()),
        None => Refused(wanted),
    }
}

/// A number as libvirt reads it: decimal where it can be, else hexadecimal.
fn number(text: &str, greatest: u32) -> Reading {
    const WANTED: &str = "a number in range, decimal or hexadecimal with 0x";
    let bare = text.trim_start().trim_start_matches('+');
    let odd = bare.len() != text.len();
    let hexadecimal = bare.strip_prefix("0x").or_else(|| bare.strip_prefix("0X"));
    let digits = hexadecimal.unwrap_or(bare);
    let decimal = hexadecimal.is_none() && bare.bytes().all(|c| c.is_ascii_digit());
    let radix = if decimal { 10 } else { 16 };
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return Refused(WANTED);
    }
    let value = u32::from_str_radix(digits, radix).ok();
    let Some(value) = value.filter(|value| *value <= greatest) else {
        return Refused(WANTED);
    };
    let printed = if decimal {
        value.to_string()
    } else {
        format!("{value:#x}")
    };
    // `abc` looks like a name that libvirt might know.
    if odd || (!decimal && hexadecimal.is_none()) {
        Odd(printed)
    } else {
        Plain(printed)
    }
}

fn decimal(text: &str, greatest: u32) -> Reading {
    match number(text, greatest) {
        Plain(text) | Odd(text) if text.starts_with("0x") => Refused("a decimal number in range"),
        reading => reading,
    }
}

/// The value of a number that libvirt has printed.
fn value_of(printed: &str) -> Option<u32> {
    match printed.strip_prefix("0x") {
        Some(hexadecimal) => u32::from_str_radix(hexadecimal, 16).ok(),
        None => printed.parse().ok(),
    }
}

/// A name of a table in any case, else a number, for which libvirt prints the
/// name where there is one.
fn named(text: &str, names: &[Name], number: Reading, wanted: &'static str) -> Reading {
    if let Some(known) = number_of(text, names) {
        return Plain(name_of(known.into(), names).unwrap_or(text).to_owned());
    }
    let name = |printed: String| {
        let value = value_of(&printed).map(u128::from);
        let name = value.and_then(|value| name_of(value, names));
        name.map_or(printed, str::to_owned)
    };
    match number {
        Plain(printed) => Plain(name(printed)),
        Odd(printed) => Odd(name(printed)),
        Refused(_) => Refused(wanted),
    }
}

fn ether_type(text: &str, least: u32) -> Reading {
    let wanted = if least == 0x600 {
        "arp, rarp, ipv4, ipv6, vlan or a number from 0x600 to 0xffff"
    } else {
        "arp, rarp, ipv4, ipv6, vlan or a number from 0x3c to 0xffff"
    };
    let number = match number(text, 0xffff) {
        Plain(printed) | Odd(printed) if value_of(&printed) < Some(least) => Refused(wanted),
        reading => reading,
    };
    named(text, &ETHERTYPES, number, wanted)
}

/// libvirt prints the numbers that have no name in decimal.
fn operation(text: &str) -> Reading {
    let decimal = |printed: String| value_of(&printed).map_or(printed, |value| value.to_string());
    let number = match number(text, 0xffff) {
        Plain(printed) => Plain(decimal(printed)),
        Odd(printed) => Odd(decimal(printed)),
        refused @ Refused(_) => refused,
    };
    named(
        text,
        &OPERATIONS,
        number,
        "Request, Reply, Request_Reverse, Reply_Reverse, DRARP_Request, DRARP_Reply, DRARP_Error, InARP_Request, ARP_NAK or a number",
    )
}

/// Words separated by commas in the order of a table; none where one is not in it.
fn picked(text: &str, table: &[&str]) -> Option<Vec<usize>> {
    let words = text
        .split(',')
        .map(str::trim)
        .filter(|word| !word.is_empty());
    let found = |word: &str| {
        table
            .iter()
            .position(|known| known.eq_ignore_ascii_case(word))
    };
    let mut places: Vec<usize> = words.map(found).collect::<Option<_>>()?;
    places.sort_unstable();
    places.dedup();
    Some(places)
}

fn join(places: &[usize], table: &[&str]) -> String {
    let words: Vec<&str> = places.iter().map(|place| table[*place]).collect();
    words.join(",")
}

fn states(text: &str) -> Reading {
    let wanted = "NEW, ESTABLISHED, RELATED and INVALID with commas between, or NONE";
    let words = [STATES.as_slice(), &["NONE"]].concat();
    match picked(text, &words) {
        None => Refused(wanted),
        // NONE wins over all others.
        Some(places) if places.contains(&4) => Plain("NONE".into()),
        Some(places) if places.is_empty() => Odd(String::new()),
        Some(places) => Plain(join(&places, &words)),
    }
}

fn flags(text: &str) -> Reading {
    let wanted =
        "FLAGS/FLAGS, each of SYN ACK URG PSH FIN RST with commas between, or ALL, or NONE";
    let Some((mask, set)) = text.split_once('/') else {
        return Refused(wanted);
    };
    let words = [TCP_FLAGS.as_slice(), &["ALL", "NONE"]].concat();
    let side = |text: &str| {
        let places = picked(text, &words)?;
        let plain: Vec<usize> = places.iter().copied().filter(|place| *place < 6).collect();
        Some(if places.contains(&6) || plain.len() == 6 {
            "ALL".to_owned()
        } else if plain.is_empty() {
            "NONE".to_owned()
        } else {
            join(&plain, &words)
        })
    };
    match (side(mask), side(set)) {
        (Some(mask), Some(set)) if text.starts_with('/') || text.ends_with('/') => {
            Odd(format!("{mask}/{set}"))
        }
        (Some(mask), Some(set)) => Plain(format!("{mask}/{set}")),
        _ => Refused(wanted),
    }
}

fn ipset_name(text: &str) -> Reading {
    let good = text
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "_.:+ -".contains(c));
    match text {
        "" => Odd(String::new()),
        _ if good && text.len() <= 31 => Plain(text.to_owned()),
        _ => Refused("a name of at most 31 letters, digits and _ . : + -"),
    }
}

fn ipset_flags(text: &str) -> Reading {
    let words: Vec<String> = text.split(',').map(str::to_ascii_lowercase).collect();
    let good = words.len() <= 6 && words.iter().all(|word| word == "src" || word == "dst");
    plain_or(
        good.then(|| words.join(",")),
        "one to six of src and dst with commas between",
    )
}

fn comment(text: &str) -> Reading {
    // It prints control characters as they are, and reads blanks back.
    let odd = text.len() > COMMENT_BYTES || text.chars().any(char::is_control);
    if !odd {
        return Plain(text.to_owned());
    }
    let mut end = text.len().min(COMMENT_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let kept = text[..end].replace(char::is_control, " ");
    Odd(kept)
}

#[cfg(test)]
mod tests;
