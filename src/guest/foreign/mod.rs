//! Foreign guests: the user's own disk image, described by a manifest, run on a
//! throwaway overlay and never written to.

mod error;
mod file;
mod format;
mod image;
mod manifest;
mod overlay;
mod shipped;

pub use error::ManifestError;
pub use format::Format;
pub use image::{Image as ForeignImage, ImageError};
pub use manifest::{
    Arp, Broadcast, Bus as DiskBus, Clock, Dhcp, Expectations, MachineType, Manifest, Medium,
    Origin, Wan,
};
pub use overlay::Overlay;
pub use shipped::shipped;
