//! Other values for an attribute: the neighbours of the one that stands there.

use crate::nwfilter::vocabulary::ValueKind;
use crate::nwfilter::vocabulary::names::{ETHERTYPES, OPERATIONS, PROTOCOLS, STATES};
use crate::nwfilter::vocabulary::parse::{
    address, boolean, mac, name_or_number, number, prefix_length,
};
use std::net::{Ipv4Addr, Ipv6Addr};

/// Bits of a MAC.
const MAC_BITS: u32 = 48;

/// The attribute that holds the mask of an address.
pub fn mask_of(address: &str) -> Option<&'static str> {
    Some(match address {
        "srcmacaddr" => "srcmacmask",
        "dstmacaddr" => "dstmacmask",
        "srcipaddr" => "srcipmask",
        "dstipaddr" => "dstipmask",
        "arpsrcipaddr" => "arpsrcipmask",
        "arpdstipaddr" => "arpdstipmask",
        "root-address" => "root-address-mask",
        "sender-address" => "sender-address-mask",
        _ => return None,
    })
}

/// The attribute that makes a single value a range.
pub fn range_end(start: &str) -> Option<&'static str> {
    Some(match start {
        "srcportstart" => "srcportend",
        "dstportstart" => "dstportend",
        "type" => "typeend",
        "code" => "codeend",
        "srcipfrom" => "srcipto",
        "dstipfrom" => "dstipto",
        "root-priority" => "root-priority-hi",
        "root-cost" => "root-cost-hi",
        "sender-priority" => "sender-priority-hi",
        "port" => "port-hi",
        "age" => "age-hi",
        "max-age" => "max-age-hi",
        "hello-time" => "hello-time-hi",
        "forward-delay" => "forward-delay-hi",
        "ipset" => "ipsetflags",
        _ => return None,
    })
}

/// Masks that are one bit shorter and one bit longer than the one that stands
/// there, or than a whole address where there is none.
pub fn masks(kind: ValueKind, given: Option<&str>) -> Vec<String> {
    let (bits, length) = match kind {
        ValueKind::MacMask => (MAC_BITS, given.map_or(Some(MAC_BITS), mac_length)),
        ValueKind::Mask4 => (
            32,
            given.map_or(Some(32), |text| prefix_length(text, false)),
        ),
        ValueKind::Mask6 => (
            128,
            given.map_or(Some(128), |text| prefix_length(text, true)),
        ),
        _ => return Vec::new(),
    };
    let Some(length) = length else {
        return Vec::new();
    };
    let shorter = length.checked_sub(1);
    let longer = (length < bits).then_some(length + 1);
    let text = |length: u32| match kind {
        ValueKind::MacMask => mac_text(leading(length, MAC_BITS)),
        _ => length.to_string(),
    };
    shorter.into_iter().chain(longer).map(text).collect()
}

fn leading(length: u32, bits: u32) -> u128 {
    ((1 << length) - 1) << (bits - length)
}

fn mac_length(text: &str) -> Option<u32> {
    let mask = mac(text)?;
    let length = mask.count_ones();
    (mask == leading(length, MAC_BITS)).then_some(length)
}

fn mac_text(value: u128) -> String {
    let octets = value.to_be_bytes();
    let octets = octets[10..].iter().map(|octet| format!("{octet:02x}"));
    octets.collect::<Vec<_>>().join(":")
}

