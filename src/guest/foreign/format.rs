//! The format of a disk image. A raw disk belongs to its guest, which could write
//! a qcow2 header there that names any file of the host: so the format is decided
//! once, here, is always told to QEMU, and an image that names other files is refused.

use serde::{Deserialize, Serialize};

/// A format that QEMU reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// The sectors themselves, CD images among them.
    Raw,
    /// QEMU's.
    Qcow2,
    /// VMware's, in one file.
    Vmdk,
    /// VirtualBox's.
    Vdi,
    /// Virtual PC's.
    Vpc,
}

impl Format {
    /// QEMU's and libvirt's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Qcow2 => "qcow2",
            Self::Vmdk => "vmdk",
            Self::Vdi => "vdi",
            Self::Vpc => "vpc",
        }
    }
}

/// How much of an image [`detect`] and [`lone`] want to see.
pub const HEAD: usize = 64 * 1024;

/// Sector size of CDs, and the sector of the first volume descriptor (ECMA-119).
const CD_SECTOR: usize = 2048;
const CD_DESCRIPTOR: usize = 16;

/// The format by the image's first bytes; none where they are those of no disk.
pub fn detect(head: &[u8]) -> Option<Format> {
    if head.starts_with(VHDX) {
        // Refused by [`lone`], which knows what to do about it.
        return Some(Format::Raw);
    }
    let at = |offset: usize, magic: &[u8]| {
        head.get(offset..)
            .is_some_and(|rest| rest.starts_with(magic))
    };
    let known = [
        (0, &b"QFI\xfb"[..], Format::Qcow2),
        (0, b"KDMV", Format::Vmdk),
        (0, b"# Disk DescriptorFile", Format::Vmdk),
        (0, b"conectix", Format::Vpc),
        (64, b"\x7f\x10\xda\xbe", Format::Vdi),
        (CD_DESCRIPTOR * CD_SECTOR + 1, b"CD001", Format::Raw),
        // What a BIOS boots from ends its first sector so.
        (510, b"\x55\xaa", Format::Raw),
    ];
    known
        .into_iter()
        .find(|(offset, magic, _)| at(*offset, magic))
        .map(|(.., format)| format)
}

/// Hyper-V's format.
const VHDX: &[u8] = b"vhdxfile";

/// Why an image of the format cannot be used as it is; none where it can.
pub fn lone(head: &[u8], format: Format) -> Option<&'static str> {
    let word = |at: usize| {
        let bytes = head.get(at..at + 8)?;
        bytes.try_into().ok().map(u64::from_be_bytes)
    };
    let holds = |text: &[u8]| head.windows(text.len()).any(|window| window == text);
    match format {
        // Told that it is raw, QEMU finds no boot sector; libvirt has no word for VHDX.
        _ if head.starts_with(VHDX) => Some("libvirt cannot read VHDX"),
        Format::Qcow2 if word(8).is_none_or(|backing| backing != 0) => {
            Some("it is an overlay over another image")
        }
        // Bit 2 of the incompatible features of version 3.
        Format::Qcow2 if version(head) >= 3 && word(72).is_none_or(|bits| bits & 4 != 0) => {
            Some("its data are in another file")
        }
        Format::Vmdk if head.starts_with(b"#") => Some("its data are in other files"),
        Format::Vmdk if holds(b"parentFileNameHint") => Some("it is a snapshot of another image"),
        _ => None,
    }
}

fn version(head: &[u8]) -> u32 {
    let bytes = head.get(4..8).and_then(|bytes| bytes.try_into().ok());
    bytes.map_or(0, u32::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    fn with(offset: usize, bytes: &[u8]) -> Vec<u8> {
        let mut head = vec![0; offset + bytes.len() + 128];
        head[offset..offset + bytes.len()].copy_from_slice(bytes);
        head
    }

    #[rstest]
    #[case::qcow2(with(0, b"QFI\xfb"), Some(Format::Qcow2))]
    #[case::vmdk(with(0, b"KDMV"), Some(Format::Vmdk))]
    #[case::vdi(with(64, b"\x7f\x10\xda\xbe"), Some(Format::Vdi))]
    #[case::cd(with(32769, b"CD001"), Some(Format::Raw))]
    #[case::boot_sector(with(510, b"\x55\xaa"), Some(Format::Raw))]
    #[case::text(b"#!/bin/sh\n".to_vec(), None)]
    #[case::zeros(vec![0; HEAD], None)]
    #[case::nothing(Vec::new(), None)]
    fn formats(#[case] head: Vec<u8>, #[case] expected: Option<Format>) {
        assert_eq!(detect(&head), expected);
    }

    fn qcow2(version: u8, backing: u8, features: u8) -> Vec<u8> {
        let mut head = with(0, b"QFI\xfb");
        (head[7], head[15], head[79]) = (version, backing, features);
        head
    }

    #[rstest]
    #[case::whole(qcow2(3, 0, 0), Format::Qcow2, false)]
    #[case::dirty(qcow2(3, 0, 1), Format::Qcow2, false)]
    #[case::old(qcow2(2, 0, 4), Format::Qcow2, false)]
    #[case::overlay(qcow2(3, 112, 0), Format::Qcow2, true)]
    #[case::data_elsewhere(qcow2(3, 0, 4), Format::Qcow2, true)]
    #[case::cut(b"QFI\xfb".to_vec(), Format::Qcow2, true)]
    #[case::descriptor(b"# Disk DescriptorFile".to_vec(), Format::Vmdk, true)]
    #[case::snapshot(with(600, b"parentFileNameHint=\"a.vmdk\""), Format::Vmdk, true)]
    #[case::vhdx(b"vhdxfile".to_vec(), Format::Raw, true)]
    #[case::raw_that_looks_like_an_overlay(qcow2(3, 112, 0), Format::Raw, false)]
    fn images_that_need_others(
        #[case] head: Vec<u8>,
        #[case] format: Format,
        #[case] refused: bool,
    ) {
        assert_eq!(lone(&head, format).is_some(), refused);
    }

    proptest! {
        #[test]
        fn any_bytes_are_looked_at(head in proptest::collection::vec(any::<u8>(), 0..700)) {
            if let Some(format) = detect(&head) {
                let _ = lone(&head, format);
            }
        }
    }
}
