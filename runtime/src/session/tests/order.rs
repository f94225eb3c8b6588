//! The order of what comes by two rings and by slots.

use super::*;

#[test]
fn control_events_do_not_overtake_each_other() {
    let plan = with_programs(vec![interval()]);
    let mut fake = Fake::new();
    let fill = |state: &mut State| {
        set_x(state, 1);
        *state.word(MemoryPlan::CONTROL_SEQ) = 4;
        state.main.push_back(record(PRINT_MAP, 0, None));
        printf(state, 1);
        state.control.push_back(record(CLEAR, 2, None));
        state.control.push_back(record(PRINT_MAP, 1, None));
        state.main.push_back(record(PRINT_MAP, 3, None));
        printf(state, 2);
    };
    fake.waits.push_back((Box::new(fill), Wake::Poll));
    let outcome = run_in(&plan, &mut fake, &mut Notes::default());
    assert_eq!(outcome.results, "@x: 1\ngot 1\n@x: 1\n@x: 0\ngot 2\n\n\n");
}

#[test]
fn a_control_event_waits_for_the_one_before_it() {
    let plan = with_programs(vec![interval()]);
    let mut fake = Fake::new();
    // The program that took number 0 has not sent it yet; it does while it is waited for.
    let first = |state: &mut State| {
        set_x(state, 1);
        *state.word(MemoryPlan::CONTROL_SEQ) = 2;
        printf(state, 1);
        state.main.push_back(record(CLEAR, 1, None));
        printf(state, 2);
    };
    fake.waits.push_back((Box::new(first), Wake::Poll));
    *fake.before.get_mut() = Some(Box::new(|state, step| {
        if step == "quiesce" {
            state.control.push_back(record(PRINT_MAP, 0, None));
        }
    }));
    let outcome = run_in(&plan, &mut fake, &mut Notes::default());
    assert_eq!(outcome.results, "got 1\n@x: 1\ngot 2\n\n\n");
}

#[test]
fn what_precedes_a_control_event_in_the_main_ring_is_handled_first() {
    let plan = with_programs(vec![interval()]);
    let mut fake = Fake::new();
    // Another CPU's unfinished record hides what the main ring has behind it until that CPU is waited for.
    let exit = |state: &mut State| {
        *state.word(MemoryPlan::CONTROL_SEQ) = 1;
        state.control.push_back(record(EXIT, 0, Some(1)));
    };
    fake.waits.push_back((Box::new(exit), Wake::Poll));
    let mut hidden = true;
    *fake.before.get_mut() = Some(Box::new(move |state, step| {
        if step == "quiesce" && std::mem::replace(&mut hidden, false) {
            printf(state, 1);
            set_x(state, 1);
            state
                .main
                .push_back(record(PRINT, 0, Some(u64::from_ne_bytes(*b"before\0\0"))));
        }
    }));
    let outcome = run_in(&plan, &mut fake, &mut Notes::default());
    assert_eq!(outcome.results, "got 1\nbefore\n\n\n@x: 1\n");
    assert_eq!(outcome.code.unwrap(), 1);
}

#[test]
fn what_comes_to_the_control_ring_while_waiting_is_waited_for_in_turn() {
    let plan = with_programs(vec![interval()]);
    let mut fake = Fake::new();
    let first = |state: &mut State| {
        *state.word(MemoryPlan::CONTROL_SEQ) = 1;
        state.control.push_back(record(TIME, 0, None));
    };
    fake.waits.push_back((Box::new(first), Wake::Poll));
    fake.waits.push_back((Box::new(|_| {}), Wake::Poll));
    let mut waits = 0;
    *fake.before.get_mut() = Some(Box::new(move |state, step| {
        if step != "quiesce" {
            return;
        }
        waits += 1;
        match waits {
            1 => {
                *state.word(MemoryPlan::CONTROL_SEQ) = 2;
                state.control.push_back(record(EXIT, 1, None));
            }
            2 => printf(state, 1),
            _ => {}
        }
    }));
    let outcome = run_in(&plan, &mut fake, &mut Notes::default());
    assert_eq!(outcome.results, "09\ngot 1\n\n\n");
    assert_eq!(fake.state.get_mut().log, ["quiesce", "quiesce", "detach"]);
}

/// However control events are spread over the rings, they are handled in their order, and each once.
#[test]
fn shuffled_rings_give_one_order() {
    const EVENTS: u32 = 12;
    for spread in 0..1u32 << EVENTS {
        let plan = plan();
        let mut fake = Fake::new();
        let state = fake.state.get_mut();
        *state.word(MemoryPlan::CONTROL_SEQ) = u64::from(EVENTS);
        for number in 0..EVENTS {
            let bytes = record(EXIT, number, Some(u64::from(number)));
            if spread >> number & 1 == 0 {
                state.main.push_back(bytes);
            } else {
                state.control.push_front(bytes);
            }
        }
        let mut inbox = Inbox::new(&plan);
        let mut order = Vec::new();
        inbox.collect(&mut fake);
        while let Some(record) = inbox.next() {
            order.push(u64::from_ne_bytes(record.bytes[8..].try_into().unwrap()));
        }
        assert_eq!(order, (0..u64::from(EVENTS)).collect::<Vec<_>>(), "{spread:b}");
        assert!(!inbox.is_waiting());
    }
}

#[test]
fn numbers_taken_at_the_same_time_may_come_the_other_way_round() {
    let plan = plan();
    let mut fake = Fake::new();
    let state = fake.state.get_mut();
    *state.word(MemoryPlan::CONTROL_SEQ) = 3;
    for number in [1, 0, 2] {
        state.main.push_back(record(EXIT, number, Some(0)));
    }
    let mut inbox = Inbox::new(&plan);
    inbox.collect(&mut fake);
    assert_eq!(std::iter::from_fn(|| inbox.next()).count(), 3);
    assert!(
        fake.state.get_mut().log.is_empty(),
        "nothing is missing, so nothing is waited for"
    );
}

