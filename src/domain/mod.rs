//! libvirt's definitions of guests, interfaces and networks: read, judged and edited.

mod binding;
mod definition;
mod edit;
mod element;
mod error;
mod host_device;
mod interface;
mod lint;
mod network;
mod print;
pub mod recipes;
#[cfg(test)]
mod tests;
mod unfilterable;

pub use binding::FilterBinding;
pub use definition::{Domain, Snapshot};
pub use edit::{interface_with, set_filterref};
pub use error::{DomainError, Fault};
pub use host_device::{Device, HostDevice};
pub use interface::{Interface, Kind};
pub use lint::Definition;
pub use network::{Network, NetworkAddress, PortGroup};
pub use unfilterable::Unfilterable;
