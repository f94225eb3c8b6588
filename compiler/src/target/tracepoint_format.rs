//! Parser of the `format` files of tracefs (`events/CATEGORY/EVENT/format`, written by `f_show` in the kernel's
//! `kernel/trace/trace_events.c`).
//!
//! In: the text of one file. Out: its id and the fields a script may name. The text is not trusted: any input gives a
//! result or an error, in time linear in its length.

use super::{FieldLocation, TracepointField, TracepointFormat};

/// Records are at most a page of a trace buffer; what claims more is not a record.
const MAX_RECORD: u64 = 1 << 16;

/// Why a text is no tracepoint format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormatError {
    /// Line of the text, from 1; 0 where the text as a whole is meant.
    pub line: usize,
    /// What is wrong.
    pub reason: String,
}

impl std::fmt::Display for FormatError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            0 => f.write_str(&self.reason),
            line => write!(f, "line {line}: {}", self.reason),
        }
    }
}

impl std::error::Error for FormatError {}

/// Parses the text of a `format` file.
///
/// # Errors
/// When it has no id, or a field that cannot be understood.
pub fn parse(text: &str) -> Result<TracepointFormat, FormatError> {
    let mut id = None;
    let mut fields = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line_error = |reason: String| FormatError {
            line: index + 1,
            reason,
        };
        let line = line.trim();
        if let Some(number) = line.strip_prefix("ID:") {
            id = Some(
                number
                    .trim()
                    .parse()
                    .map_err(|_| line_error(format!("`{number}` is no id")))?,
            );
        } else if let Some(field) = line
            .strip_prefix("field:")
            .or_else(|| line.strip_prefix("field special:"))
        {
            let field = parse_field(field).map_err(line_error)?;
            if !field.name.starts_with("common_") {
                fields.push(field);
            }
        } else if line.starts_with("print fmt:") {
            break;
        }
    }
    let id = id.ok_or_else(|| FormatError {
        line: 0,
        reason: "it has no `ID:` line".to_owned(),
    })?;
    Ok(TracepointFormat { id, fields })
}

/// Parses `const char * filename; offset:24; size:8; signed:0;`.
fn parse_field(text: &str) -> Result<TracepointField, String> {
    let mut parts = text.split(';').map(str::trim);
    let declaration = parts.next().unwrap_or_default();
    let (mut offset, mut size, mut signed) = (None, None, false);
    for part in parts.filter(|part| !part.is_empty()) {
        let (key, value) = part
            .split_once(':')
            .ok_or_else(|| format!("`{part}` is no `key:value`"))?;
        let value = value
            .trim()
            .parse::<i64>()
            .map_err(|_| format!("`{value}` is no number"))?;
        match key.trim() {
            "offset" => offset = Some(value),
            "size" => size = Some(value),
            "signed" => signed = value != 0,
            // A later kernel may say more of a field.
            _ => {}
        }
    }
    let range = |value: Option<i64>, what: &str| {
        let value = value.ok_or_else(|| format!("`{declaration}` has no {what}"))?;
        u32::try_from(value).map_err(|_| format!("`{declaration}` has an impossible {what}"))
    };
    let (offset, size) = (range(offset, "offset")?, range(size, "size")?);
    if u64::from(offset) + u64::from(size) > MAX_RECORD {
        return Err(format!("`{declaration}` ends beyond any record"));
    }
    let declared = parse_declaration(declaration)?;
    let array = declared.array(size);
    let Declaration {
        name,
        c_type,
        location,
        ..
    } = declared;
    if location != FieldLocation::Inline && size != 4 {
        return Err(format!(
            "`{declaration}` locates its data with {size} bytes instead of 4"
        ));
    }
    Ok(TracepointField {
        name,
        c_type,
        offset,
        size,
        signed,
        array,
        location,
    })
}

/// A C declaration, taken apart.
struct Declaration {
    name: String,
    c_type: String,
    location: FieldLocation,
    /// The text between each pair of brackets.
    dimensions: Vec<String>,
}

