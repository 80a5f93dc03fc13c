//! A small program for the firmware, which asks its PXE client and its HTTP boot client for what
//! they do at a boot: to take a lease, and to fetch a file. Nothing in EDK2's shell does that.

use std::net::Ipv4Addr;

/// What the program is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deed {
    /// The PXE client takes a lease, or goes on with the address and mask that are kept for it.
    Lease(Ipv4Addr, Ipv4Addr),
    /// The PXE client fetches the file that the last word of the command line names.
    Fetch(Ipv4Addr),
    /// The PXE client ends, so that others can have the address.
    Stop,
    /// The HTTP boot client takes a lease and fetches the page that the last word names.
    Web(Ipv4Addr),
}

#[cfg(target_arch = "x86_64")]
std::arch::global_asm!(include_str!("program.s"));

#[cfg(target_arch = "x86_64")]
unsafe extern "C" {
    static lanfence_edk2_program: u8;
    static lanfence_edk2_program_end: u8;
}

/// The machine code with room for its data at the end. Where lanfence itself is not built for the
/// machine that the firmware runs on there is the room alone: nothing is asked, and so nothing proven.
fn code() -> Vec<u8> {
    #[cfg(target_arch = "x86_64")]
    {
        let begin = &raw const lanfence_edk2_program;
        let end = &raw const lanfence_edk2_program_end;
        // SAFETY: `program.s` puts both into one section of read-only data, one behind the other.
        unsafe {
            let length = end.offset_from_unsigned(begin);
            std::slice::from_raw_parts(begin, length).to_vec()
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    vec![0; DATA]
}

/// Bytes of the data at the end of the code, and where its parts begin.
const DATA: usize = 120;
const SERVER: usize = 8;
const ADDRESS: usize = 24;
const MASK: usize = 40;
const BEFORE: usize = 56;

/// The program as a file.
pub fn file(deed: &Deed) -> Vec<u8> {
    let mut code = code();
    let begin = code.len().saturating_sub(DATA);
    let data = &mut code[begin..];
    let mut put = |at: usize, bytes: &[u8]| data[at..at + bytes.len()].copy_from_slice(bytes);
    match deed {
        Deed::Lease(address, mask) => {
            put(0, &[0]);
            put(ADDRESS, &address.octets());
            put(MASK, &mask.octets());
        }
        Deed::Fetch(server) => {
            put(0, &[1]);
            put(SERVER, &server.octets());
        }
        Deed::Stop => put(0, &[2]),
        Deed::Web(server) => {
            put(0, &[3]);
            put(BEFORE, format!("http://{server}/").as_bytes());
        }
    }
    executable(&code)
}

/// Alignment of a section in memory and in the file, both as small as can be.
const PAGE: u32 = 0x1000;
const BLOCK: u32 = 0x200;

/// An image of UEFI with this code in its one section, which begins with the entry point
/// (Microsoft's "PE Format": the fields are in its order).
fn executable(code: &[u8]) -> Vec<u8> {
    let length = u32::try_from(code.len()).expect("a short program");
    let on_disk = length.next_multiple_of(BLOCK);
    let mut file = vec![0; 0x40];
    file[..2].copy_from_slice(b"MZ");
    file[0x3c] = 0x40;
    let mut put = |bytes: &[u8]| file.extend(bytes);
    put(b"PE\0\0");
    // x86-64, one section; no symbols; executable, for large addresses.
    put(&[0x64, 0x86, 1, 0]);
    put(&[0; 12]);
    put(&[0xf0, 0, 0x22, 0]);
    // PE32+, of no linker; sizes of code and data; entry point, base of the code, image base.
    put(&[0x0b, 0x02, 0, 0]);
    for size in [on_disk, 0, 0, PAGE, PAGE, 0, 0, PAGE, BLOCK] {
        put(&size.to_le_bytes());
    }
    put(&[0; 16]);
    let in_memory = PAGE + length.next_multiple_of(PAGE);
    for size in [in_memory, BLOCK, 0] {
        put(&size.to_le_bytes());
    }
    // An application of UEFI; stack and heap are the firmware's; sixteen directories, all empty.
    put(&[10, 0, 0, 0]);
    put(&[0; 36]);
    put(&16_u32.to_le_bytes());
    put(&[0; 16 * 8]);
    put(b".text\0\0\0");
    for size in [length, PAGE, on_disk, BLOCK, 0, 0, 0] {
        put(&size.to_le_bytes());
    }
    // Code that is executed and read.
    put(&0x6000_0020_u32.to_le_bytes());
    file.resize(BLOCK as usize, 0);
    file.extend(code);
    file.resize((BLOCK + on_disk) as usize, 0);
    file
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;

    const SERVER_ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 10);

    #[test]
    fn what_differs_between_deeds_is_in_the_data_alone() {
        let deeds = [
            Deed::Lease(SERVER_ADDRESS, Ipv4Addr::BROADCAST),
            Deed::Fetch(SERVER_ADDRESS),
            Deed::Stop,
            Deed::Web(SERVER_ADDRESS),
        ];
        let data = BLOCK as usize + code().len() - DATA;
        let files = deeds.map(|deed| file(&deed));
        for (place, file) in files.iter().enumerate() {
            assert_eq!(file[..data], files[0][..data]);
            assert_eq!(usize::from(file[data]), place);
        }
        let text = String::from_utf8_lossy(&files[3]);
        assert!(text.contains("http://192.168.1.10/\0"));
    }

    #[test]
    fn the_image_is_one_section_that_fits() {
        let file = file(&Deed::Stop);
        let word = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().expect("four"));
        assert_eq!(&file[0x40..0x46], b"PE\0\0\x64\x86");
        // The size of the optional header leads to the table of sections.
        let section = 0x58 + usize::from(file[0x54]);
        assert_eq!(&file[section..section + 5], b".text");
        assert_eq!(word(section + 8) as usize, code().len());
        let (length, begin) = (word(section + 16), word(section + 20));
        assert_eq!((begin + length) as usize, file.len());
        // Entry point, alignments, sizes of image and headers.
        assert_eq!(word(0x58 + 16), word(section + 12));
        assert_eq!((word(0x58 + 32), word(0x58 + 36)), (PAGE, BLOCK));
        assert_eq!((word(0x58 + 56), word(0x58 + 60)), (2 * PAGE, BLOCK));
    }
}
