//! From text to events.

use super::{Event, Segment, Space, Value};
use std::fmt;

/// A line that is no event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it and what would be right.
    pub message: String,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "events, line {}: {}", self.line, self.message)
    }
}

impl std::error::Error for ParseError {}

/// Reads a text of events (see [`super`]).
///
/// # Errors
/// The first line that is no event.
pub fn parse(text: &str) -> Result<Vec<Event>, ParseError> {
    let mut events: Vec<Event> = Vec::new();
    let mut clock = 0u64;
    for (index, text) in text.lines().enumerate() {
        let line = index + 1;
        let event = parse_line(text, line, clock.saturating_add(Event::STEP))
            .map_err(|message| ParseError { line, message })?;
        if let Some(event) = event {
            let times = event.repeat.saturating_mul(event.burst);
            clock = event
                .time
                .saturating_add(Event::STEP.saturating_mul(times.saturating_sub(1)));
            events.push(event);
        }
    }
    Ok(events)
}

/// One line; `None` where it is blank or a comment.
fn parse_line(text: &str, line: usize, time: u64) -> Result<Option<Event>, String> {
    let mut words = split(text)?.into_iter();
    let Some(probe) = words.next() else {
        return Ok(None);
    };
    let probe = match probe.strip_prefix('"') {
        Some(_) => {
            String::from_utf8(quoted(&probe)?.0).map_err(|_| "the attach point is not UTF-8".to_owned())?
        }
        None => probe,
    };
    let mut event = Event::new(&probe);
    event.line = line;
    event.time = time;
    let mut tid = None;
    let (mut ns_pid, mut ns_tid) = (None, None);
    let mut seen: Vec<String> = Vec::new();
    for word in words {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (word.as_str(), None),
        };
        if seen.iter().any(|other| other == name) {
            return Err(format!("`{name}` is given twice"));
        }
        seen.push(name.to_owned());
        let Some(value) = value else {
            if name == "nomem" {
                event.is_out_of_memory = true;
                continue;
            }
            return Err(format!("`{name}` has no value; write `{name}=VALUE`"));
        };
        match name {
            "pid" => event.pid = small(name, value)?,
            "tid" => tid = Some(small(name, value)?),
            "nspid" => ns_pid = Some(small(name, value)?),
            "nstid" => ns_tid = Some(small(name, value)?),
            "cgroup" => event.cgroup = number(name, value)?,
            "uid" => event.uid = small(name, value)?,
            "gid" => event.gid = small(name, value)?,
            "kstack" => event.kernel_stack = stack(name, value)?,
            "ustack" => event.user_stack = stack(name, value)?,
            "cpu" => event.cpu = small(name, value)?,
            "comm" => event.comm = comm(value)?,
            "t" => event.time = number(name, value)?,
            "repeat" => event.repeat = times(name, value)?,
            "burst" => event.burst = times(name, value)?,
            _ => match segment(name, value)? {
                Some(segment) => event.memory.push(segment),
                None => event.context.push((name.to_owned(), self::value(value)?)),
            },
        }
    }
    event.tid = tid.unwrap_or(event.pid);
    event.ns_pid = ns_pid.unwrap_or(event.pid);
    event.ns_tid = ns_tid.unwrap_or(event.tid);
    Ok(Some(event))
}

/// Splits a line at blanks outside quotes and drops its comment.
fn split(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut in_quotes = false;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' if in_quotes => {
                word.push(c);
                word.extend(chars.next());
            }
            '"' => {
                in_quotes = !in_quotes;
                word.push(c);
            }
            '#' if !in_quotes && word.is_empty() => break,
            c if c.is_whitespace() && !in_quotes => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
            }
            c => word.push(c),
        }
    }
    if in_quotes {
        return Err("a quote is not closed".into());
    }
    if !word.is_empty() {
        words.push(word);
    }
    Ok(words)
}

/// `mem[ADDR]=…` and its kin; `None` for other names.
fn segment(name: &str, text: &str) -> Result<Option<Segment>, String> {
    let Some((kind, rest)) = name.split_once('[') else {
        return Ok(None);
    };
    let space = match kind {
        "mem" => Space::User,
        "swapped" => Space::Swapped,
        "kmem" => Space::Kernel,
        _ => {
            return Err(format!(
                "`{kind}[…]` is not known; memory is `mem`, `swapped` or `kmem`"
            ));
        }
    };
    let address = rest.strip_suffix(']').and_then(integer);
    let Some(address) = address else {
        return Err(format!("`{name}` needs an address: `{kind}[0x7000]=\"text\\0\"`"));
    };
    match value(text)? {
        Value::Bytes(bytes) if address.checked_add(bytes.len() as u64).is_none() => {
            Err(format!("`{name}` goes beyond the end of the address space"))
        }
        Value::Bytes(bytes) => Ok(Some(Segment {
            space,
            address,
            bytes,
        })),
        Value::Int(_) => Err(format!(
            "memory is text or integers of a stated size: `{name}=\"text\\0\"` or `{name}=u32:{text}`"
        )),
    }
}

