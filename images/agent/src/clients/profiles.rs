//! The table of clients.
//!
//! Option lists and their order are from two public collections of what was seen
//! on real networks: PRADS' `dhcp.fp` and lanmap2's `map-BOOTP-Fingerprint.sql`.
//! A client that had no lease before leaves option 50 out of its DISCOVER; so do
//! these. What is not certain is said at the profile.

/// How a client treats the UDP checksum of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sums {
    /// It adds up the whole datagram and throws away what does not add up, also
    /// when the kernel knows that the sum was left to an offload.
    Strict,
    /// It asks the kernel first (`PACKET_AUXDATA`) and takes a sum left to offload.
    Trusting,
    /// It does not look at sums.
    Careless,
}

/// What a client says in ARP once it has an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// Nothing before it has something to send.
    Nothing,
    /// A request for its own address from its own address.
    Gratuitous,
    /// A request for its own address from 0.0.0.0 (RFC 5227), then a gratuitous one.
    Probe,
}

/// One client. Options are given by their codes (RFC 2132) in the order of the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Profile {
    /// Stable name, `windows-2003`.
    pub name: &'static str,
    /// The systems that behave like this.
    pub system: &'static str,
    /// What it does with checksums.
    pub sums: Sums,
    /// Whether it asks for broadcast answers until it has an address.
    pub broadcast: bool,
    /// IP time to live.
    pub ttl: u8,
    /// IP type of service.
    pub tos: u8,
    /// Vendor class, option 60.
    pub vendor: &'static str,
    /// Parameter request list, option 55.
    pub list: &'static [u8],
    /// The same in an INFORM.
    pub inform_list: &'static [u8],
    /// Options of a DISCOVER.
    pub discover: &'static [u8],
    /// Options of a REQUEST for an offered address.
    pub request: &'static [u8],
    /// Options of a REQUEST that renews.
    pub renew: &'static [u8],
    /// Options of an INFORM; empty for a system that sends none.
    pub inform: &'static [u8],
    /// Options of a RELEASE.
    pub release: &'static [u8],
    /// What it says in ARP.
    pub claim: Claim,
    /// Least length of a message in bytes; shorter ones are padded with zeros.
    pub least: usize,
    /// IP identification of its first packet, and by how much it grows with each.
    pub ids: (u16, u16),
    /// The bits of that number that are others in each run.
    pub ids_vary: u16,
    /// Whether its packets may not be cut up.
    pub whole: bool,
    /// Whether it sends UDP without checksums.
    pub unsummed: bool,
    /// The boot file that it names; empty for none.
    pub boot_file: &'static str,
    /// Values of options that no other client has.
    pub own: &'static [(u8, &'static [u8])],
    /// The same of a REQUEST, where it says there otherwise than before.
    pub own_request: &'static [(u8, &'static [u8])],
    /// Milliseconds from one DISCOVER to the next where nobody answers, until it gives up; empty
    /// where that depends on the machine, or is not known.
    pub retries: &'static [u16],
    /// The cell of the matrix in which the software itself runs, against which the profile is
    /// held; empty for a client that is only played.
    pub cell: &'static str,
    /// Where the facts are from, and what is not certain.
    pub source: &'static str,
}

/// Least length of a BOOTP message (RFC 1542 2.1).
const BOOTP: usize = 300;

const WINDOWS: Profile = Profile {
    name: "",
    system: "",
    sums: Sums::Strict,
    broadcast: false,
    ttl: 128,
    tos: 0,
    vendor: "MSFT 5.0",
    list: &[1, 15, 3, 6, 44, 46, 47, 31, 33, 249, 43],
    inform_list: &[1, 15, 3, 6, 44, 46, 47, 31, 33, 249, 43, 252],
    discover: &[53, 116, 61, 12, 60, 55],
    request: &[53, 61, 50, 54, 12, 81, 60, 55],
    renew: &[53, 61, 12, 81, 60, 55],
    inform: &[53, 61, 12, 60, 55],
    release: &[53, 54, 61],
    claim: Claim::Gratuitous,
    least: BOOTP,
    ids: (0, 0),
    ids_vary: 0,
    whole: false,
    unsummed: false,
    boot_file: "",
    own: &[],
    own_request: &[],
    retries: &[],
    cell: "",
    source: "",
};

