//! `lanfence explain`: what a filter does, to a frame and by which rules, or to all.

mod overview;

use super::failure::Failure;
use super::guest::{Besides, DEFINITION, GuestOptions, Meant};
use super::options::{BackendOption, BindingOptions, LenientOption, MacOption, load};
use super::output::say;
use crate::frame::{Mac, View, mac_text, summary};
use crate::nwfilter::evaluate::{Backend, Compiled, Decision, Way};
use crate::nwfilter::{FilterTree, trace};
use crate::nwfilter::{examples, lint};
use crate::verdict::Exit;
use clap::{Args, ValueEnum};
use pcap_file::DataLink;
use pcap_file::pcap::PcapReader;
use pcap_file::pcapng::{Block, PcapNgReader};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// `--direction`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Direction {
    /// From the guest
    Out,
    /// To the guest
    In,
}

/// Options of `explain`.
#[derive(Debug, Args)]
pub struct Options {
    /// Filter: a file, a folder of files, or the name of a filter that libvirt ships
    #[arg(
        required_unless_present = DEFINITION,
        value_name = "FILTER",
        help_heading = "Filter",
        display_order = 0
    )]
    filters: Vec<PathBuf>,
    #[command(flatten)]
    guest: GuestOptions,
    #[command(flatten)]
    binding: BindingOptions,
    #[command(flatten)]
    mac: MacOption,
    #[command(flatten)]
    backend: BackendOption,
    #[command(flatten)]
    lenient: LenientOption,
    /// A frame in hexadecimal, from the destination MAC on; may be repeated
    ///
    /// Blanks and colons are skipped. Without a frame and without a capture, the whole filter is
    /// explained.
    #[arg(long = "frame", value_name = "HEX", help_heading = "Selection", value_parser = hex)]
    frames: Vec<Hex>,
    /// A capture (pcap or pcapng) of Ethernet frames
    #[arg(long, value_name = "FILE", help_heading = "Selection")]
    pcap: Option<PathBuf>,
    /// Direction of the frames
    #[arg(long, value_enum, help_heading = "Selection", default_value_t = Direction::Out)]
    direction: Direction,
}

/// The bytes of one frame.
#[derive(Debug, Clone)]
struct Hex(Vec<u8>);

fn hex(text: &str) -> Result<Hex, String> {
    let digits: String = text
        .chars()
        .filter(|c| !c.is_whitespace() && *c != ':')
        .collect();
    if !digits.len().is_multiple_of(2) {
        return Err("the number of hexadecimal digits is odd".into());
    }
    let bytes = digits.as_bytes().chunks(2).map(|pair| {
        let text = std::str::from_utf8(pair).map_err(|_| "this is not hexadecimal".to_owned())?;
        u8::from_str_radix(text, 16).map_err(|_| format!("`{text}` is not hexadecimal"))
    });
    bytes.collect::<Result<_, _>>().map(Hex)
}

/// Explains every frame, or the filter where there is none.
pub fn run(options: &Options) -> Result<ExitCode, Failure> {
    let strictness = options.lenient.strictness();
    let besides = Besides {
        filters: &options.filters,
        binding: &options.binding,
        mac: options.mac.mac,
        backend: options.backend.given(),
        strictness,
        policy: None,
    };
    let bind = options.binding.bind.as_deref();
    let meant = options
        .guest
        .meant(besides, || load(&options.filters, bind, strictness))?;
    if options.frames.is_empty() && options.pcap.is_none() {
        say(&whole(&meant, options)?)?;
        return Ok(Exit::Pass.into());
    }
    let mut frames: Vec<Vec<u8>> = options.frames.iter().map(|hex| hex.0.clone()).collect();
    if let Some(path) = &options.pcap {
        frames.extend(capture(path)?);
    }
    let way = match options.direction {
        Direction::Out => Way::FromGuest,
        Direction::In => Way::ToGuest,
    };
    let guest = meant
        .mac
        .or_else(|| guess(frames.first()?, way))
        .unwrap_or_default();
    let filter = meant
        .tree
        .compile(
            guest,
            &meant.parameters,
            options.backend.with(meant.backend),
        )
        .map_err(Failure::usage)?;
    for frame in &frames {
        say(&explain(&meant.tree, &filter, frame, way))?;
    }
    Ok(Exit::Pass.into())
}

