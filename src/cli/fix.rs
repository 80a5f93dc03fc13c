//! `lanfence fix`: the smallest change of a filter that makes `check` prove the policy.

use super::failure::Failure;
use super::heading::heading;
use super::options::{
    BackendOption, BindingOptions, MacOption, PolicyOption, PolicySource, layout, load, own,
};
use super::output::say;
use crate::check::{Expectations, check};
use crate::fix::{Binding, Edit, Fix, FixError, fix};
use crate::layout::Layout;
use crate::nwfilter::lint::{self, Levels};
use crate::nwfilter::{FilterTree, Strictness, document};
use crate::policy::Policy;
use crate::report::text::{plural, plurals, wrap};
use crate::verdict::{Conclusion, Exit, Verdict};
use clap::Args;
use similar::TextDiff;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

/// Width of the text.
const WIDTH: usize = 100;

/// Options of `fix`.
#[derive(Debug, Args)]
pub struct Options {
    /// Filter: a file, or several of which one refers to the others; the one that is bound is fixed
    #[arg(
        value_name = "FILTER",
        required = true,
        help_heading = "Filter",
        display_order = 0
    )]
    filters: Vec<PathBuf>,
    #[command(flatten)]
    policy: PolicyOption,
    #[command(flatten)]
    binding: BindingOptions,
    #[command(flatten)]
    mac: MacOption,
    #[command(flatten)]
    backend: BackendOption,
    /// Write the fixed filter to a file
    #[arg(short, long, value_name = "FILE", help_heading = "Output")]
    output: Option<PathBuf>,
    /// Prove the fixed filter in the tap test as well, with a real libvirt and kernel
    #[cfg(feature = "lab")]
    #[arg(long, help_heading = "Output")]
    verify: bool,
}