/// A boot loader: it takes a lease, and says nothing more about it.
const LOADER: Profile = Profile {
    ttl: 255,
    vendor: "",
    inform_list: &[],
    renew: &[],
    inform: &[],
    release: &[],
    claim: Claim::Nothing,
    ..WINDOWS
};

const UBOOT: Profile = Profile {
    sums: Sums::Careless,
    vendor: "U-Boot",
    discover: &[53, 57, 94, 60, 55],
    request: &[53, 57, 54, 50, 94, 60, 55],
    ids: (0, 1),
    whole: true,
    unsummed: true,
    // An undefined network interface of version 0.0 (RFC 4578 2.2).
    own: &[(94, &[1, 0, 0])],
    ..LOADER
};

/// What iPXE says of itself: its version of the script language, its NIC (PCI 1022:2000, which is
/// pcnet) and what it can do.
const IPXE_FEATURES: &[u8] = &[
    0xb1, 0x05, 0x01, 0x10, 0x22, 0x20, 0x00, 0xeb, 0x03, 0x01, 0x00, 0x00, 0x17, 0x01, 0x01, 0x22,
    0x01, 0x01, 0x13, 0x01, 0x01, 0x11, 0x01, 0x01, 0x27, 0x01, 0x01, 0x19, 0x01, 0x01, 0x29, 0x01,
    0x01, 0x10, 0x01, 0x02, 0x21, 0x01, 0x01, 0x15, 0x01, 0x01, 0x18, 0x01, 0x01, 0x1b, 0x01, 0x01,
    0x12, 0x01, 0x01,
];

/// What all DHCP clients of EDK2 have in common.
const EDK2: Profile = Profile {
    broadcast: true,
    ttl: 64,
    least: 0,
    ids: (0, 1),
    ids_vary: 0xffff,
    ..LOADER
};

const ISC: Profile = Profile {
    vendor: "",
    inform_list: &[],
    inform: &[],
    // IPTOS_LOWDELAY, seen in captures of every dhclient.
    tos: 0x10,
    ..WINDOWS
};

