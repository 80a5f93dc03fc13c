//! libvirt's own events: guests that start, stop, are defined anew, get and lose devices.
//!
//! libvirt calls back in a thread that runs its event loop; another thread keeps the
//! connection and makes it anew when it is lost. That libvirt is away says nothing about
//! the kernel's rules: they outlive it.

use crate::host::{Access, HostError, Libvirt};
use std::ffi::{CStr, c_char, c_int, c_void};
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::time::Duration;
use virt::error::Error;
use virt_sys as sys;

/// First and longest pause before a lost connection is tried again.
const RETRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));
/// libvirt asks its daemon so often whether it lives, and gives up after so many silences.
const KEEP_ALIVE: (i32, u32) = (15, 4);

/// What libvirt tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DomainEvent {
    /// The connection is there.
    Connected,
    /// There is none, and why.
    Lost(String),
    /// Something about a guest has changed.
    Changed {
        /// The guest.
        guest: String,
        /// What, in a word.
        what: &'static str,
    },
}

/// The events, and a descriptor that can be read when there is one.
#[derive(Debug)]
pub struct DomainEvents {
    events: Receiver<DomainEvent>,
    awake: UnixStream,
}

impl AsFd for DomainEvents {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.awake.as_fd()
    }
}

impl DomainEvents {
    /// Begins to listen to the libvirt of this URI. Must come before any other connection of
    /// this process: libvirt's event loop serves those that are made after it.
    ///
    /// # Errors
    /// When a thread or a socket cannot be made.
    pub fn listen(uri: Option<String>) -> std::io::Result<Self> {
        let (sender, events) = channel();
        let (awake, wake) = UnixStream::pair()?;
        awake.set_nonblocking(true)?;
        wake.set_nonblocking(true)?;
        run_the_event_loop()?;
        let told = Told {
            sender: Mutex::new(sender),
            wake,
        };
        std::thread::Builder::new()
            .name("lanfence-libvirt".into())
            .spawn(move || keep_connected(uri.as_deref(), &Arc::new(told)))?;
        Ok(Self { events, awake })
    }

    /// What was told since the last call.
    pub fn take(&mut self) -> Vec<DomainEvent> {
        let mut bytes = [0; 256];
        while matches!(self.awake.read(&mut bytes), Ok(length) if length > 0) {}
        self.events.try_iter().collect()
    }
}

/// Where events go.
#[derive(Debug)]
struct Told {
    sender: Mutex<Sender<DomainEvent>>,
    wake: UnixStream,
}

impl Told {
    fn tell(&self, event: DomainEvent) {
        // Nobody listens any more when the watcher ends.
        let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = sender.send(event);
        // A full socket wakes as well.
        let _ = (&self.wake).write(&[1]);
    }
}

/// Starts libvirt's event loop once for the process.
fn run_the_event_loop() -> std::io::Result<()> {
    static ONCE: Once = Once::new();
    let mut started = Ok(());
    ONCE.call_once(|| {
        // SAFETY: the call takes nothing and is made once, before any connection.
        if unsafe { sys::virEventRegisterDefaultImpl() } < 0 {
            started = Err(std::io::Error::other("libvirt has no event loop"));
            return;
        }
        let run = || {
            loop {
                // SAFETY: the loop is registered; only this thread runs it.
                if unsafe { sys::virEventRunDefaultImpl() } < 0 {
                    std::thread::sleep(RETRY.0);
                }
            }
        };
        let thread = std::thread::Builder::new().name("lanfence-events".into());
        started = thread.spawn(run).map(drop);
    });
    started
}

/// Keeps a connection with its callbacks for as long as the process lives.
fn keep_connected(uri: Option<&str>, told: &Arc<Told>) {
    let mut pause = RETRY.0;
    let mut was_told = false;
    loop {
        match Session::open(uri, told) {
            Ok(session) => {
                (pause, was_told) = (RETRY.0, false);
                told.tell(DomainEvent::Connected);
                let reason = session.until_closed();
                told.tell(DomainEvent::Lost(reason.to_owned()));
            }
            Err(error) => {
                if !std::mem::replace(&mut was_told, true) {
                    told.tell(DomainEvent::Lost(error.to_string()));
                }
                std::thread::sleep(pause);
                pause = (pause * 2).min(RETRY.1);
            }
        }
    }
}

/// A connection with its callbacks.
struct Session {
    libvirt: Libvirt,
    closed: Receiver<c_int>,
    callbacks: Vec<c_int>,
}

impl Session {
    fn open(uri: Option<&str>, told: &Arc<Told>) -> Result<Self, HostError> {
        let libvirt = Libvirt::open(uri, Access::Read)?;
        let (sender, closed) = channel::<c_int>();
        let mut session = Self {
            libvirt,
            closed,
            callbacks: Vec::new(),
        };
        session.on_close(sender)?;
        // A daemon that knows no keep-alive is noticed by its closed socket.
        let (interval, silences) = KEEP_ALIVE;
        let _ = session
            .libvirt
            .connection()
            .set_keep_alive(interval, silences);
        session.register(
            sys::VIR_DOMAIN_EVENT_ID_LIFECYCLE,
            lifecycle as *const (),
            told,
        )?;
        session.register(
            sys::VIR_DOMAIN_EVENT_ID_DEVICE_ADDED,
            device_added as *const (),
            told,
        )?;
        session.register(
            sys::VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED,
            device_removed as *const (),
            told,
        )?;
        Ok(session)
    }

