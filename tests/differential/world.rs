//! What happens on the simulated machine: events, each with everything that a program can see of it.
//!
//! The evaluator reads these directly; [`Event::to_vm`] says the same to the user-space VM.

use crumbs_compiler::target::{FieldLocation, TracepointFormat};
use crumbs_runtime::vm;
use crumbs_runtime::vm::event::{Segment, Space, Value};

/// The value of a tracepoint's field.
#[derive(Clone, Debug)]
pub enum Field {
    /// A number.
    Number(i64),
    /// Bytes: an array, or what a locator points at.
    Bytes(Vec<u8>),
}

/// An event.
#[derive(Clone, Debug, Default)]
pub struct Event {
    /// The attach point in full.
    pub probe: String,
    /// Process.
    pub pid: u32,
    /// Thread.
    pub tid: u32,
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// CPU.
    pub cpu: u32,
    /// Name of the thread, at most 15 bytes.
    pub comm: Vec<u8>,
    /// The clock, ns.
    pub time: u64,
    /// Arguments of the traced function.
    pub args: [u64; 6],
    /// What it returns.
    pub retval: u64,
    /// Fields of the tracepoint's record by name.
    pub fields: Vec<(String, Field)>,
    /// Fields as the record has them, for the evaluator: built from `fields`.
    pub record: Vec<u8>,
    /// Memory of the process: address and bytes.
    pub memory: Vec<(u64, Vec<u8>)>,
}

impl Event {
    /// Lays the record out: fixed fields at their offsets, located data behind them.
    pub fn lay_out(&mut self, format: &TracepointFormat) {
        let end = format.fields.iter().map(|f| f.offset + f.size).max().unwrap_or(0);
        self.record = vec![0; end as usize];
        for (name, value) in &self.fields {
            let field = format
                .fields
                .iter()
                .find(|f| f.name == *name)
                .expect("a field of this tracepoint");
            let (at, size) = (field.offset as usize, field.size as usize);
            let bytes = match value {
                Field::Number(n) => n.to_le_bytes()[..size].to_vec(),
                Field::Bytes(bytes) if field.location == FieldLocation::Inline => bytes.clone(),
                Field::Bytes(bytes) => {
                    let base = if field.location == FieldLocation::RelLoc {
                        at + size
                    } else {
                        0
                    };
                    let locator = (self.record.len() - base) as u32 | (bytes.len() as u32) << 16;
                    self.record.extend_from_slice(bytes);
                    locator.to_le_bytes().to_vec()
                }
            };
            self.record[at..at + bytes.len()].copy_from_slice(&bytes);
        }
    }

    /// The byte at an address of the process, where there is memory.
    pub fn byte(&self, address: u64) -> Option<u8> {
        self.memory.iter().find_map(|(start, bytes)| {
            let at = usize::try_from(address.checked_sub(*start)?).ok()?;
            bytes.get(at).copied()
        })
    }

    /// The same event for the VM. `names`: what of the context the program's kind has.
    pub fn to_vm(&self, context: Context) -> vm::Event {
        let mut event = vm::Event::new(&self.probe);
        (event.pid, event.ns_pid) = (self.pid, self.pid);
        (event.tid, event.ns_tid) = (self.tid, self.tid);
        (event.uid, event.gid, event.cpu, event.time) = (self.uid, self.gid, self.cpu, self.time);
        event.comm[..self.comm.len()].copy_from_slice(&self.comm);
        event.memory = self
            .memory
            .iter()
            .map(|(address, bytes)| Segment {
                space: Space::User,
                address: *address,
                bytes: bytes.clone(),
            })
            .collect();
        event.context = match context {
            Context::Registers => {
                let args = self.args.iter().enumerate();
                let mut all: Vec<_> = args.map(|(i, &n)| (format!("arg{i}"), Value::Int(n))).collect();
                all.push(("retval".into(), Value::Int(self.retval)));
                all
            }
            Context::Record => self
                .fields
                .iter()
                .map(|(name, value)| (name.clone(), vm_value(value)))
                .collect(),
            Context::None => Vec::new(),
        };
        event
    }
}

/// What a program's context is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Context {
    /// Registers.
    Registers,
    /// A tracepoint's record.
    Record,
    /// Nothing that scripts can read.
    None,
}

fn vm_value(value: &Field) -> Value {
    match value {
        Field::Number(n) => Value::Int(*n as u64),
        Field::Bytes(bytes) => Value::Bytes(bytes.clone()),
    }
}