/// What is wrong with a fix that this program itself made.
#[derive(Debug, thiserror::Error)]
enum Broken {
    /// It cannot be read.
    #[error("the fixed filter cannot be read: {0}; this is a bug of lanfence")]
    Unreadable(#[from] crate::nwfilter::ReadError),
    /// `check` does not prove it.
    #[error("`check` does not prove the fixed filter; this is a bug of lanfence")]
    NotProven,
}

/// Searches and prints.
pub fn run(options: &Options) -> Result<ExitCode, Failure> {
    let PolicySource { policy, origin, .. } = options.policy.read()?;
    let bind = options.binding.bind.as_deref();
    let tree = load(&options.filters, bind, Strictness::Strict)?;
    let parameters = &options.binding.parameters.list;
    let layout = layout(&policy, options.mac.mac, tree.given_address(parameters))?;
    let backend = options.backend.with(None);
    let bound = tree
        .bind(layout.guest.mac, layout.guest.v4, parameters, backend)
        .map_err(Failure::usage)?;
    let own = own(parameters, &bound, layout.guest.v4);
    let expectations = Expectations::of(&policy, &layout, &own, backend);
    let binding = Binding {
        layout: &layout,
        expectations: &expectations,
        parameters,
        backend,
    };
    let found = fix(&tree, &policy, binding).map_err(|error| {
        let exit = match error {
            FixError::NoFile(_) => Exit::Usage,
            FixError::NotProvable(_) => Exit::Inconclusive,
        };
        Failure::new(exit, error)
    })?;
    let gaps = checked(&tree, &found, &policy, binding)?;
    if let Some(path) = &options.output {
        std::fs::write(path, &found.after).map_err(|error| Failure::file(path, error))?;
    }
    let mut out = heading("fix", &tree, &origin, backend);
    out.push_str(&summary(&found));
    out.push_str(&gaps);
    if !found.edits.is_empty() {
        let _ = write!(out, "\n{}", difference(&tree, &found));
    }
    say(&out)?;
    #[cfg(feature = "lab")]
    if options.verify {
        return verified(options, &tree, &found);
    }
    Ok(Exit::Pass.into())
}

/// Checks the text that is printed as `check` does, by reading it anew; the known gaps in words.
fn checked(
    tree: &FilterTree,
    fix: &Fix,
    policy: &Policy,
    binding: Binding<'_>,
) -> Result<String, Failure> {
    let read = document(&fix.after, &tree.top)
        .map_err(|error| Failure::new(Exit::Internal, Broken::from(error)))?;
    let mut fixed = tree.clone();
    let mut filters = fixed.filters.iter_mut();
    if let Some(filter) = filters.find(|filter| filter.name == tree.top) {
        *filter = read.filter;
    }
    let Layout { guest, .. } = binding.layout;
    let bound = fixed
        .bind(guest.mac, guest.v4, binding.parameters, binding.backend)
        .map_err(|error| Failure::new(Exit::Internal, error))?;
    let levels = Levels::default();
    let (layout, expectations) = (binding.layout, binding.expectations);
    let checked = check(
        &bound.filter,
        policy,
        layout,
        expectations,
        Vec::new(),
        &levels,
    );
    if checked.conclusion() != Conclusion::Pass {
        return Err(Failure::new(Exit::Internal, Broken::NotProven));
    }
    let mut out = idle(tree, &fixed, binding);
    let gaps: Vec<_> = checked.judgement.with(Verdict::KnownGap).collect();
    if !gaps.is_empty() {
        let count = plural(gaps.len(), "probe");
        let _ = writeln!(out, "\nKnown gaps ({count}): no nwfilter can close them");
    }
    for judged in gaps {
        let remedy = judged.probe.known_gap.unwrap_or_default();
        let text = format!("{}; {remedy}", judged.probe.summary);
        for line in wrap(&format!("  {:<26} ", judged.probe.id), &text, WIDTH, 29) {
            let _ = writeln!(out, "{line}");
        }
    }
    Ok(out)
}

/// Rules that were left as before and that never act in the fixed filter: the proof does not need
/// that they go, and they say what is not so.
fn idle(tree: &FilterTree, fixed: &FilterTree, binding: Binding<'_>) -> String {
    const NEVER_ACTS: [&str; 2] = ["never-acts", "redundant-rule"];
    let Layout { guest, .. } = binding.layout;
    let rules = |tree: &FilterTree| -> Vec<String> {
        let bound = tree.bind(guest.mac, guest.v4, binding.parameters, binding.backend);
        let Ok(bound) = bound else {
            return Vec::new();
        };
        let findings = lint::lint(&tree.filters, &tree.top, &bound.filter).into_iter();
        let findings = findings.filter(|finding| NEVER_ACTS.contains(&finding.lint));
        let origins = findings.filter_map(|finding| finding.rule);
        origins.map(|origin| tree.rule_text(&origin)).collect()
    };
    let before = rules(tree);
    let new = rules(fixed).into_iter();
    let mut out = String::new();
    for rule in new.filter(|rule| !before.contains(rule)) {
        let text = format!("this rule has nothing left to do and can go: {rule}");
        for line in wrap("note    ", &text, WIDTH, 8) {
            let _ = writeln!(out, "{line}");
        }
    }
    out
}

/// What was done, in numbers.
fn summary(fix: &Fix) -> String {
    if fix.edits.is_empty() {
        return "fix     nothing: the policy is proven of this filter already\n".to_owned();
    }
    let count = |test: fn(&Edit) -> bool| fix.edits.iter().filter(|edit| test(edit)).count();
    let parts = [
        (count(|edit| matches!(edit, Edit::Insert(..))), "added"),
        (count(|edit| matches!(edit, Edit::Replace(..))), "changed"),
        (count(|edit| matches!(edit, Edit::Remove(_))), "removed"),
    ];
    let parts = parts.into_iter().filter(|(count, _)| *count > 0);
    let mut parts: Vec<String> = parts
        .map(|(count, what)| format!("{} {what}", plurals(count, "rule", "rules")))
        .collect();
    if fix.edits.contains(&Edit::ToRoot) {
        parts.push("the chain becomes root, which sees every frame".to_owned());
    }
    let mut out = String::new();
    let kept = if fix.replaces_all() {
        "no rule is left as it was, so this is the filter that the policy generates, under this name".to_owned()
    } else {
        format!(
            "{} left as before",
            plurals(fix.kept, "rule is", "rules are")
        )
    };
    let text = format!("{}; {kept}", parts.join(", "));
    for line in wrap("fix     ", &text, WIDTH, 8) {
        let _ = writeln!(out, "{line}");
    }
    let tried = plural(fix.tried, "filter");
    let _ = writeln!(out, "proof   `check` proves the policy; {tried} tried");
    if fix.rewritten {
        let _ = writeln!(
            out,
            "note    the file is written anew, without its comments"
        );
    }
    out
}

/// The change as `patch -p1` takes it.
fn difference(tree: &FilterTree, fix: &Fix) -> String {
    let path = tree.path().unwrap_or(&tree.top);
    let path = path.trim_start_matches("./").trim_start_matches('/');
    let diff = TextDiff::from_lines(&fix.before, &fix.after);
    let mut unified = diff.unified_diff();
    unified
        .header(&format!("a/{path}"), &format!("b/{path}"))
        .to_string()
}

/// The tap test of the fixed filter, by this program's own `verify`, which prints its table.
#[cfg(feature = "lab")]
fn verified(options: &Options, tree: &FilterTree, fix: &Fix) -> Result<ExitCode, Failure> {
    let folder = Folder::new().map_err(Failure::host)?;
    let file = folder.0.join(format!("{}.xml", tree.top));
    std::fs::write(&file, &fix.after).map_err(|error| Failure::file(&file, error))?;
    let program = std::env::current_exe().map_err(Failure::host)?;
    let mut command = std::process::Command::new(program);
    command
        .args(["verify", "--tap", "--bind", &tree.top])
        .arg(&file);
    let others = tree.given_paths().into_iter();
    command.args(others.filter(|path| Some(*path) != tree.path()));
    command.args(options.policy.arguments());
    command.args(["--backend", options.backend.with(None).word()]);
    for (name, value) in &options.binding.parameters.list {
        command.arg("--param").arg(format!("{name}={value}"));
    }
    say("\n")?;
    let status = command.status().map_err(Failure::host)?;
    // A process that was killed proves nothing.
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(Exit::Inconclusive.into(), ExitCode::from))
}

/// A folder for the time of a test.
#[cfg(feature = "lab")]
struct Folder(PathBuf);

#[cfg(feature = "lab")]
impl Folder {
    fn new() -> std::io::Result<Self> {
        let path = std::env::temp_dir().join(format!("lanfence-fix-{}", std::process::id()));
        std::fs::create_dir(&path)?;
        Ok(Self(path))
    }
}

#[cfg(feature = "lab")]
impl Drop for Folder {
    fn drop(&mut self) {
        // Nothing is lost where it stays.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
