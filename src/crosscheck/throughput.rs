//! How many frames a second go through a bound filter and are judged, beside
//! the bare writing of them.

use super::comparison::{disputed, with_filter};
use super::grammar::Case;
use super::message::{BenchInput, Message, Throughput};
use super::model::compile;
use crate::lab::{LabError, Pair, Shortcuts};
use crate::nwfilter::evaluate::{Compiled, Way};
use crate::nwfilter::read;
use std::time::{Duration, Instant};

/// How long one figure is measured.
const SPAN: Duration = Duration::from_millis(500);

/// Measures in a lab of its own.
pub async fn run(input: &BenchInput) -> Message {
    let mut pair = match Pair::up(Shortcuts::all()).await {
        Ok(pair) => pair,
        Err(error) => return Message::Host(error.to_string()),
    };
    match measure(&mut pair, input) {
        Ok(Ok(measured)) => Message::Measured(measured),
        Ok(Err(text)) => Message::Broken(text),
        Err(error) => Message::Broken(error.to_string()),
    }
}

fn measure(
    pair: &mut Pair,
    input: &BenchInput,
) -> Result<Result<Vec<Throughput>, String>, LabError> {
    let filter = match read(&input.filter, "the filter to measure with") {
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
    let frames: Vec<&[u8]> = input.frames.iter().map(Vec::as_slice).collect();
    with_filter(pair, &case, |pair, refused| {
        if let Some(refused) = refused {
            return Ok(Err(refused));
        }
        let mut out = Vec::new();
        for _ in 0..input.rounds {
            let written = written(pair, &frames)?;
            match judged(pair, &compiled, &frames)? {
                Ok(judged) => out.push(Throughput { written, judged }),
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
