//! Contexts: what a program finds behind its first argument, made from an event's attributes.
//!
//! | program | context | attributes |
//! |---|---|---|
//! | user and kernel probes | registers ([`crumbs_compiler::arch::Convention`]) | `arg0`…, `retval`, `ip`, `sp`, registers by name (`rdi`, `x0`) |
//! | tracepoints | the record | its fields, `NAME` or `args.NAME` |
//! | timers | `struct bpf_perf_event_data` | as probes, and `period`, `addr` |
//! | raw tracepoints, `begin`, `end` | `struct bpf_raw_tracepoint_args` | `arg0`… |
//! | traced functions | their arguments, a word each, and the result | `arg0`… |

use super::event::{Event, Value};
use crumbs_compiler::plan::ProgramKind;
use crumbs_compiler::target::{Arch, FieldLocation, TracepointField, TracepointFormat};
use crumbs_compiler::usdt;

/// The most arguments of a raw tracepoint.
const RAW_ARGS: usize = 12;
/// Bytes at the start of a tracepoint record that no program can see.
const COMMON: usize = 8;

/// Builds the context of one event. `format` is needed for tracepoints.
///
/// # Errors
/// An attribute that the context has no place for, in the user's terms.
pub fn build(
    kind: ProgramKind,
    arch: Arch,
    format: Option<&TracepointFormat>,
    event: &Event,
) -> Result<Vec<u8>, String> {
    match kind {
        ProgramKind::Kprobe => registers(arch, 0, event),
        // u64 sample_period, u64 addr (include/uapi/linux/bpf_perf_event.h).
        ProgramKind::PerfEvent => registers(arch, 16, event),
        ProgramKind::Tracepoint => {
            let format = format.ok_or("the fields of this tracepoint are not known")?;
            record(format, event)
        }
        ProgramKind::RawTracepoint | ProgramKind::Tracing => words(event),
    }
}

/// The arguments of a raw tracepoint program that is run rather than attached: its cookie, and zeros.
pub fn arguments(cookie: u32) -> Vec<u8> {
    let mut context = vec![0; 12 * 8];
    context[..8].copy_from_slice(&u64::from(cookie).to_le_bytes());
    context
}

/// The registers, and `extra` bytes behind them.
fn registers(arch: Arch, extra: usize, event: &Event) -> Result<Vec<u8>, String> {
    let convention = arch.convention();
    let size = convention.size as usize;
    let mut context = vec![0; size + extra];
    for (name, value) in &event.context {
        let offset = match name.as_str() {
            "retval" => usize::try_from(convention.result).ok(),
            "ip" => usize::try_from(convention.ip).ok(),
            "sp" => usize::try_from(convention.sp).ok(),
            "period" if extra > 0 => Some(size),
            "addr" if extra > 0 => Some(size + 8),
            _ => name
                .strip_prefix("arg")
                .and_then(|number| number.parse::<usize>().ok())
                .and_then(|number| convention.args.get(number))
                .and_then(|&offset| usize::try_from(offset).ok())
                .or_else(|| usdt::register(name, arch).map(usize::from)),
        };
        let Some(place) = offset.and_then(|offset| context.get_mut(offset..offset + 8)) else {
            let last = convention.args.len().saturating_sub(1);
            return Err(format!(
                "`{name}` is not known; there are `arg0` to `arg{last}`, `retval`, `ip`, `sp`"
            ));
        };
        let Value::Int(number) = value else {
            return Err(format!("`{name}` must be a number"));
        };
        place.copy_from_slice(&number.to_le_bytes());
    }
    Ok(context)
}

/// The arguments of a raw tracepoint, a word each.
fn words(event: &Event) -> Result<Vec<u8>, String> {
    let mut context = vec![0; 8 * RAW_ARGS];
    for (name, value) in &event.context {
        let number = name
            .strip_prefix("arg")
            .and_then(|number| number.parse::<usize>().ok());
        let place = number.and_then(|number| context.get_mut(8 * number..8 * number + 8));
        let Some(place) = place else {
            return Err(format!(
                "`{name}` is not known; there are `arg0` to `arg{}`",
                RAW_ARGS - 1
            ));
        };
        let Value::Int(number) = value else {
            return Err(format!("`{name}` must be a number"));
        };
        place.copy_from_slice(&number.to_le_bytes());
    }
    Ok(context)
}

/// A tracepoint's record: fixed fields, then the data of `__data_loc` and `__rel_loc` fields.
fn record(format: &TracepointFormat, event: &Event) -> Result<Vec<u8>, String> {
    let ends = format
        .fields
        .iter()
        .map(|field| field.offset as usize + field.size as usize);
    let mut record = vec![0; ends.max().unwrap_or(0).max(COMMON).next_multiple_of(8)];
    for (name, value) in &event.context {
        let bare = name.strip_prefix("args.").unwrap_or(name);
        let Some(field) = format.fields.iter().find(|field| field.name == bare) else {
            let names: Vec<&str> = format.fields.iter().map(|field| field.name.as_str()).collect();
            return Err(format!(
                "there is no field `{bare}`; the fields are {}",
                names.join(", ")
            ));
        };
        fill(&mut record, field, value)?;
    }
    // As the kernel pads records: what a program may load in words of 8 bytes is there.
    record.resize(record.len().next_multiple_of(8), 0);
    Ok(record)
}

