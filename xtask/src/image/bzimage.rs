//! Takes the uncompressed kernel out of a bzImage.
//!
//! The setup header (the kernel's Documentation/arch/x86/boot.rst) says where
//! the compressed kernel lies. Unpacking it here, once, saves the guest 2.8 s
//! of XZ under emulation at every boot.

use crate::elf::Elf;
use crate::tool;
use anyhow::{Context as _, Result, bail, ensure};
use std::process::Command;

const BOOT_FLAG_AT: usize = 0x1fe;
const MAGIC_AT: usize = 0x202;
const VERSION_AT: usize = 0x206;
const SETUP_SECTORS_AT: usize = 0x1f1;
const PAYLOAD_OFFSET_AT: usize = 0x248;
const PAYLOAD_LENGTH_AT: usize = 0x24c;
/// First boot protocol with the payload's place.
const WITH_PAYLOAD: u16 = 0x0208;

/// How a payload is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compression {
    Gzip,
    Xz,
    Zstd,
    Lz4,
}

impl Compression {
    fn of(payload: &[u8]) -> Option<Compression> {
        [
            (&b"\x1f\x8b"[..], Compression::Gzip),
            (b"\xfd7zXZ\0", Compression::Xz),
            (b"\x28\xb5\x2f\xfd", Compression::Zstd),
            // The kernel's build uses lz4's legacy frame.
            (b"\x02\x21\x4c\x18", Compression::Lz4),
        ]
        .into_iter()
        .find(|(magic, _)| payload.starts_with(magic))
        .map(|(_, compression)| compression)
    }

    fn program(self) -> &'static str {
        match self {
            Compression::Gzip => "gzip",
            Compression::Xz => "xz",
            Compression::Zstd => "zstd",
            Compression::Lz4 => "lz4",
        }
    }

    /// The kernel's build appends the uncompressed size to all but gzip, which
    /// ends in one of its own.
    fn appended_size(self) -> usize {
        if self == Compression::Gzip { 0 } else { 4 }
    }
}

/// The uncompressed ELF kernel inside the bzImage.
///
/// # Errors
///
/// If the image is no bzImage, is cut off or damaged, is compressed with a program that is
/// absent, or holds a kernel that QEMU cannot start directly.
pub fn vmlinux(image: &[u8]) -> Result<Vec<u8>> {
    let payload = payload(image)?;
    let compression = Compression::of(payload).with_context(|| {
        format!(
            "the kernel is compressed in a way that is not known here (it starts with {:02x?})",
            &payload[..payload.len().min(6)]
        )
    })?;
    let size = payload
        .last_chunk()
        .map(|bytes| u32::from_le_bytes(*bytes) as usize)
        .context("the kernel's payload is cut off")?;
    let packed = &payload[..payload.len() - compression.appended_size()];
    let program = tool::find(compression.program()).with_context(|| {
        let name = compression.program();
        format!("the kernel is packed with {name}, which is not installed: apt-get install {name}")
    })?;
    let kernel = tool::filter(Command::new(program).arg("-dc"), packed)
        .context("cannot unpack the kernel")?;
    ensure!(
        kernel.len() == size,
        "the kernel unpacks to {} bytes, but its header says {size}: the package is damaged",
        kernel.len()
    );
    match Elf::new(&kernel) {
        None => bail!("the unpacked kernel is no 64-bit ELF file"),
        Some(elf) if !elf.has_pvh_entry() => {
            bail!("the kernel was built without CONFIG_PVH, so QEMU cannot start it directly")
        }
        Some(_) => Ok(kernel),
    }
}

