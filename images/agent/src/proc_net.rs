//! Reading `/proc/net/tcp`, `udp` and their IPv6 twins.

/// TCP state LISTEN as those tables show it (`include/net/tcp_states.h`).
pub const LISTEN: u8 = 0x0a;

/// A socket in the table.
#[derive(Debug, PartialEq, Eq)]
pub struct Socket {
    /// Local port.
    pub local_port: u16,
    /// Port of the peer, 0 if not connected.
    pub peer_port: u16,
    /// State.
    pub state: u8,
}

/// The sockets of a table; lines of another form, such as the heading, are left out.
pub fn sockets(table: &str) -> impl Iterator<Item = Socket> {
    table.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace().skip(1);
        let mut port = || {
            let (_, port) = words.next()?.rsplit_once(':')?;
            u16::from_str_radix(port, 16).ok()
        };
        Some(Socket {
            local_port: port()?,
            peer_port: port()?,
            state: u8::from_str_radix(words.next()?, 16).ok()?,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_families_are_read() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue\n\
            11: 9D01A8C0:0044 0101A8C0:0043 01 00000000:00000000 00:00000000 00000000\n\
            0: 00000000000000000000000000000000:0016 00000000000000000000000000000000:0000 0A 0:0\n\
            cut: 0000\n";
        let socket = |local_port, peer_port, state| Socket {
            local_port,
            peer_port,
            state,
        };
        let got: Vec<Socket> = sockets(table).collect();
        assert_eq!(got, [socket(68, 67, 1), socket(22, 0, LISTEN)]);
    }
}
