//! What `lanfence apply` takes beside libvirt: the whole command, and in turns with it the calls of
//! libvirt that it cannot do without.

use super::error::BenchError;
use super::figures::Series;
use crate::host::{Access, Libvirt};
use crate::lab::{EMULATOR, find_program};
use crate::nwfilter::{generate, write};
use crate::policy::Policy;
use comfy_table::Table;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;
use virt::domain::Domain;

/// The guest's name.
const GUEST: &str = "bench";

/// The milliseconds that `apply` may take beside the bind.
const AT_MOST: &str = "300";

/// Where this host alone has its files.
const RUN: &str = "/run/lanfence";

/// The guest's interface, with a filter or without.
fn interface(filter: Option<&str>) -> String {
    let reference = filter.map_or_else(String::new, |name| format!("<filterref filter='{name}'/>"));
    format!(
        "<interface type='bridge'><mac address='52:54:00:00:00:01'/><source bridge='br0'/>\
         <model type='virtio'/>{reference}</interface>"
    )
}

fn guest(emulator: &str) -> String {
    format!(
        "<domain type='qemu'><name>{GUEST}</name><memory unit='MiB'>16</memory>\
         <os><type arch='x86_64' machine='pc'>hvm</type></os><features><acpi/></features>\
         <devices><emulator>{emulator}</emulator>{}<memballoon model='none'/></devices></domain>",
        interface(None)
    )
}

/// A small host with a guest that runs.
struct Host<'a> {
    libvirt: Libvirt,
    guest: Domain,
    name: &'a str,
    filter: String,
    policy: PathBuf,
}

/// Measures it in each round, on the small host that the process has entered.
///
/// # Errors
/// When libvirt refuses something, or lanfence itself fails.
pub fn table(policy: &Policy, text: &str, rounds: u32) -> Result<Table, BenchError> {
    let host = Host::new(policy, text)?;
    // From here on the rules that the filter must have are known.
    let first = host.lanfence(&["apply", GUEST])?;
    host.lanfence(&["remove", GUEST])?;
    let mut all = [
        Series::new("libvirt: define the filter", ""),
        Series::new("libvirt: bind it", ""),
        Series::new("libvirt: change the persistent definition", ""),
        Series::new("lanfence apply", ""),
        Series::new("lanfence apply, beside the bind", AT_MOST),
        Series::new("lanfence apply, nothing to change", ""),
        Series::new("lanfence remove", ""),
    ];
    for _ in 0..rounds {
        let [define, bind, persist] = host.by_hand()?;
        let apply = host.lanfence(&["apply", GUEST])?;
        let again = host.lanfence(&["apply", GUEST])?;
        let remove = host.lanfence(&["remove", GUEST])?;
        let beside = apply.saturating_sub(bind);
        let round = [define, bind, persist, apply, beside, again, remove];
        for (series, ms) in all.iter_mut().zip(round) {
            series.ms.push(ms);
        }
    }
    Ok(rows(all, first))
}

fn rows(all: [Series; 7], first: u64) -> Table {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::ASCII_MARKDOWN);
    table.set_header([
        "apply to a running guest, ms",
        "min",
        "median",
        "max",
        "at most",
    ]);
    let first = Series {
        ms: vec![first],
        ..Series::new("lanfence apply, the first of this filter", "")
    };
    for mut series in [first].into_iter().chain(all) {
        series.ms.sort_unstable();
        let at = |end: Option<&u64>| end.copied().unwrap_or_default().to_string();
        table.add_row([
            series.name.to_owned(),
            at(series.ms.first()),
            series.median().to_string(),
            at(series.ms.last()),
            series.target.to_owned(),
        ]);
    }
    table
}

impl<'a> Host<'a> {
    fn new(policy: &'a Policy, text: &str) -> Result<Self, BenchError> {
        let file = PathBuf::from(RUN).join("bench.toml");
        let written = std::fs::create_dir_all(RUN).and_then(|()| std::fs::write(&file, text));
        written.map_err(broken("write the policy"))?;
        let libvirt = Libvirt::open(None, Access::Write)?;
        let connect = libvirt.connection();
        let emulator = find_program(EMULATOR).unwrap_or_else(|| EMULATOR.into());
        let guest = connect.define_domain_xml(&guest(&emulator.display().to_string()));
        let guest = guest.map_err(|error| refused("define a guest", &error))?;
        guest
            .create()
            .map_err(|error| refused("start a guest", &error))?;
        Ok(Self {
            libvirt,
            guest,
            name: &policy.name,
            filter: write(&generate(policy)),
            policy: file,
        })
    }

    /// What has to be asked of libvirt, each with its milliseconds; it is undone.
    fn by_hand(&self) -> Result<[u64; 3], BenchError> {
        use virt_sys::{VIR_DOMAIN_AFFECT_CONFIG as CONFIG, VIR_DOMAIN_AFFECT_LIVE as LIVE};
        let change = |filter, flags| {
            let changed = self.guest.update_device_flags(&interface(filter), flags);
            changed.map_err(|error| refused("change the interface", &error))
        };
        let started = Instant::now();
        self.libvirt.define_filter(self.name, &self.filter)?;
        let define = ms_since(started);
        let started = Instant::now();
        change(Some(self.name), LIVE)?;
        let bind = ms_since(started);
        let started = Instant::now();
        change(Some(self.name), CONFIG)?;
        let persist = ms_since(started);
        change(None, LIVE)?;
        change(None, CONFIG)?;
        self.libvirt.undefine_filter(self.name)?;
        Ok([define, bind, persist])
    }

    /// The milliseconds of a command, from its start to its end.
    fn lanfence(&self, arguments: &[&str]) -> Result<u64, BenchError> {
        let mut command = Command::new(std::env::current_exe().map_err(broken("find lanfence"))?);
        command
            .args(arguments)
            .arg("--policy")
            .arg(&self.policy)
            .env("LIBVIRT_DEFAULT_URI", self.libvirt.uri())
            .env("LANFENCE_CACHE", format!("{RUN}/cache"))
            .env("LANFENCE_STATE_DIR", format!("{RUN}/state"))
            .stdin(Stdio::null());
        let started = Instant::now();
        let output = command.output().map_err(broken("start lanfence"))?;
        let ms = ms_since(started);
        if output.status.success() {
            return Ok(ms);
        }
        Err(BenchError::Command {
            command: arguments.join(" "),
            said: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        })
    }
}

fn ms_since(started: Instant) -> u64 {
    u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX)
}

fn broken(doing: &'static str) -> impl FnOnce(std::io::Error) -> BenchError {
    move |source| BenchError::Commands { doing, source }
}

fn refused(doing: &str, error: &virt::error::Error) -> BenchError {
    BenchError::Refused {
        doing: doing.to_owned(),
        source: Box::new(error.clone()),
    }
}
