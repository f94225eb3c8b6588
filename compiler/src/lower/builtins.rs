//! Named values of a program's surroundings; the rows are in [`crate::builtin`].

use super::BodyCx;
use crate::builtin::COMM_SIZE;
use crate::helper::Helper;
use crate::ir::{BinOp, Op, Slot, Value, Width};
use crate::plan::{Attach, MemoryPlan};
use crate::target::PidNamespace;

/// Size of `struct bpf_pidns_info`: `pid` (the thread) and `tgid`, 32 bits each (include/uapi/linux/bpf.h).
const NS_INFO_SIZE: u32 = 8;

impl BodyCx<'_> {
    pub(crate) fn pid(&mut self) -> Value {
        if let Some(namespace) = self.target.pid_namespace() {
            return self.namespace_id(namespace, 4);
        }
        let ids = self.ir.call(Helper::GetCurrentPidTgid, &[]);
        self.ir.bin_imm(BinOp::LShr, ids, 32)
    }

    pub(crate) fn tid(&mut self) -> Value {
        if let Some(namespace) = self.target.pid_namespace() {
            return self.namespace_id(namespace, 0);
        }
        let ids = self.ir.call(Helper::GetCurrentPidTgid, &[]);
        self.ir.emit(Op::Extend {
            bits: 32,
            signed: false,
            value: ids,
        })
    }

    /// A member of `struct bpf_pidns_info` of the current task; 0 for a task that the namespace does not see.
    fn namespace_id(&mut self, namespace: PidNamespace, offset: i16) -> Value {
        let slot = match self.cache.namespace_ids {
            Some(slot) => slot,
            None => {
                // Not a temporary: later statements read it too.
                let slot = self.ir.slot(NS_INFO_SIZE);
                self.zero_slot(slot, NS_INFO_SIZE);
                let dev = self.ir.iconst(namespace.dev as i64);
                let ino = self.ir.iconst(namespace.ino as i64);
                let addr = self.ir.slot_addr(slot, 0);
                let size = self.ir.iconst(i64::from(NS_INFO_SIZE));
                self.ir
                    .call_effect(Helper::GetNsCurrentPidTgid, &[dev, ino, addr, size]);
                self.cache.namespace_ids = Some(slot);
                slot
            }
        };
        let addr = self.ir.slot_addr(slot, 0);
        self.ir.load(addr, offset, Width::B4)
    }

    pub(crate) fn uid(&mut self) -> Value {
        let ids = self.ir.call(Helper::GetCurrentUidGid, &[]);
        self.ir.emit(Op::Extend {
            bits: 32,
            signed: false,
            value: ids,
        })
    }

    pub(crate) fn gid(&mut self) -> Value {
        let ids = self.ir.call(Helper::GetCurrentUidGid, &[]);
        self.ir.bin_imm(BinOp::LShr, ids, 32)
    }

    /// The address of the current thread's name, padded with NULs.
    pub(crate) fn comm(&mut self) -> Value {
        let slot = self.comm_slot();
        self.ir.slot_addr(slot, 0)
    }

    fn comm_slot(&mut self) -> Slot {
        if let Some(slot) = self.cache.comm {
            return slot;
        }
        let slot = self.ir.slot(COMM_SIZE);
        // Kernels around 6.1 copy the name without padding (strscpy, from 5.19 until strscpy_pad came back): what is behind
        // its NUL must not tell equal names apart.
        self.zero_slot(slot, COMM_SIZE);
        let addr = self.ir.slot_addr(slot, 0);
        let size = self.ir.iconst(i64::from(COMM_SIZE));
        self.ir.call_effect(Helper::GetCurrentComm, &[addr, size]);
        self.cache.comm = Some(slot);
        slot
    }

    pub(crate) fn nsecs(&mut self) -> Value {
        self.ir.call(Helper::KtimeGetBootNs, &[])
    }

    pub(crate) fn elapsed(&mut self) -> Value {
        let now = self.nsecs();
        let start = self.ir.emit(Op::Memory(MemoryPlan::START));
        let start = self.ir.load(start, 0, Width::B8);
        self.ir.bin(BinOp::Sub, now, start)
    }

    pub(crate) fn cpu(&mut self) -> Value {
        self.ir.call(Helper::GetSmpProcessorId, &[])
    }

    pub(crate) fn ncpus(&mut self) -> Value {
        self.ir.iconst(i64::from(self.target.possible_cpus()))
    }

    pub(crate) fn rand(&mut self) -> Value {
        self.ir.call(Helper::GetPrandomU32, &[])
    }

    /// What a helper without arguments gives.
    pub(crate) fn helper_value(&mut self, helper: Helper) -> Value {
        self.ir.call(helper, &[])
    }

    /// The attach cookie; a constant where the program is attached to one place.
    pub(super) fn site(&mut self) -> Value {
        let cookies: Vec<u32> = self.probe.attach.iter().flat_map(Attach::cookies).collect();
        let is_open = self.probe.attach.iter().any(Attach::has_late_places);
        match cookies[..] {
            [only] if !is_open => self.ir.iconst(i64::from(only)),
            // What we run gets it as its first argument.
            _ if self.probe.attach.iter().all(Attach::is_run_by_us) => self.ir.emit(Op::CtxLoad {
                offset: 0,
                width: Width::B8,
                signed: false,
            }),
            _ => {
                let ctx = self.ir.emit(Op::Ctx);
                self.ir.call(Helper::GetAttachCookie, &[ctx])
            }
        }
    }
}
