//! Countries: the codes of ISO 3166-1 alpha-2 as assigned, and `XK`.

/// Every code there is, in alphabetical order.
const ASSIGNED: &[u8] = b"ADAEAFAGAIALAMAOAQARASATAUAWAXAZBABBBDBEBFBGBHBIBJBLBMBNBOBQBRBSBTBVBWBYBZCACCCDCFCGCHCICKCLCMCNCO\
CRCUCVCWCXCYCZDEDJDKDMDODZECEEEGEHERESETFIFJFKFMFOFRGAGBGDGEGFGGGHGIGLGMGNGPGQGRGSGTGUGWGYHKHMHNHRHTHUIDIEILIMINIOIQIRISIT\
JEJMJOJPKEKGKHKIKMKNKPKRKWKYKZLALBLCLILKLRLSLTLULVLYMAMCMDMEMFMGMHMKMLMMMNMOMPMQMRMSMTMUMVMWMXMYMZNANCNENFNGNINLNONPNRNUNZOM\
PAPEPFPGPHPKPLPMPNPRPSPTPWPYQARERORSRURWSASBSCSDSESGSHSISJSKSLSMSNSOSRSSSTSVSXSYSZTCTDTFTGTHTJTKTLTMTNTOTRTTTVTWTZUAUGUMUSUY\
UZVAVCVEVGVIVNVUWFWSXKYEYTZAZMZW";

/// One bit a second letter, a word a first letter.
const TABLE: [u32; 26] = {
    let mut table = [0; 26];
    let mut place = 0;
    while place < ASSIGNED.len() {
        table[(ASSIGNED[place] - b'A') as usize] |= 1 << (ASSIGNED[place + 1] - b'A');
        place += 2;
    }
    table
};

/// What a text says about the country.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Country {
    /// Nothing: it is blank, or `ZZ`, which stands for an unknown country.
    Unknown,
    /// It is no code of a country.
    Invalid,
    /// This one, in upper case.
    Code([u8; 2]),
}

impl Country {
    /// Reads a code in any case, with spaces around it; `UK` is `GB`.
    pub fn parse(text: &[u8]) -> Self {
        match trim_spaces(text) {
            [] => Self::Unknown,
            [first, second] => match [first.to_ascii_uppercase(), second.to_ascii_uppercase()] {
                [b'Z', b'Z'] => Self::Unknown,
                [b'U', b'K'] => Self::Code(*b"GB"),
                code if is_assigned(code) => Self::Code(code),
                _ => Self::Invalid,
            },
            _ => Self::Invalid,
        }
    }
}

/// Whether a text is a code as [`Country::parse`] gives it.
pub fn is_canonical(text: &[u8]) -> bool {
    matches!(text, [first, second] if is_assigned([*first, *second]))
}

/// Whether a code, in upper case, is assigned to a country.
fn is_assigned([first, second]: [u8; 2]) -> bool {
    let (row, bit) = (first.wrapping_sub(b'A'), second.wrapping_sub(b'A'));
    bit < 26 && TABLE.get(usize::from(row)).is_some_and(|seconds| seconds >> bit & 1 == 1)
}

/// The text without the spaces at both ends.
pub fn trim_spaces(mut text: &[u8]) -> &[u8] {
    while let [b' ', rest @ ..] | [rest @ .., b' '] = text {
        text = rest;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_249_codes_and_kosovo() {
        assert_eq!(TABLE.iter().map(|seconds| seconds.count_ones()).sum::<u32>(), 250);
        assert!(ASSIGNED.chunks(2).is_sorted());
    }

    #[test]
    fn spellings() {
        let table = [
            ("DE", Country::Code(*b"DE")),
            ("de", Country::Code(*b"DE")),
            ("  dE   ", Country::Code(*b"DE")),
            ("UK", Country::Code(*b"GB")),
            ("uk", Country::Code(*b"GB")),
            ("xk", Country::Code(*b"XK")),
            ("ZZ", Country::Unknown),
            (" zz", Country::Unknown),
            ("", Country::Unknown),
            ("   ", Country::Unknown),
            ("EU", Country::Invalid),
            ("AN", Country::Invalid),
            ("XX", Country::Invalid),
            ("DEU", Country::Invalid),
            ("D", Country::Invalid),
            ("D E", Country::Invalid),
            ("\tDE", Country::Invalid),
            ("49", Country::Invalid),
            ("ſe", Country::Invalid),
            ("é", Country::Invalid),
            ("[\\", Country::Invalid),
        ];
        for (text, expected) in table {
            assert_eq!(Country::parse(text.as_bytes()), expected, "{text:?}");
            assert_eq!(
                is_canonical(text.as_bytes()),
                matches!(expected, Country::Code(code) if text.as_bytes() == code)
            );
        }
    }
}
