//! Interleavings: who goes on, whenever a program could be preempted.
//!
//! A lane is what one event does: the programs that it fires, in order. Lanes stand for contexts that preempt each
//! other (threads, interrupts; on one CPU or several), and any order of their instructions is possible: on a kernel
//! with full preemption, instances on one CPU do not end in last-in-first-out order.

use super::fault::Fault;
use super::machine::{Machine, Program, Run, Start, Step};

/// Where a schedule is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Granularity {
    /// Before every instruction.
    Instruction,
    /// Before every instruction that touches what programs share. No other point of preemption can give another
    /// outcome.
    SharedAccess,
}

/// Decides who goes on.
pub trait Schedule {
    /// Where it wants to be asked.
    fn granularity(&self) -> Granularity;
    /// One of `ready`, which is not empty and ascends; `current` is the one that went last, if it is still ready.
    fn next(&mut self, ready: &[usize], current: Option<usize>) -> usize;
}

/// A schedule that is written down: lane and number of instructions, in order. Then the rest, lane by lane.
#[derive(Clone, Debug)]
pub struct Fixed {
    parts: std::collections::VecDeque<(usize, u64)>,
}

impl Fixed {
    /// From its parts.
    pub fn new(parts: impl IntoIterator<Item = (usize, u64)>) -> Self {
        Self {
            parts: parts.into_iter().collect(),
        }
    }
}

impl Schedule for Fixed {
    fn granularity(&self) -> Granularity {
        Granularity::Instruction
    }

    fn next(&mut self, ready: &[usize], current: Option<usize>) -> usize {
        while let Some((lane, left)) = self.parts.front_mut() {
            if *left > 0 && ready.contains(lane) {
                *left -= 1;
                return *lane;
            }
            self.parts.pop_front();
        }
        current.unwrap_or(ready[0])
    }
}

/// Every schedule, one after the other:
///
/// ```text
/// let mut schedules = Exhaustive::new();
/// while schedules.begin() {
///     …a fresh machine…
///     interleave(&mut machine, lanes, &mut schedules)?;
/// }
/// ```
///
/// What is run must depend on nothing but the schedule. The number of schedules grows exponentially with the number
/// of shared accesses; [`Exhaustive::with_preemptions`] bounds it.
#[derive(Clone, Debug, Default)]
pub struct Exhaustive {
    /// Decisions of the present schedule: what was chosen, of how many.
    trail: Vec<(usize, usize)>,
    depth: usize,
    preemptions: u32,
    max_preemptions: Option<u32>,
    begun: u64,
}

impl Exhaustive {
    /// All schedules.
    pub fn new() -> Self {
        Self::default()
    }

    /// All schedules in which a lane that could go on is stopped at most `max` times. Few preemptions find nearly
    /// every race (Musuvathi and Qadeer, PLDI 2007).
    pub fn with_preemptions(max: u32) -> Self {
        Self {
            max_preemptions: Some(max),
            ..Self::default()
        }
    }

    /// Turns to the next schedule; `false` when there is none.
    pub fn begin(&mut self) -> bool {
        self.depth = 0;
        self.preemptions = 0;
        if self.begun > 0 {
            while self.trail.pop_if(|(chosen, of)| *chosen + 1 == *of).is_some() {}
            match self.trail.last_mut() {
                Some((chosen, _)) => *chosen += 1,
                None => return false,
            }
        }
        self.begun += 1;
        true
    }

    /// How many schedules were begun.
    pub fn count(&self) -> u64 {
        self.begun
    }
}

impl Schedule for Exhaustive {
    fn granularity(&self) -> Granularity {
        Granularity::SharedAccess
    }

    fn next(&mut self, ready: &[usize], current: Option<usize>) -> usize {
        if let Some(current) = current
            && self.max_preemptions.is_some_and(|max| self.preemptions >= max)
        {
            return current;
        }
        if ready.len() == 1 {
            return ready[0];
        }
        if self.depth == self.trail.len() {
            self.trail.push((0, ready.len()));
        }
        let lane = ready[self.trail[self.depth].0.min(ready.len() - 1)];
        self.depth += 1;
        if current.is_some_and(|current| current != lane) {
            self.preemptions += 1;
        }
        lane
    }
}

/// A lane at fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneFault {
    /// The lane.
    pub lane: usize,
    /// Which of its programs, from 0.
    pub part: usize,
    /// What it did.
    pub fault: Fault,
}

/// Runs every lane to its end, in the order that `schedule` decides.
///
/// # Errors
/// The first fault; the other lanes are left where they are.
pub fn interleave(
    machine: &mut Machine,
    lanes: &[Vec<(Program, Start)>],
    schedule: &mut dyn Schedule,
) -> Result<(), LaneFault> {
    // What is local commutes with everything, so it may as well be executed at once.
    let skips_local = schedule.granularity() == Granularity::SharedAccess;
    let mut lanes: Vec<Lane<'_>> = lanes
        .iter()
        .enumerate()
        .map(|(number, parts)| Lane {
            number,
            parts: parts.iter(),
            run: None,
            begun: 0,
        })
        .collect();
    let mut ready = Vec::new();
    for (number, lane) in lanes.iter_mut().enumerate() {
        lane.begin_next(machine);
        if skips_local {
            lane.skip_local(machine)?;
        }
        if lane.run.is_some() {
            ready.push(number);
        }
    }
    let mut current = None;
    while !ready.is_empty() {
        let chosen = schedule.next(&ready, current);
        let number = if ready.contains(&chosen) { chosen } else { ready[0] };
        let lane = &mut lanes[number];
        lane.step(machine)?;
        if skips_local {
            lane.skip_local(machine)?;
        }
        current = lane.run.as_ref().map(|_| number);
        if current.is_none() {
            ready.retain(|&other| other != number);
        }
    }
    Ok(())
}

/// A lane under way.
struct Lane<'a> {
    number: usize,
    /// What is still to be begun.
    parts: std::slice::Iter<'a, (Program, Start)>,
    /// What is under way; `None` once all has ended.
    run: Option<Run>,
    begun: usize,
}

impl Lane<'_> {
    fn begin_next(&mut self, machine: &mut Machine) {
        self.run = self
            .parts
            .next()
            .map(|(program, start)| machine.start(program, start.clone()));
        self.begun += usize::from(self.run.is_some());
    }

    /// Executes an instruction; behind a program's last one, begins the next.
    fn step(&mut self, machine: &mut Machine) -> Result<(), LaneFault> {
        let Some(run) = &mut self.run else {
            return Ok(());
        };
        match machine.step(run) {
            Ok(Step::Running) => {}
            Ok(Step::Done(_)) => self.begin_next(machine),
            Err(fault) => {
                return Err(LaneFault {
                    lane: self.number,
                    part: self.begun.saturating_sub(1),
                    fault,
                });
            }
        }
        Ok(())
    }

    /// Executes everything before the next shared access.
    fn skip_local(&mut self, machine: &mut Machine) -> Result<(), LaneFault> {
        while self.run.as_ref().is_some_and(Run::is_local) {
            self.step(machine)?;
        }
        Ok(())
    }
}
