//! Foreign guests: the user's own disk image, described by a manifest, run on a
//! throwaway overlay and never written to.

mod error;
mod file;
mod format;
mod image;
mod keys;
mod manifest;
mod overlay;
mod shipped;

pub use error::ManifestError;
pub use format::Format;
pub use image::{Image as ForeignImage, ImageError};
pub use keys::{Arp, Broadcast, Clock, Dhcp, DiskBus, MachineType, Medium, Wan};
pub use manifest::{Expectations, ImageSource, Manifest};
pub use overlay::Overlay;
pub use shipped::shipped;
