//! The cell of a guest that is not Linux: iPXE, which repeats its rounds by
//! itself while the filter comes and goes. Only sensors tell what became of them.

use super::cell::{guest_mac, sabotage};
use super::phase::{Bounds, Outcome, bound_from_outside};
use super::running::{Context, Running};
use super::station::scene;
use super::trial::{self, Subject};
use super::watch::{Marks, Place, Watch};
use super::{VerifyError, bind};
use crate::frame::{Phase, Upper, View};
use crate::guest::{DomainSpec, Interface, Kind, Machine, begin_silent, domain_xml};
use crate::lab::topology::WAN4;
use crate::lab::{Http, Lab, LabError, STATE, Sensor, Tftp};
use crate::probe::{Point, Probe, Scene, Sighting, firmware_catalogue};
use lanfence_agent::DhcpStep;
use std::cell::Cell;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Longest wait for the end of the first round: firmware, iPXE, link, lease.
/// 4 s here, 15 s more where the driver negotiates the link.
const FIRST_ROUND: Duration = Duration::from_secs(60);

/// Longest round. With a filter that stops everything DHCP alone takes 10 s or
/// more (iPXE's own deadlines), and each fetch its whole patience.
const ROUND: Duration = Duration::from_secs(60);

/// How long iPXE waits for each file, in milliseconds; an answer takes 5 to 50 ms.
const PATIENCE_MS: u32 = 400;

/// Longest wait for a request that has left the guest to arrive.
const ARRIVAL: Duration = Duration::from_millis(1500);

/// What iPXE fetches in a round: the probes, and then what bounds them.
const PROBES: [(&str, At, &str); 4] = [
    ("lan", At::Peer, "tftp"),
    ("wan", At::Wan, "tftp"),
    ("lan-web", At::Peer, "http"),
    ("wan-web", At::Wan, "http"),
];

/// Two rounds of bounds, each on both of the LAN's ports. The last one ends the round.
const BOUNDS: [(&str, At, &str); 4] = [
    ("gateway", At::Gateway, "tftp"),
    ("peer", At::Peer, "tftp"),
    ("gateway-again", At::Gateway, "tftp"),
    (END, At::Peer, "tftp"),
];
const END: &str = "end";

/// A server's place.
#[derive(Clone, Copy)]
enum At {
    Peer,
    Gateway,
    Wan,
}

/// DHCP alone. What `dhcp` does besides is to wait 16 s for a router's advertisement
/// (measured). Where it gets no lease iPXE closes the NIC and has no address; it opens
/// it again with the last one, so that the rest can be judged.
const LEASE: &str = "\
clear net0/ip ||
clear net0/netmask ||
clear net0/gateway ||
ifconf --configurator dhcp || goto kept
set ip ${net0/ip}
set netmask ${net0/netmask}
set gateway ${net0/gateway}
goto fetch
:kept
set net0/ip ${ip} ||
set net0/netmask ${netmask} ||
set net0/gateway ${gateway} ||
ifopen net0 ||
:fetch
";

/// The script: endless rounds of a lease and fetches, each file name with the
/// run's and the round's number in it.
fn script(lab: &Lab, run: u32) -> String {
    use std::fmt::Write as _;
    let mut text = format!("#!ipxe\nset n:int32 0\n:round\ninc n\n{LEASE}");
    for (name, at, scheme) in PROBES.iter().chain(&BOUNDS) {
        let server = match at {
            At::Peer => lab.plan.peer4,
            At::Gateway => lab.plan.gateway4,
            At::Wan => WAN4,
        };
        // A failure is no news to the script: the sensors tell.
        let _ = writeln!(
            text,
            "imgfetch --timeout {PATIENCE_MS} --name {name} {scheme}://{server}/{run:08x}-{name}-${{n}} ||\nimgfree {name} ||"
        );
    }
    text + "goto round\n"
}

/// Name of a file.
fn file(run: u32, name: &str, round: u32) -> String {
    format!("{run:08x}-{name}-{round}")
}

/// The round whose last file the frame asks for.
fn ended_round(frame: &[u8], run: u32) -> Option<u32> {
    let view = View::parse(frame)?;
    let upper = view.upper()?;
    let asked = upper.udp_payload()?.strip_prefix(&[0, 1])?;
    let name = asked.split(|byte| *byte == 0).next()?;
    let name = std::str::from_utf8(name).ok()?;
    let number = name.strip_prefix(&format!("{run:08x}-{END}-"))?;
    number.parse().ok()
}

