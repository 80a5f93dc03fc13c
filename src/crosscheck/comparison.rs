//! One comparison: the kernel's verdict and the evaluator's over the frames of a case.

use super::model::{Model, WAYS, compile};
use crate::frame::to_hex;
use crate::lab::{Binding, BindingSpec, LabError, Pair};
use crate::nwfilter::evaluate::{Backend, Compiled, Decision, IptablesRelease, Portability, Way};
use crate::nwfilter::{Filter, write};
use crate::random::{Case, Coverage, GUEST};
use std::io;

/// Where the two disagree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mismatch {
    /// Over a frame.
    Frame(Disputed),
    /// Over whether the filter can be bound: libvirt's refusal, the evaluator's.
    Binding(Option<String>, Option<String>),
}

/// A frame and who says what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disputed {
    /// Which way it went.
    pub way: Way,
    /// Its bytes.
    pub frame: Vec<u8>,
    /// Whether the filter was bound.
    pub filtered: bool,
    /// Whether it came out at the other end.
    pub passed: bool,
    /// Whether the bridge handed IP packets to iptables.
    pub bridge_nf: bool,
}

/// What a case brought to light.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// libvirt took the filter.
    pub bound: bool,
    /// Verdicts that were compared with the filter bound, those of frames that
    /// pass without it only.
    pub compared: usize,
    /// Of those, frames that the kernel dropped.
    pub dropped: usize,
    /// Verdicts that the evaluator leaves open.
    pub undecided: usize,
    /// Rules that frames can match, counted by direction.
    pub rules: usize,
    /// Of those, matched by a frame that was compared.
    pub hit: usize,
    /// The first disagreement.
    pub mismatch: Option<Mismatch>,
    /// How often it was measured in vain before, since frames came out late.
    pub again: usize,
}

/// How often a case is measured. Once in some thousand cases the kernel, on a busy
/// machine, has put a frame off until after the call that wrote it (measured:
/// docs/measurements.md#M9).
const TRIES: usize = 3;

/// The filter on a host whose bridge does or does not hand IP packets to iptables.
pub fn with_bridge_nf(compiled: Compiled, bridge_nf: bool) -> Compiled {
    if bridge_nf {
        compiled
    } else {
        compiled.without_bridge_nf()
    }
}

/// The evaluator's view of an interface that nothing is bound to.
pub fn unfiltered(bridge_nf: bool) -> Compiled {
    let filter = Filter {
        name: "none".into(),
        chain: "root".into(),
        priority: None,
        uuid: None,
        entries: Vec::new(),
    };
    let compiled = Compiled::new(&[filter], "none", GUEST, &[]);
    with_bridge_nf(
        compiled.expect("a filter without rules compiles"),
        bridge_nf,
    )
}

/// Asks both about every frame in both directions, without the filter and with
/// it; the evaluator may be wrong on purpose. Where a frame came out late nothing
/// counts, whatever it was, and all is measured again.
///
/// # Errors
/// When the lab breaks down; a refused filter is no error.
pub fn compare(
    pair: &mut Pair,
    case: &Case,
    model: Model,
    frames: &[Vec<u8>],
) -> Result<Tally, LabError> {
    let mut late = Vec::new();
    for again in 0..TRIES {
        let tally;
        (tally, late) = compare_once(pair, case, model, frames)?;
        if late.is_empty() {
            return Ok(Tally { again, ..tally });
        }
    }
    Err(came_late(&late))
}

fn compare_once(
    pair: &mut Pair,
    case: &Case,
    model: Model,
    frames: &[Vec<u8>],
) -> Result<(Tally, Late), LabError> {
    let (open, mismatch) = without_filter(pair, frames)?;
    if mismatch.is_some() {
        let tally = Tally {
            mismatch,
            ..Tally::default()
        };
        return Ok((tally, pair.drain()?));
    }
    let compiled = compile(case, model)
        .map_err(|error| error.to_string())
        .and_then(|compiled| match model.backend {
            Backend::Ebtables => taken(&pair.iptables, compiled),
            Backend::Nftables => Ok(compiled),
        });
    bound(pair, case, |pair, refused| match (refused, compiled) {
        (Some(_), Err(_)) => Ok(Tally::default()),
        // What is bound may have had the kernel load br_netfilter.
        (None, Ok(compiled)) => {
            let compiled = with_bridge_nf(compiled, pair.bridge_nf());
            through(pair, &compiled, &open)
        }
        (refused, compiled) => Ok(Tally {
            bound: refused.is_none(),
            mismatch: Some(Mismatch::Binding(refused, compiled.err())),
            ..Tally::default()
        }),
    })
}

/// What the host's iptables takes; else why libvirt would refuse it.
fn taken(version: &str, compiled: Compiled) -> Result<Compiled, String> {
    let release = IptablesRelease::from_version(version)
        .ok_or_else(|| format!("iptables --version prints `{version}`, which is no version"))?;
    let refused = |thing: &Portability| !thing.is_taken_by(release);
    let things = compiled.unportable().into_iter().map(|(_, thing)| thing);
    match things.filter(refused).min() {
        Some(thing) => Err(thing.to_string()),
        None => Ok(compiled),
    }
}