/// Any value.
fn value(text: &str) -> Result<Value, String> {
    if let Some(number) = integer(text) {
        return Ok(Value::Int(number));
    }
    if !text.starts_with('"') && !is_sized(text) {
        return Ok(Value::Bytes(text.as_bytes().to_vec()));
    }
    let mut bytes = Vec::new();
    let mut rest = text;
    loop {
        if rest.starts_with('"') {
            let (mut part, len) = quoted(rest)?;
            bytes.append(&mut part);
            rest = &rest[len..];
        } else {
            let end = rest.find(',').unwrap_or(rest.len());
            bytes.extend(sized(&rest[..end])?);
            rest = &rest[end..];
        }
        match rest.strip_prefix(',') {
            Some(more) => rest = more,
            None if rest.is_empty() => return Ok(Value::Bytes(bytes)),
            None => return Err(format!("`,` is missing before `{rest}`")),
        }
    }
}

fn is_sized(text: &str) -> bool {
    ["u8:", "u16:", "u32:", "u64:"]
        .iter()
        .any(|prefix| text.starts_with(prefix))
}

/// `u32:7` as its bytes.
fn sized(text: &str) -> Result<Vec<u8>, String> {
    let parsed = text.split_once(':').and_then(|(size, number)| {
        let bytes = match size {
            "u8" => 1,
            "u16" => 2,
            "u32" => 4,
            "u64" => 8,
            _ => return None,
        };
        let number = integer(number)?;
        let bits = 8 * bytes as u32;
        let fits = bits == 64 || number >> bits == 0 || (number as i64) >> (bits - 1) == -1;
        fits.then(|| number.to_le_bytes()[..bytes].to_vec())
    });
    parsed.ok_or_else(|| format!("`{text}` is neither quoted text nor an integer such as `u32:7`"))
}

