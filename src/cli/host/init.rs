//! `lanfence init`: a policy from what is on the host.

use super::audit::looking;
use super::connection::{ConnectOption, failure};
use crate::cli::failure::Failure;
use crate::cli::output::say;
use crate::domain::Interface;
use crate::host::Inventory;
use crate::host::init::{Place, candidates, gather, policy};
use crate::policy::Policy;
use crate::verdict::Exit;
use clap::Args;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

/// Options of `init`.
#[derive(Debug, Args)]
pub struct Options {
    /// The bridge of the host that the guests are on
    #[arg(long, value_name = "BRIDGE", help_heading = "Host", group = "place")]
    bridge: Option<String>,
    /// The network of libvirt that the guests are on
    #[arg(long, value_name = "NETWORK", help_heading = "Host", group = "place")]
    network: Option<String>,
    /// A guest: its bridge or network is taken
    #[arg(long, value_name = "GUEST", help_heading = "Host", group = "place")]
    domain: Option<String>,
    #[command(flatten)]
    connect: ConnectOption,
    /// The file to write, which must not be there
    #[arg(
        long,
        short,
        value_name = "FILE",
        default_value = "lanfence.toml",
        help_heading = "Output"
    )]
    output: PathBuf,
    /// Print the policy, and write nothing
    #[arg(short = 'n', long, help_heading = "Output")]
    dry_run: bool,
    /// Print the example that comes with lanfence, and ask nobody
    #[arg(long, help_heading = "Output")]
    example: bool,
}

/// Gathers and writes.
pub fn run(options: &Options) -> Result<ExitCode, Failure> {
    if options.example {
        say(Policy::EXAMPLE)?;
        return Ok(Exit::Pass.into());
    }
    if !options.dry_run && options.output.exists() {
        return Err(Failure::usage(format!(
            "{0} is there already, and is not overwritten\n  cure: --output names another file, --dry-run prints the policy",
            options.output.display()
        )));
    }
    options.connect.must_be_here()?;
    let libvirt = looking(&options.connect)?;
    let inventory = Inventory::take(&libvirt).map_err(failure)?;
    let place = place(options, &inventory)?;
    let text = policy(&place, &gather(&place, &inventory).map_err(failure)?);
    // What lanfence writes it must be able to read.
    Policy::parse(&text, "the policy of this host").map_err(Failure::usage)?;
    if options.dry_run {
        say(&text)?;
        return Ok(Exit::Pass.into());
    }
    let path = &options.output;
    let file = std::fs::File::options()
        .write(true)
        .create_new(true)
        .open(path);
    let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| Failure::file(path, error))?;
    say(&format!("{} was written: look it over\n", path.display()))?;
    Ok(Exit::Pass.into())
}

/// The place that is meant: the one named, else the only one that there is.
fn place(options: &Options, inventory: &Inventory) -> Result<Place, Failure> {
    if let Some(bridge) = &options.bridge {
        return Ok(Place::Bridge(bridge.clone()));
    }
    if let Some(network) = &options.network {
        return Ok(Place::Network(network.clone()));
    }
    if let Some(name) = &options.domain {
        return of_guest(name, inventory);
    }
    let all: Vec<Place> = candidates(inventory).into_iter().collect();
    match all.as_slice() {
        [one] => Ok(one.clone()),
        [] => Err(Failure::usage(
            "there is no bridge or network with an address of the host\n  cure: name one with --bridge or --network, or begin with `lanfence init --example`",
        )),
        several => {
            let options = several.iter().map(|place| match place {
                Place::Bridge(name) => format!("--bridge {name}"),
                Place::Network(name) => format!("--network {name}"),
            });
            let options: Vec<String> = options.collect();
            Err(Failure::usage(format!(
                "guests may be in several places\n  cure: choose one: {}",
                options.join(", ")
            )))
        }
    }
}

fn of_guest(name: &str, inventory: &Inventory) -> Result<Place, Failure> {
    let guest = inventory.guest(name).ok_or_else(|| {
        Failure::usage(format!(
            "there is no guest {name}\n  cure: `virsh list --all` shows the guests"
        ))
    })?;
    let defined = guest.live.as_ref().or(guest.config.as_ref());
    let interfaces = defined.into_iter().flat_map(|one| &one.domain.interfaces);
    let place = |interface: &Interface| {
        let network = interface.network.clone().map(Place::Network);
        network.or_else(|| interface.bridge.clone().map(Place::Bridge))
    };
    let mut places: Vec<Place> = interfaces.filter_map(place).collect();
    places.sort();
    places.dedup();
    match places.as_slice() {
        [one] => Ok(one.clone()),
        [] => Err(Failure::usage(format!(
            "{name} is on no bridge and no network\n  cure: `lanfence audit {name}` says why"
        ))),
        _ => Err(Failure::usage(format!(
            "{name} is in several places\n  cure: choose one with --bridge or --network"
        ))),
    }
}
