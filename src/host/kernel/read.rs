//! Asks the tools that show rules whole.

use super::early::{EarlyTexts, devices, with_ingress};
use super::nf_tables::NfTables;
use super::tcx;
use crate::host::error::HostError;
use crate::host::links;
use std::io;
use std::process::{Child, Command, Stdio};

/// What the tools print.
#[derive(Debug, Default, Clone)]
pub struct RuleTexts {
    /// `ebtables-save`
    pub ebtables: String,
    /// `iptables-save`
    pub iptables: String,
    /// `ip6tables-save`
    pub ip6tables: String,
    /// `nft list ruleset bridge`
    pub nftables: String,
    /// What the kernel says of its tables beside their rules.
    pub tables: NfTables,
    /// What has frames before the bridge.
    pub early: EarlyTexts,
}

/// The tools, and what each is told.
const TOOLS: [(&str, &[&str]); 7] = [
    ("ebtables-save", &[]),
    ("iptables-save", &[]),
    ("ip6tables-save", &[]),
    ("nft", &["list", "ruleset", "bridge"]),
    ("nft", &["list", "ruleset", "netdev"]),
    ("ip", &["-j", "link", "show"]),
    ("tc", &["-j", "qdisc", "show"]),
];

/// Reads the rules of the caller's network namespace: one dump for all interfaces.
///
/// # Errors
/// When a tool is missing, lacks the right, or cannot show the rules.
pub fn read() -> Result<RuleTexts, HostError> {
    let running = TOOLS.map(|(program, options)| (program, start(program, options)));
    let [layer2, layer3, of_ip6, nft, netdev, links, qdiscs] =
        running.map(|(program, child)| child.and_then(|child| finish(program, child)));
    let links = links?;
    Ok(RuleTexts {
        ebtables: layer2?,
        iptables: layer3?,
        ip6tables: of_ip6?,
        nftables: nft?,
        tables: NfTables::read().map_err(|error| unseen("nft", &error))?,
        early: EarlyTexts {
            netdev: netdev?,
            filters: filters(&qdiscs?)?,
            tcx: with_tcx(&links)?,
            links,
        },
    })
}

/// The filters of tc on the devices that have a place for them. tc names no device in what it
/// prints, so each device is asked for by itself.
fn filters(qdiscs: &str) -> Result<Vec<(String, String)>, HostError> {
    let show = |device: String| {
        let child = start("tc", &["filter", "show", "dev", &device, "ingress"])?;
        match finish("tc", child) {
            Ok(text) => Ok(Some((device, text))),
            // It may be gone meanwhile.
            Err(_) if !links::exists(&device) => Ok(None),
            Err(error) => Err(error),
        }
    };
    let shown = with_ingress(qdiscs).into_iter().map(show);
    shown.filter_map(Result::transpose).collect()
}

/// The devices on which programs hang by TCX.
fn with_tcx(links: &str) -> Result<Vec<String>, HostError> {
    let mut out = Vec::new();
    for (index, name) in devices(links) {
        if tcx::programs(index).map_err(|error| unseen("bpf", &error))? > 0 {
            out.push(name);
        }
    }
    Ok(out)
}

/// What the kernel itself does not tell, in the words of the tool that would ask it.
fn unseen(program: &'static str, error: &io::Error) -> HostError {
    HostError::Rules {
        program,
        said: error.to_string(),
    }
}

fn start(program: &'static str, options: &[&str]) -> Result<Child, HostError> {
    let mut command = Command::new(program);
    command
        .args(options)
        .env("PATH", crate::pool::search_path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
        .spawn()
        .map_err(|source| HostError::Tool { program, source })
}

fn finish(program: &'static str, child: Child) -> Result<String, HostError> {
    let output = child
        .wait_with_output()
        .map_err(|source| HostError::Tool { program, source })?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(HostError::Rules {
            program,
            said: said.trim().to_owned(),
        });
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