impl Declaration {
    /// The elements of an inline array of `size` bytes. Several dimensions count as one.
    fn array(&self, size: u32) -> Option<u32> {
        if self.location != FieldLocation::Inline || self.dimensions.is_empty() {
            return None;
        }
        if size == 0 {
            return Some(0);
        }
        let product = self.dimensions.iter().try_fold(1_u32, |product, dimension| {
            let length = match dimension.strip_prefix("0x") {
                Some(hex) => u32::from_str_radix(hex, 16),
                None => dimension.parse(),
            };
            product.checked_mul(length.ok()?)
        });
        // Older kernels print a dimension as the source has it (`[TASK_COMM_LEN]`), and some print one that is not
        // that of the record: the size is what holds.
        product.filter(|n| *n > 0 && size.is_multiple_of(*n)).or_else(|| {
            let element = element_size(&self.c_type)?;
            size.is_multiple_of(element).then_some(size / element)
        })
    }
}

/// The size of C types that are the same on every supported architecture.
fn element_size(c_type: &str) -> Option<u32> {
    if c_type.ends_with('*') {
        return Some(8);
    }
    let words: Vec<&str> = c_type
        .split_whitespace()
        .filter(|word| !matches!(*word, "const" | "unsigned" | "signed"))
        .collect();
    match words.as_slice() {
        ["char" | "bool" | "_Bool" | "u8" | "s8" | "__u8" | "__s8" | "uint8_t" | "int8_t"] => Some(1),
        ["short" | "u16" | "s16" | "__u16" | "__s16" | "__be16" | "__le16" | "uint16_t"] => Some(2),
        [] | ["int" | "u32" | "s32" | "__u32" | "__s32" | "__be32" | "__le32" | "uint32_t" | "pid_t"] => {
            Some(4)
        }
        ["long" | "u64" | "s64" | "__u64" | "__s64" | "__be64" | "__le64" | "uint64_t" | "size_t"]
        | ["long", "long" | "int"]
        | ["long", "long", "int"] => Some(8),
        _ => None,
    }
}

/// Takes `__data_loc char[] name`, `unsigned long args[6]` or `void (*func)(int)` apart.
fn parse_declaration(text: &str) -> Result<Declaration, String> {
    let no_name = || format!("`{text}` declares no name");
    let (location, rest) = match text.split_once(char::is_whitespace) {
        Some(("__data_loc", rest)) => (FieldLocation::DataLoc, rest),
        Some(("__rel_loc", rest)) => (FieldLocation::RelLoc, rest),
        _ => (FieldLocation::Inline, text),
    };
    if let Some((before, after)) = rest.split_once("(*") {
        let (name, parameters) = after.split_once(')').ok_or_else(no_name)?;
        let name = identifier(name.trim()).ok_or_else(no_name)?.to_owned();
        let c_type = format!("{} (*){}", joined(before), joined(parameters));
        return Ok(Declaration {
            name,
            c_type,
            location,
            dimensions: Vec::new(),
        });
    }
    let (rest, mut dimensions) = strip_dimensions(rest.trim());
    let start = rest
        .char_indices()
        .rev()
        .take_while(|(_, c)| c.is_ascii_alphanumeric() || *c == '_')
        .last()
        .map(|(at, _)| at)
        .ok_or_else(no_name)?;
    let name = identifier(&rest[start..]).ok_or_else(no_name)?.to_owned();
    let (c_type, dynamic) = strip_dimensions(rest[..start].trim());
    dimensions.extend(dynamic);
    if c_type.is_empty() {
        return Err(format!("`{text}` has no type"));
    }
    Ok(Declaration {
        name,
        c_type: joined(c_type),
        location,
        dimensions,
    })
}

fn identifier(text: &str) -> Option<&str> {
    let valid = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    valid.then_some(text)
}

/// Splits the bracketed lengths off the end of a declarator.
fn strip_dimensions(mut text: &str) -> (&str, Vec<String>) {
    let mut dimensions = Vec::new();
    while let Some((before, length)) = text.strip_suffix(']').and_then(|inner| inner.rsplit_once('[')) {
        dimensions.push(length.trim().to_owned());
        text = before.trim_end();
    }
    (text, dimensions)
}

