//! A new libvirtd for each cell.
//!
//! A libvirtd that lives when a domain ends runs thirty commands to take that domain's
//! filter away, and each of its commands costs more the longer it has run, since its heap
//! grows and is copied for each fork. One that is killed and started anew does neither.

use crate::lab::daemon::Daemon;
use crate::lab::error::LabError;
use crate::lab::libvirtd::{Libvirt, Serving, start};

/// Where libvirtd listens and notes what runs and what is bound. The next one would take
/// that up again. Filters are kept elsewhere.
const RUNNING: &str = "/run/libvirt";

/// Makes the next libvirtd know nothing of what the last one ran, and leaves no socket that
/// could be connected to before it listens.
fn forget_running() -> Result<(), LabError> {
    std::fs::remove_dir_all(RUNNING)
        .and_then(|()| std::fs::create_dir(RUNNING))
        .map_err(|source| LabError::File {
            path: RUNNING.into(),
            source,
        })
}

impl Libvirt {
    /// Ends the libvirtd and starts another, which is not waited for.
    fn replace(&self, serving: &Serving) -> Result<Daemon, LabError> {
        serving.daemon.end();
        forget_running()?;
        start(self.shortcuts, self.backend)
    }

    /// Puts a libvirtd that has run nothing in the place of this one, which is killed and
    /// whose domains must have ended. Domains and bindings that are still held belong to
    /// the old connection and answer with errors.
    ///
    /// # Errors
    /// [`LabError::Host`] when libvirtd cannot be started, [`LabError::Program`] or
    /// [`LabError::Deadline`] when it does not listen.
    pub async fn restart(&self) -> Result<(), LabError> {
        let ahead = self.serving().successor.take();
        let daemon = match ahead {
            Some(daemon) => daemon,
            None => self.replace(&self.serving())?,
        };
        let serving = Serving::connect(daemon, self.slowness).await?;
        *self.serving() = serving;
        Ok(())
    }

    /// Starts the next libvirtd after one was stopped, before [`Libvirt::restart`] asks
    /// for it: libvirtd takes longer to start than a guest takes to end. An error
    /// is dropped here, since `restart` meets it again.
    pub fn start_ahead(&self) {
        let mut serving = self.serving();
        if serving.stopped && serving.successor.is_none() {
            serving.successor = self.replace(&serving).ok();
        }
    }

    /// Ends libvirtd until [`Libvirt::restart`], unless something is wrong with it, which
    /// must still be found.
    pub fn stop(&self) {
        let mut serving = self.serving();
        if serving.daemon.fault().is_none() {
            serving.stopped = true;
            serving.daemon.end();
        }
    }

    /// Whether it has been stopped on purpose.
    pub fn is_stopped(&self) -> bool {
        self.serving().stopped
    }
}
