//! For tests of passes: an interpreter of IR with made-up maps and helpers, and a generator of random programs.
//!
//! Two functions do the same if [`Machine::run`] gives the same [`Outcome`] for both. What a pass may change is not
//! part of an outcome: slots, how often memory is read, calls whose result nothing depends on.

#![expect(clippy::unwrap_used, reason = "tests")]

mod generate;

pub(crate) use generate::{GENERATED_MAPS, generate};

use super::{AtomicOp, Block, Function, Home, Op, Slot, Terminator, Value, Width};
use crate::helper::Helper;
use crate::opt::bits::{eval_bin, eval_cmp, eval_extend, eval_signed_div};
use crate::opt::edit::is_rootless;
use std::collections::BTreeMap;

/// Addresses: the region in the bits from 40 on, an item's number from 20 on, the offset below.
const SLOT: u64 = 1 << 40;
const FRAME: u64 = 2 << 40;
const MEMORY: u64 = 3 << 40;
const ELEMENT: u64 = 4 << 40;
const MAP: u64 = 5 << 40;
const CTX: u64 = 6 << 40;

/// Everything about a run that must not change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// What the program returned.
    pub returned: i64,
    /// The program memory afterwards.
    pub memory: Vec<u8>,
    /// What was sent.
    pub sent: Vec<Vec<u8>>,
    /// The maps afterwards.
    pub maps: Vec<BTreeMap<Vec<u8>, Vec<u8>>>,
}

/// A kernel for one run of one program.
pub(crate) struct Machine {
    /// The program memory.
    pub memory: Vec<u8>,
    /// Instructions executed, but for those that code generation makes part of their users.
    pub steps: u64,
    /// Calls made, by helper name.
    pub calls: BTreeMap<&'static str, u32>,
    slots: Vec<Vec<u8>>,
    frame: Vec<u8>,
    ctx: Vec<u8>,
    maps: Vec<FakeMap>,
    /// Elements ever made; deleted ones are overwritten with nonsense.
    elements: Vec<Vec<u8>>,
    sent: Vec<Vec<u8>>,
    /// Counts what cannot be dropped; the clock and random numbers go by it.
    effects: u64,
}

struct FakeMap {
    key_size: usize,
    value_size: usize,
    keys: BTreeMap<Vec<u8>, usize>,
}

impl Machine {
    /// A machine with maps of these key and value sizes and so much program memory.
    pub fn new(maps: &[(usize, usize)], memory: usize) -> Self {
        Self {
            memory: vec![0; memory],
            steps: 0,
            calls: BTreeMap::new(),
            slots: Vec::new(),
            frame: vec![0xa5; 512],
            ctx: (0..=255).collect(),
            maps: maps
                .iter()
                .map(|&(key_size, value_size)| FakeMap {
                    key_size,
                    value_size,
                    keys: BTreeMap::new(),
                })
                .collect(),
            elements: Vec::new(),
            sent: Vec::new(),
            effects: 0,
        }
    }

    /// Runs `func` to its end.
    ///
    /// # Panics
    /// On an access outside all memory, and after a million instructions.
    pub fn run(&mut self, func: &Function) -> Outcome {
        self.slots = func.slots.iter().map(|s| vec![0x5a; s.size as usize]).collect();
        let mut values = vec![None; func.values as usize];
        let mut block = func.entry;
        let returned = loop {
            for inst in &func.blocks[block.0 as usize].insts {
                let data = &func.insts[inst.0 as usize];
                self.steps += u64::from(!is_rootless(&data.op));
                let result = self.op(func, &data.op, |v: Value| values[v.0 as usize].unwrap());
                if let Some(v) = data.result {
                    values[v.0 as usize] = Some(result);
                }
            }
            self.steps += 1;
            assert!(self.steps < 1_000_000, "runs for ever");
            let get = |v: Value| -> i64 { values[v.0 as usize].unwrap() };
            let target = match func.blocks[block.0 as usize].terminator.as_ref().unwrap() {
                Terminator::Return(v) => break get(*v),
                Terminator::Jump(target) => target,
                Terminator::Branch {
                    cond,
                    a,
                    b,
                    then,
                    otherwise,
                } => {
                    if eval_cmp(*cond, get(*a), get(*b)) {
                        then
                    } else {
                        otherwise
                    }
                }
            };
            let args: Vec<i64> = target.args.iter().map(|&v| get(v)).collect();
            block = enter(func, target.block, args, &mut values);
        };
        Outcome {
            returned,
            memory: self.memory.clone(),
            sent: self.sent.clone(),
            maps: self.maps.iter().map(|m| self.contents(m)).collect(),
        }
    }