/// The IPv4 source of a frame.
fn source(frame: &[u8]) -> Option<Ipv4Addr> {
    let view = View::parse(frame)?;
    let Upper { src, .. } = view.upper()?;
    match src {
        IpAddr::V4(source) => Some(source),
        IpAddr::V6(_) => None,
    }
}

impl Running<'_> {
    /// The whole life of an iPXE guest: rounds without the filter, with it, and
    /// without it again.
    pub(super) async fn through_ipxe(&mut self, number: u8) -> Result<(), VerifyError> {
        let context = self.context;
        let lab = context.lab;
        let network = &lab.network;
        let _servers = [
            Tftp::start(&network.peer, lab.plan.peer4)?,
            Tftp::start(&network.gateway, lab.plan.gateway4)?,
            Tftp::start(&network.wan, WAN4)?,
        ];
        let _web = [
            Http::start(&network.peer, lab.plan.peer4)?,
            Http::start(&network.wan, WAN4)?,
        ];
        self.enter("boot");
        let run = super::random();
        let began = Watch::marks(lab);
        let machine = self.begin_ipxe(number, run).await?;
        let watch = Watch::resume(lab, &machine.tap, began);
        let (round, v4) = match first_round(&watch, run).await {
            Ok(first) => first,
            Err(error) => {
                self.keep_early(&machine.tap);
                return Err(error);
            }
        };
        self.cell.driver = Some("iPXE".into());
        let scene = scene(&lab.plan, machine.interface().mac, v4, number);
        let mut subject = Firmware {
            context,
            machine,
            scene,
            first: Some((round, began)),
        };
        let runs = trial::run(run, &mut subject, |phase| self.enter(phase)).await;
        self.describe(subject.machine.xml());
        match runs {
            Ok(runs) => self.conclude(runs),
            Err(error) => {
                self.keep_early(&subject.machine.tap);
                Err(error)
            }
        }
    }

    /// Starts the guest with its script.
    async fn begin_ipxe(&mut self, number: u8, run: u32) -> Result<Machine, VerifyError> {
        let lab = self.context.lab;
        let name = format!("{}-{number}", self.plan.name.replace('/', "-"));
        let path = PathBuf::from(format!("{STATE}/{name}.ipxe"));
        std::fs::write(&path, script(lab, run)).map_err(|source| LabError::File {
            path: path.clone(),
            source,
        })?;
        let spec = DomainSpec {
            kind: Kind::Ipxe(&path),
            name: &name,
            accel: self.context.accel,
            image: self.context.image()?,
            nonce: "",
        };
        let interface = Interface {
            model: self.plan.nic.clone(),
            mac: guest_mac(number, &self.plan.nic),
            tap: format!("tap{number}"),
            link: true,
            filter: None,
        };
        self.know((name.clone(), domain_xml(&spec, Some(&interface))));
        Ok(begin_silent(lab, &spec, &interface).await?)
    }
}

/// An iPXE guest that goes through its rounds.
struct Firmware<'a> {
    context: &'a Context<'a>,
    machine: Machine,
    scene: Scene,
    /// The first round, which is over, and where the sensors stood before it.
    first: Option<(u32, Marks)>,
}

impl Firmware<'_> {
    /// Waits for the next whole round: the one under way began under other rules.
    /// It begins where that one ends, however late this is noticed on a busy machine.
    async fn next_round(&self, run: u32) -> Result<(u32, Watch<'_>), VerifyError> {
        let watch = Watch::start(self.context.lab, &self.machine.tap);
        let under_way = end_of_round(&watch, run, ROUND, None).await?;
        let place = Place::At(Point::TapFromGuest);
        let end = watch.moment(place, |frame| ended_round(frame, run) == Some(under_way));
        let watch = watch.later_than(end.expect("it was seen just now"));
        let round = end_of_round(&watch, run, ROUND, Some(under_way + 1)).await?;
        Ok((round, watch))
    }
}

impl Subject for Firmware<'_> {
    fn lab(&self) -> &Lab {
        self.context.lab
    }

    fn tap(&self) -> &Sensor {
        &self.machine.tap
    }

    async fn phase(&mut self, run: u32, phase: Phase) -> Result<Outcome, VerifyError> {
        let lab = self.context.lab;
        let (round, watch) = match self.first.take() {
            Some((round, began)) => (round, Watch::resume(lab, &self.machine.tap, began)),
            None => self.next_round(run).await?,
        };
        let mut probes = firmware_catalogue(self.context.policy, &self.scene, |place| {
            file(run, place, round)
        });
        if phase == Phase::Teeth {
            probes.retain(Probe::wants_teeth);
        }
        collect(lab, &self.scene, watch, run, phase, round, probes).await
    }

    async fn bind(&mut self) -> Result<(), VerifyError> {
        bind::bind(self.context, &mut self.machine, self.scene.guest.v4)
    }

    fn sabotage(&mut self) -> Result<(), VerifyError> {
        sabotage(self.context, &mut self.machine)
    }

    async fn unbind(&mut self) -> Result<(), VerifyError> {
        Ok(self.machine.set_filter(None)?)
    }
}

