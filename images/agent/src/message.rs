//! Netlink messages as bytes, both ways.

/// A request under construction: the fixed part and the attributes.
#[derive(Debug)]
pub struct Body(Vec<u8>);

/// A message from the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// `RTM_…` or `NLMSG_…`.
    pub kind: u16,
    /// Sequence number of the request that it answers.
    pub sequence: u32,
    /// Everything behind the header.
    pub body: Vec<u8>,
}

const HEADER: usize = 16;

impl Body {
    /// `struct ifinfomsg`.
    pub fn link(index: u32, flags: u32, change: u32) -> Self {
        let mut bytes = vec![0; 4];
        for word in [index, flags, change] {
            bytes.extend(word.to_ne_bytes());
        }
        Self(bytes)
    }

    /// `struct ifaddrmsg`, scope global.
    pub fn address(family: u8, prefix: u8, flags: u8, index: u32) -> Self {
        let mut bytes = vec![family, prefix, flags, 0];
        bytes.extend(index.to_ne_bytes());
        Self(bytes)
    }

    /// `struct rtmsg` of a unicast route to everywhere in the main table.
    pub fn default_route(family: u8) -> Self {
        let (table, protocol) = (libc::RT_TABLE_MAIN, libc::RTPROT_STATIC);
        let (scope, kind) = (libc::RT_SCOPE_UNIVERSE, libc::RTN_UNICAST);
        Self(vec![
            family, 0, 0, 0, table, protocol, scope, kind, 0, 0, 0, 0,
        ])
    }

    /// `struct ndmsg` with `NUD_…` state and `NTF_…` flags.
    pub fn neighbour(family: u8, index: u32, state: u16, flags: u8) -> Self {
        let mut bytes = vec![family, 0, 0, 0];
        bytes.extend(index.to_ne_bytes());
        bytes.extend(state.to_ne_bytes());
        bytes.extend([flags, 0]);
        Self(bytes)
    }

    /// Appends an attribute (`struct rtattr` and its value, padded to four bytes).
    pub fn attribute(&mut self, kind: u16, value: &[u8]) {
        let length = u16::try_from(value.len() + 4).expect("attributes here are addresses");
        self.0.extend(length.to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }

    /// The request with its `struct nlmsghdr` in front.
    pub fn framed(&self, kind: u16, flags: i32, sequence: u32) -> Vec<u8> {
        let length = u32::try_from(HEADER + self.0.len()).expect("requests here are short");
        let flags = u16::try_from(flags).expect("netlink flags have 16 bits");
        let mut bytes = length.to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(flags.to_ne_bytes());
        bytes.extend(sequence.to_ne_bytes());
        bytes.extend([0; 4]);
        bytes.extend(&self.0);
        bytes
    }
}

impl Message {
    /// The error number of an `NLMSG_ERROR`, none if it is an acknowledgement.
    pub fn error(&self) -> Option<i32> {
        let raw = self.body.get(..4)?.try_into().ok()?;
        match i32::from_ne_bytes(raw) {
            0 => None,
            negative => Some(-negative),
        }
    }
}

/// Splits what one `recv` returned; ends at the first message that is cut short.
pub fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Message> {
    std::iter::from_fn(move || {
        let header = bytes.get(..HEADER)?;
        let length = u32::from_ne_bytes(header[..4].try_into().ok()?);
        let length = usize::try_from(length).ok()?;
        let message = Message {
            kind: u16::from_ne_bytes(header[4..6].try_into().ok()?),
            sequence: u32::from_ne_bytes(header[8..12].try_into().ok()?),
            body: bytes.get(HEADER..length)?.to_vec(),
        };
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(message)
    })
}

/// Splits attributes into kind and value; ends at the first that is cut short.
pub fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let header = bytes.get(..4)?;
        let length = usize::from(u16::from_ne_bytes([header[0], header[1]]));
        let kind = u16::from_ne_bytes([header[2], header[3]]);
        let value = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_round_trip_with_padding() {
        let mut body = Body(Vec::new());
        body.attribute(1, &[1, 2, 3]);
        body.attribute(9, &[4; 16]);
        body.attribute(2, &[]);
        let back: Vec<(u16, Vec<u8>)> = attributes(&body.0)
            .map(|(kind, value)| (kind, value.to_vec()))
            .collect();
        assert_eq!(back, [(1, vec![1, 2, 3]), (9, vec![4; 16]), (2, vec![])]);
    }

    #[test]
    fn messages_round_trip() {
        let one = Body::link(7, 1, 1).framed(16, 5, 42);
        let two = Body::neighbour(2, 7, 0, 0).framed(30, 1, 43);
        let back: Vec<Message> = messages(&[one, two].concat()).collect();
        assert_eq!(back.len(), 2);
        assert_eq!((back[0].kind, back[0].sequence), (16, 42));
        assert_eq!((back[1].kind, back[1].sequence), (30, 43));
        assert_eq!(back[0].body.len(), 16);
    }

    #[test]
    fn cut_and_hostile_input_ends_the_walk() {
        let whole = Body::link(7, 1, 1).framed(16, 5, 42);
        for cut in 0..whole.len() {
            assert_eq!(messages(&whole[..cut]).count(), 0, "cut at {cut}");
        }
        assert_eq!(messages(&[0; 64]).count(), 0);
        assert_eq!(attributes(&[0; 64]).count(), 0);
        assert_eq!(attributes(&[255; 64]).count(), 0);
    }

    #[test]
    fn an_acknowledgement_is_no_error() {
        let message = |code: i32| Message {
            kind: 2,
            sequence: 1,
            body: code.to_ne_bytes().to_vec(),
        };
        assert_eq!(message(0).error(), None);
        assert_eq!(message(-17).error(), Some(17));
    }
}
