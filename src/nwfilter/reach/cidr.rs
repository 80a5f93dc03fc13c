//! The shortest list of prefixes that covers exactly a set of addresses.

use crate::nwfilter::intervals::IntervalSet;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::net::{Ipv4Addr, Ipv6Addr};

/// Prefixes of an address family of `bits` bits, as (network, length): in
/// order, disjoint, and no shorter list covers the same addresses.
pub fn prefixes(set: &IntervalSet, bits: u32) -> Vec<(u128, u32)> {
    let mut out = Vec::new();
    for (low, high) in set.intervals() {
        let mut start = *low;
        loop {
            // The largest block that starts here is bounded by how many zeros
            // the start ends with and by where the interval ends.
            let aligned = start.trailing_zeros().min(bits);
            let room = high - start;
            let fitting = room.checked_add(1).map_or(128, |count| count.ilog2());
            let free = aligned.min(fitting);
            out.push((start, bits - free));
            let size_less_one = if free == 128 {
                u128::MAX
            } else {
                (1 << free) - 1
            };
            match start
                .checked_add(size_less_one)
                .and_then(|last| last.checked_add(1))
            {
                Some(next) if next <= *high => start = next,
                _ => break,
            }
        }
    }
    out
}

/// IPv4 prefixes of a set of addresses below 2^32.
pub fn prefixes4(set: &IntervalSet) -> Vec<IpNet> {
    let net = |(network, length): (u128, u32)| {
        let address = Ipv4Addr::from_bits(u32::try_from(network).expect("below 2^32"));
        Ipv4Net::new_assert(address, u8::try_from(length).expect("at most 32")).into()
    };
    prefixes(set, 32).into_iter().map(net).collect()
}

/// IPv6 prefixes of a set of addresses.
pub fn prefixes6(set: &IntervalSet) -> Vec<IpNet> {
    let net = |(network, length): (u128, u32)| {
        let address = Ipv6Addr::from_bits(network);
        Ipv6Net::new_assert(address, u8::try_from(length).expect("at most 128")).into()
    };
    prefixes(set, 128).into_iter().map(net).collect()
}

/// The addresses of prefixes.
pub fn addresses<'a>(nets: impl IntoIterator<Item = &'a IpNet>) -> IntervalSet {
    let interval = |net: &IpNet| match net {
        IpNet::V4(net) => (
            u128::from(net.network().to_bits()),
            u128::from(net.broadcast().to_bits()),
        ),
        IpNet::V6(net) => (net.network().to_bits(), net.broadcast().to_bits()),
    };
    IntervalSet::of(nets.into_iter().map(interval).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    #[rstest]
    #[case::everything4(IntervalSet::range(0, 0xffff_ffff), "0.0.0.0/0")]
    #[case::one(IntervalSet::one(0xffff_ffff), "255.255.255.255/32")]
    #[case::all_but_the_last(
        IntervalSet::range(0xffff_fffc, 0xffff_fffe),
        "255.255.255.252/31 255.255.255.254/32"
    )]
    #[case::nothing(IntervalSet::EMPTY, "")]
    fn lists4(#[case] set: IntervalSet, #[case] expected: &str) {
        let text: Vec<String> = prefixes4(&set).iter().map(ToString::to_string).collect();
        assert_eq!(text.join(" "), expected);
    }

    #[test]
    fn everything6_is_one_prefix() {
        assert_eq!(
            prefixes6(&IntervalSet::range(0, u128::MAX)),
            ["::/0".parse::<IpNet>().unwrap()]
        );
    }

    /// How few aligned blocks cover exactly the members, by trying both halves.
    fn fewest(members: &[bool]) -> usize {
        if members.iter().all(|member| *member) {
            return 1;
        }
        if members.iter().all(|member| !*member) {
            return 0;
        }
        let (left, right) = members.split_at(members.len() / 2);
        fewest(left) + fewest(right)
    }

    proptest! {
        #[test]
        fn exact_and_minimal_on_a_small_universe(members in proptest::collection::vec(any::<bool>(), 64)) {
            let chosen = members.iter().zip(0_u128..).filter(|(member, _)| **member);
            let set = IntervalSet::of(chosen.map(|(_, at)| (at, at)).collect());
            let list = prefixes(&set, 6);
            for (value, member) in (0_u128..).zip(&members) {
                let covering = list.iter().filter(|(network, length)| {
                    value >> (6 - length) == network >> (6 - length)
                });
                prop_assert_eq!(covering.count(), usize::from(*member));
            }
            prop_assert_eq!(list.len(), fewest(&members));
        }

        #[test]
        fn there_and_back(bounds in proptest::collection::vec((any::<u128>(), any::<u128>()), 0..4)) {
            let set = IntervalSet::of(bounds);
            prop_assert_eq!(addresses(&prefixes6(&set)), set);
        }
    }
}