fn joined(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use proptest::prelude::*;

    fn field(text: &str) -> TracepointField {
        let format = parse(&format!("name: x\nID: 7\nformat:\n\tfield:{text}\n")).unwrap();
        assert_eq!(format.id, 7);
        format.fields.into_iter().next().unwrap()
    }

    #[test]
    fn scalars_pointers_and_arrays() {
        let f = field("const char * filename;\toffset:24;\tsize:8;\tsigned:0;");
        assert_eq!(
            (f.name.as_str(), f.c_type.as_str(), f.offset, f.size),
            ("filename", "const char *", 24, 8)
        );
        assert_eq!(
            (f.array, f.signed, f.location),
            (None, false, FieldLocation::Inline)
        );
        let f = field("char prev_comm[16];\toffset:8;\tsize:16;\tsigned:0;");
        assert_eq!(
            (f.name.as_str(), f.c_type.as_str(), f.array),
            ("prev_comm", "char", Some(16))
        );
        let f = field("unsigned long args[6];\toffset:16;\tsize:48;\tsigned:0;");
        assert_eq!((f.c_type.as_str(), f.array), ("unsigned long", Some(6)));
        let f = field("const void *ptr;offset:0;size:8;signed:0;");
        assert_eq!((f.name.as_str(), f.c_type.as_str()), ("ptr", "const void *"));
    }

    #[test]
    fn located_data() {
        let f = field("__data_loc char[] name;\toffset:8;\tsize:4;\tsigned:0;");
        assert_eq!(
            (f.name.as_str(), f.c_type.as_str(), f.array),
            ("name", "char", None)
        );
        assert_eq!(f.location, FieldLocation::DataLoc);
        let f = field("__data_loc cpumask_t mask;\toffset:8;\tsize:4;\tsigned:0;");
        assert_eq!((f.name.as_str(), f.c_type.as_str()), ("mask", "cpumask_t"));
        let f = field("__rel_loc u8[] data;\toffset:8;\tsize:4;\tsigned:0;");
        assert_eq!((f.c_type.as_str(), f.location), ("u8", FieldLocation::RelLoc));
    }

    #[test]
    fn odd_declarations() {
        let f = field("char comm[TASK_COMM_LEN];\toffset:8;\tsize:16;\tsigned:0;");
        assert_eq!(f.array, Some(16));
        let f = field("struct x things[N];\toffset:8;\tsize:24;\tsigned:0;");
        assert_eq!((f.array, f.size), (None, 24));
        let f = field("int m[2][3];\toffset:8;\tsize:24;\tsigned:1;");
        assert_eq!((f.c_type.as_str(), f.array), ("int", Some(6)));
        let f = field("char buf[];\toffset:16;\tsize:0;\tsigned:0;");
        assert_eq!(f.array, Some(0));
        let f = field("void (*func)(struct work_struct *);\toffset:8;\tsize:8;\tsigned:0;");
        assert_eq!(
            (f.name.as_str(), f.c_type.as_str()),
            ("func", "void (*)(struct work_struct *)")
        );
    }

    #[test]
    fn common_fields_are_left_out() {
        let text = "ID: 1\n field:int common_pid; offset:4; size:4; signed:1;\n field:int a; offset:8; size:4; signed:1;";
        let names: Vec<_> = parse(text).unwrap().fields.into_iter().map(|f| f.name).collect();
        assert_eq!(names, ["a"]);
    }

    #[test]
    fn garbage_is_an_error() {
        assert_eq!(parse("").unwrap_err().line, 0);
        for bad in [
            "int a; offset:x; size:4; signed:1;",
            "int a; size:4; signed:1;",
            "int a; offset:-4; size:4; signed:1;",
            "int a; offset:4294967295; size:4294967295; signed:1;",
            "a; offset:8; size:4; signed:1;",
            "; offset:8; size:4; signed:1;",
            "int 9; offset:8; size:4; signed:1;",
            "__data_loc char[] a; offset:8; size:8; signed:1;",
            "int é; offset:8; size:4; signed:1;",
        ] {
            let error = parse(&format!("ID: 1\nfield:{bad}")).unwrap_err();
            assert_eq!(error.line, 2, "{bad}: {error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(ID: [0-9]{0,3}\n)?((field:)?[a-z_é\\[\\](*); :0-9-]{0,40}\n){0,4}") {
            let _ = parse(&text);
        }
    }
}
