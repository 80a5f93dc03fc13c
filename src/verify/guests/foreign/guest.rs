//! A foreign guest under QEMU, and what the sensors see it do.

use super::expected::{last, unmet};
use super::ledger::{Ledger, Owner, Proof};
use super::rows::Part;
use super::traffic::Judge;
use crate::frame::{Ip4, Link, Mac, Tag, ethertype};
use crate::guest::foreign::{Dhcp, ForeignImage, Format, Medium, Overlay};
use crate::guest::{
    DomainKind, DomainSpec, Drive, FilterRef, Interface, Machine, begin_silent, domain_xml,
    screen_path,
};
use crate::lab::{Slowness, image_path};
use crate::layout::mac;
use crate::layout::wan::WAN4;
use crate::probe::{Pass, Point};
use crate::verify::VerifyError;
use crate::verify::cell::CellContext;
use crate::verify::job::{CellPlan, ForeignSource};
use crate::verify::machine::{domain_name, interface};
use crate::verify::sentinels::{Pace, bound_from_outside};
use crate::verify::watch::{Marks, Sightings, Watch};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

/// How often it is checked that a guest which sends nothing still runs.
const LOOK: Duration = Duration::from_millis(500);

/// Longest wait for the guest's answers to the lab's hosts.
const ANSWER: Duration = Duration::from_secs(3);

/// Frames that leave the guest in this time before the filter is taken away are
/// not judged where only later frames prove what came before.
const IN_FLIGHT: Duration = Duration::from_secs(1);

/// A guest that is switched on.
pub struct ForeignGuest {
    /// The domain.
    pub machine: Machine,
    /// Where the sensors stood before its first frame.
    pub began: Marks,
    /// Freed after QEMU has ended: fields are dropped in this order.
    _overlay: Option<Overlay>,
}

/// What all parts of a cell share.
pub struct ForeignCell<'a> {
    /// What the cell is run with.
    pub context: &'a CellContext<'a>,
    /// Manifest and image.
    pub source: &'a ForeignSource,
    /// The image, held open.
    pub image: ForeignImage,
    plan: &'a CellPlan,
    /// The image as the lab shows it.
    file: PathBuf,
    owner: Owner<'a>,
    number: u8,
    run: u32,
}

impl<'a> ForeignCell<'a> {
    /// Opens the image of the guest with this name, which may have to be hashed.
    ///
    /// # Errors
    /// [`VerifyError::ForeignImage`] when it cannot be used.
    pub fn open(
        context: &'a CellContext<'a>,
        plan: &'a CellPlan,
        name: &str,
        number: u8,
    ) -> Result<Self, VerifyError> {
        let mut all = context.job.foreign.iter().enumerate();
        let found = all.find(|(_, source)| source.manifest.name == name);
        let (place, source) = found.ok_or_else(|| VerifyError::UnknownGuest(name.to_owned()))?;
        let file = image_path(place);
        // Some gigabytes may have to be hashed.
        let image = tokio::task::block_in_place(|| {
            ForeignImage::open(&source.manifest, &source.image, &file)
        });
        let lan = &context.lab.lan;
        Ok(Self {
            context,
            source,
            image: image.map_err(VerifyError::ForeignImage)?,
            plan,
            file,
            owner: Owner {
                judge: Judge {
                    policy: context.policy,
                    lan4: lan.lan4,
                    gateway: lan.gateway.v4,
                },
                mac: context.layout(plan, number).guest.mac,
                others: [
                    lan.gateway.v4.into(),
                    lan.peer.v4.into(),
                    lan.gateway.v6.into(),
                    lan.peer.v6.into(),
                ],
            },
            number,
            run: context.frame_number(plan),
        })
    }

    /// Switches a guest on whose disk is as the user left it. `know` hears of the domain,
    /// name and XML, and of the file that a picture of its screen is kept in.
    ///
    /// # Errors
    /// What libvirt or QEMU make of the domain, or why there is no overlay for its disk.
    pub async fn power_on(
        &self,
        filter: Option<FilterRef>,
        know: impl FnOnce((String, String), String),
    ) -> Result<ForeignGuest, VerifyError> {
        let manifest = &self.source.manifest;
        let overlay = match manifest.medium {
            Medium::Cdrom => None,
            Medium::Disk | Medium::Floppy => Some(Overlay::over(&self.file, self.image.format)?),
        };
        let drive = Drive {
            manifest,
            file: overlay
                .as_ref()
                .map_or_else(|| self.file.clone(), Overlay::path),
            format: overlay
                .as_ref()
                .map_or(self.image.format, |_| Format::Qcow2),
        };
        let name = domain_name(self.plan, self.number);
        let spec = DomainSpec {
            kind: DomainKind::Foreign(&drive),
            name: &name,
            nic: &self.plan.nic,
            accel: self.context.accel,
            image: self.context.image()?,
            nonce: "",
            shortcuts: self.context.job.shortcuts,
        };
        let interface = Interface {
            link: true,
            ..interface(self.context, self.plan, self.number, filter)
        };
        let domain = (name.clone(), domain_xml(&spec, Some(&interface)));
        know(domain, screen_path(&name));
        let began = Watch::marks(self.context.lab);
        Ok(ForeignGuest {
            machine: begin_silent(self.context.lab, &spec, &interface).await?,
            began,
            _overlay: overlay,
        })
    }