/// All clients, in the order in which they are played and printed.
pub const PROFILES: &[Profile] = &[
    Profile {
        name: "windows-2003",
        system: "Windows Server 2003 and XP",
        source: "lanmap2 WinNT5.2, PRADS Windows XP SP3; broadcast flag clear: Microsoft KB 928233; \
                 gratuitous ARP: KB 199773 (one, where a statically addressed NT sends three); strict: \
                 UDP sums are checked in the stack, and virtio-win issue 1630 shows DHCP failing on one \
                 left to offload",
        ..WINDOWS
    },
    Profile {
        name: "windows-vista",
        system: "Windows Vista and Server 2008",
        broadcast: true,
        list: &[1, 15, 3, 6, 44, 46, 47, 31, 33, 121, 249, 43],
        inform_list: &[1, 15, 3, 6, 44, 46, 47, 31, 33, 121, 249, 43, 252],
        claim: Claim::Probe,
        source: "lanmap2 WinNT6; broadcast flag set: Microsoft KB 928233; probe from 0.0.0.0: RFC 5227, \
                 known from switches that take it for a duplicate",
        ..WINDOWS
    },
    Profile {
        name: "windows-98",
        system: "Windows 98",
        vendor: "MSFT 98",
        list: &[1, 15, 3, 6, 44, 46, 47, 43, 77],
        discover: &[53, 61, 12, 60, 55],
        renew: &[53, 61, 12, 60, 55],
        inform_list: &[],
        inform: &[],
        source: "PRADS Windows 98 SE, its renewal that of ME; not certain: the broadcast flag (servers such as \
                 FreeRADIUS broadcast to MSFT 98 whatever it says) and the RELEASE, taken from Windows 2000",
        ..WINDOWS
    },
    Profile {
        name: "rhel5-dhclient",
        system: "RHEL 5 (dhclient 3)",
        ttl: 16,
        list: &[1, 28, 2, 3, 15, 6, 12, 40, 41, 42],
        discover: &[53, 55],
        request: &[53, 54, 50, 55],
        renew: &[53, 55],
        release: &[53, 54],
        claim: Claim::Probe,
        source: "PRADS RedHat 4 to Fedora 5; strict: libvirt commit 3855f9fb and QEMU's \
                 work_around_broken_dhclient; not certain: the probe (arping -D in dhclient-script), and \
                 that Red Hat's own builds lack Fedora's checksum patch",
        ..ISC
    },
    Profile {
        name: "busybox",
        system: "busybox udhcpc",
        sums: Sums::Trusting,
        ttl: 64,
        tos: 0,
        vendor: "udhcp 1.15.3",
        list: &[1, 3, 6, 12, 15, 17, 28, 42],
        discover: &[53, 61, 60, 57, 55],
        request: &[53, 61, 60, 50, 54, 55],
        renew: &[53, 61, 60, 55],
        release: &[53, 61, 54],
        claim: Claim::Nothing,
        source: "PRADS udhcp 1.15.3; trusting: networking/udhcp/dhcpc.c asks for PACKET_AUXDATA, which CirrOS' \
                 older one does not (projectcalico/felix issue 40); not certain: the padding, newer ones fill \
                 548 bytes",
        ..ISC
    },
    Profile {
        name: "dhclient-4",
        system: "Debian, Ubuntu (dhclient 4)",
        sums: Sums::Trusting,
        list: &[1, 28, 2, 3, 15, 6, 119, 12, 44, 47, 26, 121, 42],
        discover: &[53, 12, 55],
        request: &[53, 54, 50, 12, 55],
        renew: &[53, 12, 55],
        release: &[53, 54, 12],
        claim: Claim::Nothing,
        source: "PRADS Ubuntu 10.04; trusting since 2014 (projectcalico/calico pull request 6857)",
        ..ISC
    },
    Profile {
        name: "grub",
        system: "GRUB",
        discover: &[53],
        request: &[53, 54, 50, 55],
        list: &[1, 3, 6, 15, 12, 17, 18, 60],
        ids: (9217, 1),
        retries: &[400, 800, 1600, 3200],
        cell: "grub/pcnet",
        source: "Debian 12's GRUB 2.06, captured in its own cell, and its net/bootp.c; `secs`, which it \
                 takes from its clock, is left out",
        ..LOADER
    },
    Profile {
        name: "u-boot",
        system: "U-Boot (x86)",
        list: &[1, 3, 6, 12, 13, 17],
        boot_file: "bzImage",
        cell: "uboot/virtio-non-transitional",
        source: "Debian 12's U-Boot 2023.01 for machine pc, captured in its own cell",
        ..UBOOT
    },
    Profile {
        name: "u-boot-malta",
        system: "U-Boot (MIPS)",
        list: &[1, 3, 6, 12, 17],
        cell: "uboot/pcnet",
        source: "Debian 12's U-Boot 2023.01 for MIPS Malta, captured in its own cell",
        ..UBOOT
    },
    Profile {
        name: "ipxe",
        system: "iPXE",
        ttl: 64,
        vendor: "PXEClient:Arch:00000:UNDI:002001",
        list: &[
            1, 3, 6, 7, 12, 15, 17, 26, 43, 60, 66, 67, 119, 128, 129, 130, 131, 132, 133, 134,
            135, 175, 203,
        ],
        discover: &[53, 57, 93, 94, 60, 77, 55, 175, 61, 97],
        request: &[53, 57, 93, 94, 60, 77, 55, 175, 61, 97, 54, 50],
        least: 0,
        ids: (0x0100, 0x0101),
        // How many frames it has heard.
        ids_vary: 0x00ff,
        own: &[
            (57, &[0x05, 0xc0]),
            (93, &[0, 0]),
            (94, &[1, 2, 1]),
            (77, b"iPXE"),
            (175, IPXE_FEATURES),
            (97, &[0; 17]),
        ],
        cell: "ipxe/pcnet",
        source: "Debian 12's iPXE 1.0.0+git-20190125, captured in its own cell; `secs` and the UUID of \
                 option 97 are left out; it asks for broadcast answers once it has had an address, which \
                 is not played",
        ..LOADER
    },
    Profile {
        name: "edk2",
        system: "EDK2 (UEFI shell)",
        list: &[1, 3, 6],
        discover: &[53, 57, 55],
        request: &[53, 54, 50, 57, 55],
        own: &[(57, &[0xff, 0x00])],
        cell: "edk2/virtio",
        source: "Debian 12's EDK2 2022.11, captured in its own cell; it draws its first IP identification, and \
                 collects offers for 4 s, which is not played",
        ..EDK2
    },
    Profile {
        name: "edk2-pxe",
        system: "EDK2 (PXE)",
        vendor: "PXEClient:Arch:00007:UNDI:003000",
        list: &[
            1, 2, 3, 4, 5, 6, 12, 13, 15, 17, 18, 22, 23, 28, 40, 41, 42, 43, 50, 51, 54, 58, 59,
            60, 66, 67, 97, 128, 129, 130, 131, 132, 133, 134, 135,
        ],
        discover: &[53, 57, 55, 97, 94, 93, 60],
        request: &[53, 54, 50, 57, 55, 97, 94, 93, 60],
        own: &[
            (57, &[0x05, 0xc0]),
            (97, &[0; 17]),
            (94, &[1, 3, 0]),
            (93, &[0, 7]),
        ],
        own_request: &[(57, &[0xff, 0x00])],
        cell: "edk2-pxe/virtio",
        source: "Debian 12's EDK2 2022.11, captured in its own cell; as its shell's, and the UUID of option 97 is \
                 left out",
        ..EDK2
    },
    Profile {
        name: "edk2-http",
        system: "EDK2 (HTTP boot)",
        vendor: "HTTPClient:Arch:00016:UNDI:003000",
        list: &[
            1, 2, 3, 4, 5, 6, 12, 13, 15, 17, 18, 22, 23, 28, 40, 41, 42, 43, 50, 51, 54, 58, 59,
            60, 235, 67, 97,
        ],
        discover: &[53, 57, 55, 97, 94, 93, 60],
        request: &[53, 54, 50, 57, 55, 97, 94, 93, 60],
        own: &[
            (57, &[0x05, 0xc0]),
            (97, &[0; 17]),
            (94, &[1, 3, 0]),
            (93, &[0, 16]),
        ],
        cell: "edk2-http/virtio",
        source: "Debian 12's EDK2 2022.11, captured in its own cell; as its PXE client's",
        ..EDK2
    },
];

