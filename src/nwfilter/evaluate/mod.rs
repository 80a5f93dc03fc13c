//! What a filter does to a frame, without a kernel: libvirt's translation into
//! ebtables and iptables rules, and what the kernel decides by them.
//!
//! The facts are measured with libvirt 11.3.0 (ebtables back end,
//! docs/measurements.md#M1), among them its bugs: the evaluator answers what happens, not what the XML seems to say.
//! Those of the nftables back end are measured with libvirt 12.9.0 (docs/measurements.md#M47).
//! What the two translate differently is in
//! [`ebtables`] and [`nftables`]; everything else they have in common.
//!
//! A filter that libvirt would not bind is a [`CompileError`]. A frame whose
//! decision hangs on something that is not modelled is [`Decision::Undecided`].
//!
//! # Examples
//!
//! ```
//! use lanfence::nwfilter::evaluate::{Compiled, Decision, Way};
//! use lanfence::nwfilter::read;
//!
//! let text = "<filter name='no-vlan'>
//!   <rule action='drop' direction='out'><vlan/></rule>
//! </filter>";
//! let filter = read(text, "no-vlan.xml")?;
//! let mac = [0x52, 0x54, 0, 0, 0, 1];
//! let compiled = Compiled::new(&[filter], "no-vlan", mac, &[])?;
//!
//! let mut frame = [0_u8; 60];
//! frame[..6].copy_from_slice(&[0xff; 6]);
//! frame[6..12].copy_from_slice(&mac);
//! frame[12..14].copy_from_slice(&[0x81, 0x00]);
//! assert_eq!(compiled.decide(&frame, Way::FromGuest), Decision::Drop);
//! assert_eq!(compiled.decide(&frame, Way::ToGuest), Decision::Accept);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod backend;
mod bridge;
mod chain_place;
mod chains;
mod compiled;
mod driver;
mod ebtables;
mod error;
mod expand;
mod fast_path;
pub mod field;
mod flatten;
mod layer2;
mod layer3;
mod limits;
mod nftables;
mod parsed_frame;
mod release;
mod resolved;
mod rule;
#[cfg(test)]
mod tests;
mod tracking;
mod traverse;
mod way;

pub use backend::Backend;
pub use chain_place::ChainPlace;
pub use chains::{Chains, Layer2Chains, Layer3Rules, RootStep, SubChain};
pub use compiled::Compiled;
pub use error::{CompileError, Culprit};
pub use release::{IptablesRelease, Portability};
pub use rule::{CompiledRule, ConnectionState, Match};
pub use traverse::{Decision, Evaluation, TraceStep};
pub use way::Way;
