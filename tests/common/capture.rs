//! The capture in the evidence of a cell that is not green.

use lanfence::frame::View;
use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketOption;
use pcap_file::pcapng::blocks::interface_description::InterfaceDescriptionOption;
use pcap_file::pcapng::{Block, PcapNgReader};
use std::path::Path;
use std::time::Duration;

/// A frame as a sensor has seen it.
pub struct Captured {
    /// The sensor's place, such as `tap`.
    pub place: String,
    /// Whether the host took it in: at a tap, that the guest sent it.
    pub inbound: bool,
    /// When.
    pub at: Duration,
    /// Its bytes from the link header on.
    pub frame: Vec<u8>,
}

/// All frames of a capture, in the order of time.
#[track_caller]
pub fn captured(file: &Path) -> Vec<Captured> {
    let bytes = std::fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let mut reader = PcapNgReader::new(bytes.as_slice()).expect("a capture");
    let (mut places, mut frames) = (Vec::new(), Vec::new());
    while let Some(block) = reader.next_block() {
        match block.expect("a whole block") {
            Block::InterfaceDescription(interface) => {
                let mut options = interface.options.iter();
                let name = options.find_map(|option| match option {
                    InterfaceDescriptionOption::IfName(name) => Some(name.to_string()),
                    _ => None,
                });
                places.push(name.expect("each interface has a name"));
            }
            Block::EnhancedPacket(packet) => frames.push(Captured {
                place: places[packet.interface_id as usize].clone(),
                inbound: packet.options.contains(&EnhancedPacketOption::Flags(1)),
                at: packet.timestamp,
                frame: packet.data.to_vec(),
            }),
            _ => {}
        }
    }
    frames
}

/// What the guest of a cell has sent, as the sensor at its tap has it.
#[track_caller]
pub fn sent_by_guest(file: &Path) -> Vec<Captured> {
    let mut frames = captured(file);
    frames.retain(|it| it.place == "tap" && it.inbound);
    assert!(!frames.is_empty(), "{}: nothing at the tap", file.display());
    frames
}

/// The file that a frame asks a TFTP server for (RFC 1350 section 5), and the port that the client asks
/// from.
pub fn asked_file(frame: &[u8]) -> Option<(u16, String)> {
    let view = View::parse(frame)?;
    let upper = view.upper()?;
    let asked = upper.udp_payload()?.strip_prefix(&[0, 1])?;
    let name = asked.split(|byte| *byte == 0).next()?;
    let (port, _) = upper.payload.split_first_chunk()?;
    let name = String::from_utf8_lossy(name).into_owned();
    Some((u16::from_be_bytes(*port), name))
}
