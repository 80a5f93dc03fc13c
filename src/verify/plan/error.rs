//! Why there is no plan.

use crate::guest::GuestError;
use crate::guest::foreign::ManifestError;
use std::io;
use std::path::PathBuf;

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// QEMU cannot be asked for its devices, or the guest image is damaged.
    #[error(transparent)]
    Host(GuestError),
    /// Cells with a guest, and no image for it.
    #[error(
        "no guest image is named\n  cure: `cargo xtask verify` builds one and names it; else --guest-image DIR, or --tap, which needs none"
    )]
    NoGuestImage,
    /// NIC models were chosen for the tap test.
    #[error("--nic and --matrix choose among guests, and the tap test has none")]
    NicsOfTap,
    /// QEMU has no such NIC model.
    #[error(transparent)]
    Nic(GuestError),
    /// A manifest of a foreign guest names a NIC model that QEMU does not have.
    #[error("{guest}: {source}")]
    NicOfManifest {
        /// The guest's name.
        guest: String,
        /// The model, and what is nearest.
        source: GuestError,
    },
    /// A manifest cannot be used.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// Two manifests have the same name.
    #[error("{file}: another manifest has the name `{name}` too\n  cure: rename one of them", file = .file.display())]
    SameName {
        /// The second of them.
        file: PathBuf,
        /// The name.
        name: String,
    },
    /// The image of a foreign guest cannot be opened.
    #[error("the image of {guest} cannot be opened: {path}: {source}\n  cure: {cure}", path = .path.display())]
    Image {
        /// The guest's name.
        guest: String,
        /// The image.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
        /// What to change.
        cure: String,
    },
    /// No cell is chosen.
    #[error("no cell matches; `lanfence verify --matrix full --list` shows all there are")]
    NoCell,
}
