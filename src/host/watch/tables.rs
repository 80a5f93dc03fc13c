//! The tables that libvirt's filters live in, read from the kernel with netlink: in
//! milliseconds, and again only what a notification names.

use super::expression::{Rule, Verdict, verdict};
use crate::host::gate;
use crate::host::kernel::DORMANT;
use crate::host::links;
use crate::host::netlink::{
    Append as _, Attributes, BRIDGE, DUMP, Incoming, Message, NETFILTER, NFTABLES, REQUEST, Socket,
    text,
};
use nix::sys::socket::SockProtocol;
use std::collections::{BTreeMap, BTreeSet};
use std::io;

/// Kinds of nftables' messages.
const GET_TABLE: u16 = 1;
const GET_CHAIN: u16 = 4;
const GET_RULE: u16 = 7;
const GET_SET: u16 = 10;
const GET_ELEMENTS: u16 = 13;

/// `NFPROTO_IPV4`, `NFPROTO_IPV6`.
const IP4: u8 = 2;
const IP6: u8 = 10;

/// A table of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    family: u8,
    table: &'static str,
}

/// Where libvirt puts the rules of its filters: both back ends, both layers.
pub const PLACES: [Place; 5] = [
    Place {
        family: BRIDGE,
        table: "nat",
    },
    Place {
        family: IP4,
        table: "filter",
    },
    Place {
        family: IP6,
        table: "filter",
    },
    Place {
        family: BRIDGE,
        table: "libvirt_nwfilter_ethernet",
    },
    Place {
        family: BRIDGE,
        table: "libvirt_nwfilter_inet",
    },
];

/// The table of the gate.
const GATE: Place = Place {
    family: BRIDGE,
    table: gate::TABLE,
};

impl Place {
    /// The place of a table, if libvirt puts rules of filters there.
    pub fn of(family: u8, table: &str) -> Option<Self> {
        let here = |place: &Self| place.family == family && place.table == table;
        PLACES.into_iter().find(here)
    }

    /// Whether libvirt's nftables back end made it.
    pub fn is_of_nftables(self) -> bool {
        self.table.starts_with("libvirt_nwfilter_")
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let family = match self.family {
            BRIDGE => "bridge",
            IP4 => "ip",
            _ => "ip6",
        };
        write!(f, "{family} {}", self.table)
    }
}

/// A chain with its rules.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chain {
    /// The kernel sends frames here.
    pub is_base: bool,
    /// Its rules in order.
    pub rules: Vec<Rule>,
}

/// A table, as far as filters are concerned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    /// Its chains by name.
    pub chains: BTreeMap<String, Chain>,
    /// The chains that its maps lead interfaces to: map, interface, chain.
    pub jumps: BTreeSet<(String, String, String)>,
}

impl Table {
    /// The chains that a map leads an interface to.
    pub fn jumps<'a>(&'a self, map: &str, interface: &str) -> impl Iterator<Item = &'a str> {
        let first = (map.to_owned(), interface.to_owned(), String::new());
        let from_here = self.jumps.range(first.clone()..);
        let of_both = from_here.take_while(move |jump| (&jump.0, &jump.1) == (&first.0, &first.1));
        of_both.map(|(.., chain)| chain.as_str())
    }
}

/// What has to be read again.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Everything, after notifications were lost.
    Everything,
    /// A table with its chains.
    Table(Place),
    /// The rules of a chain whose name has not changed.
    Rules(Place, String),
}

/// The tables as they were when they were read last.
#[derive(Debug)]
pub struct Tables {
    socket: Socket,
    tables: BTreeMap<Place, Table>,
}

impl Tables {
    /// Reads all of them.
    ///
    /// # Errors
    /// When the right to see rules is missing, or the kernel has no nftables.
    pub fn read() -> io::Result<Self> {
        let mut tables = Self {
            socket: Socket::open(SockProtocol::NetlinkNetFilter, 0)?,
            tables: BTreeMap::new(),
        };
        tables.refresh(&BTreeSet::from([Part::Everything]))?;
        Ok(tables)
    }

    /// The tables that are there.
    pub fn all(&self) -> impl Iterator<Item = (Place, &Table)> {
        self.tables.iter().map(|(place, table)| (*place, table))
    }

