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
    source: "",
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
            for options in [one.discover, one.request, one.renew, one.release] {
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
                one.release.contains(&54) && !one.release.contains(&50),
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
