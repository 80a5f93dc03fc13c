//! Which NIC models a firmware has drivers for.

use super::quirks::Quirk;
use crate::guest::image::ImageContents;
use crate::guest::kind::GuestKind;

/// Why the firmware cannot use the model here; none where it can.
pub fn unfit(kind: &GuestKind, quirk: &Quirk, image: &ImageContents) -> Option<String> {
    let missing = |what: &str| {
        format!("the guest image holds no {what}; `cargo xtask image` makes one that does")
    };
    if let Some(reason) = quirk.unfit.or(quirk.no_ipxe) {
        return Some(reason.to_owned());
    }
    if !image.ipxe {
        return Some(missing("iPXE"));
    }
    // GRUB has iPXE's drivers.
    (*kind == GuestKind::Grub && !image.grub).then(|| missing("GRUB"))
}
