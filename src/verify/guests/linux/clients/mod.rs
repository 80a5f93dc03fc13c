//! DHCP clients of other systems: played through the guest's NIC, without the filter
//! and with it, and judged by the sensors like any probe.

mod act;
mod judge;
mod legs;

pub use act::{Act, Seen, act};

use crate::frame::Mac;
use crate::lab::{LabError, VhostTap};
use crate::layout::mac;
use crate::report::model::{ClientRun, DhcpClient, DhcpClients, ProbeResult};
use crate::verify::VerifyError;
use crate::verify::random::Numbers;
use act::{DEADLINE, Part, told};
use lanfence_agent::clients::{Order, PROFILES, Profile, Sums, play, profile};
use std::time::Instant;

/// What is played where there is no guest: one client that checks, one that does not.
const WITHOUT_GUEST: [&str; 2] = ["windows-2003", "busybox"];

/// The cell's clients for the report, and a verdict for each that can be judged.
pub fn conclude(
    control: &Seen,
    filtered: Option<&Seen>,
    mac: Mac,
) -> (DhcpClients, Vec<ProbeResult>) {
    let mut clients = Vec::new();
    let mut results = Vec::new();
    for (place, profile) in (0..).zip(PROFILES) {
        let (without, with) = (
            control.part(place, mac),
            filtered.map(|it| it.part(place, mac)),
        );
        clients.push(DhcpClient {
            control: without.run(),
            filtered: with.as_ref().map(Part::run),
            ..client(profile)
        });
        if let Some(with) = &with {
            results.extend(judge::result(profile, &without, with));
        }
    }
    let vhost = Vec::new();
    (DhcpClients { clients, vhost }, results)
}

fn client(profile: &Profile) -> DhcpClient {
    DhcpClient {
        name: profile.name.into(),
        system: profile.system.into(),
        strict: profile.sums == Sums::Strict,
        real: false,
        control: ClientRun::default(),
        filtered: None,
        unfinished: None,
    }
}

/// Plays one client that checks sums and one that does not on a tap that is read as
/// vhost-net reads one.
///
/// # Errors
/// When the tap cannot be opened or read.
pub fn without_guest(numbers: &Numbers<'_>) -> Result<Vec<DhcpClient>, VerifyError> {
    let mut tap = VhostTap::open("vhost0")?;
    let all = WITHOUT_GUEST.map(|name| profile(name).expect("a name of the table"));
    let mut clients = Vec::new();
    for profile in all {
        let order = Order {
            profile,
            mac: mac::STAND_IN,
            xid: numbers.number(profile.name),
            deadline: Instant::now() + DEADLINE,
        };
        let played = tokio::task::block_in_place(|| play(&mut tap, &order));
        let played = played.map_err(|source| {
            LabError::system(format!("play the {} client on a tap", profile.name), source)
        })?;
        clients.push(DhcpClient {
            control: told(&played),
            ..client(profile)
        });
    }
    Ok(clients)
}
