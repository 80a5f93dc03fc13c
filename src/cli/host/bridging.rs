//! The way to a bridge, for guests whose interfaces no filter can hold. It is printed; the
//! host's network is not touched.

use crate::domain::recipes::{Manager, bridge, on_bridge};
use crate::domain::{Interface, Kind};
use crate::host::audit::{Scope, Subject};
use crate::host::change::apply::reference;
use crate::host::{Inventory, free_bridge, main_nic};
use crate::policy::Policy;
use std::path::Path;

/// Where each manager of the host's network shows that it is at work, the one that rules the
/// others first.
const SIGNS: [(&str, Manager); 4] = [
    ("/etc/netplan", Manager::Netplan),
    ("/run/NetworkManager", Manager::NetworkManager),
    ("/run/systemd/netif/links", Manager::Networkd),
    ("/etc/network/interfaces", Manager::Ifupdown),
];

/// The commands for the first interface that cannot be filtered; empty where there is none.
pub fn recipe(inventory: &Inventory, policy: &Policy, scope: &Scope) -> String {
    let subjects = scope.subjects(inventory);
    let interfaces = subjects.iter().map(Subject::interface);
    let odd = interfaces.into_iter().find(|interface| {
        let network = interface.network.as_ref();
        let network = network.and_then(|name| inventory.networks.get(name));
        interface.filterable(network).is_err()
    });
    odd.map_or_else(String::new, |interface| text(policy, interface))
}

fn text(policy: &Policy, interface: &Interface) -> String {
    let of_guest = (interface.kind == Kind::Direct)
        .then(|| interface.source.clone())
        .flatten();
    let Some(nic) = of_guest.or_else(main_nic) else {
        return String::new();
    };
    let name = free_bridge();
    let at_work = SIGNS.into_iter().find(|(sign, _)| Path::new(sign).exists());
    let managers = at_work.map_or(Manager::ALL.to_vec(), |(_, manager)| vec![manager]);
    let mut out = String::new();
    for manager in managers {
        let recipe = bridge(&nic, &name, manager).unwrap_or_else(|error| error.to_string());
        out += &[
            "\n\nThe way to a bridge with ",
            manager.word(),
            ":\n",
            &recipe,
        ]
        .concat();
    }
    let element = on_bridge(interface, &name, Some(&reference(policy)));
    out + "\nThen, in `virsh edit`, in the place of the interface:\n" + &element
}
