//! Throwaway guests: the image, the domain, the boot and the agent inside.

mod accel;
mod agent;
mod back_end;
mod boot;
mod command_line;
mod console;
mod domain;
mod drive;
mod error;
pub mod foreign;
mod image;
mod interface;
mod kind;
mod models;
mod obituary;
mod owned;
mod ready;
mod restore;
mod silent;
mod snapshot;
mod xml;

pub use accel::Accel;
pub use agent::AgentClient;
pub use boot::{Guest, Machine, boot};
pub use command_line::command_line;
pub use domain::{DomainKind, DomainSpec, domain_xml, serial_log};
pub use drive::Drive;
pub use error::{AgentWords, GuestError, ImageFault, ProtocolFault};
pub use image::{Image, ImageContents};
pub use interface::{FilterRef, Interface};
pub use kind::GuestKind;
pub use models::{Bus, Nic, Quirk, devices, find, nics, place, quirk};
pub use obituary::{log_length, obituary};
pub use restore::{Identity, RestoredGuest, restore, save};
pub use silent::{begin as begin_silent, restore as restore_silent, screen_path};
pub use snapshot::{Snapshot, SnapshotBuilder, SnapshotKey, Snapshots};
