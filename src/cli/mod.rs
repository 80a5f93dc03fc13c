//! The command line: one file a verb, each thin.

#[cfg(feature = "lab")]
mod bench;
mod check;
#[cfg(feature = "lab")]
mod crosscheck;
mod diff;
#[cfg(feature = "lab")]
mod dumpxml;
mod explain;
mod generate;
#[cfg(feature = "lab")]
mod inside;
#[cfg(feature = "lab")]
mod kernel;
mod levels;
mod lint;
#[cfg(feature = "lab")]
mod matrix;
mod report;
mod sarif;
mod tree;
#[cfg(feature = "lab")]
mod verify;
#[cfg(feature = "lab")]
mod worker;

use clap::{Parser, Subcommand};
use std::io::Write as _;
use std::process::ExitCode;

pub use crate::verdict::Exit;

/// Keeps virtual machines on the LAN and off the WAN, and proves it.
#[derive(Debug, Parser)]
#[command(version, about, after_help = Exit::help())]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Print the nwfilter that the policy asks for.
    Generate(generate::Options),
    /// Hold a filter against the policy without guests: lint, every probe, exact sets.
    Check(check::Options),
    /// Name what libvirt understands differently from what a filter says.
    Lint(lint::Options),
    /// Name the frames that two filters treat differently, each with an example.
    Diff(diff::Options),
    /// Say what a filter does to frames, and by which rules.
    Explain(explain::Options),
    /// Work with the reports of finished runs.
    Report(report::Options),
    /// Prove a filter with real guests, and print a verdict for every cell.
    #[cfg(feature = "lab")]
    Verify(Box<verify::Options>),
    /// Print the cells as jobs for a CI system's own scheduler.
    #[cfg(feature = "lab")]
    Matrix(matrix::Options),
    /// Measure where the time goes.
    #[cfg(feature = "lab")]
    Bench(bench::Options),
    /// Hold the evaluator behind `check` and `explain` against the kernel with random filters.
    #[cfg(feature = "lab")]
    Crosscheck(crosscheck::Options),
    /// Run cases in namespaces of its own; started by `crosscheck`.
    #[cfg(feature = "lab")]
    #[command(name = crate::crosscheck::WORKER, hide = true)]
    CrosscheckWorker(crosscheck::WorkerOptions),
    /// Run cells in namespaces of its own; started by `verify`.
    #[cfg(feature = "lab")]
    #[command(name = "__worker", hide = true)]
    Worker(worker::Options),
    /// Show what the real libvirt makes of filters; for tests.
    #[cfg(feature = "lab")]
    #[command(name = "__dumpxml", hide = true)]
    DumpXml(dumpxml::Options),
    /// Show what the real libvirt and kernel make of filters and frames; for tests.
    #[cfg(feature = "lab")]
    #[command(name = "__kernel", hide = true)]
    Kernel(kernel::Options),
}

/// Parses the command line and does what it says. A panic ends with the exit
/// code of a bug; Rust has printed where it happened.
pub fn main() -> ExitCode {
    std::panic::catch_unwind(dispatch).unwrap_or(Exit::Internal.into())
}

fn dispatch() -> ExitCode {
    let cli = match Cli::try_parse() {
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
    let done = match cli.verb {
        Verb::Generate(options) => generate::run(&options),
        Verb::Check(options) => check::run(&options),
        Verb::Lint(options) => lint::run(&options),
        Verb::Diff(options) => diff::run(&options),
        Verb::Explain(options) => explain::run(&options),
        Verb::Report(options) => report::run(&options),
        #[cfg(feature = "lab")]
        Verb::Verify(options) => verify::run(&options),
        #[cfg(feature = "lab")]
        Verb::Matrix(options) => matrix::run(&options),
        #[cfg(feature = "lab")]
        Verb::Bench(options) => bench::run(&options),
        #[cfg(feature = "lab")]
        Verb::Crosscheck(options) => crosscheck::run(&options),
        #[cfg(feature = "lab")]
        Verb::CrosscheckWorker(options) => crosscheck::work(&options),
        #[cfg(feature = "lab")]
        Verb::Worker(options) => worker::run(&options),
        #[cfg(feature = "lab")]
        Verb::DumpXml(options) => dumpxml::run(&options),
        #[cfg(feature = "lab")]
        Verb::Kernel(options) => kernel::run(&options),
    };
    match done {
        Ok(code) => code,
        Err(failure) => {
            complain(&failure.message);
            failure.exit.into()
        }
    }
}

/// Prints to standard output. A reader that has seen enough (`| head -1`) is no
/// error; a disk that is full is.
fn say(text: &str) -> Result<(), String> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(format!("standard output: {error}"))
        }
        _ => Ok(()),
    }
}

/// Prints an error. Where standard error is gone the exit code still tells.
fn complain(message: &str) {
    let _ = writeln!(std::io::stderr(), "error: {message}");
}

/// Prints what the user should know.
#[cfg(feature = "lab")]
fn note(message: &str) {
    let _ = writeln!(std::io::stderr(), "note: {message}");
}

/// Why a verb could not do its work.
#[derive(Debug)]
struct Failure {
    exit: Exit,
    message: String,
}

impl Failure {
    fn usage(message: impl std::fmt::Display) -> Self {
        Self {
            exit: Exit::Usage,
            message: message.to_string(),
        }
    }

    #[cfg(feature = "lab")]
    fn nothing(message: impl std::fmt::Display) -> Self {
        Self {
            exit: Exit::Nothing,
            message: message.to_string(),
        }
    }

    #[cfg(feature = "lab")]
    fn unproven(message: impl std::fmt::Display) -> Self {
        Self {
            exit: Exit::Inconclusive,
            message: message.to_string(),
        }
    }

    #[cfg(feature = "lab")]
    fn host(message: impl std::fmt::Display) -> Self {
        Self {
            exit: Exit::Host,
            message: message.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_verbs_have_no_options_that_contradict_each_other() {
        super::Cli::command().debug_assert();
    }
}
