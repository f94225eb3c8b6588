//! Functions of traced programs as their debug information describes them, and where their callers put the arguments.
//!
//! In: parameters with their types, and how their bytes are classed. Out: for each parameter, the registers or the place
//! on the stack that hold it when the function begins. Only what the calling conventions say of C's types is known here;
//! code that is called in another way (parts of functions that a compiler split off, other languages' own conventions)
//! has to be recognised by whoever describes it.

use crate::target::Arch;
use crate::types::{Type, align_to};

/// What a function takes and gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// Its parameters, in order.
    pub params: Vec<Param>,
    /// What it returns; [`Type::Void`] for nothing.
    pub result: Type,
    /// Whether its result is stored where a hidden first argument says.
    pub stores_result: bool,
}

/// A parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Param {
    /// Its name; empty where it has none.
    pub name: String,
    /// Its type as C writes it: `struct Foo*`.
    pub declaration: String,
    /// Its type.
    pub ty: Type,
    /// How it is passed.
    pub passing: Passing,
}

/// How a value is passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Passing {
    /// By its 8-byte words, each of one class, in registers of that class while there are enough of them for all of it.
    Words(Vec<Class>),
    /// As memory, with this alignment: too large for registers, or a `long double`.
    Memory {
        /// Bytes.
        align: u32,
    },
    /// By its address: C++ classes that cannot be copied as bytes.
    Reference,
}

/// What registers a word belongs into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// General registers.
    Integer,
    /// Floating-point registers, which probes cannot read.
    Float,
}

/// Where a parameter is when the function begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// In general registers, 8 bytes each: numbers of arguments as `argN` counts them.
    Registers(Vec<u8>),
    /// On the stack, so many bytes above the stack pointer.
    Stack(u32),
    /// In memory, whose address the argument of this number is.
    Reference(u8),
    /// In memory, whose address lies on the stack, so many bytes above the stack pointer.
    StackReference(u32),
    /// In a floating-point register.
    Float,
}

/// Registers for floating-point arguments: xmm0 to xmm7, v0 to v7.
const FLOATS: usize = 8;

impl Signature {
    /// Where each parameter is, in order.
    pub fn locations(&self, arch: Arch) -> Vec<Location> {
        let mut cx = Assignment {
            arch,
            // AArch64 has a register of its own for the address of a result (x8).
            general: usize::from(self.stores_result && arch == Arch::X86_64),
            registers: arch.convention().args.len(),
            floats: 0,
            // On x86-64 the return address lies on top of the stack.
            stack: match arch {
                Arch::X86_64 => 8,
                Arch::Aarch64 => 0,
            },
        };
        self.params
            .iter()
            .map(|param| cx.location(&param.passing, param.ty.size()))
            .collect()
    }

    /// The parameter of that name.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.params.iter().position(|param| param.name == name)
    }
}

/// What has been given to the parameters so far.
struct Assignment {
    arch: Arch,
    general: usize,
    registers: usize,
    floats: usize,
    stack: u32,
}

impl Assignment {
    fn location(&mut self, passing: &Passing, size: u32) -> Location {
        match (passing, self.arch) {
            (Passing::Reference, _) => self.reference(),
            (Passing::Memory { align }, Arch::X86_64) => self.on_stack(size, *align),
            (Passing::Memory { .. }, Arch::Aarch64) => self.reference(),
            (Passing::Words(classes), Arch::X86_64) => self.system_v(classes, size),
            (Passing::Words(classes), Arch::Aarch64) => self.aapcs(classes, size),
        }
    }

    /// System V AMD64 psABI, 3.2.3: at most two words; all in registers or none.
    fn system_v(&mut self, classes: &[Class], size: u32) -> Location {
        let general = classes.iter().filter(|class| **class == Class::Integer).count();
        let floats = classes.len() - general;
        let fits = self.general + general <= self.registers && self.floats + floats <= FLOATS;
        if classes.len() > 2 || !fits {
            return self.on_stack(size, 8);
        }
        self.floats += floats;
        if floats > 0 {
            self.general += general;
            return Location::Float;
        }
        self.take(general)
    }

    /// AAPCS64, 6.8.2: up to four floating-point words in registers of theirs, up to two others in general ones, the
    /// rest by reference; what no longer fits ends the use of its kind of register.
    fn aapcs(&mut self, classes: &[Class], size: u32) -> Location {
        if classes.iter().all(|class| *class == Class::Float) && classes.len() <= 4 {
            if self.floats + classes.len() <= FLOATS {
                self.floats += classes.len();
                return Location::Float;
            }
            self.floats = FLOATS;
            return self.on_stack(size, 8);
        }
        if classes.len() > 2 {
            return self.reference();
        }
        if self.general + classes.len() <= self.registers {
            return self.take(classes.len());
        }
        self.general = self.registers;
        self.on_stack(size, 8)
    }

