//! The command line: one file a verb, each of which parses, calls and prints.

mod baseline;
mod bless;
mod check;
mod completions;
mod diff;
mod evidence;
mod explain;
mod failure;
mod fix;
mod generate;
mod guest;
mod heading;
mod help;
mod hook;
#[cfg(feature = "lab")]
mod host;
#[cfg(feature = "lab")]
mod lab;
mod levels;
mod lint;
mod man;
mod mutate;
mod options;
mod output;
mod report;
mod sarif;
mod sarif_of_run;

use crate::verdict::Exit;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use failure::Failure;
use std::process::ExitCode;

/// Keeps virtual machines on the LAN and off the WAN, and proves it
///
/// lanfence generates a libvirt nwfilter from a policy, and proves with real guests that it
/// lets LAN traffic through and stops everything else.
#[derive(Debug, Parser)]
#[command(name = "lanfence", version)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Print the nwfilter that the policy asks for
    Generate(generate::Options),
    /// Check a filter against the policy statically, without a guest
    ///
    /// lanfence runs the lints, sends every probe of the catalogue through its model of libvirt
    /// and the kernel, and computes the exact sets of destinations that the guest can reach.
    Check(check::Options),
    /// Report where libvirt reads a filter differently from how it is written
    Lint(lint::Options),
    /// Print the frames that two filters treat differently, each with an example
    Diff(diff::Options),
    /// Edit a filter in every way that a slip may, and print which edits no check would notice
    ///
    /// lanfence deletes each rule, turns its action and direction round, moves it, and changes
    /// each of its attributes; then it asks the probes and the exact sets of `check` about every
    /// such mutant. An edit that changes what becomes of a frame and that nothing notices has
    /// survived.
    Mutate(mutate::Options),
    /// Propose the smallest change of a filter's rules that makes `check` prove the policy
    ///
    /// lanfence aligns the filter's rules with those that the policy generates, and leaves out
    /// every edit that the proof does not need. It prints a unified diff, which keeps the layout
    /// and the comments of what stays, and names what no nwfilter can close.
    Fix(fix::Options),
    /// Print what a filter does to frames, and by which rules
    Explain(explain::Options),
    /// Answer libvirt's hook: refuse to start a guest that the policy fences and that is open
    ///
    /// libvirt calls it before each step of a guest, with the guest's definition on standard
    /// input. Before a start it fails where an interface that `[fence]` of the policy covers has
    /// no filterref to the policy's filter; before a restore and an incoming migration it puts
    /// that filterref in. It never fails for a guest that runs. It asks nobody, neither libvirt
    /// nor the kernel.
    Hook(hook::Options),
    #[cfg(feature = "lab")]
    #[command(flatten)]
    Lab(lab::LabVerb),
    #[cfg(feature = "lab")]
    #[command(flatten)]
    Host(host::HostVerb),
    /// Accept what a finished run found, into the baseline that others are compared with
    ///
    /// What is as the policy wants it is taken over. A leak, a block or a probe that is not
    /// proven is accepted only where --accept names it, and --reason says why.
    Bless(bless::Options),
    /// Work with the reports of finished runs
    Report(report::Options),
    /// Print a completion script for a shell
    Completions(completions::Options),
    /// Write the manual pages
    Man(man::Options),
}

impl Verb {
    fn run(&self) -> Result<ExitCode, Failure> {
        match self {
            Self::Generate(options) => generate::run(options),
            Self::Check(options) => check::run(options),
            Self::Lint(options) => lint::run(options),
            Self::Diff(options) => diff::run(options),
            Self::Mutate(options) => mutate::run(options),
            Self::Fix(options) => fix::run(options),
            Self::Explain(options) => explain::run(options),
            Self::Hook(options) => hook::run(options),
            #[cfg(feature = "lab")]
            Self::Lab(verb) => verb.run(),
            #[cfg(feature = "lab")]
            Self::Host(verb) => verb.run(),
            Self::Bless(options) => bless::run(options),
            Self::Report(options) => report::run(options),
            Self::Completions(options) => completions::run(options, command()),
            Self::Man(options) => man::run(options, command()),
        }
    }
}

/// The whole command line, for parsing, completions and manual pages.
fn command() -> clap::Command {
    help::with_endings(Cli::command())
}

/// Parses the command line and does what it says. A panic ends with the exit
/// code of a bug; Rust has printed where it happened.
pub fn main() -> ExitCode {
    std::panic::catch_unwind(dispatch).unwrap_or(Exit::Internal.into())
}

fn dispatch() -> ExitCode {
    let parsed = command()
        .try_get_matches()
        .and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors, and clap knows which stream each belongs to.
            let _ = error.print();
            return if error.use_stderr() {
                Exit::Usage.into()
            } else {
                Exit::Pass.into()
            };
        }
    };
    match cli.verb.run() {
        Ok(code) => code,
        Err(failure) => {
            output::complain(&failure);
            failure.exit.into()
        }
    }
}

#[cfg(all(test, feature = "lab"))]
mod tests;
