//! The types and constants that a script can name, whichever source they have.
//!
//! In: what the script declares in C, and the target. Out: types, fields and constants by name. What the script declares
//! wins over the kernel's, as in bpftrace. The types of the language itself (`int32`, `string`) are not here.

use crate::c::{self, Constant, Declarations, SYSTEM_STRUCTS};
use crate::codes;
use crate::ctype::{Field, StructId, StructType};
use crate::probe_kind::did_you_mean;
use crate::probe_value::{self, Role};
use crate::target::{Binary, Target, TargetError};
use crate::types::Type;
use crumbs_grammar::diagnostic::Diagnostic;
use crumbs_grammar::span::{Span, Spanned};
use std::cell::{OnceCell, RefCell};
use std::sync::Arc;

/// Where the types of a script come from.
pub struct Environment<'a> {
    declared: Declarations,
    /// The headers that the user includes.
    includes: Vec<String>,
    /// The C text of the script.
    texts: Vec<Spanned<String>>,
    /// What it declares with the headers of the machine, which are read when a name is found nowhere else.
    system: OnceCell<Declarations>,
    target: &'a dyn Target,
    /// The traced program or library, whose types come before the kernel's.
    binary: Option<Binary>,
    /// The arguments of probes; [`StructId::Args`] is an index.
    args: RefCell<Vec<(StructType, Arc<[Field]>)>>,
}

impl<'a> Environment<'a> {
    /// What `declared`, which `includes` and `texts` declare, and `target` know.
    pub fn new(
        declared: Declarations,
        includes: &[String],
        texts: &[&Spanned<String>],
        target: &'a dyn Target,
    ) -> Self {
        Self {
            declared,
            includes: includes.to_vec(),
            texts: texts.iter().map(|text| (*text).clone()).collect(),
            system: OnceCell::new(),
            target,
            binary: None,
            args: RefCell::default(),
        }
    }

    /// From now on, types are looked up for a probe in `binary`.
    pub(super) fn set_binary(&mut self, binary: Option<Binary>) {
        self.binary = binary;
    }

    /// The type of this tag (`keyword` is `struct`, `union` or `enum`), or of this typedef where `keyword` is empty.
    ///
    /// # Errors
    /// When nothing of that name is declared and the kernel has none or cannot tell; [`Environment::unknown_type`]
    /// makes a diagnostic of it.
    pub fn lookup_type(&self, keyword: &str, name: &str) -> Result<Type, TargetError> {
        if let Some(ty) = self.declared.lookup(keyword, name) {
            return Ok(ty.clone());
        }
        let of_binary = self
            .binary
            .as_ref()
            .map(|binary| self.target.binary_type(binary, keyword, name));
        match of_binary {
            Some(Ok(ty)) => Ok(ty),
            _ => self.lookup_kernel_type(keyword, name),
        }
    }

    /// The same of something that is the kernel's, whatever the traced program has.
    ///
    /// # Errors
    /// As [`Environment::lookup_type`].
    pub fn lookup_kernel_type(&self, keyword: &str, name: &str) -> Result<Type, TargetError> {
        if let Some(ty) = self.declared.lookup(keyword, name) {
            return Ok(ty.clone());
        }
        self.target.kernel_type(keyword, name).or_else(|error| {
            let system = self.system().and_then(|system| system.lookup(keyword, name));
            system.cloned().ok_or(error)
        })
    }

    /// The members of a struct, in order.
    ///
    /// # Errors
    /// When its source cannot be read any more, or knows no such struct.
    pub fn fields(&self, id: StructId) -> Result<Arc<[Field]>, TargetError> {
        let args = self.args.borrow();
        let known = match id {
            StructId::Declared(SYSTEM_STRUCTS..) => self.system().and_then(|system| system.fields(id)),
            StructId::Args(index) => args.get(index as usize).map(|(_, fields)| fields),
            _ => self.declared.fields(id),
        };
        match known {
            Some(fields) => Ok(Arc::clone(fields)),
            None => self.target.struct_fields(id),
        }
    }

    /// The constant of this name: of a declared enum, a macro, an enum of the kernel, or of a header in angle brackets.
    pub fn constant(&self, name: &str) -> Option<Constant> {
        if let Some(constant) = self.declared.constants.get(name) {
            return Some(constant.clone());
        }
        if let Some((of, value)) = self.target.kernel_constant(name) {
            return Some(Constant::Enum(of, value));
        }
        if self.declared.system_headers.is_empty() {
            return None;
        }
        let arch = self.target.arch();
        let well_known =
            crate::c::well_known::constant(name).or_else(|| crate::shown::syscall_number(name, arch));
        match well_known {
            Some(value) => Some(Constant::Int(value, Type::I64)),
            None => self.system()?.constants.get(name).cloned(),
        }
    }

    /// What is declared with the headers of the machine; `None` where the script asks for none.
    fn system(&self) -> Option<&Declarations> {
        if self.declared.system_headers.is_empty() {
            return None;
        }
        let texts: Vec<&Spanned<String>> = self.texts.iter().collect();
        let read = || c::with_system_headers(&self.includes, &texts, self.target);
        Some(self.system.get_or_init(read))
    }

    /// The struct of a probe's arguments: `size` bytes with these members. Equal members give the same struct.
    pub fn args_struct(&self, size: u32, fields: Arc<[Field]>) -> StructType {
        let mut args = self.args.borrow_mut();
        let known = args
            .iter()
            .find(|(ty, known)| ty.size == size && *known == fields);
        if let Some((ty, _)) = known {
            return ty.clone();
        }
        let ty = StructType {
            id: StructId::Args(args.len() as u32),
            name: probe_value::name_of(Role::Record).into(),
            size,
        };
        args.push((ty.clone(), fields));
        ty
    }

    /// What to tell where [`Environment::lookup_type`] found nothing.
    pub fn unknown_type(&self, keyword: &str, name: &str, error: TargetError, span: Span) -> Diagnostic {
        let space = if keyword.is_empty() { "" } else { " " };
        let message = format!("there is no type `{keyword}{space}{name}`");
        match error {
            TargetError::NotFound { similar, .. } => {
                let diagnostic = Diagnostic::error(&codes::UNKNOWN_TYPE, span, message);
                let diagnostic = did_you_mean(diagnostic, &similar);
                if !self.declared.system_headers.is_empty() {
                    diagnostic.help(
                        "types of headers in angle brackets come from the kernel's BTF and the headers of this machine, \
                         which have none of this name; declare it in the script",
                    )
                } else {
                    diagnostic
                }
            }
            TargetError::Unreadable { what, reason, help } => {
                let diagnostic = Diagnostic::error(&codes::UNKNOWN_TYPE, span, message);
                let diagnostic = diagnostic.label(format!("cannot read {what}: {reason}"));
                if help.is_empty() {
                    diagnostic
                } else {
                    diagnostic.help(help)
                }
            }
        }
    }
}