/// Values beside the one that stands there. `mask` is that of an address, whose
/// neighbours are the blocks below and above its own.
pub fn others(kind: ValueKind, old: &str, mask: Option<&str>) -> Vec<String> {
    match kind {
        ValueKind::Mac => {
            let length = mask.map_or(Some(MAC_BITS), mac_length);
            let block = mac(old).zip(length);
            let texts = block.map(|(value, length)| neighbours(value, length, MAC_BITS));
            texts.into_iter().flatten().map(mac_text).collect()
        }
        ValueKind::Ip4 | ValueKind::Ip6 => addresses(old, mask, kind == ValueKind::Ip6),
        ValueKind::Number { greatest } | ValueKind::Decimal { greatest } => {
            counted(number(old, greatest.into()), 0, greatest)
        }
        ValueKind::EtherType { least } => {
            counted(name_or_number(old, &ETHERTYPES, 0xffff), least, 0xffff)
        }
        ValueKind::Operation => counted(name_or_number(old, &OPERATIONS, 0xffff), 0, 0xffff),
        ValueKind::IpProtocol => {
            let mut out = counted(name_or_number(old, &PROTOCOLS, 0xff), 0, 0xff);
            let other = match old {
                "tcp" => Some("udp"),
                "udp" => Some("tcp"),
                _ => None,
            };
            out.extend(other.map(str::to_owned));
            out
        }
        ValueKind::Boolean => vec![(!boolean(old)).to_string()],
        ValueKind::State => states(old),
        ValueKind::IpsetFlags => exchanged_flags(old),
        ValueKind::MacMask
        | ValueKind::Mask4
        | ValueKind::Mask6
        | ValueKind::TcpFlags
        | ValueKind::IpsetName
        | ValueKind::Comment => Vec::new(),
    }
}

/// Whether a value that [`others`] gave is above the old one.
pub fn is_above(kind: ValueKind, text: &str, old: &str) -> bool {
    let read = |text| match kind {
        ValueKind::Ip4 | ValueKind::Ip6 => {
            address(text, kind == ValueKind::Ip6).map(|(value, _)| value)
        }
        _ => number(text, u32::MAX.into()),
    };
    read(text) > read(old)
}

/// The numbers below and above.
fn counted(value: Option<u128>, least: u32, greatest: u32) -> Vec<String> {
    let Some(value) = value else {
        return Vec::new();
    };
    let below = value.checked_sub(1);
    let above = value.checked_add(1);
    let within = |value: &u128| (u128::from(least)..=u128::from(greatest)).contains(value);
    let values = below.into_iter().chain(above).filter(within);
    values.map(|value| value.to_string()).collect()
}

/// The first numbers of the blocks below and above.
fn neighbours(value: u128, length: u32, bits: u32) -> Vec<u128> {
    if length == 0 || length > bits {
        return Vec::new();
    }
    let size = 1_u128 << (bits - length);
    let first = value & !(size - 1);
    let greatest = if bits == 128 {
        u128::MAX
    } else {
        (1 << bits) - 1
    };
    let below = first.checked_sub(size);
    let above = first.checked_add(size).filter(|above| *above <= greatest);
    below.into_iter().chain(above).collect()
}

fn addresses(old: &str, mask: Option<&str>, v6: bool) -> Vec<String> {
    let block = address(old, v6).and_then(|(value, bits)| {
        let length = mask.map_or(Some(bits), |mask| prefix_length(mask, v6))?;
        Some(neighbours(value, length, bits))
    });
    let text = |value: u128| {
        if v6 {
            Ipv6Addr::from_bits(value).to_string()
        } else {
            Ipv4Addr::from_bits(u32::try_from(value).unwrap_or(u32::MAX)).to_string()
        }
    };
    block.into_iter().flatten().map(text).collect()
}

/// The list without each of its states; another one for a single state.
fn states(old: &str) -> Vec<String> {
    let given: Vec<&str> = old.split(',').map(str::trim).collect();
    if let [only] = given.as_slice() {
        let other = STATES
            .iter()
            .find(|state| !state.eq_ignore_ascii_case(only));
        return other.map(|state| (*state).to_owned()).into_iter().collect();
    }
    let without = |at: usize| {
        let mut rest = given.clone();
        rest.remove(at);
        rest.join(",")
    };
    (0..given.len()).map(without).collect()
}

fn exchanged_flags(old: &str) -> Vec<String> {
    let exchanged = old.split(',').map(|flag| match flag.trim() {
        "src" => "dst",
        _ => "src",
    });
    vec![exchanged.collect::<Vec<_>>().join(",")]
}