/// Quoted text at the start of `text`, and its length there with quotes.
fn quoted(text: &str) -> Result<(Vec<u8>, usize), String> {
    let mut bytes = Vec::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((bytes, at + 1)),
            '\\' => match chars.next().map(|(_, c)| c) {
                Some('0') => bytes.push(0),
                Some('n') => bytes.push(b'\n'),
                Some('t') => bytes.push(b'\t'),
                Some('r') => bytes.push(b'\r'),
                Some(c @ ('\\' | '"')) => bytes.push(c as u8),
                Some('x') => {
                    let digits: String = chars.by_ref().take(2).map(|(_, c)| c).collect();
                    // Checked digit by digit, since `from_str_radix` takes a sign too.
                    let is_hex = digits.len() == 2 && digits.bytes().all(|c| c.is_ascii_hexdigit());
                    match u8::from_str_radix(&digits, 16) {
                        Ok(byte) if is_hex => bytes.push(byte),
                        _ => return Err("`\\x` needs two hexadecimal digits".into()),
                    }
                }
                other => {
                    let other = other.map(String::from).unwrap_or_default();
                    return Err(format!(
                        "`\\{other}` is no escape; there are \\0 \\n \\t \\r \\\\ \\\" \\xNN"
                    ));
                }
            },
            c => bytes.extend(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    Err("a quote is not closed".into())
}

/// A decimal or hexadecimal integer of 64 bits, `_` allowed between digits.
fn integer(text: &str) -> Option<u64> {
    let (is_negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let digits = digits.replace('_', "");
    let magnitude = match digits.strip_prefix("0x") {
        Some(hex) if hex.starts_with('+') => return None,
        Some(hex) => u64::from_str_radix(hex, 16).ok()?,
        None => digits.parse().ok()?,
    };
    match is_negative {
        true if magnitude > 1 << 63 => None,
        true => Some(magnitude.wrapping_neg()),
        false => Some(magnitude),
    }
}

fn number(name: &str, value: &str) -> Result<u64, String> {
    integer(value)
        .filter(|_| !value.starts_with('-'))
        .ok_or_else(|| format!("`{name}` must be a number from 0 on, not `{value}`"))
}

fn times(name: &str, value: &str) -> Result<u64, String> {
    match number(name, value)? {
        0 => Err(format!("`{name}` must be at least 1")),
        times => Ok(times),
    }
}

fn small(name: &str, value: &str) -> Result<u32, String> {
    u32::try_from(number(name, value)?).map_err(|_| format!("`{name}` must be below 2^32, not `{value}`"))
}

/// A sequence of 64-bit numbers.
fn stack(name: &str, text: &str) -> Result<Vec<u64>, String> {
    match value(text)? {
        Value::Bytes(bytes) if bytes.len().is_multiple_of(8) => {
            let word = |bytes: &[u8]| u64::from_ne_bytes(bytes.try_into().unwrap_or_default());
            Ok(bytes.chunks_exact(8).map(word).collect())
        }
        _ => Err(format!("`{name}` is written as `u64:1,u64:2`")),
    }
}

fn comm(text: &str) -> Result<[u8; 16], String> {
    // `comm=123` is a name too.
    let bytes = match value(text)? {
        Value::Bytes(bytes) => bytes,
        Value::Int(_) => text.as_bytes().to_vec(),
    };
    if bytes.len() > 15 {
        return Err("`comm` has at most 15 bytes".into());
    }
    let mut comm = [0; 16];
    comm[..bytes.len()].copy_from_slice(&bytes);
    Ok(comm)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn one(text: &str) -> Event {
        let mut events = parse(text).unwrap();
        assert_eq!(events.len(), 1);
        events.remove(0)
    }

    #[test]
    fn reads_every_attribute() {
        let event = one(
            r#"uprobe:libc:write pid=100 tid=101 comm=dd cpu=1 uid=2 gid=3 t=1_000 arg0=-1 arg1=0x7000 nomem mem[0x7000]="a b#\0\"\x7f",u16:-2 repeat=5 # more"#,
        );
        assert_eq!(
            event,
            Event {
                line: 1,
                pid: 100,
                tid: 101,
                ns_pid: 100,
                ns_tid: 101,
                comm: *b"dd\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
                cpu: 1,
                uid: 2,
                cgroup: 1,
                gid: 3,
                time: 1000,
                context: vec![
                    ("arg0".into(), Value::Int(u64::MAX)),
                    ("arg1".into(), Value::Int(0x7000))
                ],
                memory: vec![Segment {
                    space: Space::User,
                    address: 0x7000,
                    bytes: b"a b#\0\"\x7f\xfe\xff".to_vec()
                }],
                repeat: 5,
                is_out_of_memory: true,
                ..Event::new("uprobe:libc:write")
            }
        );
    }

    #[test]
    fn defaults_and_clock() {
        let events = parse("# head\n\ninterval:s:1\nx:y pid=7 repeat=3 burst=2\nx:z\n").unwrap();
        assert_eq!(events.iter().map(|e| e.line).collect::<Vec<_>>(), [3, 4, 5]);
        assert_eq!((events[1].tid, events[1].ns_pid), (7, 7));
        assert_eq!(
            events.iter().map(|e| e.time).collect::<Vec<_>>(),
            [1000, 2000, 8000]
        );
    }

    #[test]
    fn quoted_attach_point() {
        assert_eq!(one(r#""uprobe:/a b:f" pid=1"#).probe, "uprobe:/a b:f");
    }

    #[test]
    fn errors_name_line_and_reason() {
        for (text, expected) in [
            (
                "a:b\nx:y pid=-1",
                "events, line 2: `pid` must be a number from 0 on, not `-1`",
            ),
            (
                "x:y pid=0x1ffffffff",
                "events, line 1: `pid` must be below 2^32, not `0x1ffffffff`",
            ),
            ("x:y repeat=0", "events, line 1: `repeat` must be at least 1"),
            ("x:y pid=1 pid=2", "events, line 1: `pid` is given twice"),
            (
                "x:y arg0",
                "events, line 1: `arg0` has no value; write `arg0=VALUE`",
            ),
            ("x:y a=\"b", "events, line 1: a quote is not closed"),
            (
                "x:y a=\"b\\q\"",
                "events, line 1: `\\q` is no escape; there are \\0 \\n \\t \\r \\\\ \\\" \\xNN",
            ),
            (
                "x:y a=\"b\\x+1\"",
                "events, line 1: `\\x` needs two hexadecimal digits",
            ),
            (
                "x:y mem[]=\"b\"",
                "events, line 1: `mem[]` needs an address: `mem[0x7000]=\"text\\0\"`",
            ),
            (
                "x:y men[1]=\"b\"",
                "events, line 1: `men[…]` is not known; memory is `mem`, `swapped` or `kmem`",
            ),
            (
                "x:y mem[1]=5",
                "events, line 1: memory is text or integers of a stated size: `mem[1]=\"text\\0\"` or `mem[1]=u32:5`",
            ),
            (
                "x:y mem[1]=u8:300",
                "events, line 1: `u8:300` is neither quoted text nor an integer such as `u32:7`",
            ),
            ("x:y mem[1]=\"a\"b", "events, line 1: `,` is missing before `b`"),
            (
                "x:y mem[-1]=\"ab\"",
                "events, line 1: `mem[-1]` goes beyond the end of the address space",
            ),
            (
                "x:y comm=0123456789abcdef",
                "events, line 1: `comm` has at most 15 bytes",
            ),
        ] {
            assert_eq!(parse(text).unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn reads_stop_at_the_first_hole() {
        let event = one("x:y mem[0x10]=\"ab\" mem[0x12]=\"cd\" swapped[0x14]=\"ef\"");
        let mut out = [0; 8];
        assert_eq!(event.read(|s| s == Space::User, 0x11, &mut out), 3);
        assert_eq!(&out[..3], b"bcd");
        assert_eq!(event.read(|s| s != Space::Kernel, 0x11, &mut out), 5);
        assert_eq!(event.read(|s| s == Space::Kernel, 0x11, &mut out), 0);
        assert_eq!(event.read(|_| true, u64::MAX, &mut out), 0);
    }
}