    fn contents(&self, map: &FakeMap) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let element = |(k, &e): (&Vec<u8>, &usize)| (k.clone(), self.elements[e].clone());
        map.keys.iter().map(element).collect()
    }

    fn bytes(&mut self, addr: i64, len: usize) -> &mut [u8] {
        let addr = addr as u64;
        let (region, item, at) = (
            addr >> 40 << 40,
            (addr >> 20) as usize & 0xfffff,
            addr as usize & 0xfffff,
        );
        let all = match region {
            SLOT => &mut self.slots[item],
            FRAME => &mut self.frame,
            MEMORY => {
                return &mut self.memory[(addr - MEMORY) as usize..][..len];
            }
            ELEMENT => &mut self.elements[item],
            CTX => &mut self.ctx,
            _ => panic!("access to {addr:#x}"),
        };
        &mut all[at..at + len]
    }

    fn read(&mut self, addr: i64, width: Width, signed: bool) -> i64 {
        let len = width.bytes() as usize;
        let mut raw = [0; 8];
        raw[..len].copy_from_slice(self.bytes(addr, len));
        let value = i64::from_le_bytes(raw);
        if len == 8 {
            value
        } else {
            eval_extend(width.bytes() as u8 * 8, signed, value)
        }
    }

    fn write(&mut self, addr: i64, width: Width, value: i64) {
        let len = width.bytes() as usize;
        self.bytes(addr, len).copy_from_slice(&value.to_le_bytes()[..len]);
    }

    fn op(&mut self, func: &Function, op: &Op, get: impl Fn(Value) -> i64) -> i64 {
        match op {
            Op::Const(c) => *c,
            Op::Bin(op, a, b) => eval_bin(*op, get(*a), get(*b)),
            Op::Extend { bits, signed, value } => eval_extend(*bits, *signed, get(*value)),
            Op::SignedDiv { value, by, remainder } => eval_signed_div(get(*value), *by, *remainder),
            Op::Cmp(cond, a, b) => i64::from(eval_cmp(*cond, get(*a), get(*b))),
            Op::Load {
                addr,
                offset,
                width,
                signed,
            } => self.read(get(*addr) + i64::from(*offset), *width, *signed),
            Op::Store {
                addr,
                offset,
                width,
                value,
            } => {
                self.write(get(*addr) + i64::from(*offset), *width, get(*value));
                0
            }
            Op::Atomic {
                op,
                addr,
                offset,
                value,
            } => {
                let (addr, value) = (get(*addr) + i64::from(*offset), get(*value));
                let old = self.read(addr, Width::B8, false);
                let new = match op {
                    AtomicOp::Add => old.wrapping_add(value),
                    AtomicOp::And => old & value,
                    AtomicOp::Or => old | value,
                    AtomicOp::Xor => old ^ value,
                    AtomicOp::Exchange => value,
                };
                self.write(addr, Width::B8, new);
                old
            }
            Op::CompareExchange {
                addr,
                offset,
                expected,
                new,
            } => {
                let addr = get(*addr) + i64::from(*offset);
                let old = self.read(addr, Width::B8, false);
                if old == get(*expected) {
                    self.write(addr, Width::B8, get(*new));
                }
                old
            }
            Op::Ctx => CTX as i64,
            Op::Argument(_) | Op::Callback(_) | Op::CallSubprogram(..) => {
                panic!("{op:?} in a function without callbacks")
            }
            Op::CtxLoad {
                offset,
                width,
                signed,
            } => self.read(CTX as i64 + i64::from(*offset), *width, *signed),
            Op::Memory(offset) => (MEMORY + u64::from(*offset)) as i64,
            Op::MapPtr(map) => (MAP + u64::from(map.0)) as i64,
            Op::MapSelect { selector, maps } => {
                (MAP + u64::from(maps[usize::from(get(*selector) != 0)].0)) as i64
            }
            Op::SlotAddr(slot, offset) => slot_address(func, *slot) + i64::from(*offset),
            Op::ElementAddr {
                base,
                index,
                count,
                stride,
            } => get(*base) + (get(*index) & (i64::from(*count) - 1)) * i64::from(*stride),
            Op::Call(helper, args) => {
                let args: Vec<i64> = args.iter().map(|&a| get(a)).collect();
                self.call(*helper, &args)
            }
            Op::CallBounded {
                helper,
                args,
                bounded,
                max,
            } => {
                let mut args: Vec<i64> = args.iter().map(|&a| get(a)).collect();
                let arg = &mut args[usize::from(*bounded)];
                *arg = (*arg as u64).min(u64::from(*max)) as i64;
                self.call(*helper, &args)
            }
        }
    }

    fn call(&mut self, helper: Helper, args: &[i64]) -> i64 {
        *self.calls.entry(helper.row().name).or_default() += 1;
        match helper {
            Helper::MapLookupElem => {
                let (map, key) = self.key(args);
                let element = self.maps[map].keys.get(&key);
                element.map_or(0, |&e| (ELEMENT + ((e as u64) << 20)) as i64)
            }
            Helper::MapUpdateElem => {
                self.effects += 1;
                let (map, key) = self.key(args);
                let value = self.bytes(args[2], self.maps[map].value_size).to_vec();
                if args[3] == 1 && self.maps[map].keys.contains_key(&key) {
                    return -17;
                }
                self.elements.push(value);
                let new = self.elements.len() - 1;
                if let Some(old) = self.maps[map].keys.insert(key, new) {
                    self.elements[old].fill(0xdd);
                }
                0
            }
            Helper::MapDeleteElem => {
                self.effects += 1;
                let (map, key) = self.key(args);
                match self.maps[map].keys.remove(&key) {
                    Some(old) => {
                        self.elements[old].fill(0xdd);
                        0
                    }
                    None => -2,
                }
            }
            Helper::GetCurrentComm => {
                let len = args[1] as usize;
                let name: Vec<u8> = b"sh\0\0\0\0\0\0".iter().copied().cycle().take(len).collect();
                self.bytes(args[0], len).copy_from_slice(&name);
                0
            }
            Helper::ProbeReadUser => {
                let fill = (args[2] as u64 ^ self.effects) as u8;
                self.bytes(args[0], args[1] as usize).fill(fill);
                0
            }
            Helper::RingbufOutput => {
                self.effects += 1;
                let record = self.bytes(args[1], args[2] as usize).to_vec();
                self.sent.push(record);
                0
            }
            Helper::GetSmpProcessorId => 3,
            Helper::GetCurrentPidTgid => 0x0000_1234_0000_5678,
            Helper::GetCurrentUidGid => 0x0000_0064_0000_03e8,
            Helper::KtimeGetNs => self.effects as i64 * 1000 + 7,
            Helper::GetPrandomU32 => (self.effects.wrapping_mul(0x9e37_79b9) & 0xffff_ffff) as i64,
            other => panic!("no {other:?} here"),
        }
    }

    fn key(&mut self, args: &[i64]) -> (usize, Vec<u8>) {
        let map = (args[0] as u64 - MAP) as usize;
        let size = self.maps[map].key_size;
        (map, self.bytes(args[1], size).to_vec())
    }
}

fn slot_address(func: &Function, slot: Slot) -> i64 {
    match func.slots[slot.0 as usize].home {
        Home::Frame(at) => FRAME as i64 + 512 + i64::from(at),
        Home::Unplaced => (SLOT + (u64::from(slot.0) << 20)) as i64,
        Home::Scratch(_) => panic!("the address of a scratch slot is arithmetic"),
    }
}

fn enter(func: &Function, block: Block, args: Vec<i64>, values: &mut [Option<i64>]) -> Block {
    let params = &func.blocks[block.0 as usize].params;
    assert_eq!(params.len(), args.len());
    for (param, arg) in params.iter().zip(args) {
        values[param.0 as usize] = Some(arg);
    }
    block
}
