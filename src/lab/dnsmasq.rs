//! DHCP and DNS on the router: the real dnsmasq.

use super::daemon::Daemon;
use super::error::LabError;
use super::netns::Netns;
use super::paths::STATE;
use super::slowness::Slowness;
use crate::frame::mac_text;
use crate::layout::wan::WAN4;
use crate::layout::{Lan, mac};
use std::process::Command;
use std::time::Duration;

/// A domain that dnsmasq answers for; every name in it is on the WAN.
pub const DOMAIN: &str = "lanfence.test";

/// What old and new guests look up by themselves: clocks, connectivity checks,
/// updates. They are on the WAN too, so that a guest goes on to try to reach them.
const SOUGHT: [&str; 8] = [
    "windows.com",
    "microsoft.com",
    "msftncsi.com",
    "msftconnecttest.com",
    "windowsupdate.com",
    "ntp.org",
    "reactos.org",
    "freedos.org",
];

/// dnsmasq's mark of PXE clients of UEFI on x86-64 (RFC 4578 2.1).
const UEFI: &str = "uefi";

/// Starts it. It is ready once its DHCP socket is bound; see [`ready`].
pub fn start(lan: &Lan, gateway: &Netns) -> Result<Daemon, LabError> {
    let mut command = Command::new("dnsmasq");
    command
        .args([
            "--keep-in-foreground",
            "--conf-file=/dev/null",
            "--user=root",
            "--group=root",
            "--pid-file=",
        ])
        .args([
            "--interface=eth0",
            "--bind-interfaces",
            "--except-interface=lo",
        ])
        .args([
            "--no-resolv",
            "--no-hosts",
            "--no-ping",
            "--dhcp-authoritative",
            "--log-dhcp",
            "--log-facility=-",
        ])
        .arg(format!("--dhcp-leasefile={STATE}/leases"))
        .arg(format!(
            "--dhcp-range={},{},{},1h",
            lan.leases.0,
            lan.leases.1,
            lan.lan4.netmask()
        ))
        .args(reservations(lan))
        .arg(format!("--dhcp-option=option:router,{}", lan.gateway.v4))
        // A BOOTP lease never ends, and would outlive the guest whose number begins anew.
        .arg("--dhcp-ignore=tag:bootp")
        // Tells iPXE, which alone asks for it, not to wait seconds for a second server.
        .arg("--dhcp-option=encap:175,176,1b")
        // EDK2's PXE client takes no offer that names no file (`PxeBcSelectDhcp4Offer` in its
        // NetworkPkg/UefiPxeBcDxe/PxeBcDhcp4.c); it is told one, and fetches others.
        .arg(format!(
            "--dhcp-vendorclass=set:{UEFI},PXEClient:Arch:00007"
        ))
        .arg(format!("--dhcp-boot=tag:{UEFI},boot.efi"))
        // What it does not know it asks the WAN, as a home router does.
        .arg(format!("--server={WAN4}"))
        .arg(format!("--address=/{DOMAIN}/{}/{WAN4}", SOUGHT.join("/")));
    Daemon::start("dnsmasq", Some(gateway), &mut command)
}

/// The addresses that are kept for the guests, as arguments. Guests that share one are listed
/// together and in full: dnsmasq then takes the address from the one for the next.
fn reservations(lan: &Lan) -> Vec<String> {
    let numbers = 1..=lan.guests();
    let Some(address) = lan.guest else {
        return numbers.map(|number| reservation(lan, number)).collect();
    };
    let of = |octet| {
        let macs = numbers
            .clone()
            .map(move |number| mac::guest(number, Some(octet)));
        macs.map(mac_text)
    };
    let mut macs: Vec<String> = mac::FIRST_OCTETS.into_iter().flat_map(of).collect();
    macs.extend(lan.guest_mac.map(mac_text));
    vec![format!("--dhcp-host={},{address}", macs.join(","))]
}

/// The address that is kept for a guest. A few NIC models replace the first octet of
/// the MAC, which does not make another guest of it.
fn reservation(lan: &Lan, number: u8) -> String {
    let [_, rest @ ..] = mac::guest(number, None).map(|octet| format!(":{octet:02x}"));
    format!("--dhcp-host=*{},{}", rest.concat(), lan.lease(number))
}

/// Longest wait for dnsmasq's sockets, which takes tens of milliseconds on an idle machine.
const START: Duration = Duration::from_secs(10);

/// Waits until the DHCP server's socket is there.
///
/// # Errors
/// [`LabError`] when dnsmasq ends before, or takes too long.
pub async fn until_ready(
    dnsmasq: &Daemon,
    gateway: &Netns,
    slowness: Slowness,
) -> Result<(), LabError> {
    let wait = ("dnsmasq's DHCP socket", START);
    dnsmasq.until(wait, slowness, || ready(gateway)).await
}

/// Whether the DHCP server's socket is there (UDP port 67 in /proc/net/udp).
fn ready(gateway: &Netns) -> bool {
    gateway
        .run(|| std::fs::read_to_string("/proc/thread-self/net/udp"))
        .is_ok_and(|table| {
            table.is_ok_and(|table| table.lines().any(|line| line.contains(":0043 ")))
        })
}
