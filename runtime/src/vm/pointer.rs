//! Virtual addresses: what a register holds that points somewhere.
//!
//! The top byte tells the region. The values used are those of non-canonical addresses on x86-64 and aarch64, so no
//! user or kernel address of an event is ever taken for a pointer. Below it are the object and the offset in it; an
//! offset that leaves its field changes the object's number, and is caught by that.
//!
//! | region | bits 55–28 | bits 27–0 |
//! |---|---|---|
//! | stack, context | the run's serial number | offset |
//! | program memory | 0 | offset |
//! | kernel map itself | map number | 0 |
//! | function | 0 | its first instruction |
//! | key in a callback | the run's serial number | functions under way above it (bits 27–20), offset |
//!
//! | region | bits 55–48 | bits 47–24 | bits 23–0 |
//! |---|---|---|---|
//! | map value | map number | element | offset |
//! | ring record | map number | record's serial number | offset |
//!
//! | region | bits 55–48 | bits 47–24 | bits 23–12 | bits 11–0 |
//! |---|---|---|---|---|
//! | map value of a stated CPU | map number | element | CPU | offset |

/// What an address points to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pointer {
    /// A byte of a run's stack: that of the program first, those of callbacks behind it.
    Stack {
        /// The run.
        run: u32,
        /// From the low end of the program's frame.
        offset: usize,
    },
    /// The first instruction of a function.
    Function {
        /// Its number.
        insn: usize,
    },
    /// A byte of the key that a callback is handed.
    Key {
        /// The run.
        run: u32,
        /// How many functions are under way above the callback.
        depth: usize,
        /// From the key's start.
        offset: usize,
    },
    /// A byte of a run's context.
    Context {
        /// The run.
        run: u32,
        /// From the context's start.
        offset: usize,
    },
    /// A byte of the program memory.
    Memory {
        /// From its start.
        offset: usize,
    },
    /// A kernel map, not its contents.
    Map {
        /// Which.
        map: usize,
    },
    /// A byte of a map element's value.
    Value {
        /// Which map.
        map: usize,
        /// Which element.
        element: u32,
        /// Which CPU's value, for per-CPU maps; `None` for the running CPU's.
        cpu: Option<u32>,
        /// From the value's start.
        offset: usize,
    },
    /// A byte of a reserved ring buffer record.
    Record {
        /// Which ring buffer.
        map: usize,
        /// Which record.
        serial: u32,
        /// From the record's start.
        offset: usize,
    },
}

const STACK: u64 = 0xc1;
const CONTEXT: u64 = 0xc2;
const MEMORY: u64 = 0xc3;
const MAP: u64 = 0xc4;
const VALUE: u64 = 0xc5;
const RECORD: u64 = 0xc6;
const CPU_VALUE: u64 = 0xc7;
const FUNCTION: u64 = 0xc8;
const KEY: u64 = 0xc9;
/// Where the depth of a key's callback starts; map keys are shorter than this many bits say.
const KEY_DEPTH: u32 = 20;

impl Pointer {
    /// Runs are numbered modulo 2 to the power of this.
    pub const RUN_BITS: u32 = 28;
    /// Elements of a map and records of a ring are numbered modulo 2 to the power of this.
    pub const OBJECT_BITS: u32 = 24;
    /// The largest map value or record, bytes.
    pub const MAX_OBJECT: usize = 1 << 23;
    /// The largest program memory, bytes.
    pub const MAX_MEMORY: u32 = 1 << 27;

    /// The address of offset 0 of a run's stack frame.
    pub fn stack(run: u32) -> u64 {
        STACK << 56 | u64::from(run) << 28
    }

    /// The address of a function.
    pub fn function(insn: usize) -> u64 {
        FUNCTION << 56 | insn as u64
    }

    /// The address of the key that the callback at a depth is handed.
    pub fn key(run: u32, depth: usize) -> u64 {
        KEY << 56 | u64::from(run) << 28 | (depth as u64) << KEY_DEPTH
    }

    /// The address of a run's context.
    pub fn context(run: u32) -> u64 {
        CONTEXT << 56 | u64::from(run) << 28
    }

    /// The address of a byte of the program memory.
    pub fn memory(offset: u32) -> u64 {
        MEMORY << 56 | u64::from(offset)
    }

    /// The address of a kernel map.
    pub fn map(map: usize) -> u64 {
        MAP << 56 | (map as u64) << 28
    }

    /// The address of an element's value.
    pub fn value(map: usize, element: u32) -> u64 {
        VALUE << 56 | (map as u64) << 48 | u64::from(element) << 24
    }

    /// The address of one CPU's value of an element.
    pub fn value_of_cpu(map: usize, element: u32, cpu: u32) -> u64 {
        CPU_VALUE << 56 | (map as u64) << 48 | u64::from(element) << 24 | u64::from(cpu & 0xfff) << 12
    }

    /// The address of a record.
    pub fn record(map: usize, serial: u32) -> u64 {
        RECORD << 56 | (map as u64) << 48 | u64::from(serial) << 24
    }

    /// Takes an address apart; `None` where it is a plain number.
    pub fn decode(address: u64) -> Option<Self> {
        let object = (address >> 28) as u32 & ((1 << Self::RUN_BITS) - 1);
        let offset = (address & ((1 << 28) - 1)) as usize;
        let map = (address >> 48) as usize & 0xff;
        let element = (address >> 24) as u32 & ((1 << Self::OBJECT_BITS) - 1);
        let inner = (address & ((1 << 24) - 1)) as usize;
        match address >> 56 {
            STACK => Some(Self::Stack { run: object, offset }),
            CONTEXT => Some(Self::Context { run: object, offset }),
            FUNCTION if object == 0 => Some(Self::Function { insn: offset }),
            KEY => Some(Self::Key {
                run: object,
                depth: offset >> KEY_DEPTH,
                offset: offset & ((1 << KEY_DEPTH) - 1),
            }),
            MEMORY if object == 0 => Some(Self::Memory { offset }),
            MAP if offset == 0 => Some(Self::Map { map: object as usize }),
            VALUE => Some(Self::Value {
                map,
                element,
                cpu: None,
                offset: inner,
            }),
            CPU_VALUE => Some(Self::Value {
                map,
                element,
                cpu: Some((inner >> 12) as u32),
                offset: inner & 0xfff,
            }),
            RECORD => Some(Self::Record {
                map,
                serial: element,
                offset: inner,
            }),
            _ => None,
        }
    }
}
