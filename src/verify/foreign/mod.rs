//! The cell of a foreign guest: it runs without the filter, with it, without it
//! again, and once more from the start with the filter there before its first
//! frame. Nothing in it can be asked; sensors tell what it did, by kind of traffic.
//!
//! What bounds an absence is the guest's own answer: the lab's hosts ask it (ARP,
//! ping), and what it answers has left it after everything that is judged.

mod ledger;
mod rows;
mod traffic;

use super::assess::leak_check_passed;
use super::cell::inject;
use super::evidence::Own;
use super::job::{Foreign, InjectedFault};
use super::pass::{AFTER_FIRST_FRAME, Pace, bound_from_outside};
use super::running::CellRun;
use super::watch::{Marks, Sightings, Watch};
use super::{VerifyError, bind};
use crate::frame::{Ip4, Link, Mac, Tag, ethertype};
use crate::guest::foreign::{Arp, Broadcast, Dhcp, ForeignImage, Format, Medium, Overlay, Wan};
use crate::guest::{
    DomainSpec, Drive, FilterRef, Interface, Kind, Machine, begin_silent, domain_xml, screen_path,
};
use crate::lab::{image_path, ruleset};
use crate::layout::mac;
use crate::layout::wan::WAN4;
use crate::probe::Pass;
use crate::probe::{Group, Point};
use crate::report::model::Step;
use ledger::{Ledger, Owner, Proof};
use rows::{Part, Parts, rows};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};
use traffic::Judge;

/// How often a guest that sends nothing is looked at: does it still run?
const LOOK: Duration = Duration::from_millis(500);

/// Longest wait for the guest's answers to the lab's hosts.
const ANSWER: Duration = Duration::from_secs(3);

/// Frames that leave the guest in this time before the filter is taken away are
/// not judged where only later frames prove what came before.
const IN_FLIGHT: Duration = Duration::from_secs(1);

/// A guest that is switched on.
struct On {
    machine: Machine,
    began: Marks,
    /// Freed after QEMU has ended: fields are dropped in this order.
    _overlay: Option<Overlay>,
}

/// What all parts of a cell share.
struct Case<'a> {
    foreign: &'a Foreign,
    image: ForeignImage,
    /// The image as the lab shows it.
    file: PathBuf,
    owner: Owner<'a>,
    number: u8,
    run: u32,
}

/// What the bundle of evidence is made of.
#[derive(Default)]
struct Traces {
    sightings: Vec<Sightings>,
    /// The kernel's rules while the filter was bound.
    rules: String,
}

impl<'a> CellRun<'a> {
    /// The whole life of the foreign guest at this place of the job's list.
    pub(super) async fn through_foreign(
        &mut self,
        place: usize,
        number: u8,
    ) -> Result<(), VerifyError> {
        self.enter(Step::Image);
        let case = self.case(place, number)?;
        let mut seen = Traces::default();
        let ended = self.life(&case, &mut seen).await;
        let passes: Vec<_> = seen.sightings.iter().map(|seen| (seen, &[][..])).collect();
        let changed = case.image.unchanged();
        if ended.is_err() || changed.is_err() {
            self.cell.leak_check = None;
        }
        self.keep(&seen.rules, &passes);
        ended?;
        changed.map_err(|error| VerifyError::Cell(error.to_string()))
    }