#[test]
fn a_lost_number_holds_nothing_up() {
    let plan = plan();
    let mut fake = Fake::new();
    let state = fake.state.get_mut();
    *state.word(MemoryPlan::CONTROL_SEQ) = 2;
    state.main.push_back(record(EXIT, 1, Some(0)));
    let mut inbox = Inbox::new(&plan);
    inbox.collect(&mut fake);
    assert!(inbox.next().is_some());
    assert!(!inbox.is_waiting());
    assert_eq!(fake.state.get_mut().log, ["quiesce"]);
}

/// A plan of which both rings may refuse `TIME`.
fn with_refusals() -> Plan {
    let mut plan = plan();
    plan.memory.refused = Refused {
        offset: 512,
        events: plan.events.len() as u32,
        slots: 4,
    };
    plan
}

/// Takes a number, and notes the event as no ring would take it.
fn refuse(state: &mut State, plan: &Plan, event: u32) {
    let refused = plan.memory.refused;
    let number = *state.word(MemoryPlan::CONTROL_SEQ);
    *state.word(MemoryPlan::CONTROL_SEQ) += 1;
    let slot = refused.first_slot() + 8 * (number as u32 % refused.slots);
    match *state.word(slot) {
        0 => *state.word(slot) = (number << 32) + u64::from(event) + 1,
        _ => *state.word(refused.counter(event)) += 1,
    }
    *state.word(refused.offset) += 1;
}

#[test]
fn refused_events_keep_their_place_until_no_slot_is_left() {
    let plan = with_refusals();
    let mut fake = Fake::new();
    let mut inbox = Inbox::new(&plan);
    for _ in 0..2 {
        let state = fake.state.get_mut();
        refuse(state, &plan, CLEAR);
        control(state, EXIT, None);
        refuse(state, &plan, TIME);
        printf(state, 1);
        refuse(state, &plan, CLEAR);
        refuse(state, &plan, CLEAR);
        // The four slots are taken from here on, or would be: one of the four numbers was sent.
        for event in [TIME, CLEAR, TIME, CLEAR, TIME] {
            refuse(state, &plan, event);
        }
        inbox.collect(&mut fake);
        let order: Vec<u32> = std::iter::from_fn(|| inbox.next())
            .map(|record| record.event as u32)
            .collect();
        assert_eq!(order[..5], [CLEAR, EXIT, PRINTF, TIME, CLEAR]);
        assert_eq!(order.len(), 11);
        assert_eq!(order.iter().filter(|event| **event == TIME).count(), 4);
        assert!(!inbox.is_waiting());
        assert_eq!(fake.state.get_mut().log.split_off(0), ["quiesce"]);
        inbox.collect(&mut fake);
        assert!(
            fake.state.get_mut().log.is_empty(),
            "nothing is new, so nothing is waited for"
        );
    }
}

/// A program that was preempted before it noted its event is waited for, and one that took a number meanwhile is not
/// handled before it.
#[test]
fn a_refused_event_on_its_way_is_not_overtaken() {
    let plan = with_refusals();
    let mut fake = Fake::new();
    let state = fake.state.get_mut();
    *state.word(MemoryPlan::CONTROL_SEQ) = 1;
    control(state, CLEAR, None);
    let late = plan.clone();
    *fake.before.get_mut() = Some(Box::new(move |state, step| {
        if step == "quiesce" {
            let slot = late.memory.refused.first_slot();
            *state.word(slot) = u64::from(TIME) + 1;
            *state.word(late.memory.refused.offset) += 1;
        }
    }));
    let mut inbox = Inbox::new(&plan);
    inbox.collect(&mut fake);
    let order: Vec<usize> = std::iter::from_fn(|| inbox.next())
        .map(|record| record.event)
        .collect();
    assert_eq!(order, [TIME as usize, CLEAR as usize]);
}

/// Programs for kernels without fetching atomics number every control event 0.
#[test]
fn events_without_numbers_keep_the_order_of_their_ring() {
    let plan = plan();
    let mut fake = Fake::new();
    let mut inbox = Inbox::new(&plan);
    for _ in 0..2 {
        let state = fake.state.get_mut();
        for arg in [1, 2] {
            state.main.push_back(record(EXIT, 0, Some(arg)));
            state.control.push_back(record(EXIT, 0, Some(2 + arg)));
        }
        inbox.collect(&mut fake);
        let order: Vec<u8> = std::iter::from_fn(|| inbox.next())
            .map(|record| record.bytes[8])
            .collect();
        assert_eq!(order, [1, 2, 3, 4]);
        assert!(!inbox.is_waiting());
    }
}

#[test]
fn numbers_wrap() {
    let plan = plan();
    let mut fake = Fake::new();
    let mut inbox = Inbox::new(&plan);
    // Towards the wrap in steps that a 32-bit difference can tell.
    for number in [1 << 30, 2 << 30, 3 << 30, u32::MAX - 1] {
        fake.state.get_mut().main.push_back(record(EXIT, number, None));
        inbox.collect_last(&mut fake);
        assert!(inbox.next().is_some());
    }
    let state = fake.state.get_mut();
    *state.word(MemoryPlan::CONTROL_SEQ) = (1 << 32) + 1;
    state.main.push_back(record(EXIT, 0, Some(2)));
    state.control.push_back(record(EXIT, u32::MAX, Some(1)));
    inbox.collect(&mut fake);
    let order: Vec<u8> = std::iter::from_fn(|| inbox.next())
        .map(|record| record.bytes[8])
        .collect();
    assert_eq!(order, [1, 2]);
}