/// Waits until the guest asks for the last file of a round, of the wanted one
/// where one is; its number.
async fn end_of_round(
    watch: &Watch<'_>,
    run: u32,
    deadline: Duration,
    wanted: Option<u32>,
) -> Result<u32, VerifyError> {
    let found = Cell::new(None);
    let is_end = |frame: &[u8]| {
        let round = ended_round(frame, run);
        let fits = round.is_some_and(|round| wanted.is_none_or(|wanted| wanted <= round));
        if fits {
            found.set(round);
        }
        fits
    };
    let place = Place::At(Point::TapFromGuest);
    watch
        .wait_for(place, Instant::now() + deadline, is_end)
        .await;
    found.get().ok_or_else(|| {
        VerifyError::Cell(format!(
            "iPXE did not come to the end of a round within {} s: its driver does not bring the link up or gets no lease; its console is in serial.log of --out",
            deadline.as_secs()
        ))
    })
}

/// Number of the first round with an end, and the guest's address.
async fn first_round(watch: &Watch<'_>, run: u32) -> Result<(u32, Ipv4Addr), VerifyError> {
    let round = end_of_round(watch, run, FIRST_ROUND, None).await?;
    let (sightings, _) = watch.sightings();
    let address = Cell::new(None);
    sightings.any(Place::At(Point::TapFromGuest), |frame| {
        if ended_round(frame, run).is_some() {
            address.set(source(frame));
        }
        address.get().is_some()
    });
    let address = address.get();
    let address = address.ok_or_else(|| VerifyError::Cell("iPXE has no IPv4 address".into()))?;
    Ok((round, address))
}

/// Bounds a round that has come to its end and gathers what was seen of it.
async fn collect(
    lab: &Lab,
    scene: &Scene,
    watch: Watch<'_>,
    run: u32,
    phase: Phase,
    round: u32,
    probes: Vec<Probe>,
) -> Result<Outcome, VerifyError> {
    let mut outbound = true;
    for (name, at, _) in BOUNDS {
        let point = match at {
            At::Peer => Point::Peer,
            At::Gateway => Point::Gateway,
            At::Wan => Point::Wan,
        };
        let name = file(run, name, round);
        let asked = Sighting::Tftp { name };
        let deadline = Instant::now() + ARRIVAL;
        let arrived = watch.wait_for(Place::At(point), deadline, |frame| asked.matches(frame));
        outbound = outbound && arrived.await;
    }
    let outside = bound_from_outside(lab, scene, &watch, run, phase as u16).await?;
    let (sightings, end) = watch.sightings();
    // Whoever asks for a file has an address.
    let lease = sightings.any(Place::At(Point::TapFromGuest), |frame| {
        ended_round(frame, run) == Some(round)
    });
    Ok(Outcome {
        probes,
        end,
        bounds: Bounds {
            outbound,
            ..outside
        },
        fault: watch.fault(),
        dhcp: vec![(DhcpStep::Bind, lease)],
        refused: HashMap::new(),
        ssh: None,
        sightings,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Ip4, Link, ethertype};
    use rstest::rstest;

    fn request(name: &str) -> Vec<u8> {
        let link = Link::new([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
        let ip = Ip4::new(Ipv4Addr::new(10, 0, 0, 7), Ipv4Addr::new(10, 0, 0, 1));
        let payload = [&b"\0\x01"[..], name.as_bytes(), b"\0octet\0"].concat();
        link.frame(ethertype::IPV4, &ip.udp(2070, 69, &payload))
    }

    #[rstest]
    #[case::its_end("0000000a-end-12", Some(12))]
    #[case::another_file("0000000a-lan-12", None)]
    #[case::another_run("0000000b-end-12", None)]
    #[case::no_number("0000000a-end-x", None)]
    fn the_end_of_a_round_is_read_from_the_request(#[case] name: &str, #[case] round: Option<u32>) {
        let frame = request(name);
        assert_eq!(ended_round(&frame, 10), round);
        assert_eq!(source(&frame), Some(Ipv4Addr::new(10, 0, 0, 7)));
    }
}