    fn case(&self, place: usize, number: u8) -> Result<Case<'a>, VerifyError> {
        let context = self.context;
        let foreign = &context.job.foreign[place];
        let file = image_path(place);
        // Some gigabytes may have to be hashed.
        let image = tokio::task::block_in_place(|| {
            ForeignImage::open(&foreign.manifest, &foreign.image, &file)
        });
        let lan = &context.lab.lan;
        Ok(Case {
            foreign,
            image: image.map_err(|error| VerifyError::Usage(error.to_string()))?,
            file,
            owner: Owner {
                judge: Judge {
                    policy: context.policy,
                    lan4: lan.lan4,
                    gateway: lan.gateway.v4,
                },
                mac: self.layout(number).guest.mac,
                others: [
                    lan.gateway.v4.into(),
                    lan.peer.v4.into(),
                    lan.gateway.v6.into(),
                    lan.peer.v6.into(),
                ],
            },
            number,
            run: super::random(),
        })
    }

    async fn life(&mut self, case: &Case<'_>, seen: &mut Traces) -> Result<(), VerifyError> {
        self.enter(Step::Boot);
        let mut on = self.power_on(case, None).await?;
        self.enter(Step::Control);
        let (v4, control) = self.control(case, &on, seen).await?;
        self.enter(Step::Bind);
        bind::bind(self.context, &mut on.machine, v4)?;
        inject(self.context, &mut on.machine)?;
        self.enter(Step::Filtered);
        let mut filtered = self.linger(case, &on, v4, Pass::Filtered, seen).await?;
        seen.rules = ruleset::evidence();
        self.enter(Step::Unbind);
        let end = now();
        on.machine.set_filter(None)?;
        self.enter(Step::LeakCheck);
        let leak_check = self.linger(case, &on, v4, Pass::LeakCheck, seen).await;
        self.describe(on.machine.xml());
        // The same MAC and tap come again, so this guest must have ended.
        drop(on);
        if let Ok(leak_check) = &leak_check {
            filtered.prove_later(leak_check, end);
        }
        let (leak_check, mut stopped) = match leak_check {
            Ok(leak_check) => (Some(leak_check), None),
            Err(error) => (None, Some(error)),
        };
        let mut first_frame = None;
        if stopped.is_none() && self.plan.attach.before_first_frame() {
            // An error here must not hide what the other parts have shown.
            match self.fresh_start(case, v4, &control, seen).await {
                Ok(part) => first_frame = part,
                Err(error) => stopped = Some(error),
            }
        }
        let parts = Parts {
            control: &control,
            filtered: &filtered,
            leak_check: leak_check.as_ref(),
            first_frame: first_frame.as_ref(),
        };
        let expect = case.foreign.manifest.expect;
        self.cell.probes = rows(&parts, expect, self.context.policy);
        self.cell.leak_check = leak_check
            .is_some()
            .then(|| leak_check_passed(&self.cell.probes));
        stopped.map_or(Ok(()), Err)
    }

    /// Switches a guest on whose disk is as the user left it.
    async fn power_on(
        &mut self,
        case: &Case<'_>,
        filter: Option<FilterRef>,
    ) -> Result<On, VerifyError> {
        let manifest = &case.foreign.manifest;
        let overlay = match manifest.medium {
            Medium::Cdrom => None,
            Medium::Disk | Medium::Floppy => Some(Overlay::over(&case.file, case.image.format)?),
        };
        let drive = Drive {
            manifest,
            file: overlay
                .as_ref()
                .map_or_else(|| case.file.clone(), Overlay::path),
            format: overlay
                .as_ref()
                .map_or(case.image.format, |_| Format::Qcow2),
        };
        let name = format!("{}-{}", self.plan.name.replace('/', "-"), case.number);
        let spec = DomainSpec {
            kind: Kind::Foreign(&drive),
            name: &name,
            nic: &self.plan.nic,
            accel: self.context.accel,
            image: self.context.image()?,
            nonce: "",
            shortcuts: self.context.job.shortcuts,
        };
        let interface = Interface {
            model: self.plan.nic.clone(),
            mac: case.owner.mac,
            tap: format!("tap{}", case.number),
            link: true,
            filter,
        };
        self.know((name.clone(), domain_xml(&spec, Some(&interface))));
        self.own.push(("screen.ppm", Own::Log(screen_path(&name))));
        let began = Watch::marks(self.context.lab);
        Ok(On {
            machine: begin_silent(self.context.lab, &spec, &interface).await?,
            began,
            _overlay: overlay,
        })
    }

    /// From power-on without the filter to all that is expected; the guest's address.
    async fn control(
        &self,
        case: &Case<'_>,
        on: &On,
        seen: &mut Traces,
    ) -> Result<(Ipv4Addr, Part), VerifyError> {
        let manifest = &case.foreign.manifest;
        let watch = Watch::resume(self.context.lab, &on.machine.tap, on.began);
        let end = Instant::now() + manifest.deadline();
        let done = |ledger: &Ledger| unmet(case, ledger, None).is_none();
        let waited = self.until(case, on, &watch, end, done).await;
        let ledger = match waited {
            Ok(ledger) => ledger,
            Err(error) => {
                seen.sightings.push(watch.sightings().0);
                return Err(error);
            }
        };
        let bound = manifest.expect.dhcp == Dhcp::Any || ledger.is_bound();
        let Some(v4) = ledger.address.filter(|_| bound) else {
            on.machine.screen();
            seen.sightings.push(watch.sightings().0);
            return Err(VerifyError::Cell(silent(case, &ledger)));
        };
        self.context
            .lab
            .network
            .introduce(case.owner.mac, &[v4.into()])?;
        let end = Instant::now() + manifest.linger();
        self.until(case, on, &watch, end, |_| false).await?;
        on.machine.screen();
        let series = Pass::Control as u16;
        let part = self.part(case, on, &watch, v4, (Pass::Control, series), seen);
        Ok((v4, part.await?))
    }

    /// Watches a running guest for what it sends by itself.
    async fn linger(
        &self,
        case: &Case<'_>,
        on: &On,
        v4: Ipv4Addr,
        pass: Pass,
        seen: &mut Traces,
    ) -> Result<Part, VerifyError> {
        let watch = Watch::start(self.context.lab, &on.machine.tap);
        let end = Instant::now() + case.foreign.manifest.linger();
        self.until(case, on, &watch, end, |_| false).await?;
        self.part(case, on, &watch, v4, (pass, u16::from(pass.number())), seen)
            .await
    }

    /// A fresh guest with the filter before its first frame; none where there is no filter.
    async fn fresh_start(
        &mut self,
        case: &Case<'_>,
        v4: Ipv4Addr,
        control: &Part,
        seen: &mut Traces,
    ) -> Result<Option<Part>, VerifyError> {
        let (lab, job) = (self.context.lab, self.context.job);
        let Some(filter) = bind::reference(job, v4) else {
            return Ok(None);
        };
        self.enter(Step::FirstFrame);
        let mut on = self.power_on(case, Some(filter)).await?;
        bind::in_force(job, &on.machine)?;
        if job.inject == Some(InjectedFault::FlushBeforeFirstFrame) {
            ruleset::flush_layer2()?;
        }
        let watch = Watch::resume(lab, &on.machine.tap, on.began);
        let end = Instant::now() + case.foreign.manifest.deadline();
        let done = |ledger: &Ledger| unmet(case, ledger, Some(&control.ledger)).is_none();
        self.until(case, &on, &watch, end, done).await?;
        let end = Instant::now() + case.foreign.manifest.linger();
        self.until(case, &on, &watch, end, |_| false).await?;
        let series = (Pass::FirstFrame, Pass::FirstFrame.number() as u16);
        let mut part = self.part(case, &on, &watch, v4, series, seen).await?;
        if part.proof.until.is_none() || !part.from_gateway {
            // A filter that stops the answers too: they bound it when it is gone.
            let end = now();
            on.machine.set_filter(None)?;
            let watch = Watch::start(lab, &on.machine.tap);
            let series = (Pass::FirstFrame, AFTER_FIRST_FRAME);
            let later = self.part(case, &on, &watch, v4, series, seen).await?;
            part.prove_later(&later, end);
        }
        Ok(Some(part))
    }

    /// Waits until the ledger is as wanted or the time is over; the ledger then.
    async fn until(
        &self,
        case: &Case<'_>,
        on: &On,
        watch: &Watch<'_>,
        end: Instant,
        wanted: impl Fn(&Ledger) -> bool,
    ) -> Result<Ledger, VerifyError> {
        loop {
            let (sightings, marks) = watch.sightings();
            let ledger = Ledger::read(&case.owner, &sightings);
            if wanted(&ledger) || Instant::now() >= end {
                return Ok(ledger);
            }
            if let Some(why) = on.machine.halted() {
                let last = last(&ledger);
                return Err(VerifyError::Cell(format!(
                    "the guest does not run any more: {why}; {last}"
                )));
            }
            let news = Watch::resume(self.context.lab, &on.machine.tap, marks);
            let look = end.min(Instant::now() + LOOK);
            tokio::select! {
                _ = news.wait_for(Point::TapFromGuest, look, |_| true) => {}
                _ = news.wait_for(Point::TapToGuest, look, |_| true) => {}
            }
        }
    }

    /// Pings the guest from the WAN, has it answer the LAN's hosts, and gathers
    /// all that was seen since the watch began.
    async fn part(
        &self,
        case: &Case<'_>,
        on: &On,
        watch: &Watch<'_>,
        v4: Ipv4Addr,
        (pass, series): (Pass, u16),
        seen: &mut Traces,
    ) -> Result<Part, VerifyError> {
        let lab = self.context.lab;
        let tag = Tag {
            run: case.run,
            pass: pass.number(),
            index: series,
        };
        let echo = Ip4::new(WAN4, v4).echo(&tag.to_bytes());
        let frame = Link::new(mac::GATEWAY, case.owner.mac).frame(ethertype::IPV4, &echo);
        lab.gateway_sender.send(&frame)?;
        let layout = self.layout(case.number).with_guest_address(v4);
        let heard = Watch::start(lab, &on.machine.tap);
        let bounds =
            bound_from_outside(lab, &layout, &heard, case.run, (series, Pace::Answered)).await?;
        let answered = answered(&heard, case.owner.mac).await;
        let (sightings, _) = watch.sightings();
        let ledger = Ledger::read(&case.owner, &sightings);
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
        seen.sightings.push(sightings);
        Ok(part)
    }
}

