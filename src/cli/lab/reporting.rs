//! What `verify` shows while it runs, prints and writes.

use super::paths;
use crate::cli::baseline::Loaded;
use crate::cli::evidence;
use crate::cli::failure::Failure;
use crate::cli::output::{complain, say};
use crate::cli::sarif;
use crate::cli::sarif_of_run::results;
use crate::report::baseline::{Comparison, Observed};
use crate::report::color;
use crate::report::github;
use crate::report::live::{Event, Live, Mode};
use crate::report::model::Run;
use crate::report::{html, json, junit, markdown, table, verdict_lines};
use crate::verdict::Exit;
use crate::verify::Request;
use crate::verify::replay::{self, Bundle};
use clap::{Args, ValueEnum};
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// `--color`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ColorChoice {
    /// If the output is a terminal
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// What the run writes, and how.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub struct Output {
    /// Write the run as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the run as JUnit XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Write what is wrong in the run as SARIF 2.1.0, for code-scanning pages
    ///
    /// Each leak and block stands at the rule of the filter that it comes from; with --baseline what is
    /// accepted is left out.
    #[arg(long, value_name = "FILE")]
    sarif: Option<PathBuf>,
    /// Write the run as a page for a browser
    ///
    /// One file that needs no network: every probe with its frame, the rule that decided and
    /// where it was seen. Small files of the evidence of --out are part of it, the others are linked.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write one line for each verdict
    ///
    /// The file holds no times and no versions, so equal runs give equal files.
    #[arg(long, value_name = "FILE")]
    verdicts: Option<PathBuf>,
    /// Write what repeats the run, and a bundle of evidence for every cell that is not green
    ///
    /// `verify --replay DIR` runs the same again. The evidence of a cell holds a capture with the verdict as the comment of each packet, the kernel's
    /// rules, the filter, and the logs.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// List the probes of each cause of leaks and blocks
    #[arg(short, long)]
    verbose: bool,
    /// Print how many frames each rule of the filter matched
    #[arg(long)]
    coverage: bool,
    /// When to colour the output
    #[arg(long, value_enum, default_value_t = ColorChoice::Auto)]
    color: ColorChoice,
}

impl Output {
    /// Makes the directory for evidence, and refuses files that cannot be written.
    pub fn prepare(&self) -> Result<Option<PathBuf>, Failure> {
        let out = self.out.as_deref().map(paths::output).transpose()?;
        let files = [
            &self.json,
            &self.junit,
            &self.sarif,
            &self.html,
            &self.verdicts,
        ];
        files
            .into_iter()
            .flatten()
            .try_for_each(|file| paths::writable(file))?;
        Ok(out)
    }
}

/// Runs the request while showing what happens. What went into the run is kept beside its evidence
/// before a cell begins.
pub fn show(output: &Output, request: Request) -> Result<Run, Failure> {
    let terminal = std::io::stderr().is_terminal() && std::env::var_os("CI").is_none();
    let mode = if terminal {
        Mode::Terminal {
            width: terminal_size::terminal_size().map_or(80, |(width, _)| width.0),
            color: paint(output, true),
        }
    } else {
        Mode::Plain
    };
    let mut live = Live::new(std::io::stderr(), mode);
    let started = Instant::now();
    let mut show = |event: Option<&Event>| {
        let now = started.elapsed();
        // What cannot be shown does not change the verdicts.
        let _ = match event {
            Some(event) => live.event(event, now),
            None => live.tick(now),
        };
    };
    if let Some(out) = &request.job.out {
        Bundle::of(&request).write(out).map_err(Failure::host)?;
    }
    let run = crate::verify::run(request, &mut show);
    let _ = live.finish();
    run.map_err(Failure::host)
}

fn paint(output: &Output, terminal: bool) -> bool {
    let var = |name| std::env::var(name).ok();
    let (no_color, clicolor, force) = (var("NO_COLOR"), var("CLICOLOR_FORCE"), var("FORCE_COLOR"));
    let choice = match output.color {
        ColorChoice::Auto => color::Choice::Auto,
        ColorChoice::Always => color::Choice::Always,
        ColorChoice::Never => color::Choice::Never,
    };
    let dumb = var("TERM").is_some_and(|term| term == "dumb");
    color::wanted(
        choice,
        color::Surroundings {
            no_color: no_color.as_deref(),
            clicolor_force: clicolor.as_deref(),
            force_color: force.as_deref(),
            terminal: terminal && !dumb,
        },
    )
}

