//! `lanfence verify`: the run, its progress and its reports.

use super::guest_image::GuestImageOption;
use super::replay;
use super::reporting::{Output, report, show};
use super::selection::Select;
use crate::cli::baseline::{BaselineOptions, Loaded};
use crate::cli::failure::Failure;
use crate::cli::guest::{Besides, GuestOptions, Meant};
use crate::cli::options::{BackendOption, BindingOptions, PolicyOption, PolicySource, load};
use crate::cli::output::{note, say};
use crate::guest::Chipset;
use crate::lab::Shortcuts;
use crate::layout::Segment;
use crate::nwfilter::{FilterTree, Strictness, generate};
use crate::report::baseline::Subject;
use crate::verdict::Exit;
use crate::verify::faults::InjectedFault;
use crate::verify::job::Job;
use crate::verify::plan::Plan;
use crate::verify::{
    AccelChoice, Binding, Cache, FilterUnderTest, Request, Workers, diagnose, identity,
};
use clap::{Args, ValueEnum};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

/// `--accel`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum AccelOption {
    /// KVM if lanfence's own guest boots under it, else TCG
    Auto,
    /// KVM; exit code 3 if it does not work
    Kvm,
    /// Emulation
    Tcg,
}

impl From<AccelOption> for AccelChoice {
    fn from(option: AccelOption) -> Self {
        match option {
            AccelOption::Auto => Self::Auto,
            AccelOption::Kvm => Self::Kvm,
            AccelOption::Tcg => Self::Tcg,
        }
    }
}

/// `--segment`.
fn segment(word: &str) -> Result<Segment, String> {
    Segment::from_word(word).ok_or_else(|| "write bridge or network".to_owned())
}

/// `--boot`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum BootChoice {
    /// From a snapshot; cold if the NIC must be present at boot
    Restore,
    /// By a cold boot
    Cold,
}

/// What a replay takes from its bundle.
const REPLAYED: [&str; 25] = [
    "filters",
    "more_filters",
    "policy",
    "domain",
    "domain_xml",
    "connect",
    "interface",
    "bind",
    "param",
    "backend",
    "segment",
    "no_filter",
    "baseline",
    "tap",
    "nics",
    "matrix",
    "images",
    "cells",
    "attach",
    "partition",
    "list",
    "boot",
    "retries",
    "no_shortcuts",
    "inject",
];

/// Options of `verify`.
#[derive(Debug, Args)]
pub struct Options {
    /// Filter: a file, a folder of files, or the name of a filter that libvirt ships [default:
    /// the filter generated from the policy]
    #[arg(value_name = "FILTER", help_heading = "Filter", display_order = 0)]
    filters: Vec<PathBuf>,
    /// Another way to give a filter, for scripts that have an option for each.
    #[arg(long = "filter", value_name = "FILTER", hide = true)]
    more_filters: Vec<PathBuf>,
    #[command(flatten)]
    policy: PolicyOption,
    #[command(flatten)]
    guest: GuestOptions,
    #[command(flatten)]
    binding: BindingOptions,
    #[command(flatten)]
    backend: BackendOption,
    /// What the LAN is to libvirt: bridge or network [default: as the guest's libvirt has it, else
    /// bridge]
    ///
    /// A bridge of the host's own, with a DHCP server on the host, or a network of libvirt's, which
    /// finishes the checksums of its server's answers.
    #[arg(long, value_name = "TYPE", help_heading = "Filter", value_parser = segment)]
    segment: Option<Segment>,
    /// Run without a filter, to see that leaks are found; such a run always fails
    #[arg(long, help_heading = "Filter", conflicts_with_all = ["filters", "more_filters", "baseline"])]
    no_filter: bool,
    #[command(flatten)]
    baseline: BaselineOptions,
    #[command(flatten)]
    select: Select,
    /// Run the cells of an earlier run again, with all that went into it, and say whether the
    /// verdicts are the same
    ///
    /// BUNDLE is the directory that --out wrote. Policy, filters, parameters, cells, retries and the
    /// seed of all random numbers come from there; guest image, accelerator and number of jobs from here.
    /// The same verdicts have the exit code of the run, other ones 1, and 5 says that not all could
    /// be compared.
    #[arg(long, value_name = "BUNDLE", help_heading = "Selection", conflicts_with_all = REPLAYED)]
    replay: Option<PathBuf>,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    lab: Lab,
}