/// A frame and the way that it goes.
type Shot<'a> = (&'a [u8], Way);

/// Frames that get through when nothing is bound; the bridge keeps the others
/// back, of which a filter's verdict would show nothing.
fn without_filter<'f>(
    pair: &mut Pair,
    frames: &'f [Vec<u8>],
) -> Result<(Vec<Shot<'f>>, Option<Mismatch>), LabError> {
    let nothing = unfiltered(pair.bridge_nf());
    let frames: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
    let mut open = Vec::new();
    for way in WAYS {
        let passed = pair.carry_all(way == Way::FromGuest, &frames)?;
        for (frame, passed) in frames.iter().zip(passed) {
            if disputed(&nothing, frame, way, passed) == Some(true) {
                let dispute = dispute(&nothing, (frame, way), false, passed);
                return Ok((open, Some(dispute)));
            }
            if passed {
                open.push((*frame, way));
            }
        }
    }
    Ok((open, None))
}

/// The frames through a bound filter, and the first disagreement.
fn through(pair: &mut Pair, compiled: &Compiled, shots: &[Shot<'_>]) -> Result<Tally, LabError> {
    let mut tally = Tally {
        bound: true,
        ..Tally::default()
    };
    let mut coverage = Coverage::of(compiled);
    for way in WAYS {
        let own = shots.iter().filter(|(_, of)| *of == way);
        let frames: Vec<&[u8]> = own.map(|(frame, _)| *frame).collect();
        let passed = pair.carry_all(way == Way::FromGuest, &frames)?;
        for (frame, passed) in frames.into_iter().zip(passed) {
            tally.compared += 1;
            tally.dropped += usize::from(!passed);
            coverage.add(way, &compiled.evaluate(frame, way));
            match disputed(compiled, frame, way, passed) {
                None => tally.undecided += 1,
                Some(true) if tally.mismatch.is_none() => {
                    tally.mismatch = Some(dispute(compiled, (frame, way), true, passed));
                }
                Some(_) => {}
            }
        }
    }
    (tally.rules, tally.hit) = (coverage.all(), coverage.hit());
    Ok(tally)
}

/// Whether the evaluator says otherwise; none where it leaves it open.
pub fn disputed(compiled: &Compiled, frame: &[u8], way: Way, passed: bool) -> Option<bool> {
    match compiled.decide(frame, way) {
        Decision::Accept => Some(!passed),
        Decision::Drop => Some(passed),
        Decision::Undecided(_) => None,
    }
}

fn dispute(compiled: &Compiled, (frame, way): Shot<'_>, filtered: bool, passed: bool) -> Mismatch {
    Mismatch::Frame(Disputed {
        way,
        frame: frame.to_vec(),
        filtered,
        passed,
        bridge_nf: compiled.bridge_nf(),
    })
}

/// Frames that came out when all had been counted.
type Late = Vec<Vec<u8>>;

fn came_late(late: &[Vec<u8>]) -> LabError {
    let first = late.first().map_or_else(String::new, |frame| to_hex(frame));
    let text = format!(
        "{} frames came out when all had been counted, the first of them {first}; is the machine overloaded?",
        late.len()
    );
    LabError::system(
        "take out every frame that was put in",
        io::Error::other(text),
    )
}

/// Runs the job with the case's filter bound, or with libvirt's refusal, and
/// removes the filter again.
///
/// # Errors
/// When the lab breaks down, or a frame came out late.
pub fn with_filter<T>(
    pair: &mut Pair,
    case: &Case,
    job: impl FnOnce(&mut Pair, Option<String>) -> Result<T, LabError>,
) -> Result<T, LabError> {
    let (out, late) = bound(pair, case, job)?;
    if late.is_empty() {
        Ok(out)
    } else {
        Err(came_late(&late))
    }
}

fn bound<T>(
    pair: &mut Pair,
    case: &Case,
    job: impl FnOnce(&mut Pair, Option<String>) -> Result<T, LabError>,
) -> Result<(T, Late), LabError> {
    let mut defined = Vec::new();
    let bound = define(pair, case, &mut defined).and_then(|()| bind(pair, case));
    let (binding, refused) = match bound {
        Ok(binding) => (Some(binding), None),
        // What it says after its death is no refusal.
        Err(error) if !pair.libvirt.alive() => return Err(error),
        Err(error) => (None, Some(error.to_string())),
    };
    let out = job(pair, refused)?;
    match binding {
        Some(binding) => binding.remove()?,
        // Else the next filter may be bound only for what is left of this one.
        None => pair.forget_refusal()?,
    }
    for name in defined.iter().rev() {
        pair.libvirt.undefine_filter(name)?;
    }
    let late = pair.drain()?;
    Ok((out, late))
}

fn define(pair: &Pair, case: &Case, defined: &mut Vec<String>) -> Result<(), LabError> {
    for filter in &case.filters {
        pair.libvirt.define_filter(&filter.name, &write(filter))?;
        defined.push(filter.name.clone());
    }
    Ok(())
}

fn bind(pair: &Pair, case: &Case) -> Result<Binding, LabError> {
    pair.libvirt.bind(&BindingSpec {
        device: pair.device(),
        mac: GUEST,
        filter: &case.top().name,
        parameters: &case.parameters,
    })
}
