//! A worker: one process in its own namespaces with one lab, running cells one after the other.

use super::message::{Message, Numbered};
use super::retry;
use crate::guest::Image;
use crate::lab::{Lab, Shortcut};
use crate::layout::Lan;
use crate::policy::Policy;
use crate::pool;
use crate::report::live::Event;
use crate::report::model::{Host, Step, Timing};
use crate::verify::VerifyError;
use crate::verify::bind::{difference, refused};
use crate::verify::cell::CellContext;
use crate::verify::coverage;
use crate::verify::faults::{Reporter, last_words};
use crate::verify::guests::Guests;
use crate::verify::job::{CellPlan, Job};
use std::borrow::Cow;
use std::io::BufRead;
use std::path::Path;
use std::time::Instant;

/// Brings a lab up and runs the cells that the reader gives, one a line, reporting
/// [`Message::Ready`] before each. Every cell that was given gets an [`Event::CellDone`].
/// Without a lab it reports [`Message::NoLab`] and ends.
pub async fn run(job: &Job, out: &dyn Fn(&Numbered<'_>), cells: impl BufRead) {
    let reporter = Reporter::of(job);
    let report = |message: &Message<'_>| reporter.report(message, out);
    let restores = job.shortcuts.has(Shortcut::RestoreSnapshots);
    let job = Job {
        snapshots: job.snapshots.clone().filter(|_| restores),
        ..job.clone()
    };
    if let Err(error) = run_cells(&job, &report, cells).await {
        report(&Message::NoLab(error.at(Step::Lab)));
    }
    last_words(job.inject);
}

async fn run_cells(
    job: &Job,
    report: &dyn Fn(&Message<'_>),
    mut cells: impl BufRead,
) -> Result<(), VerifyError> {
    let started = Instant::now();
    let tell = |event: &Event| report(&Message::Event(Cow::Borrowed(event)));
    let policy = Policy::parse(&job.policy, &job.policy_origin)?;
    let image = job.guest.as_deref().map(Image::open).transpose()?;
    let lab = Lab::up(
        Lan::for_lab(&policy, job.address)?
            .with_guest_mac(job.mac)
            .with_segment(job.segment),
        job.shortcuts,
        job.backend,
    )
    .await?;
    report(&Message::LabUp(lab.slowness));
    define_filters(&lab, job)?;
    let host = host(&lab, job);
    let order = coverage::order(job);
    tell(&Event::Host(Box::new(host.clone())));
    let mut lab_ms = u64::try_from(started.elapsed().as_millis()).ok();
    let guests = Guests::default();
    let context = CellContext {
        lab: &lab,
        job,
        policy: &policy,
        host: &host,
        image: image.as_ref(),
        accel: job.accel,
        order: order.as_ref(),
        tell: &tell,
    };
    while let Some(plan) = next(report, &mut cells) {
        let mut cell = retry::run(&context, &guests, &plan).await;
        // The lab belongs to all cells; the first one carries its time.
        if let Some(ms) = lab_ms.take() {
            let step = Step::Lab;
            cell.timings.insert(0, Timing { step, ms });
        }
        let cell = Box::new(cell);
        tell(&Event::CellDone { cell });
    }
    Ok(())
}

/// Asks for a cell and waits for it; none when there is no more to do. Whoever
/// hands the cells out takes care that this worker ends when they are gone.
fn next(report: &dyn Fn(&Message<'_>), cells: &mut impl BufRead) -> Option<CellPlan> {
    report(&Message::Ready);
    tokio::task::block_in_place(|| pool::task(cells)).ok()?
}

/// Defines the filters in order and checks that libvirt understood each as it was meant.
fn define_filters(lab: &Lab, job: &Job) -> Result<(), VerifyError> {
    for filter in &job.filters {
        let dumped = lab
            .libvirt
            .define_filter(&filter.name, &filter.xml)
            .map_err(|error| refused(lab, error.into()))?;
        if filter.shipped {
            continue;
        }
        if let Some(difference) = difference(filter, &dumped)? {
            let filter = filter.name.clone();
            return Err(VerifyError::Misunderstood { filter, difference });
        }
    }
    Ok(())
}

fn host(lab: &Lab, job: &Job) -> Host {
    let read = |path: &str| {
        std::fs::read_to_string(path)
            .map(|text| text.trim().to_owned())
            .unwrap_or_default()
    };
    Host {
        accel: if job.has_machine() {
            job.accel.name()
        } else {
            "none"
        }
        .into(),
        accel_reason: String::new(),
        kernel: read("/proc/sys/kernel/osrelease"),
        libvirt: lab.libvirt.version(),
        backend: lab.libvirt.backend().word().into(),
        segment: lab.lan.segment.word().into(),
        iptables: version("iptables"),
        nft: version("nft"),
        // libvirt would look at QEMU only now, which takes seconds the first time.
        qemu: if job.has_machine() {
            lab.libvirt.qemu_version()
        } else {
            String::new()
        },
        guest_kernel: String::new(),
        privilege: if job.rootless {
            "user namespace"
        } else {
            "root"
        }
        .into(),
        sysctls: bridge_sysctls(Path::new("/proc/sys/net/bridge")),
    }
}

/// The first line that a tool prints about its version, in which iptables names its variant too;
/// empty where there is no such tool.
fn version(tool: &str) -> String {
    let output = std::process::Command::new(tool)
        .arg("--version")
        .env("PATH", pool::search_path())
        .output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let text = text.unwrap_or_default();
    text.lines().next().unwrap_or_default().trim().to_owned()
}

/// What br_netfilter's sysctls in this directory say, or that the module has made none.
fn bridge_sysctls(dir: &Path) -> Vec<String> {
    if !dir.exists() {
        return vec!["none: br_netfilter is not loaded".into()];
    }
    let sysctl = |name: &str| match std::fs::read_to_string(dir.join(name)) {
        Ok(value) => format!("{name}={}", value.trim()),
        Err(error) => format!("{name}: {error}"),
    };
    [
        "bridge-nf-call-iptables",
        "bridge-nf-call-ip6tables",
        "bridge-nf-call-arptables",
    ]
    .map(sysctl)
    .to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sysctl_without_a_value_says_why() {
        let dir = tempfile::tempdir().expect("a directory");
        let missing = bridge_sysctls(&dir.path().join("bridge"));
        assert_eq!(missing, ["none: br_netfilter is not loaded"]);
        for name in ["bridge-nf-call-iptables", "bridge-nf-call-ip6tables"] {
            std::fs::write(dir.path().join(name), "1\n").expect("a file");
        }
        let there = bridge_sysctls(dir.path());
        assert_eq!(there[0], "bridge-nf-call-iptables=1");
        assert_eq!(there[1], "bridge-nf-call-ip6tables=1");
        assert!(
            there[2].starts_with("bridge-nf-call-arptables: "),
            "{there:?}"
        );
    }
}
