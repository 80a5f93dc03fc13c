//! Evidence as pcapng: what the sensors saw, with verdicts as packet comments.

use pcap_file::pcapng::PcapNgWriter;
use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::pcapng::blocks::section_header::{SectionHeaderBlock, SectionHeaderOption};
use pcap_file::{DataLink, Endianness, PcapError};
use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Write;
use std::time::Duration;

/// Which way a frame went, as the interface saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Received by the interface.
    In,
    /// Sent by the interface.
    Out,
}

/// One captured frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvidencePacket {
    /// Name of the interface or sensor; each name becomes an interface of the file.
    pub interface: String,
    /// Time since 1970-01-01 00:00 UTC.
    pub at: Duration,
    /// Which way.
    pub direction: Direction,
    /// The Ethernet frame without FCS, with VLAN tags in place.
    pub frame: Vec<u8>,
    /// Probe, pass and verdict, in words.
    pub comment: Option<String>,
}

/// Why a capture was not written.
#[derive(Debug, thiserror::Error)]
pub enum PcapngError {
    /// The writer failed.
    #[error("capture cannot be written: {0}; look for a full disk or a missing directory")]
    Write(#[from] std::io::Error),
    /// The library refused a block.
    #[error("capture cannot be encoded: {0}")]
    Encode(PcapError),
    /// A time or a length does not fit the format.
    #[error(
        "packet {index} on interface {interface} does not fit a pcapng file: its {what} is too great"
    )]
    TooGreat {
        /// Index in the list that was given.
        index: usize,
        /// Its interface.
        interface: String,
        /// `time` (after the year 2554) or `length` (4 GiB).
        what: &'static str,
    },
}

impl From<PcapError> for PcapngError {
    fn from(error: PcapError) -> Self {
        match error {
            PcapError::IoError(error) => Self::Write(error),
            other => Self::Encode(other),
        }
    }
}

/// Longest option value in bytes; its length field has 16 bits.
const OPTION_MAX: usize = u16::MAX as usize;

/// 10^-9 s. pcap-file writes nanoseconds whatever the file declares, and a
/// reader takes microseconds where it declares nothing.
const NANOSECONDS: u8 = 9;

/// Writes all packets in the order of time, packets of the same time as given.
///
/// Little-endian, nanoseconds, one interface description a name. Equal packets
/// give equal bytes.
///
/// # Errors
/// The error of the stream that is written to; [`PcapngError::TooGreat`] for a time after
/// the year 2554 or a frame of 4 GiB; what the library refuses to encode.
pub fn write_pcapng(out: impl Write, packets: &[EvidencePacket]) -> Result<(), PcapngError> {
    let section = SectionHeaderBlock {
        endianness: Endianness::Little,
        options: vec![SectionHeaderOption::UserApplication(Cow::Borrowed(
            "lanfence",
        ))],
        ..SectionHeaderBlock::default()
    };
    let mut writer = PcapNgWriter::with_section_header(out, section)?;
    let mut interfaces: HashMap<&str, u32> = HashMap::new();
    for packet in packets {
        let next = u32::try_from(interfaces.len()).unwrap_or(u32::MAX);
        if let std::collections::hash_map::Entry::Vacant(entry) =
            interfaces.entry(&packet.interface)
        {
            entry.insert(next);
            writer.write_pcapng_block(interface(&packet.interface))?;
        }
    }
    let mut order: Vec<usize> = (0..packets.len()).collect();
    order.sort_by_key(|index| packets[*index].at);
    for index in order {
        let packet = &packets[index];
        writer.write_pcapng_block(block(index, packet, interfaces[packet.interface.as_str()])?)?;
    }
    writer.get_mut().flush()?;
    Ok(())
}

fn interface(name: &str) -> InterfaceDescriptionBlock<'_> {
    InterfaceDescriptionBlock {
        linktype: DataLink::ETHERNET,
        snaplen: 0,
        options: vec![
            InterfaceDescriptionOption::IfName(Cow::Borrowed(cut(name))),
            InterfaceDescriptionOption::IfTsResol(NANOSECONDS),
        ],
    }
}

fn block(
    index: usize,
    packet: &EvidencePacket,
    interface_id: u32,
) -> Result<EnhancedPacketBlock<'_>, PcapngError> {
    let too_great = |what| PcapngError::TooGreat {
        index,
        interface: packet.interface.clone(),
        what,
    };
    if u64::try_from(packet.at.as_nanos()).is_err() {
        return Err(too_great("time"));
    }
    // Bits 0 and 1 of the flags word: 1 inbound, 2 outbound.
    let direction = match packet.direction {
        Direction::In => 1,
        Direction::Out => 2,
    };
    let mut options = vec![EnhancedPacketOption::Flags(direction)];
    if let Some(comment) = &packet.comment {
        options.push(EnhancedPacketOption::Comment(Cow::Borrowed(cut(comment))));
    }
    Ok(EnhancedPacketBlock {
        interface_id,
        timestamp: packet.at,
        original_len: u32::try_from(packet.frame.len()).map_err(|_| too_great("length"))?,
        data: Cow::Borrowed(&packet.frame),
        options,
    })
}

/// As much of the text as an option can hold, cut between characters.
fn cut(text: &str) -> &str {
    let end = (0..=text.len().min(OPTION_MAX))
        .rev()
        .find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or(0)]
}

#[cfg(test)]
mod tests;