    /// Waits without the filter until the guest has done all that its manifest expects, and
    /// watches it for the rest of its time; its address.
    ///
    /// # Errors
    /// [`VerifyError::Silent`] or [`VerifyError::Halted`].
    pub async fn expected(
        &self,
        guest: &ForeignGuest,
        watch: &Watch<'_>,
    ) -> Result<Ipv4Addr, VerifyError> {
        let manifest = &self.source.manifest;
        let end = Instant::now() + self.deadline();
        let done = |ledger: &Ledger| unmet(manifest.expect, ledger, None).is_none();
        let ledger = self.until(guest, watch, end, done).await?;
        let bound = manifest.expect.dhcp == Dhcp::Any || ledger.is_bound();
        let Some(v4) = ledger.address.filter(|_| bound) else {
            guest.machine.screen();
            return Err(self.silent(&ledger));
        };
        let network = &self.context.lab.network;
        network.introduce(self.owner.mac, &[v4.into()])?;
        self.observe(guest, watch).await?;
        Ok(v4)
    }

    /// Watches the guest for as long as its manifest wants.
    ///
    /// # Errors
    /// [`VerifyError::Halted`] when it ends meanwhile.
    pub async fn observe(
        &self,
        guest: &ForeignGuest,
        watch: &Watch<'_>,
    ) -> Result<(), VerifyError> {
        let end = Instant::now() + self.source.manifest.observe_for();
        self.until(guest, watch, end, |_| false).await.map(drop)
    }

    /// Waits until the ledger is as wanted or the time is over; the ledger at that moment.
    ///
    /// # Errors
    /// [`VerifyError::Halted`] when the guest ends meanwhile.
    pub async fn until(
        &self,
        guest: &ForeignGuest,
        watch: &Watch<'_>,
        end: Instant,
        wanted: impl Fn(&Ledger) -> bool,
    ) -> Result<Ledger, VerifyError> {
        loop {
            let (sightings, marks) = watch.sightings();
            let ledger = Ledger::read(&self.owner, &sightings);
            if wanted(&ledger) || Instant::now() >= end {
                return Ok(ledger);
            }
            if let Some(why) = guest.machine.halted() {
                let last = last(&ledger);
                return Err(VerifyError::Halted { why, last });
            }
            let later = Watch::resume(self.context.lab, &guest.machine.tap, marks);
            let look = end.min(Instant::now() + LOOK);
            tokio::select! {
                _ = later.wait_for(Point::TapFromGuest, look, |_| true) => {}
                _ = later.wait_for(Point::TapToGuest, look, |_| true) => {}
            }
        }
    }

    /// Pings the guest from the WAN, has it answer the LAN's hosts, and gathers
    /// all that was seen since the watch began.
    ///
    /// # Errors
    /// When the lab's hosts cannot send.
    pub async fn part(
        &self,
        guest: &ForeignGuest,
        watch: &Watch<'_>,
        v4: Ipv4Addr,
        (pass, series): (Pass, u16),
    ) -> Result<(Part, Sightings), VerifyError> {
        let lab = self.context.lab;
        let tag = Tag {
            run: self.run,
            pass: pass.number(),
            index: series,
        };
        let echo = Ip4::new(WAN4, v4).echo(&tag.to_bytes());
        let frame = Link::new(mac::GATEWAY, self.owner.mac).frame(ethertype::IPV4, &echo);
        lab.gateway_sender.send(&frame)?;
        let layout = self.context.layout(self.plan, self.number);
        let layout = layout.with_guest_address(v4);
        let heard = Watch::start(lab, &guest.machine.tap);
        let series = (series, Pace::Answered);
        let bounds = bound_from_outside(lab, &layout, &heard, self.run, series).await?;
        let answered = answered(&heard, self.owner.mac, lab.slowness).await;
        let (sightings, _) = watch.sightings();
        let ledger = Ledger::read(&self.owner, &sightings);
        let fault = watch.fault();
        let at = |place| sightings.any(place, |frame| Tag::find(frame) == Some(tag));
        let part = Part {
            proof: Proof {
                until: ledger.proven().filter(|_| answered),
                wan: bounds.wan,
                sound: fault.is_none(),
            },
            from_gateway: bounds.from_gateway,
            ping: [at(Point::FromGateway), at(Point::TapToGuest)],
            fault,
            ledger,
        };
        Ok((part, sightings))
    }

    /// The manifest's deadline, stretched for a slow machine.
    pub fn deadline(&self) -> Duration {
        let longest = self.source.manifest.deadline();
        self.context.lab.slowness.stretch(longest)
    }

    /// Why a guest without an address proves nothing.
    fn silent(&self, ledger: &Ledger) -> VerifyError {
        let manifest = &self.source.manifest;
        let unmet = unmet(manifest.expect, ledger, None);
        VerifyError::Silent {
            seconds: self.deadline().as_secs(),
            expected: unmet.unwrap_or("an IPv4 address of the LAN"),
            last: last(ledger),
        }
    }
}

impl Part {
    /// Where the guest could not answer through the filter, its answers after the filter
    /// was removed prove that what it sent until about `end` had left it.
    pub fn prove_later(&mut self, later: &Self, end: u64, slowness: Slowness) {
        if !later.proof.sound {
            return;
        }
        let spare = u64::try_from(slowness.stretch(IN_FLIGHT).as_nanos()).unwrap_or(u64::MAX);
        let then = later.proof.until.map(|_| end.saturating_sub(spare));
        self.proof.until = self.proof.until.or(then);
        self.from_gateway |= later.from_gateway;
        self.proof.wan |= later.proof.wan;
    }
}

/// Whether both of the LAN's hosts receive frames of the guest.
async fn answered(heard: &Watch<'_>, mac: Mac, slowness: Slowness) -> bool {
    let end = Instant::now() + slowness.stretch(ANSWER);
    let from_guest = |frame: &[u8]| frame.get(6..12) == Some(&mac);
    heard.wait_for(Point::Peer, end, from_guest).await
        && heard.wait_for(Point::Gateway, end, from_guest).await
}

/// Nanoseconds since the epoch, as the kernel stamps frames.
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    })
}