    fn take(&mut self, count: usize) -> Location {
        let first = self.general;
        self.general += count;
        Location::Registers((first..self.general).map(|n| n as u8).collect())
    }

    fn reference(&mut self) -> Location {
        if self.general < self.registers {
            self.general += 1;
            return Location::Reference(self.general as u8 - 1);
        }
        match self.on_stack(8, 8) {
            Location::Stack(at) => Location::StackReference(at),
            other => other,
        }
    }

    fn on_stack(&mut self, size: u32, align: u32) -> Location {
        // Counted from the first argument in memory, which is aligned to 16.
        let base = match self.arch {
            Arch::X86_64 => 8,
            Arch::Aarch64 => 0,
        };
        let align = if align > 8 { 16 } else { 8 };
        let at = base + align_to(self.stack - base, align);
        self.stack = at.saturating_add(align_to(size.min(1 << 20), 8));
        Location::Stack(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ctype::{StructId, StructType};

    fn of(size: u32) -> Type {
        Type::Struct(StructType {
            id: StructId::Declared(0),
            name: "struct s".into(),
            size,
        })
    }

    fn locations(arch: Arch, stores_result: bool, params: &[(u32, Passing)]) -> Vec<Location> {
        let param = |(size, passing): &(u32, Passing)| Param {
            name: String::new(),
            declaration: String::new(),
            ty: of(*size),
            passing: passing.clone(),
        };
        let signature = Signature {
            params: params.iter().map(param).collect(),
            result: Type::Void,
            stores_result,
        };
        signature.locations(arch)
    }

    fn ints(n: usize) -> Passing {
        Passing::Words(vec![Class::Integer; n])
    }

    fn floats(n: usize) -> Passing {
        Passing::Words(vec![Class::Float; n])
    }

    fn register(n: u8) -> Location {
        Location::Registers(vec![n])
    }

    #[test]
    fn numbers_and_floats_have_registers_of_their_own() {
        for arch in [Arch::X86_64, Arch::Aarch64] {
            let found = locations(arch, false, &[(4, ints(1)), (8, floats(1)), (8, ints(1))]);
            assert_eq!(found, [register(0), Location::Float, register(1)], "{arch:?}");
        }
    }

    #[test]
    fn what_does_not_fit_into_registers_is_on_the_stack() {
        let mut params = vec![(8, ints(1)); 5];
        params.push((16, ints(2)));
        params.push((4, ints(1)));
        params.push((4, ints(1)));
        let found = locations(Arch::X86_64, false, &params);
        // Two words do not fit into the one register left; a later number does.
        assert_eq!(found[5..], [Location::Stack(8), register(5), Location::Stack(24)]);
        let mut params = vec![(8, ints(1)); 7];
        params.extend([(16, ints(2)), (4, ints(1))]);
        let found = locations(Arch::Aarch64, false, &params);
        assert_eq!(found[7..], [Location::Stack(0), Location::Stack(16)]);
    }

    #[test]
    fn large_values_are_memory() {
        let large = (24, Passing::Memory { align: 8 });
        let aligned = (32, Passing::Memory { align: 16 });
        let params = [large, aligned, (8, ints(1))];
        assert_eq!(
            locations(Arch::X86_64, false, &params),
            [Location::Stack(8), Location::Stack(40), register(0)]
        );
        assert_eq!(
            locations(Arch::Aarch64, false, &params),
            [Location::Reference(0), Location::Reference(1), register(2)]
        );
    }

    #[test]
    fn a_result_in_memory_takes_the_first_register() {
        assert_eq!(locations(Arch::X86_64, true, &[(8, ints(1))]), [register(1)]);
        assert_eq!(locations(Arch::Aarch64, true, &[(8, ints(1))]), [register(0)]);
    }

    #[test]
    fn references() {
        let params = vec![(24, Passing::Reference); 9];
        let found = locations(Arch::X86_64, false, &params);
        assert_eq!(found[5..7], [Location::Reference(5), Location::StackReference(8)]);
        let pair = Passing::Words(vec![Class::Float, Class::Integer]);
        let found = locations(Arch::X86_64, false, &[(16, pair), (8, ints(1))]);
        assert_eq!(found, [Location::Float, register(1)]);
    }
}
