//! Variables of a filter and the parameters that set them.

/// The variable that libvirt sets to the interface's MAC.
pub const MAC: &str = "MAC";

/// The variable that libvirt learns from the guest's traffic where nothing sets it.
pub const IP: &str = "IP";

/// The variable that stands for the guest's IPv6 addresses; libvirt does not learn them.
pub const IPV6: &str = "IPV6";

/// The parameter that says what libvirt learns [`IP`] from.
pub const LEARNING: &str = "CTRL_IP_LEARNING";

/// Variables that stand for the guest's own addresses.
pub const GUEST: [&str; 2] = [IP, IPV6];

/// How a value refers to a variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// `$NAME` or `$NAME[@1]`: one rule for each value; variables of one
    /// iterator advance together.
    Iterator(String, u32),
    /// `$NAME[3]`: one value, counted from 0.
    Element(String, usize),
}

impl Access {
    /// Reads what stands behind the `$`; none where it is no reference.
    pub fn parse(reference: &str) -> Option<Self> {
        let access = match reference.split_once('[') {
            None => Self::Iterator(reference.to_owned(), 0),
            Some((name, rest)) => {
                let inside = rest.strip_suffix(']')?.trim();
                match inside.strip_prefix('@') {
                    Some(id) => Self::Iterator(name.to_owned(), id.trim().parse().ok()?),
                    None => Self::Element(name.to_owned(), inside.parse().ok()?),
                }
            }
        };
        is_name(access.name()).then_some(access)
    }

    /// The variable.
    pub fn name(&self) -> &str {
        let (Self::Iterator(name, _) | Self::Element(name, _)) = self;
        name
    }
}

/// The name of the variable that a value refers to; none for a plain value.
pub fn referred(value: &str) -> Option<&str> {
    value.strip_prefix('$')?.split('[').next()
}

/// Whether libvirt takes the text for the name of a variable or parameter.
pub fn is_name(text: &str) -> bool {
    is_word(text, "")
}

/// Whether libvirt takes the text for the value of a parameter. It silently
/// skips a parameter with any other character (measured: docs/measurements.md#M6).
pub fn is_value(text: &str) -> bool {
    is_word(text, ".:")
}

fn is_word(text: &str, more: &str) -> bool {
    let good = |c: char| c.is_ascii_alphanumeric() || c == '_' || more.contains(c);
    !text.is_empty() && text.chars().all(good)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::plain("A", Some(Access::Iterator("A".into(), 0)))]
    #[case::iterator("A[ @2 ]", Some(Access::Iterator("A".into(), 2)))]
    #[case::element("A_1[3]", Some(Access::Element("A_1".into(), 3)))]
    #[case::nameless("", None)]
    #[case::open("A[1", None)]
    #[case::word("A[x]", None)]
    #[case::dash("A-B", None)]
    fn references(#[case] text: &str, #[case] expected: Option<Access>) {
        assert_eq!(Access::parse(text), expected);
    }
}
