//! Addresses that frames can reach and must not, and the other way round: parts of what is accepted
//! are accepted too.

use super::standing::Standing;
use super::verb::{REACHED, UNREACHED};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// The accepted name that a name is a part of: one of the same row and kind of frames, whose
/// addresses or numbers contain its own. As both lists hold the widest blocks that there are, no
/// block is spread over several.
pub(super) fn accepted<'a, T>(
    id: &str,
    known: &'a BTreeMap<String, T>,
    standing: impl Fn(&T) -> Standing,
) -> Option<&'a str> {
    let (kind, part) = split(id)?;
    let wider = |(name, known): &(&'a String, &T)| {
        let other = split(name).filter(|(other, _)| *other == kind);
        standing(known).is_failure()
            && other.is_some_and(|(_, whole)| whole.0 <= part.0 && part.1 <= whole.1)
    };
    known.iter().find(wider).map(|(name, _)| name.as_str())
}

/// `reach/IPv4 tcp` and the numbers from the first to the last.
fn split(id: &str) -> Option<(&str, (u128, u128))> {
    let mut slashes = id.match_indices('/').map(|(at, _)| at);
    let (row, kind) = (slashes.next()?, slashes.next()?);
    let block = block(id.get(kind + 1..)?)?;
    [REACHED, UNREACHED]
        .contains(&&id[..row])
        .then_some((&id[..kind], block))
}

/// `192.168.1.0/24`, `fe80::/10`, `0x0800` or `0x0000-0x07ff`.
fn block(text: &str) -> Option<(u128, u128)> {
    if let Some((address, length)) = text.split_once('/') {
        let (bits, width) = match address.parse().ok()? {
            IpAddr::V4(address) => (u128::from(address.to_bits()), 32_u32),
            IpAddr::V6(address) => (address.to_bits(), 128),
        };
        let host = width.checked_sub(length.parse().ok()?)?;
        let ones = 1_u128.checked_shl(host).map_or(u128::MAX, |bit| bit - 1);
        return Some((bits & !ones, bits | ones));
    }
    let number = |text: &str| u128::from_str_radix(text.strip_prefix("0x")?, 16).ok();
    match text.split_once('-') {
        Some((first, last)) => Some((number(first)?, number(last)?)),
        None => number(text).map(|number| (number, number)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::the_same("reach/IPv4 tcp/10.0.0.0/8", true)]
    #[case::a_part("reach/IPv4 tcp/10.1.0.0/16", true)]
    #[case::more("reach/IPv4 tcp/8.0.0.0/6", false)]
    #[case::beside("reach/IPv4 tcp/11.0.0.0/8", false)]
    #[case::another_kind("reach/IPv4 udp/10.1.0.0/16", false)]
    #[case::another_row("unreached/IPv4 tcp/10.1.0.0/16", false)]
    #[case::all_of_ipv6("reach/IPv6 tcp/::/0", true)]
    #[case::one_of_ipv6("reach/IPv6 tcp/fe80::1/128", true)]
    #[case::ethertypes("reach/other EtherTypes/0x0801-0x0805", true)]
    #[case::one_ethertype("reach/other EtherTypes/0x0801", true)]
    #[case::one_beyond("reach/other EtherTypes/0x0900", false)]
    #[case::no_block("reach/IPv4 tcp/somewhere", false)]
    #[case::nothing("reach/IPv4 tcp", false)]
    fn parts_of_what_is_accepted(#[case] id: &str, #[case] is_part: bool) {
        let known: BTreeMap<String, Standing> = [
            "reach/IPv4 tcp/10.0.0.0/8",
            "reach/IPv6 tcp/::/0",
            "reach/other EtherTypes/0x0800-0x08ff",
        ]
        .map(|name| (name.to_owned(), Standing::Leak))
        .into();
        assert_eq!(accepted(id, &known, |it| *it).is_some(), is_part);
        assert_eq!(accepted(id, &known, |_| Standing::Pass), None);
    }
}