/// The client of this name.
pub fn profile(name: &str) -> Option<&'static Profile> {
    PROFILES.iter().find(|profile| profile.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_every_fact_has_a_source() {
        for (at, one) in PROFILES.iter().enumerate() {
            assert_eq!(profile(one.name), Some(&PROFILES[at]));
            assert!(!one.system.is_empty() && !one.source.is_empty());
        }
    }

    /// RFC 2131 table 5: what each message must and must not carry.
    #[test]
    fn messages_carry_what_the_standard_wants() {
        for one in PROFILES {
            let name = one.name;
            let told = [one.discover, one.request, one.renew, one.release];
            for options in told.into_iter().filter(|options| !options.is_empty()) {
                assert_eq!(options.first(), Some(&53), "{name}");
                assert!(!options.contains(&60) || !one.vendor.is_empty(), "{name}");
            }
            assert!(
                one.request.contains(&50) && one.request.contains(&54),
                "{name}"
            );
            assert!(
                !one.renew.contains(&50) && !one.renew.contains(&54),
                "{name}"
            );
            assert!(
                one.release.is_empty() || (one.release.contains(&54) && !one.release.contains(&50)),
                "{name}"
            );
            assert!(
                one.inform.is_empty() == one.inform_list.is_empty(),
                "{name}"
            );
            assert!(!one.inform.contains(&50), "{name}");
        }
    }
}