/// How the cells are run.
#[derive(Debug, Args)]
#[command(next_help_heading = "Lab")]
struct Lab {
    /// Accelerator for the guests
    #[arg(long, value_enum, default_value_t = AccelOption::Auto)]
    accel: AccelOption,
    /// Start guests from a snapshot or by a cold boot
    #[arg(long, value_enum, default_value_t = BootChoice::Restore)]
    boot: BootChoice,
    /// Number of cells to run side by side, each in its own lab [default: one for each core]
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// Start no further cell after one that is not green
    #[arg(long)]
    fail_fast: bool,
    /// Try a cell that is not green up to N more times
    ///
    /// A cell that is green only on a later try is flaky, and a flaky cell is not green.
    #[arg(long, value_name = "N", default_value_t = 0)]
    retries: u32,
    #[command(flatten)]
    guest: GuestImageOption,
    /// Turn off everything that only saves time but touches libvirtd, the rules or the guest
    ///
    /// The run takes longer; the verdicts are the same.
    #[arg(long)]
    no_shortcuts: bool,
    /// Break a part in the middle of each cell; docs/faults.md lists what can be broken.
    #[arg(long, value_name = "FAULT", hide = true)]
    inject: Option<InjectedFault>,
}

impl Lab {
    fn workers(&self) -> Workers {
        Workers {
            fail_fast: self.fail_fast,
            ..self.jobs.map_or_else(Workers::one_a_core, Workers::of)
        }
    }
}

impl Options {
    /// What a replay takes from the command line.
    fn here(&self) -> replay::Here<'_> {
        replay::Here {
            output: &self.output,
            accel: self.lab.accel.into(),
            workers: self.lab.workers(),
            guest: &self.lab.guest,
        }
    }
}

/// Runs the cells and reports.
pub fn run(options: &Options) -> Result<ExitCode, Failure> {
    if let Some(bundle) = &options.replay {
        return replay::run(&options.here(), bundle);
    }
    let started = Instant::now();
    let baseline = options.baseline.load()?;
    let guest = named(options)?;
    let nic = guest.as_ref().and_then(|(_, meant)| meant.nic.as_deref());
    let select = options.select.with_nic(nic);
    let plan = select.plan(options.lab.guest.dir())?;
    if select.only_lists() {
        say(&select.listing(&plan))?;
        return Ok(Exit::Pass.into());
    }
    let (source, meant) = match guest {
        Some((source, meant)) => (source, Some(meant)),
        None => (options.policy.read()?, None),
    };
    let (filter, tree) = filter(options, &source, meant.as_ref())?;
    let filter = filter.leaving_out(&source.policy);
    let cache = Cache::open().map_err(Failure::host)?;
    let out = options.output.prepare()?;
    let job = Job {
        foreign: select.foreign(&plan)?,
        out,
        mac: meant.as_ref().and_then(|meant| meant.mac),
        chipset: meant.as_ref().map_or(Chipset::default(), chipset),
        backend: options
            .backend
            .with(meant.as_ref().and_then(|meant| meant.backend)),
        segment: lan(options, meant.as_ref()),
        ..job(options, &source, &filter, &cache)?
    };
    let job = Job {
        parameters: meant.map_or(job.parameters, |meant| meant.parameters),
        ..job
    };
    if let Some(baseline) = &baseline {
        suits(baseline, &job, &plan)?;
    }
    let (parameters, mac, backend) = (job.parameters.clone(), job.mac, job.backend);
    let request = Request {
        job,
        plan,
        filter: filter.info,
        accel: options.lab.accel.into(),
        workers: options.lab.workers(),
        cache,
        started,
    };
    let mut run = show(&options.output, request)?;
    let binding = Binding {
        tree: tree.as_ref(),
        parameters: &parameters,
        mac,
        backend,
    };
    run.causes = diagnose(&run, &source.policy, &binding);
    Ok(report(&options.output, &run, baseline.as_ref()).into())
}

