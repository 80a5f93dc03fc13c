//! The lab: namespaces, hosts, a private libvirtd, a DHCP server and sensors.
//!
//! Calls of libvirt block, and so do commands. They are made with
//! [`tokio::task::block_in_place`], which works on a multi-thread runtime only: a program
//! that uses this module must build one (`tokio::runtime::Builder::new_multi_thread`), and
//! must do so after [`enter`], since the runtime's threads stay in the namespaces they
//! were started in.

mod accounts;
mod base_chains;
mod bind_mount;
mod binding;
mod checksums;
mod daemon;
mod dnsmasq;
mod early_ends;
mod enter;
mod error;
mod first_look;
mod forbidden;
mod http;
mod idmap;
mod instance;
mod late;
mod libvirtd;
mod links;
mod mounts;
mod netns;
mod network;
mod options;
mod overlay;
mod packet_socket;
mod pair;
mod parts;
mod paths;
mod process;
mod programs;
pub mod ruleset;
mod sender;
mod sensor;
pub mod shortcuts;
mod silence;
mod slowness;
pub mod tamper;
mod tap;
mod tftp;
mod vhost;

pub use binding::{Binding, BindingSpec};
pub use daemon::Daemon;
pub use dnsmasq::DOMAIN;
pub use early_ends::EarlyEnds;
pub use enter::enter;
pub use error::{HostCause, LabError, ProgramFault};
pub use forbidden::apparmor_profile;
pub use http::Http;
pub use instance::Lab;
pub use libvirtd::{LOG as LIBVIRTD_LOG, Libvirt, qemu_log_path};
pub use links::BRIDGE;
pub use mounts::covered;
pub use netns::Netns;
pub use network::Network;
pub use options::EnterOptions;
pub use packet_socket::PacketSocket;
pub use pair::Pair;
pub use parts::{Hosts, filters_only, hosts, small_host, try_tap};
pub use paths::{STATE, image_path, log_path};
pub use process::Process;
pub use programs::{EMULATOR, MIPS_EMULATOR, find as find_program};
pub use sender::Sender;
pub use sensor::{Direction, Impairment, Sensor, Sighted};
pub use shortcuts::{Shortcut, Shortcuts};
pub use silence::{Silence, set_silence};
pub use slowness::Slowness;
pub use tap::{LARGEST as LARGEST_FRAME, Tap};
pub use tftp::Tftp;
pub use vhost::VhostTap;
