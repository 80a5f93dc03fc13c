//! A disk image that stands for a user's own: iPXE's CD, which boots as a hard
//! disk too, with a script of ours. What runs it must take it as it comes.

use anyhow::{Context as _, Result, ensure};

/// Size of a CD's sectors (ECMA-119).
const SECTOR: usize = 2048;

/// The boot loader's settings in the directory of the CD.
const SETTINGS: &[u8] = b"ISOLINUX.CFG;1";

/// Where a directory record has the file's first sector, its size (each twice:
/// little and big endian) and its name (ECMA-119 9.1).
const EXTENT: usize = 2;
const SIZE: usize = 10;
const NAME: usize = 33;

/// The boot loader's settings and iPXE's script in one file, since the CD has
/// a free half sector there and nowhere else. The loader passes over what it does
/// not know; iPXE never comes to the end of its loop. It does what an old guest
/// does: takes a lease, talks to a LAN host, and tries the WAN, again and again.
const SCRIPT: &str = "\
#!ipxe
:round
ifconf --configurator dhcp ||
imgfetch --timeout 400 --name lan tftp://${net0/gateway}/opaque ||
imgfree lan ||
imgfetch --timeout 400 --name wan tftp://203.0.113.10/opaque ||
imgfree wan ||
imgfetch --timeout 400 --name web http://203.0.113.10/opaque ||
imgfree web ||
goto round
TIMEOUT 0
DEFAULT opaque
LABEL opaque
 INITRD isolinux.cfg
";

/// The CD with the script in the place of its settings.
///
/// # Errors
///
/// If the CD has no settings of the boot loader, or they do not name a kernel, or the script
/// does not fit.
pub fn image(cd: &[u8]) -> Result<Vec<u8>> {
    let mut image = cd.to_vec();
    let name = image
        .windows(SETTINGS.len())
        .position(|window| window == SETTINGS)
        .context("iPXE's CD has no ISOLINUX.CFG")?;
    let record = name
        .checked_sub(NAME)
        .context("a file's name begins the CD")?;
    let extent = u32::from_le_bytes(image[record + EXTENT..][..4].try_into()?);
    let start = usize::try_from(extent)? * SECTOR;
    let sector = image
        .get_mut(start..start + SECTOR)
        .context("ISOLINUX.CFG lies behind the end of iPXE's CD")?;
    let kernel = kernel(sector).context("iPXE's CD names no kernel")?;
    let script = format!("{SCRIPT}{kernel}\n");
    ensure!(script.len() <= SECTOR, "the script is larger than a sector");
    sector.fill(0);
    sector[..script.len()].copy_from_slice(script.as_bytes());
    let size = u32::try_from(script.len())?;
    image[record + SIZE..][..4].copy_from_slice(&size.to_le_bytes());
    image[record + SIZE + 4..][..4].copy_from_slice(&size.to_be_bytes());
    Ok(image)
}

/// The line of the settings that names iPXE.
fn kernel(settings: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(settings);
    let line = text
        .lines()
        .find(|line| line.trim_start().starts_with("KERNEL "))?;
    Some(line.trim_end_matches('\0').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_settings_are_replaced_and_their_size_with_them() {
        let mut cd = vec![0; 3 * SECTOR];
        cd[100 + EXTENT] = 2;
        cd[100 + NAME..][..SETTINGS.len()].copy_from_slice(SETTINGS);
        let old = b"SAY hello\n KERNEL ipxe.krn\n";
        cd[2 * SECTOR..].fill(b'#');
        cd[2 * SECTOR..][..old.len()].copy_from_slice(old);
        let image = image(&cd).expect("a CD");
        let script = format!("{SCRIPT} KERNEL ipxe.krn\n");
        let size = u32::try_from(script.len()).expect("small");
        assert_eq!(image[100 + SIZE..][..4], size.to_le_bytes());
        assert_eq!(image[104 + SIZE..][..4], size.to_be_bytes());
        assert!(image[2 * SECTOR..].starts_with(script.as_bytes()));
        assert_eq!(image.len(), cd.len());
        assert_eq!(image[2 * SECTOR + script.len()], 0);
    }

    #[test]
    fn what_is_no_such_cd_is_refused() {
        for cd in [&b""[..], b"ISOLINUX.CFG;1", &[0; 4096]] {
            assert!(image(cd).is_err());
        }
    }
}
