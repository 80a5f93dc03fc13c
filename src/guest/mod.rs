//! Throwaway guests: the image, the domain, the boot and the agent inside.

mod agent;
mod boot;
mod console;
mod domain;
mod drive;
mod error;
pub mod foreign;
mod image;

mod models;
mod owned;
mod restore;
mod silent;
mod snapshot;

pub use agent::AgentClient;
pub use boot::{Guest, Machine, boot};
pub use domain::{
    Accel, DomainSpec, FilterRef, Interface, Kind, command_line, domain_xml, serial_log,
};
pub use drive::Drive;
pub use error::GuestError;
pub use image::{Holdings, Image};
pub use models::{Bus, Nic, Quirk, devices, find, nics, place, quirk};
pub use restore::{Identity, RestoredGuest, restore, save};
pub use silent::{begin as begin_silent, restore as restore_silent, screen_path};
pub use snapshot::{Snapshot, SnapshotBuilder, SnapshotKey, Snapshots};
