//! Each rule of the checklist broken once.
#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::helper::Helper;
use crate::ir::{AtomicOp, BinOp, Builder, Cond};
use crate::plan::{BpfMapId, ProgramKind};

const LIMITS: Limits = Limits {
    bpf_maps: 1,
    memory: 64,
};

fn builder() -> Builder {
    Builder::new("f".into(), ProgramKind::Kprobe)
}

/// The reasons why what `build` makes is wrong; `build` need not end the last block.
fn reasons(build: impl FnOnce(&mut Builder)) -> Vec<String> {
    let mut b = builder();
    build(&mut b);
    if !b.is_terminated() {
        let zero = b.iconst(0);
        b.ret(zero);
    }
    check(&b.finish(), LIMITS, Stage::Lowered)
        .into_iter()
        .map(|e| e.reason)
        .collect()
}

#[track_caller]
fn rejects(reason: &str, build: impl FnOnce(&mut Builder)) {
    assert_eq!(reasons(build), [reason]);
}

#[test]
fn accepts_what_is_right() {
    let none = reasons(|b| {
        let ctx = b.emit(Op::Ctx);
        b.call(Helper::GetAttachCookie, &[ctx]);
        let slot = b.slot(16);
        let key = b.slot_addr(slot, 8);
        let one = b.iconst(1);
        b.store(key, 0, Width::B8, one);
        b.store(key, -8, Width::B8, one);
        let map = b.emit(Op::MapPtr(BpfMapId(0)));
        let value = b.call(Helper::MapLookupElem, &[map, key]);
        let memory = b.emit(Op::Memory(8));
        b.atomic(AtomicOp::Add, memory, 48, value);
    });
    assert_eq!(none, Vec::<String>::new());
}

/// The reasons why a sound function is wrong once `break_it` has changed it. It is, with `b1` for a dead end:
/// `b0: v0 = const 0; v2 = v0 + v0; goto b2(v0)`, `b2(v1): if v1 == v1 goto b3 else b3`, `b3: return v0`.
fn broken(break_it: impl FnOnce(&mut Function)) -> Vec<String> {
    let mut b = builder();
    let [dead, join, out] = std::array::from_fn(|_| b.block());
    let param = b.param(join);
    let zero = b.iconst(0);
    let sum = b.bin(BinOp::Add, zero, zero);
    b.jump(join, &[sum]);
    b.switch_to(dead);
    b.jump(out, &[]);
    b.switch_to(join);
    b.branch(Cond::Eq, param, param, out, out);
    b.switch_to(out);
    b.ret(zero);
    let mut func = b.finish();
    assert_eq!(check(&func, LIMITS, Stage::Placed), []);
    break_it(&mut func);
    check(&func, LIMITS, Stage::Placed)
        .into_iter()
        .map(|e| e.to_string())
        .collect()
}

#[test]
fn values_and_blocks() {
    let swap = broken(|f| f.blocks[0].insts.reverse());
    assert_eq!(swap, ["f, b0, i1: v1 is used where it may not be defined"; 2]);
    let sideways = broken(|f| {
        let inst = f.blocks[0].insts.remove(0);
        f.blocks[1].insts.push(inst);
    });
    assert_eq!(
        sideways.last().unwrap(),
        "f, b3: v1 is used where it may not be defined"
    );
    assert_eq!(
        broken(|f| f.insts[1].result = Some(Value(1))),
        ["f, b0, i1: v1 is defined twice"]
    );
    assert_eq!(
        broken(|f| f.blocks[1].insts.push(Inst(0)))[0],
        "f, b1, i0: stands in two places"
    );
    assert!(broken(|f| f.values = 1)[0].ends_with("there is no v1"));
    assert_eq!(
        broken(|f| f.blocks[3].terminator = None),
        ["f, b3: has no terminator"]
    );
    assert_eq!(
        broken(|f| f.blocks[2].params.clear())[0],
        "f, b0: b2 takes 0 values and gets 1"
    );
    assert_eq!(
        broken(|f| f.entry = Block(2)).first().unwrap(),
        "f, b2: the entry block has parameters"
    );
    let back = |block| {
        Terminator::Jump(Target {
            block: Block(block),
            args: Vec::new(),
        })
    };
    assert_eq!(
        broken(|f| f.blocks[3].terminator = Some(back(0))),
        ["f, b3: jumps to the entry block"]
    );
    assert_eq!(
        broken(|f| f.blocks[3].terminator = Some(back(9))),
        ["f, b3: there is no b9"]
    );
    assert_eq!(
        broken(|f| f.insts[1].result = None)[0],
        "f, b0, i1: has no result"
    );
    assert_eq!(
        broken(|f| f.blocks[1].terminator = None),
        Vec::<String>::new(),
        "dead blocks are ignored"
    );
}