impl Part {
    /// What the guest sent until about then is proven by what it answered once the
    /// filter was gone, where it could not answer before.
    fn prove_later(&mut self, later: &Self, end: u64) {
        if !later.proof.sound {
            return;
        }
        let spare = u64::try_from(IN_FLIGHT.as_nanos()).unwrap_or(u64::MAX);
        let then = later.proof.until.map(|_| end.saturating_sub(spare));
        self.proof.until = self.proof.until.or(then);
        self.from_gateway |= later.from_gateway;
        self.proof.wan |= later.proof.wan;
    }
}

/// Whether both of the LAN's hosts hear from the guest.
async fn answered(heard: &Watch<'_>, mac: Mac) -> bool {
    let end = Instant::now() + ANSWER;
    let from_guest = |frame: &[u8]| frame.get(6..12) == Some(&mac);
    heard.wait_for(Point::Peer, end, from_guest).await
        && heard.wait_for(Point::Gateway, end, from_guest).await
}

/// What the manifest expects and the guest has not done yet. With the filter it
/// is to try again what it did in the control.
fn unmet(case: &Case<'_>, ledger: &Ledger, control: Option<&Ledger>) -> Option<&'static str> {
    let expect = case.foreign.manifest.expect;
    let before = |group| control.is_none_or(|control| control.attempted(group));
    let tried = |group| !before(group) || ledger.attempted(group);
    let wan = match control {
        None => ledger.to_wan().any(|(_, account)| account.on_wan()),
        Some(_) => ledger.to_wan().any(|(_, account)| account.attempted()),
    };
    [
        (expect.dhcp == Dhcp::Bound && !ledger.is_bound(), "a lease"),
        (expect.arp == Arp::Seen && !tried(Group::Arp), "ARP"),
        (
            expect.broadcast == Broadcast::Seen && !tried(Group::Broadcast),
            "a broadcast",
        ),
        (expect.wan == Wan::Attempted && !wan, "a frame to the WAN"),
    ]
    .into_iter()
    .find_map(|(missing, what)| missing.then_some(what))
}

/// Why a guest without an address proves nothing.
fn silent(case: &Case<'_>, ledger: &Ledger) -> String {
    let what = unmet(case, ledger, None).unwrap_or("an IPv4 address of the LAN");
    format!(
        "within {} s of its start the guest did not come to {what}; {}\n  cure: does it boot from this medium on this machine, has it a driver for the NIC, does it need longer (`deadline-s`)? `--out DIR` keeps a picture of its screen",
        case.foreign.manifest.deadline_s,
        last(ledger)
    )
}

/// The last that was seen of the guest.
fn last(ledger: &Ledger) -> String {
    match &ledger.last {
        Some(line) => format!("last seen of it: {line} ({} frames in all)", ledger.sent),
        None => "no frame has left it".into(),
    }
}

/// Nanoseconds since the epoch, as the kernel stamps frames.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    })
}
