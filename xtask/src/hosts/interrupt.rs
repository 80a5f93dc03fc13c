//! Ctrl-C and SIGTERM: they end every wait, so that what was started is ended and removed.

use crate::failure::Interrupted;
use anyhow::{Context as _, Result};
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

static ASKED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// From now on these signals are only noted. The second one ends the program at once.
///
/// # Errors
///
/// If the operating system does not take the handlers.
pub fn note_signals() -> Result<()> {
    let asked = ASKED.get_or_init(Arc::default);
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register_conditional_default(signal, Arc::clone(asked))
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(asked)))
            .context("cannot take note of signals")?;
    }
    Ok(())
}

/// Fails once one of the signals has come.
///
/// # Errors
///
/// [`Interrupted`].
pub fn check() -> Result<()> {
    match ASKED.get() {
        Some(asked) if asked.load(Ordering::Relaxed) => Err(Interrupted)?,
        _ => Ok(()),
    }
}
