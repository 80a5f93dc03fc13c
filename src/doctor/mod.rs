//! What this host can do for a lab, found out by doing it.
//!
//! A device that is there and a sysctl that says yes prove nothing: a user namespace can be
//! made in which nothing may be mounted, and a /dev/kvm can be opened that boots no guest. So
//! everything is done once, in namespaces that end with it; nothing of the host is changed.
//! [`inside`] does what needs namespaces, [`outside`] the rest and the calling of it.

pub mod github;
pub mod inside;
pub mod outside;
pub mod text;
mod trial;

pub use trial::{State, Subject, Trial, is_fit};
