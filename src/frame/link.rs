//! Payloads right above Ethernet: PPPoE, LLC/SNAP, IPX, MPLS, LLDP, EAPOL, BPDU.
//!
//! Whoever calls these builds frames, so a payload of 64 KiB or more is a mistake, for which
//! they panic.

/// LLC and SNAP header before a packet of this EtherType (RFC 1042).
pub fn snap(ethertype: u16, payload: &[u8]) -> Vec<u8> {
    snap_of([0, 0, 0], ethertype, payload)
}

/// LLC and SNAP header with an organisation's own protocol number (IEEE 802).
pub fn snap_of(organisation: [u8; 3], protocol: u16, payload: &[u8]) -> Vec<u8> {
    let [a, b, c] = organisation;
    let [high, low] = protocol.to_be_bytes();
    [&[0xaa, 0xaa, 3, a, b, c, high, low][..], payload].concat()
}

/// LLC header with equal service access points, unnumbered information (IEEE 802.2).
pub fn llc(sap: u8, payload: &[u8]) -> Vec<u8> {
    [&[sap, sap, 3][..], payload].concat()
}

/// An IPX packet to socket 0x0452 (SAP) of every node of this network. It
/// starts with 0xffff, which is how Novell's raw 802.3 frames go without LLC.
pub fn ipx(payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(30 + payload.len()).expect("a frame's packet is under 64 KiB");
    let mut out = vec![0xff, 0xff];
    out.extend(length.to_be_bytes());
    out.extend([0, 4]);
    out.extend([0; 4]);
    out.extend([0xff; 6]);
    out.extend([0x04, 0x52]);
    out.extend([0; 4]);
    out.extend([2, 0, 0, 0, 0, 1, 0x40, 0x00]);
    out.extend(payload);
    out
}

/// A PPPoE discovery initiation (PADI, RFC 2516 5.1); `unique` goes into Host-Uniq.
pub fn pppoe_padi(unique: &[u8]) -> Vec<u8> {
    let mut tags = vec![0x01, 0x01, 0, 0, 0x01, 0x03];
    tags.extend(length(unique));
    tags.extend(unique);
    pppoe(0x09, 0, &tags)
}

/// An IPv4 packet in a PPPoE session (RFC 2516 4; PPP protocol 0x0021, RFC 1332).
pub fn pppoe_ipv4(session: u16, packet: &[u8]) -> Vec<u8> {
    pppoe(0, session, &[&[0x00, 0x21][..], packet].concat())
}

/// An IPv6 packet in a PPPoE session (RFC 2516 4; PPP protocol 0x0057, RFC 5072).
pub fn pppoe_ipv6(session: u16, packet: &[u8]) -> Vec<u8> {
    pppoe(0, session, &[&[0x00, 0x57][..], packet].concat())
}

fn pppoe(code: u8, session: u16, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![0x11, code];
    out.extend(session.to_be_bytes());
    out.extend(length(payload));
    out.extend(payload);
    out
}

fn length(payload: &[u8]) -> [u8; 2] {
    u16::try_from(payload.len())
        .expect("a frame's payload is under 64 KiB")
        .to_be_bytes()
}

/// One MPLS label of 20 bits, bottom of the stack, TTL 64 (RFC 3032 2.1).
pub fn mpls(label: u32, packet: &[u8]) -> Vec<u8> {
    let word = (label << 12) | 0x100 | 64;
    [&word.to_be_bytes()[..], packet].concat()
}

/// An LLDP unit (IEEE 802.1AB) with chassis, port, a TTL of 120 s and these bytes, under
/// 512, as system name.
pub fn lldp(mac: [u8; 6], name: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    lldp_tlv(&mut out, 1, &[&[4][..], &mac].concat());
    lldp_tlv(&mut out, 2, &[&[3][..], &mac].concat());
    lldp_tlv(&mut out, 3, &[0, 120]);
    lldp_tlv(&mut out, 5, name);
    out.extend([0, 0]);
    out
}

fn lldp_tlv(out: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = u16::try_from(value.len()).expect("a value is under 512 bytes");
    out.extend(((kind << 9) | length).to_be_bytes());
    out.extend(value);
}

/// An EAP identity response (RFC 3748 5.1) in EAPOL version 2 (IEEE 802.1X).
pub fn eapol(identity: &[u8]) -> Vec<u8> {
    let eap = [
        &[2, 1][..],
        &length(&[identity, &[0; 5]].concat()),
        &[1],
        identity,
    ]
    .concat();
    [&[2, 0][..], &length(&eap), &eap].concat()
}

/// A configuration BPDU (IEEE 802.1D 9.3.1) of the worst priority, behind its LLC header,
/// with bytes of the sender's choice after it.
pub fn bpdu(mac: [u8; 6], trailer: &[u8]) -> Vec<u8> {
    let bridge = [&[0xf0, 0][..], &mac].concat();
    let mut body = vec![0; 5];
    body.extend(&bridge);
    body.extend([0; 4]);
    body.extend(&bridge);
    // Port 1, message age 0, maximum age 20 s, hello 2 s, forward delay 15 s.
    body.extend([0x80, 1, 0, 0, 20, 0, 2, 0, 15, 0]);
    body.extend(trailer);
    llc(0x42, &body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::snap(snap(0x0800, b"x"), &[0xaa, 0xaa, 3, 0, 0, 0, 8, 0, b'x'])]
    #[case::llc(llc(0xf0, b"x"), &[0xf0, 0xf0, 3, b'x'])]
    #[case::padi(pppoe_padi(b"u"), &[0x11, 9, 0, 0, 0, 9, 1, 1, 0, 0, 1, 3, 0, 1, b'u'])]
    #[case::ppp(pppoe_ipv4(7, b"x"), &[0x11, 0, 0, 7, 0, 3, 0, 0x21, b'x'])]
    #[case::ppp6(pppoe_ipv6(7, b"x"), &[0x11, 0, 0, 7, 0, 3, 0, 0x57, b'x'])]
    #[case::mpls(mpls(16, b"x"), &[0, 1, 1, 64, b'x'])]
    #[case::eapol(eapol(b"me"), &[2, 0, 0, 7, 2, 1, 0, 7, 1, b'm', b'e'])]
    fn layout(#[case] bytes: Vec<u8>, #[case] expected: &[u8]) {
        assert_eq!(bytes, expected);
    }

    #[test]
    fn lldp_units_end_with_an_end() {
        let unit = lldp([2; 6], b"name");
        assert_eq!(&unit[..4], [2, 7, 4, 2]);
        assert!(unit.ends_with(&[0x0a, 4, b'n', b'a', b'm', b'e', 0, 0]));
    }

    #[test]
    fn a_bpdu_has_35_bytes_behind_llc() {
        assert_eq!(bpdu([2; 6], b"").len(), 3 + 35);
    }
}
