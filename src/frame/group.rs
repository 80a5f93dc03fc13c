//! IGMP (RFC 1112, 2236, 3376) and the bodies of MLD (RFC 2710, 3810).
//!
//! A tag may follow each message: receivers count such bytes in the checksum
//! and otherwise ignore them (RFC 2236 2.5, RFC 3376 4.2.11, RFC 3810 5.2.11).
//! Padding would not do, since a bridge with `br_netfilter` trims it.

use crate::checksum::checksum;
use std::net::{Ipv4Addr, Ipv6Addr};

/// IGMP message types (RFC 3376 4).
pub mod igmp {
    /// Membership query.
    pub const QUERY: u8 = 0x11;
    /// Version 1 report.
    pub const REPORT_V1: u8 = 0x12;
    /// Version 2 report.
    pub const REPORT_V2: u8 = 0x16;
    /// Leave (version 2).
    pub const LEAVE: u8 = 0x17;
    /// Version 3 report.
    pub const REPORT_V3: u8 = 0x22;
}

/// MLD message types, which are ICMPv6 types (RFC 2710 3.1, RFC 3810 5).
pub mod mld {
    /// Query.
    pub const QUERY: u8 = 130;
    /// Version 1 report.
    pub const REPORT_V1: u8 = 131;
    /// Version 1 done.
    pub const DONE: u8 = 132;
    /// Version 2 report.
    pub const REPORT_V2: u8 = 143;
}

/// Type of a record in a report of IGMPv3 (RFC 3376 4.2.12) or MLDv2 (RFC 3810 5.2.12).
pub mod record {
    /// Current state: sources included.
    pub const IS_INCLUDE: u8 = 1;
    /// Current state: sources excluded; none for a plain membership.
    pub const IS_EXCLUDE: u8 = 2;
    /// Change to including; with no source it means leaving.
    pub const TO_INCLUDE: u8 = 3;
    /// Change to excluding; with no source it means joining.
    pub const TO_EXCLUDE: u8 = 4;
    /// New sources.
    pub const ALLOW_NEW: u8 = 5;
}

/// A message of eight bytes (RFC 2236 2): query, report or leave of versions 1 and 2.
/// `code` is the maximum response time in tenths of a second.
pub fn igmp_message(kind: u8, code: u8, group: Ipv4Addr, trailer: &[u8]) -> Vec<u8> {
    let mut out = vec![kind, code, 0, 0];
    out.extend(group.octets());
    out.extend(trailer);
    summed(out)
}

/// A version 3 query (RFC 3376 4.1) for one group: answers within 1 s, robustness 2,
/// interval 125 s.
pub fn igmp3_query(group: Ipv4Addr, trailer: &[u8]) -> Vec<u8> {
    let mut out = vec![igmp::QUERY, 10, 0, 0];
    out.extend(group.octets());
    out.extend([2, 125, 0, 0]);
    out.extend(trailer);
    summed(out)
}

/// A version 3 report (RFC 3376 4.2) with one record of this type ([`record`]) without
/// sources.
pub fn igmp3_report(kind: u8, group: Ipv4Addr, trailer: &[u8]) -> Vec<u8> {
    let mut out = vec![igmp::REPORT_V3, 0, 0, 0, 0, 0, 0, 1, kind, 0, 0, 0];
    out.extend(group.octets());
    out.extend(trailer);
    summed(out)
}