/// What the LAN is to libvirt: what the user says, else as the guest's network is.
fn lan(options: &Options, meant: Option<&Meant>) -> Segment {
    let of_guest = meant.and_then(|meant| meant.segment);
    options.segment.or(of_guest).unwrap_or_default()
}

/// The machine of the guest that is meant, or the lab's own where it has no such machine.
fn chipset(meant: &Meant) -> Chipset {
    let Some(machine) = &meant.machine else {
        return Chipset::default();
    };
    Chipset::of_machine(machine).unwrap_or_else(|| {
        let own = Chipset::default();
        note(&format!(
            "the guest's machine is {machine}; the guest of the cell has the machine {own} instead"
        ));
        own
    })
}

/// Checks that a baseline is about what is to be run.
fn suits(baseline: &Loaded, job: &Job, plan: &Plan) -> Result<(), Failure> {
    let name = job.bind.as_deref().zip(identity(job));
    let subject = name.map(|(name, identity)| Subject::of(name, &identity));
    let cells = plan.matrix.iter().map(String::as_str);
    subject.map_or(Ok(()), |subject| baseline.check(&subject, cells))
}

/// The guest that the options name, with the policy.
fn named(options: &Options) -> Result<Option<(PolicySource, Meant)>, Failure> {
    if !options.guest.is_given() {
        return Ok(None);
    }
    let source = options.policy.read()?;
    let filters = filters(options);
    let besides = Besides {
        filters: &filters,
        binding: &options.binding,
        mac: None,
        backend: options.backend.given(),
        strictness: Strictness::Strict,
        policy: Some(&source.policy),
    };
    let own = || Ok(FilterTree::generated(generate(&source.policy)));
    let meant = options.guest.meant(besides, own)?;
    Ok(Some((source, meant)))
}

fn filters(options: &Options) -> Vec<PathBuf> {
    [&options.filters[..], &options.more_filters[..]].concat()
}

/// The filter that the options name: that of the guest, the user's own, none, or the generated
/// one; with its tree.
fn filter(
    options: &Options,
    source: &PolicySource,
    meant: Option<&Meant>,
) -> Result<(FilterUnderTest, Option<FilterTree>), Failure> {
    if options.no_filter {
        return Ok((FilterUnderTest::none(), None));
    }
    let (policy, origin) = (&source.policy, &source.origin);
    if let Some(meant) = meant {
        let mut filter =
            FilterUnderTest::own(&meant.tree, &meant.parameters).map_err(Failure::usage)?;
        if meant.tree.paths().is_empty() {
            filter.info.source = format!("generated from {origin}");
        }
        if let Some(guest) = &meant.guest {
            let machine = meant.machine.as_ref();
            let machine = machine.map_or(String::new(), |machine| format!(", machine {machine}"));
            filter.info.source = format!("{}, for {guest}{machine}", filter.info.source);
        }
        return Ok((filter, Some(meant.tree.clone())));
    }
    let given = filters(options);
    if given.is_empty() {
        let tree = FilterTree::generated(generate(policy));
        return Ok((FilterUnderTest::generated(policy, origin), Some(tree)));
    }
    let tree = load(&given, options.binding.bind.as_deref(), Strictness::Strict)?;
    let filter =
        FilterUnderTest::own(&tree, &options.binding.parameters.list).map_err(Failure::usage)?;
    Ok((filter, Some(tree)))
}

fn job(
    options: &Options,
    source: &PolicySource,
    filter: &FilterUnderTest,
    cache: &Cache,
) -> Result<Job, Failure> {
    let job = Job::new((&source.text, &source.origin), filter, cache).map_err(Failure::host)?;
    let restore = options.lab.boot == BootChoice::Restore;
    Ok(Job {
        guest: options
            .lab
            .guest
            .dir()
            .map(std::path::absolute)
            .transpose()
            .map_err(Failure::usage)?,
        parameters: options.binding.parameters.list.clone(),
        retries: options.lab.retries,
        shortcuts: if options.lab.no_shortcuts {
            Shortcuts::none()
        } else {
            job.shortcuts
        },
        snapshots: job.snapshots.filter(|_| restore),
        inject: options.lab.inject,
        ..job
    })
}