/// The compressed kernel with what the build appended to it.
fn payload(image: &[u8]) -> Result<&[u8]> {
    let bytes = |at: usize, size: usize| image.get(at..at + size);
    let is_bzimage = bytes(BOOT_FLAG_AT, 2) == Some(&b"\x55\xaa"[..])
        && bytes(MAGIC_AT, 4) == Some(&b"HdrS"[..]);
    ensure!(is_bzimage, "the kernel image is no bzImage");
    let number = |at: usize| -> Result<usize> {
        let bytes = image.get(at..).and_then(|rest| rest.first_chunk());
        let bytes = bytes.context("the kernel image is cut off in its header")?;
        Ok(u32::from_le_bytes(*bytes) as usize)
    };
    let version = u16::from_le_bytes([image[VERSION_AT], image[VERSION_AT + 1]]);
    ensure!(
        version >= WITH_PAYLOAD,
        "the kernel image speaks boot protocol {version:#06x}, older than {WITH_PAYLOAD:#06x}"
    );
    // 0 means 4, for very old loaders.
    let sectors = match image[SETUP_SECTORS_AT] {
        0 => 4,
        sectors => usize::from(sectors),
    };
    let start = (sectors + 1) * 512 + number(PAYLOAD_OFFSET_AT)?;
    let length = number(PAYLOAD_LENGTH_AT)?;
    image
        .get(start..start + length)
        .context("the kernel image is cut off in its payload")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elf::tests::kernel;
    use rstest::rstest;

    /// A bzImage with one setup sector and the given payload.
    fn bzimage(payload: &[u8]) -> Vec<u8> {
        let mut image = vec![0; 1024 + 64];
        image[SETUP_SECTORS_AT] = 1;
        image[BOOT_FLAG_AT..BOOT_FLAG_AT + 2].copy_from_slice(b"\x55\xaa");
        image[MAGIC_AT..MAGIC_AT + 4].copy_from_slice(b"HdrS");
        image[VERSION_AT..VERSION_AT + 2].copy_from_slice(&0x020f_u16.to_le_bytes());
        image[PAYLOAD_OFFSET_AT..PAYLOAD_OFFSET_AT + 4].copy_from_slice(&64_u32.to_le_bytes());
        let length = u32::try_from(payload.len()).expect("small");
        image[PAYLOAD_LENGTH_AT..PAYLOAD_LENGTH_AT + 4].copy_from_slice(&length.to_le_bytes());
        image.extend_from_slice(payload);
        image.extend_from_slice(b"what follows the payload");
        image
    }

    fn packed(program: &str, options: &[&str], content: &[u8], appended: bool) -> Vec<u8> {
        let mut payload = tool::filter(Command::new(program).args(options), content)
            .expect("packer is installed");
        if appended {
            let size = u32::try_from(content.len()).expect("small");
            payload.extend_from_slice(&size.to_le_bytes());
        }
        payload
    }

    #[rstest]
    #[case::gzip("gzip", &["-c"], false)]
    #[case::xz("xz", &["-c", "--check=crc32"], true)]
    #[case::zstd("zstd", &["-c", "-q"], true)]
    fn the_kernel_comes_out_as_it_went_in(
        #[case] program: &str,
        #[case] options: &[&str],
        #[case] appended: bool,
    ) {
        let elf = kernel("Xen", 18);
        let image = bzimage(&packed(program, options, &elf, appended));
        assert_eq!(vmlinux(&image).expect("well-formed"), elf);
    }

    #[test]
    fn a_kernel_without_pvh_is_refused() {
        let image = bzimage(&packed("gzip", &["-c"], &kernel("GNU", 3), false));
        let text = vmlinux(&image).expect_err("no PVH").to_string();
        assert!(text.contains("CONFIG_PVH"), "{text}");
    }

    #[test]
    fn a_wrong_size_is_refused() {
        let mut payload = packed("xz", &["-c"], &kernel("Xen", 18), true);
        *payload.last_mut().expect("not empty") = 1;
        let text = vmlinux(&bzimage(&payload))
            .expect_err("size differs")
            .to_string();
        assert!(text.contains("damaged"), "{text}");
    }

    #[test]
    fn an_unknown_compression_shows_its_first_bytes() {
        let text = vmlinux(&bzimage(b"LZIP...."))
            .expect_err("unknown")
            .to_string();
        assert!(text.contains("4c, 5a, 49, 50"), "{text}");
    }

    #[test]
    fn cut_images_are_refused() {
        let whole = bzimage(b"\x1f\x8bxxxxxxxx");
        for end in [0, 0x1ff, 0x203, 0x24d, 1024 + 66] {
            assert!(vmlinux(&whole[..end]).is_err(), "cut at {end}");
        }
    }
}
