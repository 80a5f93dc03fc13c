//! Throwaway guests: the image, the domain, the boot and the agent inside.

mod agent;
mod boot;
mod console;
mod domain;
mod error;
pub mod foreign;
mod image;
mod ipxe;
mod models;
mod restore;
mod saved;

pub use agent::AgentClient;
pub use boot::{Guest, Machine, boot};
pub use domain::{
    Accel, DomainSpec, FilterRef, Interface, Kind, command_line, domain_xml, serial_log,
};
pub use error::GuestError;
pub use image::{Holdings, Image};
pub use ipxe::begin as begin_ipxe;
pub use models::{Bus, Nic, Quirk, devices, find, nics, quirk};
pub use restore::{Life, Spare, restore, save};
pub use saved::{Making, Makings, State, States};
