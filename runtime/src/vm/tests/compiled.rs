//! Programs of the compiler's back end.

use super::*;
use crumbs_compiler::codegen::compile;
use crumbs_compiler::ir::verify::{Limits, verify};
use crumbs_compiler::ir::{AtomicOp, Builder, Cond, Op, Width};

/// Counts in the CPU's stripe of 16 bytes, sends `arg0` where it is not 0, and leaves the length of the text at `arg1`.
fn build() -> bpf::Program {
    let mut ir = Builder::new("p".into(), ProgramKind::Kprobe);
    let (send, done) = (ir.block(), ir.block());
    let cpu = ir.call(Helper::GetSmpProcessorId, &[]);
    let base = ir.emit(Op::Memory(0));
    let stripe = ir.emit(Op::ElementAddr {
        base,
        index: cpu,
        count: 4,
        stride: 16,
    });
    let one = ir.iconst(1);
    ir.atomic(AtomicOp::Add, stripe, 0, one);
    let arg = |ir: &mut Builder, offset| {
        ir.emit(Op::CtxLoad {
            offset,
            width: Width::B8,
            signed: false,
        })
    };
    let (arg0, arg1) = (arg(&mut ir, 112), arg(&mut ir, 104));
    let slot = ir.slot(16);
    let text = ir.slot_addr(slot, 0);
    let zero = ir.iconst(0);
    ir.store(text, 0, Width::B8, zero);
    ir.store(text, 8, Width::B8, zero);
    let size = ir.iconst(16);
    let len = ir.call(Helper::ProbeReadUserStr, &[text, size, arg1]);
    ir.store(stripe, 8, Width::B8, len);
    ir.branch(Cond::Ne, arg0, zero, send, done);
    ir.switch_to(send);
    let ring = ir.emit(Op::MapPtr(BpfMapId(RING)));
    ir.effect(Op::CallBounded {
        helper: Helper::RingbufOutput,
        args: [ring, text, arg0, zero].into(),
        bounded: 2,
        max: 16,
    });
    ir.jump(done, &[]);
    ir.switch_to(done);
    ir.ret(zero);
    let mut function = ir.finish();
    for slot in &mut function.slots {
        slot.home = crumbs_compiler::ir::Home::Frame(-16);
    }
    compile(&verify(function, Limits::from(&plan())).unwrap()).unwrap()
}

#[test]
fn compiled_programs_run() {
    let code = build();
    let mut vm = machine();
    let mut deliver = |arg0: u64, attributes: &str| {
        let mut context = vec![0; 168];
        context[112..120].copy_from_slice(&arg0.to_le_bytes());
        context[104..112].copy_from_slice(&0x7000u64.to_le_bytes());
        let start = Start {
            context: context.into(),
            ..start(event(attributes))
        };
        let mut run = vm.start(&link(&code).unwrap(), start);
        vm.finish(&mut run).unwrap();
        let sent = match &mut vm.maps[RING as usize] {
            crate::vm::machine::Store::Ring { ring, .. } => ring.pop(),
            crate::vm::machine::Store::Hash(_) => None,
        };
        let memory = vm.memory.borrow();
        let word = |at: usize| u64::from_le_bytes(memory[at..at + 8].try_into().unwrap());
        ([word(0), word(8), word(48), word(56)], sent)
    };
    let bad = i64::from(-libc::EFAULT) as u64;
    assert_eq!(deliver(0, "cpu=0"), ([1, bad, 0, 0], None));
    let sent = Some(b"abc".to_vec());
    assert_eq!(deliver(3, "cpu=3 mem[0x7000]=\"abc\\0\""), ([1, bad, 1, 4], sent));
    // More than there is: clamped.
    let sent = Some(b"abc\0\0\0\0\0\0\0\0\0\0\0\0\0".to_vec());
    assert_eq!(
        deliver(99, "cpu=3 mem[0x7000]=\"abc\\0\""),
        ([1, bad, 2, 4], sent)
    );
}