/// The filter in words, with example values for variables that nothing sets.
fn whole(meant: &Meant, options: &Options) -> Result<String, Failure> {
    let tree = &meant.tree;
    let mac = meant.mac.unwrap_or(examples::EXAMPLE_MAC);
    let text = mac_text(mac);
    let variables = examples::variables(&tree.filters, &text, &meant.parameters);
    let mut parameters = meant.parameters.clone();
    for variable in &variables {
        if variable.source == examples::Source::Example {
            let values = variable.values.iter();
            parameters.extend(values.map(|value| (variable.name.clone(), value.clone())));
        }
    }
    let backend = options.backend.with(meant.backend);
    let filter = tree
        .compile(mac, &parameters, backend)
        .map_err(Failure::usage)?;
    let mut findings = tree.ignored();
    findings.extend(lint::lint(&tree.filters, &tree.top, &filter));
    let given = &meant.parameters;
    let address = overview::Unset::of(tree, mac, given, backend, &variables);
    let address = address.as_ref();
    findings.extend(address.and_then(|address| address.lets_out(tree, &filter, mac)));
    let guest = meant.guest.as_ref();
    let guest = guest.map_or_else(String::new, |guest| format!("guest   {guest}\n"));
    Ok(guest + &overview::overview(tree, &filter, &variables, address, &findings))
}

/// The guest's MAC, as the first frame has it.
fn guess(frame: &[u8], way: Way) -> Option<Mac> {
    let view = View::parse(frame)?;
    Some(if way == Way::FromGuest {
        view.src
    } else {
        view.dst
    })
}

/// What happens to a frame, in words.
fn explain(tree: &FilterTree, filter: &Compiled, frame: &[u8], way: Way) -> String {
    let outcome = filter.evaluate(frame, way);
    let direction = if way == Way::FromGuest {
        "from the guest"
    } else {
        "to the guest"
    };
    let decision = match &outcome.decision {
        Decision::Accept => "passes".to_owned(),
        Decision::Drop => "is dropped".to_owned(),
        Decision::Undecided(why) => format!("is not modelled: {why}"),
    };
    let remark = match filter.backend() {
        Backend::Ebtables => String::new(),
        Backend::Nftables => format!(
            " ({} back end, {})",
            Backend::Nftables,
            Backend::Nftables.source()
        ),
    };
    let mut out = format!("{}\n  {direction}, {decision}{remark}\n", summary(frame));
    for line in trace(tree, &outcome) {
        out.push_str("    ");
        out.push_str(&line);
        out.push('\n');
    }
    out
}

/// The frames of a capture.
fn capture(path: &Path) -> Result<Vec<Vec<u8>>, Failure> {
    let bad = |what: &dyn std::fmt::Display| Failure::usage(format!("{}: {what}", path.display()));
    let bytes = std::fs::read(path).map_err(|error| bad(&error))?;
    // The first block of a pcapng file has the type 0x0a0d0d0a, whatever the byte order.
    let frames = if bytes.starts_with(&[0x0a, 0x0d, 0x0d, 0x0a]) {
        pcapng_frames(&bytes)
    } else {
        pcap_frames(&bytes)
    };
    let frames = frames.map_err(|what| bad(&what))?;
    if frames.is_empty() {
        return Err(bad(&"the capture holds no frame"));
    }
    Ok(frames)
}

const NOT_ETHERNET: &str = "the frames are not Ethernet; capture on the tap or on the bridge";

fn pcap_frames(bytes: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    let mut reader = PcapReader::new(bytes).map_err(|error| error.to_string())?;
    if reader.header().datalink != DataLink::ETHERNET {
        return Err(NOT_ETHERNET.into());
    }
    let mut out = Vec::new();
    while let Some(packet) = reader.next_packet() {
        out.push(packet.map_err(|error| error.to_string())?.data.into_owned());
    }
    Ok(out)
}

fn pcapng_frames(bytes: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    let mut reader = PcapNgReader::new(bytes).map_err(|error| error.to_string())?;
    let mut out = Vec::new();
    while let Some(block) = reader.next_block() {
        match block.map_err(|error| error.to_string())? {
            Block::InterfaceDescription(interface) if interface.linktype != DataLink::ETHERNET => {
                return Err(NOT_ETHERNET.into());
            }
            Block::EnhancedPacket(packet) => out.push(packet.data.into_owned()),
            Block::SimplePacket(packet) => out.push(packet.data.into_owned()),
            _ => {}
        }
    }
    Ok(out)
}
