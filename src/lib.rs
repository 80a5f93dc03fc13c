//! lanfence keeps virtual machines on the LAN and off the WAN, and proves it.
//!
//! The pure half ([`policy`], [`layout`], [`nwfilter`], [`frame`], [`probe`], [`verdict`],
//! [`domain`], [`check`], [`diagnosis`], [`report`])
//! needs neither libvirt nor root. The other half (feature `lab`) boots
//! throwaway guests on a private bridge and judges what really gets through.

// What unit tests share with the tests in tests/ names the crate as those do.
#[cfg(test)]
extern crate self as lanfence;

pub mod check;
pub mod diagnosis;
pub mod domain;
pub mod fix;
pub mod hook;
pub mod layout;
pub mod mutate;
mod nearest;
pub mod nwfilter;
mod place;
pub mod policy;
pub mod probe;
pub mod random;
pub mod report;
mod shell;
pub mod verdict;

pub use lanfence_frame as frame;

#[cfg(feature = "lab")]
pub mod bench;
pub mod cli;
#[cfg(feature = "lab")]
pub mod crosscheck;
#[cfg(feature = "lab")]
pub mod doctor;
#[cfg(feature = "lab")]
pub mod guest;
#[cfg(feature = "lab")]
pub mod host;
#[cfg(feature = "lab")]
pub mod lab;
#[cfg(feature = "lab")]
pub mod pool;
#[cfg(feature = "lab")]
pub mod verify;
