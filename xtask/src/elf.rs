//! The little of ELF (64 bit, little endian) that building an image needs:
//! what a kernel module says about itself, what a program loads, and whether
//! a kernel can be started through PVH.

/// Type of Xen's note with the address of the PVH entry point
/// (`XEN_ELFNOTE_PHYS32_ENTRY` in the kernel's `xen/interface/elfnote.h`).
const PHYS32_ENTRY: u32 = 18;

const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;
const PT_NOTE: u32 = 4;
const DT_NEEDED: u64 = 1;
const DT_STRTAB: u64 = 5;

/// An ELF file in memory. All offsets in it are distrusted.
#[derive(Debug, Clone, Copy)]
pub struct Elf<'a> {
    bytes: &'a [u8],
}

struct Segment {
    kind: u32,
    offset: usize,
    address: u64,
    size: usize,
    align: u64,
}

impl<'a> Elf<'a> {
    /// Takes bytes that start like a 64-bit little-endian ELF file.
    pub fn new(bytes: &'a [u8]) -> Option<Elf<'a>> {
        bytes
            .starts_with(b"\x7fELF\x02\x01")
            .then_some(Elf { bytes })
    }

    /// Names of the shared libraries that the program or library asks for.
    pub fn needed(&self) -> Option<Vec<&'a str>> {
        let segments = self.segments()?;
        let Some(dynamic) = segments.iter().find(|segment| segment.kind == PT_DYNAMIC) else {
            return Some(Vec::new());
        };
        let table = self.slice(dynamic.offset, dynamic.size)?;
        let entries: Vec<(u64, u64)> = table
            .chunks_exact(16)
            .filter_map(|entry| Some((number(entry, 0, 8)?, number(entry, 8, 8)?)))
            .take_while(|(tag, _)| *tag != 0)
            .collect();
        let strings = entries.iter().find(|(tag, _)| *tag == DT_STRTAB)?.1;
        let strings = file_offset(&segments, strings)?;
        entries
            .iter()
            .filter(|(tag, _)| *tag == DT_NEEDED)
            .map(|(_, name)| self.text(strings.checked_add(usize::try_from(*name).ok()?)?))
            .collect()
    }

    /// The loader that the program asks for; none for a static program.
    pub fn interpreter(&self) -> Option<&'a str> {
        let segments = self.segments()?;
        let interp = segments.iter().find(|segment| segment.kind == PT_INTERP)?;
        self.text(interp.offset)
    }

    /// A kernel module's `key=value` strings.
    pub fn modinfo(&self) -> Option<Vec<(&'a str, &'a str)>> {
        let section = self.section(".modinfo")?;
        section
            .split(|byte| *byte == 0)
            .filter(|entry| !entry.is_empty())
            .map(|entry| std::str::from_utf8(entry).ok()?.split_once('='))
            .collect()
    }

    /// Whether the kernel names a PVH entry point, which QEMU's `-kernel`
    /// needs to start it without firmware.
    pub fn has_pvh_entry(&self) -> bool {
        self.segments().is_some_and(|segments| {
            segments
                .iter()
                .filter(|segment| segment.kind == PT_NOTE)
                .any(|segment| self.has_note(segment, b"Xen\0", PHYS32_ENTRY))
        })
    }

    fn has_note(&self, segment: &Segment, owner: &[u8], kind: u32) -> bool {
        let align = usize::try_from(segment.align.max(4)).unwrap_or(4);
        let Some(mut notes) = self.slice(segment.offset, segment.size) else {
            return false;
        };
        while let (Some(name), Some(description), Some(found)) =
            (length(notes, 0), length(notes, 4), number(notes, 8, 4))
        {
            let named = notes.get(12..12 + owner.len()) == Some(owner) && name == owner.len();
            if named && found == u64::from(kind) {
                return true;
            }
            let data = (12 + name).next_multiple_of(align);
            let next = data.saturating_add(description).next_multiple_of(align);
            notes = notes.get(next..).unwrap_or_default();
        }
        false
    }

    fn segments(&self) -> Option<Vec<Segment>> {
        let start = offset(self.bytes, 0x20)?;
        let size = usize::try_from(number(self.bytes, 0x36, 2)?).ok()?;
        let count = usize::try_from(number(self.bytes, 0x38, 2)?).ok()?;
        (0..count)
            .map(|index| {
                let header = self.slice(start.checked_add(index.checked_mul(size)?)?, 56)?;
                Some(Segment {
                    kind: u32::try_from(number(header, 0, 4)?).ok()?,
                    offset: offset(header, 8)?,
                    address: number(header, 16, 8)?,
                    size: offset(header, 32)?,
                    align: number(header, 48, 8)?,
                })
            })
            .collect()
    }

    fn section(&self, wanted: &str) -> Option<&'a [u8]> {
        let start = offset(self.bytes, 0x28)?;
        let size = usize::try_from(number(self.bytes, 0x3a, 2)?).ok()?;
        let count = usize::try_from(number(self.bytes, 0x3c, 2)?).ok()?;
        let names = usize::try_from(number(self.bytes, 0x3e, 2)?).ok()?;
        let header = |index: usize| self.slice(start.checked_add(index.checked_mul(size)?)?, 64);
        let names = offset(header(names)?, 24)?;
        (0..count).find_map(|index| {
            let header = header(index)?;
            let name = names.checked_add(length(header, 0)?)?;
            (self.text(name)? == wanted).then_some(())?;
            self.slice(offset(header, 24)?, offset(header, 32)?)
        })
    }

    fn slice(&self, start: usize, size: usize) -> Option<&'a [u8]> {
        self.bytes.get(start..start.checked_add(size)?)
    }

    fn text(&self, start: usize) -> Option<&'a str> {
        let rest = self.bytes.get(start..)?;
        let end = rest.iter().position(|byte| *byte == 0)?;
        std::str::from_utf8(&rest[..end]).ok()
    }
}

