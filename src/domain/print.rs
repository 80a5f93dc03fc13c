//! A filterref as text.

use crate::nwfilter::FilterRef;
use quick_xml::escape::escape;

/// What a child is indented by against its parent, where spaces indent it.
const STEP: &str = "  ";

/// A line's beginning one step further in.
pub fn deeper(indent: &str) -> String {
    let step = if indent.ends_with('\t') { "\t" } else { STEP };
    format!("{indent}{step}")
}

/// A filterref as libvirt prints it, on lines that begin with this indentation, or on one line
/// where that has no line's end.
pub fn filterref(filterref: &FilterRef, indent: &str) -> String {
    let filter = value(&filterref.filter);
    if filterref.parameters.is_empty() {
        return format!("<filterref filter='{filter}'/>");
    }
    let (inner, outer) = if indent.contains('\n') {
        (deeper(indent), indent)
    } else {
        (String::new(), "")
    };
    let parameters = filterref.parameters.iter().map(|(name, text)| {
        let (name, text) = (value(name), value(text));
        format!("{inner}<parameter name='{name}' value='{text}'/>")
    });
    let parameters: String = parameters.collect();
    format!("<filterref filter='{filter}'>{parameters}{outer}</filterref>")
}

/// A value between quotation marks; white space that a reader would turn into blanks is named.
pub fn value(text: &str) -> String {
    let escaped = escape(text);
    let named = escaped.replace('\t', "&#9;").replace('\n', "&#10;");
    named.replace('\r', "&#13;")
}