#[test]
fn helpers_and_their_arguments() {
    rejects("get_current_pid_tgid takes 0 arguments and gets 1", |b| {
        let zero = b.iconst(0);
        b.call(Helper::GetCurrentPidTgid, &[zero]);
    });
    rejects("map_delete_elem: v0 is not a map", |b| {
        let zero = b.iconst(0);
        b.call(Helper::MapDeleteElem, &[zero, zero]);
    });
    rejects("get_attach_cookie: v0 is not the context", |b| {
        let zero = b.iconst(0);
        b.call(Helper::GetAttachCookie, &[zero]);
    });
    rejects("v0 is a map and can only be given to a helper", |b| {
        let map = b.emit(Op::MapPtr(BpfMapId(0)));
        b.load(map, 0, Width::B8);
    });
    rejects("v0 is the context and can only be given to a helper", |b| {
        let ctx = b.emit(Op::Ctx);
        b.bin_imm(BinOp::Sub, ctx, 8);
    });
    rejects(
        "accesses the context through an address: only helpers and loads of it can",
        |b| {
            let ctx = b.emit(Op::Ctx);
            let field = b.bin_imm(BinOp::Add, ctx, 8);
            b.load(field, 0, Width::B8);
        },
    );
    rejects("v1 is a map and can only be given to a helper", |b| {
        let next = b.block();
        b.param(next);
        let map = b.emit(Op::MapPtr(BpfMapId(0)));
        b.jump(next, &[map]);
        b.switch_to(next);
    });
    for (bounded, max) in [(0, 8), (3, 8), (1, u32::MAX)] {
        rejects(
            &format!("probe_read_user: argument {bounded} clamped to {max}"),
            |b| {
                let slot = b.slot(8);
                let to = b.slot_addr(slot, 0);
                b.effect(Op::CallBounded {
                    helper: Helper::ProbeReadUser,
                    args: [to, to, to].into(),
                    bounded,
                    max,
                });
            },
        );
    }
    rejects("there is no kernel map 1", |b| {
        b.emit(Op::MapPtr(BpfMapId(1)));
    });
}

#[test]
fn memory() {
    rejects("points outside s0", |b| {
        let slot = b.slot(8);
        b.slot_addr(slot, 8);
    });
    rejects("accesses bytes outside s0", |b| {
        let slot = b.slot(8);
        let addr = b.slot_addr(slot, 4);
        b.load(addr, 1, Width::B4);
    });
    rejects("accesses bytes outside s0", |b| {
        let slot = b.slot(8);
        let addr = b.slot_addr(slot, 0);
        b.load(addr, -1, Width::B1);
    });
    rejects("accesses bytes outside the program memory", |b| {
        let addr = b.emit(Op::Memory(56));
        b.load(addr, 8, Width::B1);
    });
    rejects("points outside the program memory", |b| {
        b.emit(Op::Memory(64));
    });
    rejects("an atomic access that is not aligned to 8 bytes", |b| {
        let addr = b.emit(Op::Memory(8));
        let one = b.iconst(1);
        b.atomic(AtomicOp::Add, addr, 4, one);
    });
    rejects("accesses a constant address", |b| {
        let addr = b.iconst(4096);
        b.load(addr, 0, Width::B8);
    });
    rejects("a store has no result", |b| {
        let slot = b.slot(8);
        let addr = b.slot_addr(slot, 0);
        b.emit(Op::Store {
            addr,
            offset: 0,
            width: Width::B8,
            value: addr,
        });
    });
    rejects("an array of 3 elements of 8 bytes", |b| {
        let base = b.emit(Op::Memory(0));
        let index = b.iconst(0);
        b.emit(Op::ElementAddr {
            base,
            index,
            count: 3,
            stride: 8,
        });
    });
}

