//! How many frames a second go through a bound filter and are judged, beside
//! the bare writing of them.

use super::comparison::{disputed, with_filter};
use super::message::{BenchInput, Message, Throughput};
use super::model::{Model, compile};
use crate::lab::{LabError, Pair, Shortcuts};
use crate::nwfilter::evaluate::{Backend, CompileError, Compiled, Way};
use crate::nwfilter::{ReadError, read};
use crate::random::Case;
use std::time::{Duration, Instant};

/// How long one figure is measured.
const SPAN: Duration = Duration::from_millis(500);

/// Why there is no figure.
#[derive(Debug, thiserror::Error)]
enum MeasureError {
    /// The lab broke down.
    #[error(transparent)]
    Lab(#[from] LabError),
    /// The filter cannot be read.
    #[error(transparent)]
    Filter(#[from] ReadError),
    /// The evaluator does not take the filter.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// libvirt does not take it.
    #[error("{words}")]
    Refused {
        /// libvirt's words.
        words: String,
    },
    /// The kernel does otherwise than the evaluator says.
    #[error("{wrong} of {count} frames are judged otherwise than the evaluator says")]
    Disputed {
        /// How many frames.
        wrong: usize,
        /// Of how many.
        count: usize,
    },
}

/// Measures in a lab of its own.
pub async fn run(input: &BenchInput) -> Message {
    let mut pair = match Pair::up(Shortcuts::all(), Backend::default()).await {
        Ok(pair) => pair,
        Err(error) => return Message::Host(error.to_string()),
    };
    match measure(&mut pair, input) {
        Ok(measured) => Message::Measured(measured),
        Err(error) => Message::Broken(error.to_string()),
    }
}

fn measure(pair: &mut Pair, input: &BenchInput) -> Result<Vec<Throughput>, MeasureError> {
    let case = Case {
        filters: vec![read(&input.filter, "the filter to measure with")?],
        parameters: Vec::new(),
    };
    let compiled = compile(&case, Model::default())?;
    let frames: Vec<&[u8]> = input.frames.iter().map(Vec::as_slice).collect();
    with_filter(pair, &case, |pair, refused| {
        Ok(match refused {
            Some(words) => Err(MeasureError::Refused { words }),
            None => rounds(pair, &compiled, &frames, input.rounds),
        })
    })?
}

fn rounds(
    pair: &mut Pair,
    compiled: &Compiled,
    frames: &[&[u8]],
    rounds: u32,
) -> Result<Vec<Throughput>, MeasureError> {
    let mut out = Vec::new();
    for _ in 0..rounds {
        let written = written(pair, frames)?;
        let judged = judged(pair, compiled, frames)?;
        out.push(Throughput { written, judged });
    }
    Ok(out)
}

fn written(pair: &mut Pair, frames: &[&[u8]]) -> Result<u64, LabError> {
    let (mut took, mut count) = (Duration::ZERO, 0);
    while took < SPAN {
        took += pair.only_write(frames)?;
        count += frames.len();
    }
    Ok(rate(count, took))
}

fn judged(pair: &mut Pair, compiled: &Compiled, frames: &[&[u8]]) -> Result<u64, MeasureError> {
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
        return Err(MeasureError::Disputed { wrong, count });
    }
    Ok(rate(count, started.elapsed()))
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