/// Where in the file the byte that is loaded at the address lies.
fn file_offset(segments: &[Segment], address: u64) -> Option<usize> {
    let segment = segments.iter().find(|segment| {
        segment.kind == PT_LOAD
            && address
                .checked_sub(segment.address)
                .is_some_and(|distance| distance < segment.size as u64)
    })?;
    segment
        .offset
        .checked_add(usize::try_from(address - segment.address).ok()?)
}

/// The little-endian number of `size` bytes at `at`.
fn number(bytes: &[u8], at: usize, size: usize) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(size)?)?;
    Some(
        bytes
            .iter()
            .rev()
            .fold(0, |value, byte| value << 8 | u64::from(*byte)),
    )
}

fn offset(bytes: &[u8], at: usize) -> Option<usize> {
    usize::try_from(number(bytes, at, 8)?).ok()
}

fn length(bytes: &[u8], at: usize) -> Option<usize> {
    usize::try_from(number(bytes, at, 4)?).ok()
}

/// Small hand-made ELF files for tests.
#[cfg(test)]
pub mod tests {
    use super::*;

    fn put(bytes: &mut [u8], at: usize, size: usize, value: usize) {
        bytes[at..at + size].copy_from_slice(&value.to_le_bytes()[..size]);
    }

    fn header(length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        bytes
    }

    /// A kernel module whose `.modinfo` holds the given strings.
    pub fn module(modinfo: &[&str]) -> Vec<u8> {
        let info: Vec<u8> = modinfo
            .iter()
            .flat_map(|entry| entry.bytes().chain([0]))
            .collect();
        let names = b"\0.modinfo\0";
        let (names_at, info_at) = (64, 64 + names.len());
        let sections_at = info_at + info.len();
        let mut bytes = header(sections_at + 2 * 64);
        bytes[names_at..info_at].copy_from_slice(names);
        bytes[info_at..sections_at].copy_from_slice(&info);
        put(&mut bytes, 0x28, 8, sections_at);
        put(&mut bytes, 0x3a, 2, 64);
        put(&mut bytes, 0x3c, 2, 2);
        put(&mut bytes, 0x3e, 2, 0);
        put(&mut bytes, sections_at + 24, 8, names_at);
        put(&mut bytes, sections_at + 32, 8, names.len());
        put(&mut bytes, sections_at + 64, 4, 1);
        put(&mut bytes, sections_at + 64 + 24, 8, info_at);
        put(&mut bytes, sections_at + 64 + 32, 8, info.len());
        bytes
    }