/// Prints the table and writes the files: each of them, whatever became of the
/// others, and a file that cannot be written never hides what was proven.
pub fn report(output: &Output, run: &Run, baseline: Option<&Loaded>) -> Exit {
    let terminal = std::io::stdout().is_terminal();
    let mut bad = Vec::new();
    let color = paint(output, terminal);
    let compared = baseline.and_then(|baseline| {
        let observed = Observed::of(run, "this run").map_err(Failure::usage);
        let observed = observed.map_err(|failure| bad.push(failure)).ok()?;
        Some((baseline.against(), baseline.compare(&observed)))
    });
    let text = match &compared {
        Some((against, found)) => table::compared(run, found, *against, color),
        None if output.verbose => table::with_probes(run, None, color),
        None => table::table(run, None, color),
    };
    bad.extend(say(&text).err());
    if output.coverage {
        bad.extend(say(&format!("\n{}", table::coverage(run))).err());
    }
    let files = output;
    bad.extend(keep(files, run).err());
    bad.extend(write(files.json.as_deref(), || Ok(json::to_json(run))).err());
    let found = compared.as_ref().map(|(_, found)| found);
    let junit = || junit::compared(run, found).map_err(Failure::host);
    bad.extend(write(files.junit.as_deref(), junit).err());
    let sarif = || Ok(sarif::document(&results(run, found)));
    bad.extend(write(files.sarif.as_deref(), sarif).err());
    let page = || {
        let page = files.html.as_deref().unwrap_or(Path::new("."));
        let evidence = evidence::read(run, page, files.out.as_deref())?;
        Ok(html::compared(run, &evidence, found))
    };
    bad.extend(write(files.html.as_deref(), page).err());
    let verdicts = || Ok(verdict_lines::verdict_lines(run));
    bad.extend(write(files.verdicts.as_deref(), verdicts).err());
    if std::env::var_os("GITHUB_ACTIONS").is_some() {
        bad.extend(to_github(run, compared.as_ref()).err());
    }
    for failure in &bad {
        complain(failure);
    }
    let exit = match &compared {
        Some((against, found)) => found.conclusion(against.strict).exit(),
        None => run.exit(),
    };
    match exit {
        Exit::Pass if !bad.is_empty() => Exit::Host,
        exit => exit,
    }
}

/// Writes what the run came to beside what went into it, for a replay.
fn keep(output: &Output, run: &Run) -> Result<(), Failure> {
    let Some(out) = &output.out else {
        return Ok(());
    };
    replay::write_report(out, run).map_err(Failure::host)
}

/// Writes a file that was asked for.
fn write(
    path: Option<&Path>,
    text: impl FnOnce() -> Result<String, Failure>,
) -> Result<(), Failure> {
    let Some(path) = path else { return Ok(()) };
    std::fs::write(path, text()?).map_err(|error| Failure::file(path, error))
}

fn to_github(
    run: &Run,
    compared: Option<&(table::Against<'_>, Comparison)>,
) -> Result<(), Failure> {
    let annotations = match compared {
        Some((_, found)) => github::changes(run, found),
        None => github::annotations(run),
    };
    let lines: Vec<String> = annotations
        .into_iter()
        .map(|line| format!("{line}\n"))
        .collect();
    say(&lines.concat())?;
    let Some(path) = std::env::var_os("GITHUB_STEP_SUMMARY") else {
        return Ok(());
    };
    let mut text = markdown::markdown(run);
    if let Some((against, found)) = compared {
        let changes = table::comparison(found, *against, false);
        text = format!("```text\n{}\n```\n\n{text}", changes.trim());
    }
    std::fs::File::options()
        .append(true)
        .create(true)
        .open(&path)
        .and_then(|mut summary| summary.write_all(text.as_bytes()))
        .map_err(|error| Failure::file(Path::new(&path), error))
}
