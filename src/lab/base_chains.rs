//! libvirt's base chains of iptables, made for both families at once.

use super::binding::{Binding, BindingSpec};
use super::error::LabError;
use super::pair::Pair;
use crate::layout::mac;
use crate::nwfilter::evaluate::Backend;

/// Name of the filter that needs the chains.
const NAME: &str = "lanfence-base-chains";

/// Rules of iptables and of ip6tables, and no others.
const BOTH_FAMILIES: &str = "<filter name='lanfence-base-chains'>\
    <rule action='drop' direction='out'><tcp/></rule>\
    <rule action='drop' direction='out'><tcp-ipv6/></rule></filter>";

impl Pair {
    /// Has libvirt make its base chains, such as `libvirt-in`, for IPv4 and IPv6. With libvirt 12.9 and
    /// ebtables, filters with rules of both families are refused from the first filter on that has rules
    /// of IPv4 alone (docs/libvirt-bugs.md#B34), and what becomes of a filter must not hang on those
    /// before it. The chains stay when the filter goes.
    ///
    /// # Errors
    /// When libvirt refuses the filter that needs the chains.
    pub fn make_base_chains(&self) -> Result<(), LabError> {
        if self.libvirt.backend() == Backend::Nftables {
            return Ok(());
        }
        self.libvirt.define_filter(NAME, BOTH_FAMILIES)?;
        let binding = self.libvirt.bind(&BindingSpec {
            device: self.device(),
            mac: mac::guest(1, None),
            filter: NAME,
            parameters: &[],
        })?;
        Binding::remove(binding)?;
        self.libvirt.undefine_filter(NAME)
    }
}
