//! How many frames a second go through a bound filter and are judged, beside
//! the bare writing of them.

use super::belief::compile;
use super::bout::{disputed, with_filter};
use super::front::{Broken, SILENCE, Worker};
use super::grammar::Case;
use super::worker::{Line, Task};
use crate::lab::{LabError, Pair, Shortcuts};
use crate::nwfilter::evaluate::{Compiled, Way};
use crate::nwfilter::read;
use serde::{Deserialize, Serialize};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// How long one figure is measured.
const SPAN: Duration = Duration::from_millis(500);

/// What to measure with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Course {
    /// A filter that refers to no other, as XML.
    pub filter: String,
    /// Frames from the guest.
    pub frames: Vec<Vec<u8>>,
    /// How often.
    pub rounds: u32,
}

/// One round, in frames a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pace {
    /// Written into the tap, and what comes out left for later.
    pub written: u64,
    /// Written, taken out at the other end, and the kernel's verdict held
    /// against the evaluator's.
    pub judged: u64,
}

/// Measures in a lab of its own.
///
/// # Errors
/// When the host is unfit, the lab breaks down, or a frame is judged otherwise
/// than the evaluator says.
pub fn measure(course: Course) -> Result<Vec<Pace>, Broken> {
    let (sender, lines) = mpsc::channel();
    let _worker = Worker::start(&Task::Speed(course), sender)?;
    match lines.recv_timeout(SILENCE) {
        Ok(Line::Paces(paces)) => Ok(paces),
        Ok(Line::Host(text)) => Err(Broken::Host(text)),
        Ok(Line::Broken(text)) => Err(Broken::Lab(text)),
        Ok(Line::Case(_)) | Err(_) => Err(Broken::Lab("a worker ended without a figure".into())),
    }
}

/// The worker's side.
pub async fn run(course: &Course) -> Line {
    let mut pair = match Pair::up(Shortcuts::all()).await {
        Ok(pair) => pair,
        Err(error) => return Line::Host(error.to_string()),
    };
    match paces(&mut pair, course) {
        Ok(Ok(paces)) => Line::Paces(paces),
        Ok(Err(text)) => Line::Broken(text),
        Err(error) => Line::Broken(error.to_string()),
    }
}

fn paces(pair: &mut Pair, course: &Course) -> Result<Result<Vec<Pace>, String>, LabError> {
    let filter = match read(&course.filter, "the filter to measure with") {
        Ok(filter) => filter,
        Err(error) => return Ok(Err(error.to_string())),
    };
    let case = Case {
        filters: vec![filter],
        parameters: Vec::new(),
    };
    let compiled = match compile(&case, None) {
        Ok(compiled) => compiled,
        Err(error) => return Ok(Err(error)),
    };
    let frames: Vec<&[u8]> = course.frames.iter().map(Vec::as_slice).collect();
    with_filter(pair, &case, |pair, refused| {
        if let Some(refused) = refused {
            return Ok(Err(refused));
        }
        let mut out = Vec::new();
        for _ in 0..course.rounds {
            let written = written(pair, &frames)?;
            match judged(pair, &compiled, &frames)? {
                Ok(judged) => out.push(Pace { written, judged }),
                Err(text) => return Ok(Err(text)),
            }
        }
        Ok(Ok(out))
    })
}

fn written(pair: &mut Pair, frames: &[&[u8]]) -> Result<u64, LabError> {
    let (mut took, mut count) = (Duration::ZERO, 0);
    while took < SPAN {
        took += pair.only_write(frames)?;
        count += frames.len();
    }
    Ok(rate(count, took))
}

fn judged(
    pair: &mut Pair,
    compiled: &Compiled,
    frames: &[&[u8]],
) -> Result<Result<u64, String>, LabError> {
    let (started, mut count, mut wrong) = (Instant::now(), 0, 0_usize);
    while started.elapsed() < SPAN {
        let passed = pair.carry_all(true, frames)?;
        for (frame, passed) in frames.iter().zip(passed) {
            let verdict = disputed(compiled, frame, Way::FromGuest, passed);
            wrong += usize::from(verdict == Some(true));
        }
        count += frames.len();
    }
    if wrong > 0 {
        return Ok(Err(format!(
            "{wrong} of {count} frames are judged otherwise than the evaluator says"
        )));
    }
    Ok(Ok(rate(count, started.elapsed())))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a rate in whole frames"
)]
fn rate(count: usize, took: Duration) -> u64 {
    (count as f64 / took.as_secs_f64()) as u64
}