    /// A program with the given loader and libraries.
    pub fn program(interpreter: &str, needed: &[&str]) -> Vec<u8> {
        const BASE: usize = 0x40_0000;
        let segments_at = 64;
        let strings_at = segments_at + 3 * 56;
        let mut strings = vec![0];
        let mut offsets = Vec::new();
        for name in [interpreter].iter().chain(needed) {
            offsets.push(strings.len());
            strings.extend(name.bytes().chain([0]));
        }
        let dynamic_at = strings_at + strings.len();
        let dynamic_size = (needed.len() + 2) * 16;
        let mut bytes = header(dynamic_at + dynamic_size);
        bytes[strings_at..dynamic_at].copy_from_slice(&strings);
        for (index, offset) in offsets[1..].iter().enumerate() {
            put(&mut bytes, dynamic_at + index * 16, 8, 1);
            put(&mut bytes, dynamic_at + index * 16 + 8, 8, *offset);
        }
        put(&mut bytes, dynamic_at + needed.len() * 16, 8, 5);
        put(
            &mut bytes,
            dynamic_at + needed.len() * 16 + 8,
            8,
            BASE + strings_at,
        );
        put(&mut bytes, 0x20, 8, segments_at);
        put(&mut bytes, 0x36, 2, 56);
        put(&mut bytes, 0x38, 2, 3);
        let total = bytes.len();
        for (index, (kind, offset, size)) in [
            (1, 0, total),
            (2, dynamic_at, dynamic_size),
            (3, strings_at + 1, interpreter.len() + 1),
        ]
        .into_iter()
        .enumerate()
        {
            let at = segments_at + index * 56;
            put(&mut bytes, at, 4, kind);
            put(&mut bytes, at + 8, 8, offset);
            put(&mut bytes, at + 16, 8, BASE + offset);
            put(&mut bytes, at + 32, 8, size);
        }
        bytes
    }

    /// A kernel with one note of the given owner and type.
    pub fn kernel(owner: &str, kind: usize) -> Vec<u8> {
        let notes_at = 64 + 56;
        let mut bytes = header(notes_at + 12 + 4 + 8);
        put(&mut bytes, 0x20, 8, 64);
        put(&mut bytes, 0x36, 2, 56);
        put(&mut bytes, 0x38, 2, 1);
        put(&mut bytes, 64, 4, 4);
        put(&mut bytes, 64 + 8, 8, notes_at);
        put(&mut bytes, 64 + 32, 8, 12 + 4 + 8);
        put(&mut bytes, 64 + 48, 8, 4);
        put(&mut bytes, notes_at, 4, owner.len() + 1);
        put(&mut bytes, notes_at + 4, 4, 8);
        put(&mut bytes, notes_at + 8, 4, kind);
        bytes[notes_at + 12..notes_at + 12 + owner.len()].copy_from_slice(owner.as_bytes());
        bytes
    }

    #[test]
    fn a_module_tells_its_dependencies() {
        let bytes = module(&["license=GPL", "depends=mii,ptp", "alias=pci:v1d2*"]);
        let elf = Elf::new(&bytes).expect("ELF");
        let info = elf.modinfo().expect("has .modinfo");
        assert_eq!(info[1], ("depends", "mii,ptp"));
        assert_eq!(info.len(), 3);
    }

    #[test]
    fn a_program_tells_loader_and_libraries() {
        let bytes = program("/lib64/ld.so", &["libz.so.1", "libc.so.6"]);
        let elf = Elf::new(&bytes).expect("ELF");
        assert_eq!(elf.interpreter(), Some("/lib64/ld.so"));
        assert_eq!(elf.needed(), Some(vec!["libz.so.1", "libc.so.6"]));
    }

    #[test]
    fn the_running_test_needs_a_c_library() {
        let bytes = std::fs::read("/proc/self/exe").expect("own program");
        let elf = Elf::new(&bytes).expect("ELF");
        assert!(elf.interpreter().is_some());
        assert!(elf.needed().expect("dynamic").contains(&"libc.so.6"));
        assert!(!elf.has_pvh_entry());
    }

    #[test]
    fn only_xens_entry_note_means_pvh() {
        let is_pvh = |bytes: Vec<u8>| Elf::new(&bytes).expect("ELF").has_pvh_entry();
        assert!(is_pvh(kernel("Xen", 18)));
        assert!(!is_pvh(kernel("Xen", 6)));
        assert!(!is_pvh(kernel("GNU", 18)));
    }

    #[test]
    fn cut_files_give_nothing_and_do_not_panic() {
        let whole = [
            module(&["depends=a"]),
            program("/ld", &["libc.so.6"]),
            kernel("Xen", 18),
        ];
        for bytes in whole {
            for end in 0..bytes.len() {
                if let Some(elf) = Elf::new(&bytes[..end]) {
                    let _ = (elf.modinfo(), elf.needed(), elf.interpreter());
                    let _ = elf.has_pvh_entry();
                }
            }
        }
        assert!(Elf::new(b"\x7fELF\x01\x01").is_none());
    }
}
