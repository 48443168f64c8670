//! Addresses of the internet, in their canonical text: RFC 5952, and those of version 4 within version 6 as version 4.

use crate::country::trim_spaces;
use std::net::{IpAddr, Ipv4Addr};

/// Reads an address; of a list with commas the first. A port, brackets and a zone go; version 6 with a port needs its
/// brackets. Spaces around it go too, as lists of proxies have them.
pub fn parse(text: &[u8]) -> Option<IpAddr> {
    let first = text.split(|byte| *byte == b',').next()?;
    let text = str::from_utf8(trim_spaces(first)).ok()?;
    let address = match text.strip_prefix('[') {
        Some(rest) => {
            let (inside, port) = rest.split_once(']')?;
            if !port.is_empty() && !port.strip_prefix(':').is_some_and(is_port) {
                return None;
            }
            without_zone(inside)?.parse().ok()?
        }
        None => match text.split_once(':') {
            Some((address, port)) if !port.contains(':') && is_port(port) => {
                IpAddr::V4(without_zone(address)?.parse::<Ipv4Addr>().ok()?)
            }
            _ => without_zone(text)?.parse().ok()?,
        },
    };
    Some(match address {
        IpAddr::V6(address) => address.to_ipv4_mapped().map_or(IpAddr::V6(address), IpAddr::V4),
        v4 => v4,
    })
}

/// Whether the text is an address of version 4 in the one way in which it can be written.
pub fn is_canonical_v4(text: &[u8]) -> bool {
    if text.len() > "255.255.255.255".len() {
        return false;
    }
    let (mut parts, mut digits, mut number) = (1, 0, 0_u32);
    for byte in text {
        match byte {
            b'0'..=b'9' if digits == 0 || number > 0 => {
                digits += 1;
                number = number * 10 + u32::from(byte - b'0');
            }
            b'.' if digits > 0 => (parts, digits, number) = (parts + 1, 0, 0),
            _ => return false,
        }
        if number > 255 {
            return false;
        }
    }
    parts == 4 && digits > 0
}

/// The address in front of `%zone`; `None` where the zone is empty.
fn without_zone(text: &str) -> Option<&str> {
    match text.split_once('%') {
        Some((_, "")) => None,
        Some((address, _)) => Some(address),
        None => Some(text),
    }
}

fn is_port(text: &str) -> bool {
    (1..=5).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_digit())
        && text.parse::<u16>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings() {
        let table = [
            ("1.2.3.4", Some("1.2.3.4")),
            ("255.255.255.255", Some("255.255.255.255")),
            ("1.2.3.4:80", Some("1.2.3.4")),
            ("1.2.3.4, 5.6.7.8", Some("1.2.3.4")),
            ("1.2.3.4 , x", Some("1.2.3.4")),
            ("  1.2.3.4 ", Some("1.2.3.4")),
            ("[1.2.3.4]:80", Some("1.2.3.4")),
            ("::1", Some("::1")),
            ("2001:DB8:0:0:0:0:0:1", Some("2001:db8::1")),
            ("2001:db8:0:1:1:1:1:1", Some("2001:db8:0:1:1:1:1:1")),
            ("2001:0:0:1:0:0:0:1", Some("2001:0:0:1::1")),
            ("2001:db8:0:0:1:0:0:1", Some("2001:db8::1:0:0:1")),
            ("[2001:db8::1]", Some("2001:db8::1")),
            ("[2001:db8::1]:65535", Some("2001:db8::1")),
            ("[fe80::1%eth0]:80", Some("fe80::1")),
            ("fe80::1%eth0", Some("fe80::1")),
            ("fe80::1%25en1, 1.2.3.4", Some("fe80::1")),
            ("::ffff:1.2.3.4", Some("1.2.3.4")),
            ("::FFFF:102:304", Some("1.2.3.4")),
            ("[::ffff:1.2.3.4]:1", Some("1.2.3.4")),
            ("64:ff9b::1.2.3.4", Some("64:ff9b::102:304")),
            ("::1.2.3.4", Some("::102:304")),
            ("::", Some("::")),
            ("2001:db8::1:80", Some("2001:db8::1:80")),
            ("1:2:3:4:5:6:7:8:80", None),
            ("1.2.3.4:", None),
            ("1.2.3.4:65536", None),
            ("1.2.3.4:+1", None),
            ("[::1", None),
            ("::1]", None),
            ("[::1]80", None),
            ("[::1]:", None),
            ("[]", None),
            ("fe80::1%", None),
            ("01.2.3.4", None),
            ("1.2.3", None),
            ("1.2.3.256", None),
            ("16909060", None),
            ("localhost", None),
            (",1.2.3.4", None),
            ("", None),
            ("1.2.3.4/24", None),
            ("é", None),
        ];
        for (text, expected) in table {
            let found = parse(text.as_bytes()).map(|address| address.to_string());
            assert_eq!(found.as_deref(), expected, "{text:?}");
        }
    }

    #[test]
    fn canonical_version_4() {
        let good = ["0.0.0.0", "1.2.3.4", "255.255.255.255", "10.0.100.200"];
        let bad = [
            "",
            ".",
            "1.2.3",
            "1.2.3.",
            ".1.2.3",
            "1..2.3",
            "1.2.3.4.",
            "1.2.3.4.5",
            "01.2.3.4",
            "1.2.3.00",
            "256.1.1.1",
        ];
        for (text, expected) in good.map(|text| (text, true)).into_iter().chain(bad.map(|text| (text, false)))
        {
            assert_eq!(is_canonical_v4(text.as_bytes()), expected, "{text}");
            assert_eq!(text.parse::<Ipv4Addr>().is_ok(), expected, "{text}");
        }
        for text in ["1.2.3.4 ", "1.2.3.x", "1.2.3.999999999999", "1.2.3.4:80", "::1"] {
            assert!(!is_canonical_v4(text.as_bytes()), "{text}");
        }
    }
}
