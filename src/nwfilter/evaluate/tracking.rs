//! What connection tracking makes of a frame, as far as one frame can tell.

use super::field::{Field, Fields};
use crate::frame::{Upper, View};

/// Whether connection tracking takes the frame for the first of a connection.
/// False also where that is not sure: the states of SCTP, DCCP, UDP-Lite and PPTP are not modelled.
pub fn may_start(frame: &[u8], fields: &Fields) -> bool {
    const FIN_SYN_RST_ACK: u128 = 0x17;
    let protocol = fields.get(Field::Protocol);
    let Some(upper) = View::parse(frame).and_then(|view| view.upper()) else {
        return false;
    };
    // Where the two read different protocols, tracking may read a third.
    if u128::from(upper.protocol) != protocol || !is_sound(&upper) {
        return false;
    }
    match protocol {
        // A bare ACK of an unknown connection counts as new (measured: docs/measurements.md#M3).
        6 => matches!(fields.get(Field::TcpFlags) & FIN_SYN_RST_ACK, 0x02 | 0x10),
        1 => matches!(fields.get(Field::IcmpType), 8 | 13 | 15 | 17),
        58 => fields.get(Field::IcmpType) == 128,
        33 | 132 | 136 => false,
        // Behind IPv6's "no next header" it finds nothing to track (measured:
        // docs/measurements.md#M3).
        59 => fields.get(Field::EtherType) == 0x0800,
        // Of GRE version 1, which PPTP uses, it takes PPP only (measured: docs/measurements.md#M3).
        47 => upper.payload.get(1).is_none_or(|flags| flags & 7 != 1),
        _ => true,
    }
}

/// Whether the header is whole and the checksum right: what is neither is of no
/// connection at all.
fn is_sound(upper: &Upper<'_>) -> bool {
    let bytes = upper.payload;
    let length = bytes.len();
    let word = |at: usize| {
        let word = bytes.get(at..at + 2);
        word.map_or(0, |word| {
            usize::from(u16::from_be_bytes([word[0], word[1]]))
        })
    };
    let whole = match upper.protocol {
        6 => {
            let header = bytes.get(12).map_or(0, |byte| usize::from(byte >> 4) * 4);
            (20..=length).contains(&header)
        }
        17 => (8..=length).contains(&word(4)),
        1 | 58 => length >= 8,
        _ => true,
    };
    whole && upper.sum_ok() != Some(false)
}
