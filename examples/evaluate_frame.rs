//! Evaluates one frame of the guest against a filter: the decision, and the rule behind it.
//!
//! ```sh
//! cargo run --no-default-features --example evaluate_frame -- \
//!     examples/no-out-traffic.xml ffffffffffff5254000000010806…
//! ```

use lanfence::frame::from_hex;
use lanfence::nwfilter::evaluate::{Backend, Evaluation, TraceStep, Way};
use lanfence::nwfilter::{FilterTree, ShippedFilters, Strictness};
use std::error::Error;
use std::path::PathBuf;

/// The MAC address that the filter is compiled for; libvirt takes that of the interface.
const MAC: [u8; 6] = [0x52, 0x54, 0x00, 0x00, 0x00, 0x01];

/// What becomes of a frame that the guest sends through the filter.
///
/// # Errors
/// A file that is no filter, and whatever makes libvirt refuse to bind it.
pub fn evaluate(filter: PathBuf, frame: &[u8]) -> Result<Evaluation, Box<dyn Error>> {
    // A filter that it refers to is looked for among those that libvirt ships.
    let shipped = ShippedFilters::installed();
    let tree = FilterTree::load(&[filter], None, Strictness::Strict, &shipped)?;
    let compiled = tree.compile(MAC, &[], Backend::Ebtables)?;
    Ok(compiled.evaluate(frame, Way::FromGuest))
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(filter), Some(hex)) = (arguments.next(), arguments.next()) else {
        return Err("usage: evaluate_frame FILTER.xml FRAME-IN-HEX".into());
    };
    let frame = from_hex(&hex).ok_or("the frame is not written in hex digits")?;
    let evaluation = evaluate(filter.into(), &frame)?;
    println!("{:?}", evaluation.decision);
    if let Some(rule) = evaluation.trace.iter().rev().find_map(TraceStep::origin) {
        println!("by {rule:?}");
    }
    Ok(())
}
