//! PID 1 and agent of lanfence's throwaway Linux guest.
//!
//! It mounts what it needs, loads the image's modules, prints the READY line and
//! then does what the host asks over a virtio-serial port.

mod address;
mod children;
mod cmdline;
mod console;
mod dhcp;
mod dhcp_clients;
mod frames;
mod init;
mod message;
mod modules;
mod monitor;
mod neighbour_hold;
mod netlink;
mod nic;
mod phy;
mod port;
mod proc_net;
mod script;
mod serve;
mod sockets;
mod ssh;
mod tcp;
mod wait;
mod warm_up;

use crate::cmdline::Cmdline;
use crate::port::Port;
use crate::serve::Agent;
use lanfence_agent::COMMAND_LINE;

fn main() {
    if std::process::id() != 1 {
        eprintln!("error: this is the init of a lanfence guest and runs as process 1 only");
        std::process::exit(2);
    }
    // Without it, a panic would show as "Attempted to kill init" and nothing else.
    std::panic::set_hook(Box::new(|panic| console::fatal(&panic.to_string())));
    match start() {
        Ok((mut agent, mut port)) => console::fatal(&agent.serve(&mut port)),
        Err(why) => console::fatal(&why),
    }
}

/// Everything up to the READY line.
fn start() -> Result<(Agent, Port), String> {
    init::mount_all()?;
    let cmdline = std::fs::read_to_string("/proc/cmdline")
        .map_err(|error| format!("cannot read /proc/cmdline: {error}"))?;
    std::fs::write(COMMAND_LINE, &cmdline)
        .map_err(|error| format!("cannot write {COMMAND_LINE}: {error}"))?;
    let cmdline = Cmdline::parse(&cmdline);
    let refused = init::set_sysctls();
    init::seed_random(&cmdline.nonce)?;
    let mut children = children::Children::new()?;
    let mut netlink = netlink::Netlink::open()?;
    init::loopback_up(&mut netlink)?;
    let mut modules = modules::Modules::read()?;
    modules.load_core();
    modules.load_wanted(&cmdline.modules);
    modules.load_present();
    let dhcp = dhcp::Dhcp::new()?;
    let mut ssh = ssh::Ssh::default();
    if cmdline.prepare {
        prepare(&mut modules, &mut ssh, &mut children);
    }
    let port = Port::open().map_err(|why| why + &modules.problems())?;
    for problem in refused.iter().chain(modules.problem_list()) {
        console::note(problem);
    }
    console::ready(&cmdline.nonce, console::uptime_ms());
    let agent = Agent {
        modules,
        netlink,
        children,
        dhcp,
        listeners: sockets::Listeners::default(),
        unwatched: tcp::Unwatched::default(),
        ssh,
    };
    Ok((agent, port))
}

/// Does before the snapshot what each restored guest would otherwise do first: an emulator
/// has to translate all code that a restored guest runs for the first time.
fn prepare(modules: &mut modules::Modules, ssh: &mut ssh::Ssh, children: &mut children::Children) {
    modules.load_pluggable();
    modules.remove_loaded();
    warm_up::before_snapshot();
    // Not every guest is asked for SSH; one that is tries again, and tells.
    if let Err(why) = ssh.listen(children) {
        console::note(&format!("no SSH yet: {why}"));
    }
    init::blank_free_memory();
}
