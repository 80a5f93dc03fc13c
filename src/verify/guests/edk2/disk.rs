//! A floppy disk's FAT12 file system with a few small files, as a firmware reads it. Written
//! here, since that takes a page, no mount and no root.

use std::path::Path;

/// Bytes of a sector; a cluster is one sector.
const SECTOR: usize = 512;

/// Sectors of the whole disk: 1.44 MB, the layout that every FAT12 driver knows.
const SECTORS: u16 = 2880;

/// Sectors of each of the two tables.
const TABLE: u16 = 9;

/// Entries of the root directory, and bytes of an entry.
const ENTRIES: u16 = 224;
const ENTRY: usize = 32;

/// The first sector of the root directory, behind the boot sector and the tables.
const ROOT: usize = 1 + 2 * TABLE as usize;

/// The first sector of the data, which is cluster 2.
const DATA: usize = ROOT + ENTRIES as usize * ENTRY / SECTOR;

/// The media descriptor of such a disk, also the first entry of the tables.
const MEDIA: u8 = 0xf0;

/// The entry behind a file's last cluster.
const END: u16 = 0xfff;

/// Bit of an entry's attributes: archive.
const ARCHIVE: u8 = 0x20;

/// A file: its name in capitals, eight characters and three of the extension at most, and what is in
/// it.
pub type File<'a> = (&'a str, &'a str, &'a [u8]);

/// The disk with these files.
///
/// # Panics
/// Where they do not fit, which those of a script always do.
pub fn image(files: &[File<'_>]) -> Vec<u8> {
    let mut disk = vec![0; SECTOR * usize::from(SECTORS)];
    disk[..SECTOR].copy_from_slice(&boot_sector());
    let mut table = vec![0xff00 | u16::from(MEDIA), END];
    for (place, (stem, extension, bytes)) in files.iter().enumerate() {
        let first = u16::try_from(table.len()).expect("a floppy has few clusters");
        let clusters = bytes.len().div_ceil(SECTOR).max(1);
        let last = first + u16::try_from(clusters).expect("a short file") - 1;
        table.extend((first..last).map(|cluster| cluster + 1).chain([END]));
        let data = (DATA + usize::from(first) - 2) * SECTOR;
        disk[data..data + bytes.len()].copy_from_slice(bytes);
        let entry = ROOT * SECTOR + place * ENTRY;
        let size = u32::try_from(bytes.len()).expect("a short file");
        disk[entry..entry + ENTRY].copy_from_slice(&directory_entry(
            (stem, extension),
            first,
            size,
        ));
    }
    let table = packed(&table);
    for copy in 0..2 {
        let begin = (1 + copy * usize::from(TABLE)) * SECTOR;
        disk[begin..begin + table.len()].copy_from_slice(&table);
    }
    disk
}

/// Writes the disk to the path.
///
/// # Errors
/// When the file cannot be written.
pub fn write(path: &Path, files: &[File<'_>]) -> std::io::Result<()> {
    std::fs::write(path, image(files))
}

/// The BIOS parameter block, by its offsets (Microsoft's "FAT32 File System Specification",
/// version 1.03, section "Boot Sector and BPB").
fn boot_sector() -> [u8; SECTOR] {
    let mut sector = [0; SECTOR];
    let mut put = |at: usize, bytes: &[u8]| sector[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &[0xeb, 0x3c, 0x90]);
    put(3, b"LANFENCE");
    put(11, &u16::try_from(SECTOR).expect("512").to_le_bytes());
    // Sectors of a cluster, reserved sectors, tables.
    put(13, &[1, 1, 0, 2]);
    put(17, &ENTRIES.to_le_bytes());
    put(19, &SECTORS.to_le_bytes());
    put(21, &[MEDIA]);
    put(22, &TABLE.to_le_bytes());
    // Sectors of a track, heads.
    put(24, &[18, 0, 2, 0]);
    // An extended boot signature, a serial number, a label and the kind follow.
    put(38, &[0x29, 1, 0, 0, 0]);
    put(43, b"LANFENCE   FAT12   ");
    put(510, &[0x55, 0xaa]);
    sector
}

fn directory_entry((stem, extension): (&str, &str), first: u16, size: u32) -> [u8; ENTRY] {
    let mut entry = [0; ENTRY];
    entry[..11].fill(b' ');
    entry[..stem.len()].copy_from_slice(stem.as_bytes());
    entry[8..8 + extension.len()].copy_from_slice(extension.as_bytes());
    entry[11] = ARCHIVE;
    entry[26..28].copy_from_slice(&first.to_le_bytes());
    entry[28..].copy_from_slice(&size.to_le_bytes());
    entry
}

/// Two entries of 12 bits in three bytes, the lower ones first.
fn packed(table: &[u16]) -> Vec<u8> {
    let pair = |pair: &[u16]| {
        let both = u32::from(pair[0] & END) | u32::from(pair.get(1).copied().unwrap_or(0)) << 12;
        let [low, middle, high, _] = both.to_le_bytes();
        [low, middle, high]
    };
    table.chunks(2).flat_map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text of a file, by way of the directory and the table of clusters.
    fn read(disk: &[u8], name: &[u8; 11]) -> Option<String> {
        let root = &disk[ROOT * SECTOR..DATA * SECTOR];
        let entry = root.chunks(ENTRY).find(|entry| entry.starts_with(name))?;
        let size = u32::from_le_bytes(entry[28..].try_into().ok()?);
        let mut cluster = usize::from(u16::from_le_bytes([entry[26], entry[27]]));
        let mut bytes = Vec::new();
        while cluster < usize::from(END) {
            let begin = (DATA + cluster - 2) * SECTOR;
            bytes.extend(&disk[begin..begin + SECTOR]);
            let at = SECTOR + cluster * 3 / 2;
            let both = usize::from(u16::from_le_bytes([disk[at], disk[at + 1]]));
            cluster = if cluster % 2 == 0 {
                both & usize::from(END)
            } else {
                both >> 4
            };
        }
        bytes.truncate(usize::try_from(size).ok()?);
        String::from_utf8(bytes).ok()
    }

    #[test]
    fn files_of_any_length_are_found_again() {
        let texts = [0, 1, SECTOR, SECTOR + 1, 5 * SECTOR].map(|length| "x".repeat(length));
        let names = ["A", "BB", "STARTUP", "D", "EEEEEEEE"];
        let files: Vec<File<'_>> = names
            .iter()
            .zip(&texts)
            .map(|(stem, text)| (*stem, "NSH", text.as_bytes()))
            .collect();
        let disk = image(&files);
        assert_eq!(disk.len(), 1_474_560);
        for (stem, _, text) in files {
            let mut name = *b"        NSH";
            name[..stem.len()].copy_from_slice(stem.as_bytes());
            assert_eq!(
                read(&disk, &name).as_deref().map(str::as_bytes),
                Some(text),
                "{stem}"
            );
        }
    }

    #[test]
    fn both_tables_are_alike_and_the_sector_is_signed() {
        let disk = image(&[("A", "B", b"c")]);
        let length = usize::from(TABLE) * SECTOR;
        let (first, second) = (SECTOR, SECTOR + length);
        assert_eq!(disk[first..first + length], disk[second..second + length]);
        assert_eq!(disk[first..first + 5], [0xf0, 0xff, 0xff, 0xff, 0x0f]);
        assert_eq!(disk[510..SECTOR], [0x55, 0xaa]);
    }
}