fn summed(mut message: Vec<u8>) -> Vec<u8> {
    let sum = checksum(&message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    message
}

/// Body of an MLD version 1 message (RFC 2710 3): everything after the checksum.
pub fn mld1_body(group: Ipv6Addr, trailer: &[u8]) -> Vec<u8> {
    [&[0; 4][..], &group.octets(), trailer].concat()
}

/// Body of an MLD version 2 query for one group (RFC 3810 5.1), everything after the
/// checksum: answers within 100 ms, robustness 2, interval 125 s.
pub fn mld2_query_body(group: Ipv6Addr, trailer: &[u8]) -> Vec<u8> {
    [
        &[0, 100, 0, 0][..],
        &group.octets(),
        &[2, 125, 0, 0],
        trailer,
    ]
    .concat()
}

/// Body of an MLD version 2 report (RFC 3810 5.2) with one record of this type
/// ([`record`]) without sources: everything after the checksum.
pub fn mld2_report_body(kind: u8, group: Ipv6Addr, trailer: &[u8]) -> Vec<u8> {
    [&[0, 0, 0, 1, kind, 0, 0, 0][..], &group.octets(), trailer].concat()
}

/// Groups that an IGMP message reports membership of; none for queries and leaves.
pub fn igmp_reported(message: &[u8]) -> Vec<Ipv4Addr> {
    match message.first() {
        Some(&(igmp::REPORT_V1 | igmp::REPORT_V2)) => message
            .get(4..8)
            .and_then(|bytes| <[u8; 4]>::try_from(bytes).ok())
            .map(Ipv4Addr::from)
            .into_iter()
            .collect(),
        Some(&igmp::REPORT_V3) => records::<4>(message)
            .into_iter()
            .map(Ipv4Addr::from)
            .collect(),
        _ => Vec::new(),
    }
}

/// Groups that an MLD message, from the ICMPv6 type on, reports membership of.
pub fn mld_reported(message: &[u8]) -> Vec<Ipv6Addr> {
    match message.first() {
        Some(&mld::REPORT_V1) => message
            .get(8..24)
            .and_then(|bytes| <[u8; 16]>::try_from(bytes).ok())
            .map(Ipv6Addr::from)
            .into_iter()
            .collect(),
        Some(&mld::REPORT_V2) => records::<16>(message)
            .into_iter()
            .map(Ipv6Addr::from)
            .collect(),
        _ => Vec::new(),
    }
}

/// Addresses of the records that mean membership, of a report whose addresses
/// have N bytes. IGMPv3 and MLDv2 share the layout.
fn records<const N: usize>(message: &[u8]) -> Vec<[u8; N]> {
    let count = message
        .get(6..8)
        .map_or(0, |bytes| u16::from_be_bytes([bytes[0], bytes[1]]));
    let mut rest = message.get(8..).unwrap_or_default();
    let mut out = Vec::new();
    for _ in 0..count {
        let Some(header) = rest.get(..4) else { break };
        let sources = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let Some(group) = rest.get(4..4 + N) else {
            break;
        };
        let leaving = header[0] == record::TO_INCLUDE && sources == 0;
        let known = (record::IS_INCLUDE..=record::ALLOW_NEW).contains(&header[0]);
        if known && !leaving {
            out.extend(<[u8; N]>::try_from(group));
        }
        let length = 4 + N + sources * N + usize::from(header[1]) * 4;
        rest = rest.get(length..).unwrap_or_default();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 2, 3);
    const GROUP6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb);

    #[rstest]
    #[case::v1(igmp_message(igmp::REPORT_V1, 0, GROUP, b"tag"), true)]
    #[case::v2(igmp_message(igmp::REPORT_V2, 0, GROUP, b""), true)]
    #[case::leave(igmp_message(igmp::LEAVE, 0, GROUP, b""), false)]
    #[case::query(igmp_message(igmp::QUERY, 100, GROUP, b""), false)]
    #[case::query3(igmp3_query(GROUP, b"tag"), false)]
    #[case::v3_join(igmp3_report(record::TO_EXCLUDE, GROUP, b"tag"), true)]
    #[case::v3_state(igmp3_report(record::IS_EXCLUDE, GROUP, b""), true)]
    #[case::v3_leave(igmp3_report(record::TO_INCLUDE, GROUP, b""), false)]
    fn igmp_reports(#[case] message: Vec<u8>, #[case] member: bool) {
        assert_eq!(checksum(&message), 0, "the sum covers all bytes");
        let expected = if member { vec![GROUP] } else { vec![] };
        assert_eq!(igmp_reported(&message), expected);
    }

    #[rstest]
    #[case::v1(mld::REPORT_V1, mld1_body(GROUP6, b"tag"), true)]
    #[case::done(mld::DONE, mld1_body(GROUP6, b""), false)]
    #[case::query(mld::QUERY, mld2_query_body(GROUP6, b""), false)]
    #[case::v2_join(
        mld::REPORT_V2,
        mld2_report_body(record::TO_EXCLUDE, GROUP6, b""),
        true
    )]
    #[case::v2_leave(
        mld::REPORT_V2,
        mld2_report_body(record::TO_INCLUDE, GROUP6, b""),
        false
    )]
    fn mld_reports(#[case] kind: u8, #[case] body: Vec<u8>, #[case] member: bool) {
        let message = [&[kind, 0, 0, 0][..], &body].concat();
        let expected = if member { vec![GROUP6] } else { vec![] };
        assert_eq!(mld_reported(&message), expected);
    }

    #[test]
    fn several_records_with_sources_are_walked() {
        let mut message = vec![igmp::REPORT_V3, 0, 0, 0, 0, 0, 0, 2];
        message.extend([record::ALLOW_NEW, 0, 0, 1, 232, 1, 1, 1, 10, 0, 0, 1]);
        message.extend([record::IS_EXCLUDE, 0, 0, 0, 239, 1, 2, 3]);
        assert_eq!(
            igmp_reported(&message),
            [Ipv4Addr::new(232, 1, 1, 1), GROUP]
        );
    }
}
