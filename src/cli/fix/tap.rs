//! `fix --verify`: the tap test of the fixed filter, by this program's own `verify`, which prints its
//! table.

use super::report::Report;
use crate::cli::failure::Failure;
use crate::cli::output::say;
use crate::frame::Mac;
use crate::verdict::Exit;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

/// How the filter is bound.
pub struct Bound<'a> {
    /// The arguments that name the policy.
    pub policy: Vec<OsString>,
    /// The parameters that are given.
    pub parameters: &'a [(String, String)],
    /// The guest's MAC address, where somebody says it.
    pub mac: Option<Mac>,
}

/// Runs it, and ends as it does.
pub fn verified(report: &Report, bound: Bound<'_>) -> Result<ExitCode, Failure> {
    let (tree, fix) = (&report.tree, &report.fix);
    let folder = Folder::new().map_err(Failure::host)?;
    let written = |name: String, text: &str| {
        let file = folder.0.join(name);
        std::fs::write(&file, text).map_err(|error| Failure::file(&file, error))?;
        Ok::<PathBuf, Failure>(file)
    };
    let mut command = Command::new(std::env::current_exe().map_err(Failure::host)?);
    command.args(["verify", "--tap"]);
    command.arg(written(format!("{}.xml", tree.top), &fix.after)?);
    // Those of a running libvirt are in no file.
    let sources = tree.filters.iter();
    let sources = sources.filter_map(|filter| tree.source(&filter.name));
    for (at, source) in sources.enumerate() {
        if !source.is_shipped && source.filter != tree.top {
            command.arg(written(format!("{at}.xml"), &source.text)?);
        }
    }
    command.args(bound.policy);
    command.args(["--backend", report.backend.word()]);
    if let Some(mac) = bound.mac {
        let guest = domain(&tree.top, mac, bound.parameters);
        let file = written("domain".to_owned(), &guest)?;
        command.arg("--domain-xml").arg(file);
    } else {
        command.args(["--bind", &tree.top]);
        for (name, value) in bound.parameters {
            command.arg("--param").arg(format!("{name}={value}"));
        }
    }
    say("\n")?;
    let status = command.status().map_err(Failure::host)?;
    // A process that was killed proves nothing.
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(Exit::Inconclusive.into(), ExitCode::from))
}

/// A guest with this interface, as `verify` reads it.
fn domain(filter: &str, mac: Mac, parameters: &[(String, String)]) -> String {
    let mut inside = String::new();
    for (name, value) in parameters {
        let (name, value) = (escaped(name), escaped(value));
        let _ = write!(inside, "<parameter name='{name}' value='{value}'/>");
    }
    format!(
        "<domain type='kvm'><name>guest</name><devices><interface type='bridge'><mac address='{}'/>\
         <source bridge='br0'/><filterref filter='{}'>{inside}</filterref></interface></devices></domain>",
        crate::frame::mac_text(mac),
        escaped(filter)
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('\'', "&apos;")
}

/// A folder for the time of a test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> std::io::Result<Self> {
        let path = std::env::temp_dir().join(format!("lanfence-fix-{}", std::process::id()));
        std::fs::create_dir(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Nothing is lost where it stays.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