#[test]
fn widths_and_context() {
    rejects("extends from 64 bits", |b| {
        let value = b.iconst(0);
        b.emit(Op::Extend {
            bits: 64,
            signed: true,
            value,
        });
    });
    rejects("a signed access of 8 bytes", |b| {
        b.emit(Op::CtxLoad {
            offset: 0,
            width: Width::B8,
            signed: true,
        });
    });
    rejects("reads in front of the context", |b| {
        b.emit(Op::CtxLoad {
            offset: -8,
            width: Width::B8,
            signed: false,
        });
    });
}

#[test]
fn placement() {
    let place = |size, home| {
        let mut b = builder();
        let slot = b.slot(size);
        b.slot_addr(slot, 0);
        let zero = b.iconst(0);
        b.ret(zero);
        let mut func = b.finish();
        func.slots[0].home = home;
        verify(func, LIMITS).map(|_| ()).map_err(|e| e[0].reason.clone())
    };
    assert_eq!(place(16, Home::Frame(-512)), Ok(()));
    assert_eq!(place(16, Home::Unplaced).unwrap_err(), "s0 is not on the frame");
    assert_eq!(
        place(16, Home::Frame(-8)).unwrap_err(),
        "s0 is at -8 of the frame, 16 bytes"
    );
    assert_eq!(
        place(16, Home::Frame(-20)).unwrap_err(),
        "s0 is at -20 of the frame, 16 bytes"
    );
    assert_eq!(
        place(16, Home::Frame(-520)).unwrap_err(),
        "s0 is at -520 of the frame, 16 bytes"
    );
}

/// The reasons why a program is wrong that has a subprogram of two numbers and a loop's body, in this order.
fn reasons_of_calls(build: impl FnOnce(&mut Builder), subprogram: impl FnOnce(&mut Builder)) -> Vec<String> {
    let with_role = |role| Builder::with_role("g".into(), ProgramKind::Kprobe, role);
    let mut called = with_role(Role::Subprogram { arguments: 2 });
    subprogram(&mut called);
    let mut body = with_role(Role::Callback {
        frame: 1,
        caller: None,
    });
    let mut main = builder();
    build(&mut main);
    for b in [&mut called, &mut body, &mut main] {
        let zero = b.iconst(0);
        b.ret(zero);
    }
    let mut main = main.finish();
    main.callbacks = vec![called.finish(), body.finish()];
    let faults = check(&main, LIMITS, Stage::Lowered).into_iter();
    faults.map(|fault| fault.reason).collect()
}

#[test]
fn calls_of_subprograms() {
    let call = |id: u32, numbers: usize| {
        move |b: &mut Builder| {
            let args: Vec<Value> = (0..numbers as i64).map(|n| b.iconst(n)).collect();
            b.emit(Op::CallSubprogram(CallbackId(id), args[..].into()));
        }
    };
    let nothing = |_: &mut Builder| {};
    assert_eq!(reasons_of_calls(call(0, 2), nothing), Vec::<String>::new());
    for (id, numbers) in [(0, 1), (0, 3), (1, 2), (2, 2)] {
        assert_eq!(
            reasons_of_calls(call(id, numbers), nothing).len(),
            1,
            "{id} {numbers}"
        );
    }
    // Neither each other, nor the context, nor an argument too many.
    assert_eq!(reasons_of_calls(nothing, call(0, 2)).len(), 1);
    let context = |b: &mut Builder| {
        b.emit(Op::CtxLoad {
            offset: 0,
            width: Width::B8,
            signed: false,
        });
    };
    assert_eq!(
        reasons_of_calls(nothing, context),
        ["a subprogram has no context"]
    );
    let third = |b: &mut Builder| {
        b.emit(Op::Argument(2));
    };
    assert_eq!(reasons_of_calls(nothing, third), ["there is no argument 2"]);
    let address = |b: &mut Builder| {
        let slot = b.slot(8);
        let (addr, one) = (b.slot_addr(slot, 0), b.iconst(1));
        b.emit(Op::CallSubprogram(CallbackId(0), [addr, one][..].into()));
    };
    let [reason] = &reasons_of_calls(address, nothing)[..] else {
        panic!("one fault")
    };
    assert!(
        reason.ends_with("is an address and given to a subprogram"),
        "{reason}"
    );
}