    /// Reads these parts again.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn refresh(&mut self, parts: &BTreeSet<Part>) -> io::Result<()> {
        let whole: BTreeSet<Place> = PLACES
            .into_iter()
            .filter(|place| {
                parts.contains(&Part::Everything) || parts.contains(&Part::Table(*place))
            })
            .collect();
        for place in &whole {
            self.read_table(*place)?;
        }
        for part in parts {
            if let Part::Rules(place, chain) = part
                && !whole.contains(place)
            {
                self.read_rules(*place, chain)?;
            }
        }
        Ok(())
    }

    fn read_table(&mut self, place: Place) -> io::Result<()> {
        match self.read_one(place)? {
            Some(table) => self.tables.insert(place, table),
            None => self.tables.remove(&place),
        };
        Ok(())
    }

    /// The gate's table, as it is now; none where there is none.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn gate(&self) -> io::Result<Option<Table>> {
        self.read_one(GATE)
    }

    /// A table; none where there is none, or where the kernel applies none of its rules.
    fn read_one(&self, place: Place) -> io::Result<Option<Table>> {
        let (mut table, mut is_dormant) = (Table::default(), false);
        self.socket
            .dump_whole(&request(place, GET_TABLE), |message| {
                let found = message.attributes(NETFILTER);
                let is_it = found.text(1).as_deref() == Some(place.table);
                is_dormant |= is_it && found.number(2).is_some_and(|flags| flags & DORMANT != 0);
            })?;
        if is_dormant {
            return Ok(None);
        }
        self.socket
            .dump_whole(&request(place, GET_CHAIN).text(1, place.table), |message| {
                let chain = message.attributes(NETFILTER);
                if chain.text(1).as_deref() == Some(place.table) {
                    let is_base = chain.find(4).is_some();
                    let name = chain.text(3).unwrap_or_default();
                    let rules = Vec::new();
                    table.chains.insert(name, Chain { is_base, rules });
                }
            })?;
        if table.chains.is_empty() {
            return Ok(None);
        }
        self.socket
            .dump_whole(&request(place, GET_RULE).text(1, place.table), |message| {
                let (chain, rule) = rule(message, place);
                if let (Some(chain), Some(rule)) = (table.chains.get_mut(&chain), rule) {
                    chain.rules.push(rule);
                }
            })?;
        if place.is_of_nftables() {
            table.jumps = self.read_maps(place)?;
        }
        Ok(Some(table))
    }

    fn read_rules(&mut self, place: Place, name: &str) -> io::Result<()> {
        let mut rules = Vec::new();
        let ask = request(place, GET_RULE).text(1, place.table).text(2, name);
        self.socket.dump_whole(&ask, |message| {
            let (chain, rule) = rule(message, place);
            rules.extend(rule.filter(|_| chain == name));
        })?;
        let table = self.tables.get_mut(&place);
        match table.and_then(|table| table.chains.get_mut(name)) {
            Some(chain) => chain.rules = rules,
            // A chain that was not there when the table was read.
            None => self.read_table(place)?,
        }
        Ok(())
    }

    fn read_maps(&self, place: Place) -> io::Result<BTreeSet<(String, String, String)>> {
        let (mut names, mut jumps) = (BTreeSet::new(), BTreeSet::new());
        self.socket
            .dump_whole(&request(place, GET_SET).text(1, place.table), |message| {
                let set = message.attributes(NETFILTER);
                // Only a map has data.
                if set.text(1).as_deref() == Some(place.table) && set.find(6).is_some() {
                    names.extend(set.text(2));
                }
            })?;
        for name in names {
            let ask = request(place, GET_ELEMENTS)
                .text(1, place.table)
                .text(2, &name);
            self.socket.dump_whole(&ask, |message| {
                let list = message.attributes(NETFILTER).find(3).unwrap_or_default();
                let jump = |(_, element)| jump(&Attributes::within(element));
                let found = Attributes::within(list).filter_map(jump);
                jumps.extend(found.map(|(interface, chain)| (name.clone(), interface, chain)));
            })?;
        }
        Ok(jumps)
    }
}

fn request(place: Place, kind: u16) -> Message {
    let fixed = [place.family, 0, 0, 0];
    Message::new(NFTABLES << 8 | kind, REQUEST | DUMP, &fixed)
}

/// The chain of a rule in this place, and the rule.
fn rule(message: &Incoming<'_>, place: Place) -> (String, Option<Rule>) {
    let fields = message.attributes(NETFILTER);
    let here = fields.text(1).as_deref() == Some(place.table);
    let rule = here.then(|| Rule::of(fields.find(4).unwrap_or_default()));
    (fields.text(2).unwrap_or_default(), rule)
}

/// The name in a map's key. libvirt's maps have the kernel's number of the device (`iface_index`,
/// measured: docs/measurements.md#M47), which a rename does not change; a name fills 16 bytes.
fn device(key: &[u8]) -> Option<String> {
    match <[u8; 4]>::try_from(key) {
        Ok(index) => links::name_of(u32::from_ne_bytes(index)),
        Err(_) => Some(text(key)),
    }
}

/// The interface and the chain of a map's element.
fn jump(element: &Attributes<'_>) -> Option<(String, String)> {
    let interface = device(Attributes::within(element.find(1)?).find(1)?)?;
    let data = Attributes::within(element.find(2)?);
    match verdict(&Attributes::within(data.find(2)?)) {
        Verdict::Chain(chain) => Some((interface, chain)),
        _ => None,
    }
}