fn fill(record: &mut Vec<u8>, field: &TracepointField, value: &Value) -> Result<(), String> {
    let name = &field.name;
    let size = field.size as usize;
    let start = field.offset as usize;
    let bytes = match (field.location, value) {
        (FieldLocation::Inline, Value::Int(number)) if field.array.is_none() && (1..=8).contains(&size) => {
            let bits = 8 * field.size;
            let fits = bits == 64 || number >> bits == 0 || (*number as i64) >> (bits - 1) == -1;
            if !fits {
                return Err(format!("`{name}` has {size} bytes; {number} does not fit"));
            }
            number.to_le_bytes()[..size].to_vec()
        }
        (FieldLocation::Inline, Value::Bytes(bytes))
            if bytes.len() == size || field.array.is_some() && bytes.len() < size =>
        {
            bytes.clone()
        }
        (FieldLocation::Inline, Value::Bytes(bytes)) => {
            return Err(format!(
                "`{name}` has {size} bytes, and {} are given",
                bytes.len()
            ));
        }
        (FieldLocation::DataLoc | FieldLocation::RelLoc, Value::Bytes(bytes)) if size == 4 => {
            let base = if field.location == FieldLocation::DataLoc {
                0
            } else {
                start + size
            };
            let (at, len) = (u16::try_from(record.len() - base), u16::try_from(bytes.len()));
            let (Ok(at), Ok(len)) = (at, len) else {
                return Err(format!("`{name}` does not fit into a record"));
            };
            record.extend_from_slice(bytes);
            (u32::from(at) | u32::from(len) << 16).to_le_bytes().to_vec()
        }
        (_, Value::Int(_)) => {
            return Err(format!(
                "`{name}` is no single number; write text or `u32:1,u32:2`"
            ));
        }
        _ => return Err(format!("`{name}` has a form that is not known")),
    };
    record[start..start + bytes.len()].copy_from_slice(&bytes);
    Ok(())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::super::event::parse;
    use super::*;

    fn event(attributes: &str) -> Event {
        parse(&format!("x:y {attributes}")).unwrap().remove(0)
    }

    fn word(context: &[u8], offset: usize) -> u64 {
        u64::from_le_bytes(context[offset..offset + 8].try_into().unwrap())
    }

    #[test]
    fn registers_of_both_architectures() {
        let entry = event("arg0=1 arg2=3 ip=4 sp=5");
        let context = build(ProgramKind::Kprobe, Arch::X86_64, None, &entry).unwrap();
        // rdi, rdx, rip, rsp of arch/x86/include/asm/ptrace.h
        assert_eq!([112, 96, 128, 152].map(|at| word(&context, at)), [1, 3, 4, 5]);
        assert_eq!(context.len(), 168);
        let context = build(ProgramKind::Kprobe, Arch::Aarch64, None, &entry).unwrap();
        assert_eq!([0, 16, 256, 248].map(|at| word(&context, at)), [1, 3, 4, 5]);
        let timer = event("retval=-1 period=7");
        let context = build(ProgramKind::PerfEvent, Arch::X86_64, None, &timer).unwrap();
        assert_eq!([80, 168].map(|at| word(&context, at)), [u64::MAX, 7]);
    }

    #[test]
    fn unknown_registers_are_refused() {
        let message = "`arg6` is not known; there are `arg0` to `arg5`, `retval`, `ip`, `sp`";
        let result = build(ProgramKind::Kprobe, Arch::X86_64, None, &event("arg6=1"));
        assert_eq!(result, Err(message.into()));
        assert!(build(ProgramKind::Kprobe, Arch::Aarch64, None, &event("arg6=1")).is_ok());
        assert!(build(ProgramKind::Kprobe, Arch::X86_64, None, &event("period=1")).is_err());
        assert!(build(ProgramKind::RawTracepoint, Arch::X86_64, None, &event("arg12=1")).is_err());
    }

    fn field(
        name: &str,
        offset: u32,
        size: u32,
        array: Option<u32>,
        location: FieldLocation,
    ) -> TracepointField {
        TracepointField {
            name: name.into(),
            c_type: String::new(),
            offset,
            size,
            signed: false,
            array,
            location,
        }
    }

    #[test]
    fn record_fields_by_location() {
        let format = TracepointFormat {
            id: 1,
            fields: vec![
                field("pid", 8, 4, None, FieldLocation::Inline),
                field("name", 12, 4, Some(4), FieldLocation::Inline),
                field("file", 16, 4, None, FieldLocation::DataLoc),
                field("rel", 20, 4, None, FieldLocation::RelLoc),
            ],
        };
        let build = |text: &str| build(ProgramKind::Tracepoint, Arch::X86_64, Some(&format), &event(text));
        let record = build("args.pid=-2 name=ab file=\"abc\\0\" rel=\"xy\\0\"").unwrap();
        assert_eq!(record[8..12], (-2i32).to_le_bytes());
        assert_eq!(&record[12..16], b"ab\0\0");
        assert_eq!(record[16..20], (24u32 | 4 << 16).to_le_bytes());
        assert_eq!(record[20..24], (4u32 | 3 << 16).to_le_bytes());
        assert_eq!(&record[24..32], b"abc\0xy\0\0");
        assert_eq!(
            build("foo=1"),
            Err("there is no field `foo`; the fields are pid, name, file, rel".into())
        );
        assert!(build("args.pid=0x1_0000_0000").is_err());
        assert!(build("name=abcde").is_err());
        assert!(build("name=1").is_err());
        // `pid` alone is the process, and sets no field.
        assert_eq!(build("pid=5").unwrap()[8..12], [0; 4]);
    }
}
