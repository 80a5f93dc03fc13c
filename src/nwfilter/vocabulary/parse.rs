//! The values of attributes, as libvirt and ebtables read them.

use super::names::{Name, number_of};
use crate::frame::ethertype;
use crate::nwfilter::intervals::IntervalSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A number, decimal or hexadecimal with 0x, up to `greatest`.
pub fn number(text: &str, greatest: u128) -> Option<u128> {
    let hex = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    let (digits, radix) = hex.map_or((text, 10), |digits| (digits, 16));
    if !digits.chars().all(|c| c.is_ascii_alphanumeric()) {
        return None;
    }
    let value = u128::from_str_radix(digits, radix).ok()?;
    (value <= greatest).then_some(value)
}

/// A name of a table in any case, else a number.
pub fn name_or_number(text: &str, names: &[Name], greatest: u128) -> Option<u128> {
    number_of(text, names).map_or_else(|| number(text, greatest), |known| Some(known.into()))
}

/// Names that ebtables itself knows (/etc/ethertypes).
const EBTABLES_TYPES: [Name; 4] = [
    ("arp", ethertype::ARP),
    ("rarp", ethertype::RARP),
    ("ipv4", ethertype::IPV4),
    ("ipv6", ethertype::IPV6),
];

/// A type as ebtables reads it: hexadecimal with or without 0x, or a name.
pub fn ebtables_type(text: &str) -> Option<u128> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    number_of(text, &EBTABLES_TYPES).map_or_else(
        || u128::from_str_radix(digits, 16).ok(),
        |known| Some(known.into()),
    )
}

/// A number as those options of ebtables read it that take decimal only.
pub fn decimal(text: &str, greatest: u128) -> Option<u128> {
    number(text, greatest).filter(|_| !text.starts_with("0x"))
}

/// A MAC address as a number below 2^48.
pub fn mac(text: &str) -> Option<u128> {
    let mut value = 0;
    let mut count = 0;
    for octet in text.split(':') {
        if octet.is_empty() || octet.len() > 2 || !octet.chars().all(|c| c.is_ascii_hexdigit()) {
            return None;
        }
        value = value << 8 | u128::from_str_radix(octet, 16).ok()?;
        count += 1;
    }
    (count == 6).then_some(value)
}

/// The MACs that agree with an address under a mask, which must be leading ones.
pub fn masked_mac(address: &str, mask: Option<&str>) -> Option<IntervalSet> {
    let address = mac(address)?;
    let mask = mask.map_or(Some((1 << 48) - 1), mac)?;
    let length = leading_ones(mask, 48)?;
    Some(block(address, length, 48))
}

/// The addresses of the family that agree with an address under a mask.
pub fn masked_address(address: &str, mask: Option<&str>, v6: bool) -> Option<IntervalSet> {
    let (value, bits) = self::address(address, v6)?;
    let length = mask.map_or(Some(bits), |mask| prefix_length(mask, v6))?;
    Some(block(value, length, bits))
}

/// An address of the family as a number, and the family's width in bits.
pub fn address(text: &str, v6: bool) -> Option<(u128, u32)> {
    if v6 {
        let address: Ipv6Addr = text.parse().ok()?;
        Some((address.to_bits(), 128))
    } else {
        let address: Ipv4Addr = text.parse().ok()?;
        Some((u128::from(address.to_bits()), 32))
    }
}

/// The length of a mask, which is a number or an address of leading ones.
pub fn prefix_length(text: &str, v6: bool) -> Option<u32> {
    let bits = if v6 { 128 } else { 32 };
    if let Ok(length) = text.parse::<u32>() {
        return (length <= bits).then_some(length);
    }
    match (text.parse().ok()?, v6) {
        (IpAddr::V4(mask), false) => leading_ones(u128::from(mask.to_bits()), 32),
        (IpAddr::V6(mask), true) => leading_ones(mask.to_bits(), 128),
        _ => None,
    }
}

fn leading_ones(mask: u128, bits: u32) -> Option<u32> {
    let aligned = mask << (128 - bits);
    let ones = aligned.leading_ones();
    (aligned.checked_shl(ones).unwrap_or(0) == 0).then_some(ones)
}

/// Numbers of `bits` bits that share the first `length` bits with a value.
pub fn block(value: u128, length: u32, bits: u32) -> IntervalSet {
    let free = bits - length;
    let low = value
        .checked_shr(free)
        .unwrap_or(0)
        .checked_shl(free)
        .unwrap_or(0);
    let size_less_one = if free >= 128 {
        u128::MAX
    } else {
        (1 << free) - 1
    };
    IntervalSet::range(low, low | size_less_one)
}

/// `true yes 1` are true, anything else is false.
pub fn boolean(text: &str) -> bool {
    matches!(text, "true" | "yes" | "1")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::decimal("255", Some(255))]
    #[case::hex("0xfF", Some(255))]
    #[case::too_large("256", None)]
    #[case::signed("+1", None)]
    #[case::empty("", None)]
    fn numbers(#[case] text: &str, #[case] expected: Option<u128>) {
        assert_eq!(number(text, 255), expected);
    }

    #[rstest]
    #[case::the_articles("255.255.255.255", Some("24"), Some((0xffff_ff00, 0xffff_ffff)))]
    #[case::dotted("192.168.1.7", Some("255.255.255.0"), Some((0xc0a8_0100, 0xc0a8_01ff)))]
    #[case::everything("1.2.3.4", Some("0"), Some((0, 0xffff_ffff)))]
    #[case::host("1.2.3.4", None, Some((0x0102_0304, 0x0102_0304)))]
    #[case::holes("1.2.3.4", Some("255.0.255.0"), None)]
    #[case::other_family("fe80::", Some("10"), None)]
    fn addresses4(
        #[case] address: &str,
        #[case] mask: Option<&str>,
        #[case] expected: Option<(u128, u128)>,
    ) {
        let expected = expected.map(|(low, high)| IntervalSet::range(low, high));
        assert_eq!(masked_address(address, mask, false), expected);
    }

    #[test]
    fn addresses6() {
        let low: Ipv6Addr = "fe80::".parse().unwrap();
        let set = masked_address("fe80::1", Some("10"), true).unwrap();
        assert_eq!(set.first(), Some(low.to_bits()));
        assert_eq!(
            masked_address("::", Some("0"), true),
            Some(IntervalSet::range(0, u128::MAX))
        );
    }

    #[rstest]
    #[case::short_octets("1:0:5e:0:0:0", Some("ff:ff:ff:80:0:0"), Some((0x0100_5e00_0000, 0x0100_5e7f_ffff)))]
    #[case::multicast_bit("01:00:00:00:00:00", Some("01:00:00:00:00:00"), None)]
    #[case::five("1:2:3:4:5", None, None)]
    fn macs(
        #[case] address: &str,
        #[case] mask: Option<&str>,
        #[case] expected: Option<(u128, u128)>,
    ) {
        let expected = expected.map(|(low, high)| IntervalSet::range(low, high));
        assert_eq!(masked_mac(address, mask), expected);
    }
}
