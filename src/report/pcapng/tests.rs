use super::*;
use pcap_file::pcapng::{Block, PcapNgReader};
use proptest::prelude::*;
use std::process::{Command, Stdio};

/// 22:12:05.123456789 on 2025-11-23: every digit of the nanoseconds counts.
const AT: Duration = Duration::new(1_763_935_925, 123_456_789);

fn packet(
    interface: &str,
    at: Duration,
    direction: Direction,
    comment: Option<&str>,
) -> EvidencePacket {
    // ARP request: broadcast, so that a reader has something to print.
    let mut frame = vec![0xff; 6];
    frame.extend([
        0x52, 0x54, 0, 0, 0, 1, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1, 0x52, 0x54, 0, 0, 0, 1,
    ]);
    frame.extend([192, 168, 1, 50, 0, 0, 0, 0, 0, 0, 192, 168, 1, 1]);
    EvidencePacket {
        interface: interface.into(),
        at,
        direction,
        frame,
        comment: comment.map(str::to_owned),
    }
}

fn three() -> Vec<EvidencePacket> {
    vec![
        packet(
            "wan",
            AT + Duration::from_micros(2),
            Direction::In,
            Some("LEAK wan-ipv6/udp-53 (filtered): früh, \"quoted\""),
        ),
        packet(
            "tap-pcnet",
            AT,
            Direction::In,
            Some("sent wan-ipv6/udp-53 (filtered)"),
        ),
        packet(
            "tap-pcnet",
            AT + Duration::from_nanos(1),
            Direction::Out,
            None,
        ),
    ]
}

fn written(packets: &[EvidencePacket]) -> Vec<u8> {
    let mut out = Vec::new();
    write_pcapng(&mut out, packets).expect("a Vec takes everything");
    out
}

/// Reads the file back into what was written.
fn read(bytes: &[u8]) -> Vec<EvidencePacket> {
    let mut reader = PcapNgReader::new(bytes).expect("a section header");
    let (mut names, mut packets): (Vec<String>, _) = (Vec::new(), Vec::new());
    while let Some(block) = reader.next_block() {
        match block.expect("a whole block") {
            Block::InterfaceDescription(block) => {
                assert_eq!(block.linktype, DataLink::ETHERNET);
                assert!(
                    block
                        .options
                        .contains(&InterfaceDescriptionOption::IfTsResol(9))
                );
                names.extend(block.options.iter().filter_map(|option| match option {
                    InterfaceDescriptionOption::IfName(name) => Some(name.to_string()),
                    _ => None,
                }));
            }
            Block::EnhancedPacket(block) => packets.push(evidence(&block, &names)),
            other => panic!("unexpected block {other:?}"),
        }
    }
    packets
}

fn evidence(block: &EnhancedPacketBlock<'_>, names: &[String]) -> EvidencePacket {
    let (mut direction, mut comment) = (None, None);
    for option in &block.options {
        match option {
            EnhancedPacketOption::Flags(1) => direction = Some(Direction::In),
            EnhancedPacketOption::Flags(2) => direction = Some(Direction::Out),
            EnhancedPacketOption::Comment(text) => comment = Some(text.to_string()),
            other => panic!("unexpected option {other:?}"),
        }
    }
    assert_eq!(block.original_len as usize, block.data.len());
    EvidencePacket {
        interface: names[block.interface_id as usize].clone(),
        at: block.timestamp,
        direction: direction.expect("a direction"),
        frame: block.data.to_vec(),
        comment,
    }
}

#[test]
fn reads_back_in_the_order_of_time() {
    let packets = three();
    let expected = [&packets[1], &packets[2], &packets[0]].map(Clone::clone);
    assert_eq!(read(&written(&packets)), expected);
}

#[test]
fn no_packets_give_a_readable_file() {
    assert_eq!(read(&written(&[])), []);
}

#[test]
fn a_comment_longer_than_an_option_is_cut_between_characters() {
    let long = "ü".repeat(40_000);
    let read = read(&written(&[packet("tap", AT, Direction::In, Some(&long))]));
    assert_eq!(
        read[0].comment.as_deref(),
        Some("ü".repeat(OPTION_MAX / 2).as_str())
    );
}

#[test]
fn a_time_that_does_not_fit_is_refused() {
    let late = packet("tap", Duration::from_secs(u64::MAX), Direction::In, None);
    let error = write_pcapng(Vec::new(), &[late]).expect_err("too late");
    insta::assert_snapshot!(error, @"packet 0 on interface tap does not fit a pcapng file: its time is too great");
}

#[test]
fn a_full_disk_is_said() {
    let mut disk = [0u8; 64];
    let error = write_pcapng(&mut disk[..], &three()).expect_err("64 bytes are not enough");
    assert!(matches!(error, PcapngError::Write(_)), "{error:?}");
}

/// Another implementation must agree, where there is one.
#[test]
fn tshark_reads_comments_directions_and_nanoseconds() {
    let mut command = Command::new("tshark");
    command.args(["-r", "-", "-t", "e", "-T", "fields", "-E", "separator=;"]);
    for field in [
        "frame.interface_name",
        "frame.time_epoch",
        "frame.packet_flags_direction",
        "frame.comment",
    ] {
        command.args(["-e", field]);
    }
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let Ok(mut child) = command.spawn() else {
        println!("skipped: tshark is not installed");
        return;
    };
    child
        .stdin
        .take()
        .expect("piped")
        .write_all(&written(&three()))
        .expect("tshark reads");
    let out = child.wait_with_output().expect("tshark ends");
    insta::assert_snapshot!(String::from_utf8_lossy(&out.stdout), @r#"
    tap-pcnet;1763935925.123456789;0x00000001;sent wan-ipv6/udp-53 (filtered)
    tap-pcnet;1763935925.123456790;0x00000002;
    wan;1763935925.123458789;0x00000001;LEAK wan-ipv6/udp-53 (filtered): früh, "quoted"
    "#);
}

proptest! {
    #[test]
    fn any_packets_read_back(
        packets in proptest::collection::vec(
            ("[a-z0-9-]{1,15}", prop_oneof![0u64..4, any::<u64>()], any::<bool>(), proptest::collection::vec(any::<u8>(), 0..200), proptest::option::of(any::<String>())),
            0..20,
        )
    ) {
        let mut packets: Vec<EvidencePacket> = packets.into_iter().map(|(interface, ns, inbound, frame, comment)| EvidencePacket {
            interface,
            at: Duration::from_nanos(ns),
            direction: if inbound { Direction::In } else { Direction::Out },
            frame,
            comment,
        }).collect();
        let bytes = written(&packets);
        packets.sort_by_key(|packet| packet.at);
        prop_assert_eq!(read(&bytes), packets);
    }
}
