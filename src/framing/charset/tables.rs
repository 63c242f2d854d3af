//! Tables: the charsets there are, by number.

use encoding_rs as rs;
use encoding_rs::Encoding;
use oem_cp::OEMCPHashMap;
use oem_cp::code_table::{DECODING_TABLE_CP_MAP, ENCODING_TABLE_CP_MAP};
use oem_cp::code_table_type::TableType;

/// One charset.
#[derive(Clone, Copy)]
pub(super) enum Table {
    /// One of the WHATWG Encoding Standard.
    Whatwg(&'static Encoding),
    /// A code page of DOS, by its number. Its lower half is ASCII.
    Oem(&'static CodePage),
}

/// A code page of DOS.
#[derive(Debug)]
pub(super) struct CodePage {
    number: u16,
    pub(super) name: &'static str,
}

/// The encodings of the standard in which an end of line is one byte, and that may be decoded. The number of one is
/// its place.
static WHATWG: [&Encoding; 37] = [
    &rs::UTF_8_INIT,
    &rs::ISO_2022_JP_INIT,
    &rs::BIG5_INIT,
    &rs::EUC_JP_INIT,
    &rs::EUC_KR_INIT,
    &rs::GB18030_INIT,
    &rs::GBK_INIT,
    &rs::IBM866_INIT,
    &rs::ISO_8859_2_INIT,
    &rs::ISO_8859_3_INIT,
    &rs::ISO_8859_4_INIT,
    &rs::ISO_8859_5_INIT,
    &rs::ISO_8859_6_INIT,
    &rs::ISO_8859_7_INIT,
    &rs::ISO_8859_8_INIT,
    &rs::ISO_8859_8_I_INIT,
    &rs::ISO_8859_10_INIT,
    &rs::ISO_8859_13_INIT,
    &rs::ISO_8859_14_INIT,
    &rs::ISO_8859_15_INIT,
    &rs::ISO_8859_16_INIT,
    &rs::KOI8_R_INIT,
    &rs::KOI8_U_INIT,
    &rs::MACINTOSH_INIT,
    &rs::SHIFT_JIS_INIT,
    &rs::WINDOWS_874_INIT,
    &rs::WINDOWS_1250_INIT,
    &rs::WINDOWS_1251_INIT,
    &rs::WINDOWS_1252_INIT,
    &rs::WINDOWS_1253_INIT,
    &rs::WINDOWS_1254_INIT,
    &rs::WINDOWS_1255_INIT,
    &rs::WINDOWS_1256_INIT,
    &rs::WINDOWS_1257_INIT,
    &rs::WINDOWS_1258_INIT,
    &rs::X_MAC_CYRILLIC_INIT,
    &rs::X_USER_DEFINED_INIT,
];

/// The code pages of DOS. Their numbers go on where those of the standard end.
static OEM: [CodePage; 18] = [
    page(437, "cp437"),
    page(720, "cp720"),
    page(737, "cp737"),
    page(775, "cp775"),
    page(850, "cp850"),
    page(852, "cp852"),
    page(855, "cp855"),
    page(857, "cp857"),
    page(858, "cp858"),
    page(860, "cp860"),
    page(861, "cp861"),
    page(862, "cp862"),
    page(863, "cp863"),
    page(864, "cp864"),
    page(865, "cp865"),
    page(866, "cp866"),
    page(869, "cp869"),
    page(874, "cp874"),
];

/// What the standard calls the code pages of DOS that have two bytes a character.
const DOUBLE_BYTE: &[(u16, &str)] =
    &[(932, "shift_jis"), (936, "gbk"), (949, "euc-kr"), (950, "big5")];

const fn page(number: u16, name: &'static str) -> CodePage {
    CodePage { number, name }
}

/// The number of UTF-8.
pub(super) const UTF_8: u8 = 0;

/// The number of the one charset with escape sequences.
pub(super) const ISO_2022_JP: u8 = 1;

/// The charset with this number.
pub(super) fn table(number: u8) -> Table {
    let number = usize::from(number);
    match WHATWG.get(number) {
        Some(encoding) => Table::Whatwg(encoding),
        None => Table::Oem(&OEM[number - WHATWG.len()]),
    }
}

/// The number of an encoding of the standard; `None` if it is not among them.
pub(super) fn number_of(encoding: &Encoding) -> Option<u8> {
    let at = WHATWG.iter().position(|known| *known == encoding)?;
    u8::try_from(at).ok()
}

/// The number of a code page of DOS by its label: `cp437`, `ibm437` or `437`, in any case.
pub(super) fn number_of_page(label: &str) -> Option<u8> {
    let label = label.to_ascii_lowercase();
    let digits = ["cp", "ibm"].iter().find_map(|prefix| label.strip_prefix(prefix));
    let digits = digits.unwrap_or(&label);
    // Not `+437`, nor `cp0437`.
    let number: u16 = digits.parse().ok().filter(|n: &u16| n.to_string() == digits)?;
    if let Some((_, name)) = DOUBLE_BYTE.iter().find(|(page, _)| *page == number) {
        return Encoding::for_label(name.as_bytes()).and_then(number_of);
    }
    let at = OEM.iter().position(|page| page.number == number)?;
    u8::try_from(WHATWG.len() + at).ok()
}

impl CodePage {
    /// The characters of its bytes.
    pub(super) fn decoding(&self) -> &'static TableType {
        DECODING_TABLE_CP_MAP.get(&self.number).expect("each code page has a table")
    }

    /// The bytes of its characters beyond ASCII.
    pub(super) fn encoding(&self) -> &'static OEMCPHashMap<char, u8> {
        ENCODING_TABLE_CP_MAP.get(&self.number).expect("each code page has a table")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_constants() {
        assert_eq!(number_of(rs::UTF_8), Some(UTF_8));
        assert_eq!(number_of(rs::ISO_2022_JP), Some(ISO_2022_JP));
        assert_eq!(number_of(rs::UTF_16LE), None);
        for (number, encoding) in WHATWG.iter().enumerate() {
            assert_eq!(number_of(encoding).map(usize::from), Some(number));
        }
        for page in &OEM {
            let number = number_of_page(page.name).unwrap();
            let Table::Oem(found) = table(number) else { panic!("{}", page.name) };
            assert_eq!(found.name, page.name);
        }
    }

    /// Both ways each byte is itself, as far as it is a character at all.
    #[test]
    fn code_pages_are_their_own_inverse() {
        for page in &OEM {
            for byte in 0x80..=u8::MAX {
                if let Some(c) = page.decoding().decode_char_checked(byte) {
                    assert_eq!(page.encoding().get(&c), Some(&byte), "{} {byte:x}", page.name);
                }
            }
        }
    }
}
