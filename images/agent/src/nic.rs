//! `Op::Nic`: loads a device's driver and sets it up.

use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use lanfence_agent::Answer;
use lanfence_frame::{Mac, link_local, parse_mac};

use crate::modules::Modules;
use crate::monitor::Monitor;
use crate::netlink::Netlink;
use crate::phy;
use crate::wait::{Deadline, ms_since};

/// How often the state is read without a notification, which every awaited change has.
const LOOK: Duration = Duration::from_millis(100);

/// A pause in which the kernel's workers run.
const PAUSE: Duration = Duration::from_millis(3);

/// Pauses without a notification after which a carrier counts as stale.
const STALE_PAUSES: u32 = 10;

/// This driver looks at the link when it is set up and then two seconds later, whatever
/// its interrupt says meanwhile: QEMU's device has negotiated half a second after the
/// driver has found it, and one that is set up by then has its carrier at once.
const SLOW_TO_LOOK: &str = "e1000";

/// Longest wait for the negotiation; without a link the device is set up all the same.
const NEGOTIATION: Duration = Duration::from_secs(2);

/// The kernel's own choice.
const LINK_LOCAL_PREFIX: u8 = 64;

const NET: &str = "/sys/class/net";

/// Waits for the device with this MAC, loading its driver when its PCI device
/// shows up, sets it up and waits until it can send.
pub fn bring_up(
    modules: &mut Modules,
    netlink: &mut Netlink,
    mac: &str,
    deadline_ms: u64,
) -> Result<Answer, String> {
    let start = Instant::now();
    let deadline = Deadline::in_ms(deadline_ms);
    let octets = parse_mac(mac).ok_or_else(|| format!("not a MAC address: {mac}"))?;
    let monitor = Monitor::open()?;
    let found = device_with(modules, netlink, &monitor, octets, deadline)?;
    let (index, dev) = found.ok_or_else(|| {
        let problems = modules.problems();
        format!("no network device with MAC {mac} within {deadline_ms} ms{problems}")
    })?;
    await_driver(&dev)?;
    if driver_of(&dev) == SLOW_TO_LOOK {
        phy::await_link(&dev, Deadline::after(NEGOTIATION))?;
    }
    netlink
        .set_up(index)
        .map_err(|error| format!("{dev} with driver {}: {error}", driver_of(&dev)))?;
    let mut device = Device {
        netlink,
        index,
        name: &dev,
        link_local: link_local(octets).into(),
    };
    if !device.can_send_within(deadline, &monitor)? {
        return Err(format!(
            "{dev} with driver {} has no carrier within {deadline_ms} ms",
            driver_of(&dev)
        ));
    }
    Ok(Answer::Nic {
        driver: driver_of(&dev),
        link_local: device.link_local,
        carrier_ms: ms_since(start),
        dev,
    })
}

/// Index and name of the device with this MAC, once it is there.
fn device_with(
    modules: &mut Modules,
    netlink: &mut Netlink,
    monitor: &Monitor,
    mac: Mac,
    deadline: Deadline,
) -> Result<Option<(u32, String)>, String> {
    loop {
        let last = deadline.passed();
        // The monitor tells of network devices, and a PCI device is none before its driver is there.
        let step = if modules.load_present() { PAUSE } else { LOOK };
        let found = netlink.link_by_mac(mac)?;
        if found.is_some() || last {
            return Ok(found);
        }
        monitor.wait(step.min(deadline.left()))?;
    }
}

/// Waits until the driver has finished with a new device. The kernel announces a link
/// while its driver still works on it, and e100 allocates last what it needs to be set
/// up: without this wait its guest panicked in 3 cells of 26. Writing to
/// this file takes the lock that is held until then, and what is written is there
/// already. The host bounds the wait, as it does every request's.
fn await_driver(dev: &str) -> Result<(), String> {
    let device = Path::new(NET).join(dev).join("device");
    // The interface of a USB device has no such file, but the device has.
    let files = ["power/control", "../power/control"].map(|file| device.join(file));
    let file = files.iter().find(|file| file.exists());
    let Some(file) = file else {
        return Ok(());
    };
    std::fs::read(file)
        .and_then(|setting| std::fs::write(file, setting))
        .map_err(|error| format!("cannot wait for the driver of {dev}: {error}"))
}

/// A device that is being set up.
struct Device<'a> {
    netlink: &'a mut Netlink,
    index: u32,
    name: &'a str,
    link_local: IpAddr,
}

/// How far a device is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// It has no carrier.
    Silent,
    /// It has one, and the kernel does not call it running.
    Stale,
    /// It runs, and has no address yet.
    Running,
    /// It can send.
    Usable,
}

impl Device<'_> {
    /// A carrier alone is not enough: when it comes after the device was set up, the
    /// queue in front of the driver swallows every frame until the kernel's link
    /// watcher has run. The kernel assigns the link-local address once that queue
    /// works, so its presence is the proof.
    ///
    /// When the carrier was there first, the queue works from the start, but the
    /// watcher, which handles such changes once a second only, leaves the device not
    /// "running" meanwhile (virtio, vmxnet3). Changes that a queue depends on it handles at
    /// once; so a carrier without a notification after [`STALE_PAUSES`] is of this kind,
    /// and the address is given here instead.
    fn can_send_within(&mut self, deadline: Deadline, monitor: &Monitor) -> Result<bool, String> {
        let mut quiet = 0;
        loop {
            let last = deadline.passed();
            let stage = self.stage()?;
            if stage == Stage::Usable || last {
                return Ok(stage == Stage::Usable);
            }
            if stage == Stage::Silent {
                quiet = 0;
            }
            let step = if stage == Stage::Stale { PAUSE } else { LOOK };
            let notified = monitor.wait(step.min(deadline.left()))?;
            if stage == Stage::Stale && !notified {
                quiet += 1;
                if quiet == STALE_PAUSES {
                    self.netlink
                        .add_address(self.index, self.link_local, LINK_LOCAL_PREFIX)?;
                }
            }
        }
    }

    fn stage(&mut self) -> Result<Stage, String> {
        let link = self.netlink.link(self.index, self.name)?;
        if !link.carrier {
            return Ok(Stage::Silent);
        }
        let addresses = self.netlink.addresses(self.index)?;
        let usable = addresses
            .iter()
            .any(|address| address.ip == self.link_local && !address.tentative);
        Ok(match (usable, link.running) {
            (true, _) => Stage::Usable,
            (false, true) => Stage::Running,
            (false, false) => Stage::Stale,
        })
    }
}

fn driver_of(dev: &str) -> String {
    std::fs::read_link(Path::new(NET).join(dev).join("device/driver"))
        .ok()
        .and_then(|path| path.file_name()?.to_str().map(str::to_owned))
        .unwrap_or_else(|| "unknown".to_owned())
}