    fn on_close(&self, sender: Sender<c_int>) -> Result<(), HostError> {
        let opaque = Box::into_raw(Box::new(sender));
        // SAFETY: the connection is open; the box lives until libvirt frees it with the
        // function that is given for that.
        let done = unsafe {
            sys::virConnectRegisterCloseCallback(
                self.libvirt.connection().as_ptr(),
                Some(closed),
                opaque.cast(),
                Some(free_sender),
            )
        };
        if done < 0 {
            // SAFETY: libvirt has not taken the box.
            drop(unsafe { Box::from_raw(opaque) });
            return Err(self.failed());
        }
        Ok(())
    }

    fn register(
        &mut self,
        event: sys::virDomainEventID,
        callback: *const (),
        told: &Arc<Told>,
    ) -> Result<(), HostError> {
        let opaque = Arc::into_raw(Arc::clone(told));
        // SAFETY: libvirt calls each kind of event with the arguments of that kind
        // (`VIR_DOMAIN_EVENT_CALLBACK` in libvirt-domain.h casts in the same way).
        let callback = unsafe {
            std::mem::transmute::<*const (), sys::virConnectDomainEventGenericCallback>(callback)
        };
        // SAFETY: the connection is open, no domain means all of them, and the reference is
        // given back by the function for that.
        let id = unsafe {
            sys::virConnectDomainEventRegisterAny(
                self.libvirt.connection().as_ptr(),
                std::ptr::null_mut(),
                event.cast_signed(),
                callback,
                opaque.cast_mut().cast(),
                Some(free_told),
            )
        };
        if id < 0 {
            // SAFETY: libvirt has not taken the reference.
            drop(unsafe { Arc::from_raw(opaque) });
            return Err(self.failed());
        }
        self.callbacks.push(id);
        Ok(())
    }

    fn failed(&self) -> HostError {
        let doing = format!("listen to the events of {}", self.libvirt.uri());
        HostError::libvirt(doing, &Error::last_error())
    }

    /// Waits for the end of the connection and says why it ended.
    fn until_closed(self) -> &'static str {
        match self.closed.recv() {
            Ok(1) => "the daemon ended or was restarted",
            Ok(2) => "the daemon does not answer any more",
            _ => "the connection failed",
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // SAFETY: the connection is held to the end of this.
        let connect = unsafe { self.libvirt.connection().as_ptr() };
        for id in &self.callbacks {
            // SAFETY: the connection is held, also when it is closed; the number is its own.
            unsafe { sys::virConnectDomainEventDeregisterAny(connect, *id) };
        }
        // SAFETY: as above. It fails harmlessly where none was registered.
        unsafe { sys::virConnectUnregisterCloseCallback(connect, Some(closed)) };
    }
}

unsafe extern "C" fn closed(_: sys::virConnectPtr, reason: c_int, opaque: *mut c_void) {
    // SAFETY: this is the box that was registered, and it lives until it is freed.
    let sender = unsafe { &*opaque.cast::<Sender<c_int>>() };
    let _ = sender.send(reason);
}

unsafe extern "C" fn free_sender(opaque: *mut c_void) {
    // SAFETY: libvirt frees what was registered once.
    drop(unsafe { Box::from_raw(opaque.cast::<Sender<c_int>>()) });
}

unsafe extern "C" fn free_told(opaque: *mut c_void) {
    // SAFETY: libvirt gives each reference back once.
    drop(unsafe { Arc::from_raw(opaque.cast::<Told>().cast_const()) });
}

/// What the events of a guest's life are called here, by libvirt's numbers
/// (`virDomainEventType`).
const LIFE: [&str; 9] = [
    "defined",
    "undefined",
    "started",
    "suspended",
    "resumed",
    "stopped",
    "shut down",
    "suspended for power",
    "crashed",
];

unsafe extern "C" fn lifecycle(
    _: sys::virConnectPtr,
    domain: sys::virDomainPtr,
    event: c_int,
    _: c_int,
    opaque: *mut c_void,
) -> c_int {
    let what = usize::try_from(event).ok().and_then(|at| LIFE.get(at));
    // SAFETY: libvirt passes what was registered, and a domain that lives through the call.
    unsafe { changed(domain, what.copied().unwrap_or("changed"), opaque) };
    0
}

unsafe extern "C" fn device_added(
    _: sys::virConnectPtr,
    domain: sys::virDomainPtr,
    _: *const c_char,
    opaque: *mut c_void,
) {
    // SAFETY: as for `lifecycle`.
    unsafe { changed(domain, "given a device", opaque) };
}

unsafe extern "C" fn device_removed(
    _: sys::virConnectPtr,
    domain: sys::virDomainPtr,
    _: *const c_char,
    opaque: *mut c_void,
) {
    // SAFETY: as for `lifecycle`.
    unsafe { changed(domain, "freed of a device", opaque) };
}

/// Passes an event on.
///
/// # Safety
/// The domain is one that libvirt passes to a callback, `opaque` what was registered.
unsafe fn changed(domain: sys::virDomainPtr, what: &'static str, opaque: *mut c_void) {
    // SAFETY: the caller says so.
    let (told, name) = unsafe { (&*opaque.cast::<Told>(), sys::virDomainGetName(domain)) };
    let guest = if name.is_null() {
        String::new()
    } else {
        // SAFETY: a name of libvirt is a C string that lives as long as the domain.
        unsafe { CStr::from_ptr(name) }
            .to_string_lossy()
            .into_owned()
    };
    told.tell(DomainEvent::Changed { guest, what });
}
