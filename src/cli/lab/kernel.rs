//! `lanfence __kernel`: what the real libvirt and kernel make of filters, for
//! the tests that hold lints, evaluator and libvirt's own filters against them.

use super::inside;
use crate::cli::failure::Failure;
use crate::cli::options::backend;
use crate::frame::Mac;
use crate::lab::{Binding, BindingSpec, LabError, Pair, Shortcuts, Tap, ruleset};
use crate::layout::mac;
use crate::nwfilter::evaluate::Backend;
use clap::Args;
use serde::{Deserialize, Serialize};
use std::io::ErrorKind;
use std::process::ExitCode;

/// The guest that filters are bound for.
const GUEST: Mac = mac::guest(1, None);

/// Whether the bridge hands IP packets to iptables.
const BRIDGE_NF: &str = "/proc/sys/net/bridge/bridge-nf-call-iptables";

/// Options of the hidden verb.
#[derive(Debug, Args)]
pub struct Options {
    /// Process id of the program that started this.
    parent: u32,
    /// Back end of libvirt that translates the filters.
    #[arg(long, default_value_t, value_parser = backend)]
    backend: Backend,
}

/// Filters to define, one of them to bind, and frames to send.
#[derive(Debug, Deserialize)]
struct Case {
    /// Name and XML, in the order to define them; the last is bound.
    filters: Vec<(String, String)>,
    /// Parameters of the reference.
    parameters: Vec<(String, String)>,
    /// Whether to bind at all, or only to define.
    bind: bool,
    /// The device to bind to where it is not that of the frames.
    device: Option<Device>,
    /// Whether the bridge hands IP packets to iptables.
    bridge_nf: bool,
    /// From the guest or to it, and the bytes.
    frames: Vec<(bool, Vec<u8>)>,
}

/// Another device.
#[derive(Debug, Deserialize)]
struct Device {
    name: String,
    /// Whether there is one of that name.
    exists: bool,
}

/// What became of a case, as far as it came.
#[derive(Debug, Default, Serialize)]
struct Answer {
    /// The filters as libvirt prints them.
    dumped: Vec<String>,
    /// The same once more, of what it printed.
    redumped: Vec<String>,
    /// Why libvirt would not define or bind.
    refused: Option<String>,
    /// Whether it was bound.
    bound: bool,
    /// The rules of the device, as the tools print them.
    rules: Vec<String>,
    /// Which frames passed while nothing was bound.
    open: Vec<bool>,
    /// Which passed with the filter.
    passed: Vec<bool>,
}

/// Reads a JSON list of cases from standard input and prints the list of answers.
pub fn run(options: &Options) -> Result<ExitCode, Failure> {
    inside::answer(options.parent, async |cases: &Vec<Case>| {
        answers(cases, options.backend).await.map_err(Failure::host)
    })
}

async fn answers(cases: &[Case], backend: Backend) -> Result<Vec<Answer>, LabError> {
    let mut pair = Pair::up(Shortcuts::all(), backend).await?;
    cases.iter().map(|case| answer(&mut pair, case)).collect()
}

/// How often a case is measured whose frames came late. A busy machine has one in some thousand
/// (measured: docs/measurements.md#M9), and a late frame would be taken for the next one.
const TRIES: usize = 3;

/// The answer of a case in which no frame came late.
fn answer(pair: &mut Pair, case: &Case) -> Result<Answer, LabError> {
    let mut late = Vec::new();
    for _ in 0..TRIES {
        let answer = answer_once(pair, case)?;
        late = pair.drain()?;
        if late.is_empty() {
            return Ok(answer);
        }
    }
    Err(LabError::host(
        format!("{} frames came late in each of {TRIES} tries", late.len()),
        "try again when the machine is less busy",
    ))
}

/// Takes a case as far as libvirt lets it, and leaves nothing of it behind.
fn answer_once(pair: &mut Pair, case: &Case) -> Result<Answer, LabError> {
    let mut answer = Answer {
        open: carried(pair, case)?,
        ..Answer::default()
    };
    let mut defined = Vec::new();
    if let Err(error) = bound(pair, case, &mut answer, &mut defined) {
        // What libvirt says after its death is no refusal.
        if !pair.libvirt.alive() {
            return Err(error);
        }
        answer.refused = Some(error.to_string());
        pair.forget_refusal()?;
    }
    for name in defined.iter().rev() {
        pair.libvirt.undefine_filter(name)?;
    }
    Ok(answer)
}

fn bound(
    pair: &mut Pair,
    case: &Case,
    answer: &mut Answer,
    defined: &mut Vec<String>,
) -> Result<(), LabError> {
    for (name, xml) in &case.filters {
        answer.dumped.push(pair.libvirt.define_filter(name, xml)?);
        defined.push(name.clone());
    }
    for ((name, _), text) in case.filters.iter().zip(&answer.dumped) {
        answer
            .redumped
            .push(pair.libvirt.define_filter(name, text)?);
    }
    // As it was given, should libvirt not read its own words as it meant them.
    for name in defined.drain(..).rev() {
        pair.libvirt.undefine_filter(&name)?;
    }
    for (name, xml) in &case.filters {
        pair.libvirt.define_filter(name, xml)?;
        defined.push(name.clone());
    }
    let Some((top, _)) = case.filters.last().filter(|_| case.bind) else {
        return Ok(());
    };
    let other = case.device.as_ref();
    let _tap = other
        .filter(|device| device.exists)
        .map(|device| Tap::open(&device.name))
        .transpose()?;
    let name = other
        .map_or(pair.device(), |device| &device.name)
        .to_owned();
    let binding = pair.libvirt.bind(&BindingSpec {
        device: &name,
        mac: GUEST,
        filter: top,
        parameters: &case.parameters,
    })?;
    let judged = judge(pair, case, &name, answer);
    Binding::remove(binding)?;
    judged
}

fn judge(pair: &mut Pair, case: &Case, device: &str, answer: &mut Answer) -> Result<(), LabError> {
    answer.bound = true;
    answer.rules = ruleset::rules(device, pair.libvirt.backend())?;
    set_bridge_nf(case.bridge_nf, pair.libvirt.backend())?;
    let passed = carried(pair, case);
    set_bridge_nf(true, pair.libvirt.backend())?;
    answer.passed = passed?;
    Ok(())
}

fn carried(pair: &mut Pair, case: &Case) -> Result<Vec<bool>, LabError> {
    let frames = case.frames.iter();
    frames
        .map(|(from_guest, frame)| pair.carry(*from_guest, frame))
        .collect()
}

/// Rules of nft load no br_netfilter, and where it is not loaded the bridge hands over nothing.
fn set_bridge_nf(on: bool, backend: Backend) -> Result<(), LabError> {
    match std::fs::write(BRIDGE_NF, if on { "1" } else { "0" }) {
        Err(error) if error.kind() == ErrorKind::NotFound && backend == Backend::Nftables => Ok(()),
        written => written.map_err(|source| LabError::File {
            path: BRIDGE_NF.into(),
            source,
        }),
    }
}
