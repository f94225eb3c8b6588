//! This machine with the kernel of another release: what scripts become where features are missing.

use crumbs_compiler::ctype::{EnumType, Field, KernelFunction, StructId};
use crumbs_compiler::plan::ProgramKind;
use crumbs_compiler::signature::Signature;
use crumbs_compiler::target::{
    Arch, Binary, BinarySymbol, FEATURES, Feature, Function, KernelVersion, PidNamespace, SourceFile, Target,
    TargetError, TracepointFormat, UsdtProbe,
};
use crumbs_compiler::types::Type;
use std::cell::RefCell;
use std::sync::Arc;

/// The releases: the oldest that has a core tier, and such as lack less.
pub const RELEASES: [KernelVersion; 4] = [
    KernelVersion { major: 5, minor: 10 },
    KernelVersion { major: 5, minor: 15 },
    KernelVersion { major: 5, minor: 18 },
    KernelVersion { major: 6, minor: 1 },
];

/// Everything as `here` says, but with the features of `kernel`.
pub struct Older<'t> {
    pub here: &'t dyn Target,
    pub kernel: KernelVersion,
    /// The features that were asked for and are missing.
    pub lacked: RefCell<Vec<Feature>>,
}

impl Target for Older<'_> {
    fn arch(&self) -> Arch {
        self.here.arch()
    }

    fn kernel(&self) -> KernelVersion {
        self.kernel
    }

    fn possible_cpus(&self) -> u32 {
        self.here.possible_cpus()
    }

    fn has(&self, feature: Feature) -> bool {
        let since = FEATURES
            .iter()
            .find(|row| row.feature == feature)
            .map(|row| row.since);
        let has = since.is_some_and(|since| since <= self.kernel);
        if !has && !self.lacked.borrow().contains(&feature) {
            self.lacked.borrow_mut().push(feature);
        }
        has
    }

    fn pid_namespace(&self) -> Option<PidNamespace> {
        self.here.pid_namespace()
    }

    fn tracepoints(&self, category: &str, event: &str) -> Result<Vec<(String, String)>, TargetError> {
        self.here.tracepoints(category, event)
    }

    fn tracepoint(&self, category: &str, event: &str) -> Result<Arc<TracepointFormat>, TargetError> {
        self.here.tracepoint(category, event)
    }

    fn binaries(&self, spec: &str) -> Result<Vec<Binary>, TargetError> {
        self.here.binaries(spec)
    }

    fn functions(&self, binary: &Binary) -> Result<Arc<[Function]>, TargetError> {
        self.here.functions(binary)
    }

    fn functions_named(&self, binary: &Binary, name: &str) -> Result<Vec<Function>, TargetError> {
        self.here.functions_named(binary, name)
    }

    fn file_offset(&self, binary: &Binary, address: u64) -> Result<u64, TargetError> {
        self.here.file_offset(binary, address)
    }

    fn binary_symbol(&self, binary: &Binary, name: &str) -> Result<BinarySymbol, TargetError> {
        self.here.binary_symbol(binary, name)
    }

    fn virtual_address(&self, binary: &Binary, offset: u64) -> Result<u64, TargetError> {
        self.here.virtual_address(binary, offset)
    }

    fn import(&self, importer: &str, path: &str) -> Result<Vec<SourceFile>, TargetError> {
        self.here.import(importer, path)
    }

    fn is_instruction(&self, binary: &Binary, function: &Function, offset: u64) -> Result<bool, TargetError> {
        self.here.is_instruction(binary, function, offset)
    }

    fn usdt_probes(&self, binary: &Binary) -> Result<Arc<[UsdtProbe]>, TargetError> {
        self.here.usdt_probes(binary)
    }

    fn loaded_binaries(&self) -> Result<Vec<Binary>, TargetError> {
        self.here.loaded_binaries()
    }

    fn running_binaries(&self) -> Result<Vec<Binary>, TargetError> {
        self.here.running_binaries()
    }

    fn signature(&self, binary: &Binary, offset: u64) -> Result<Arc<Signature>, TargetError> {
        self.here.signature(binary, offset)
    }

    fn binary_type(&self, binary: &Binary, keyword: &str, name: &str) -> Result<Type, TargetError> {
        self.here.binary_type(binary, keyword, name)
    }

    fn source_line(
        &self,
        binary: &Binary,
        file: &str,
        line: u64,
        column: Option<u64>,
    ) -> Result<Vec<u64>, TargetError> {
        self.here.source_line(binary, file, line, column)
    }

    fn is_inlined(&self, binary: &Binary, name: &str) -> bool {
        self.here.is_inlined(binary, name)
    }

    fn traceable_functions(&self, module: &str, name: &str) -> Result<Vec<(String, String)>, TargetError> {
        self.here.traceable_functions(module, name)
    }

    fn kernel_address(&self, name: &str) -> Result<u64, TargetError> {
        self.here.kernel_address(name)
    }

    fn cgroup_id(&self, path: &str) -> Option<u64> {
        self.here.cgroup_id(path)
    }

    fn kernel_type(&self, keyword: &str, name: &str) -> Result<Type, TargetError> {
        self.here.kernel_type(keyword, name)
    }

    fn struct_fields(&self, id: StructId) -> Result<Arc<[Field]>, TargetError> {
        self.here.struct_fields(id)
    }

    fn kernel_constant(&self, name: &str) -> Option<(Arc<EnumType>, i64)> {
        self.here.kernel_constant(name)
    }

    fn header(&self, name: &str, from: Option<&str>) -> Result<(String, String), TargetError> {
        self.here.header(name, from)
    }

    fn included_header(&self, name: &str) -> Option<(String, String)> {
        self.here.included_header(name)
    }

    fn system_header(&self, name: &str) -> Option<(String, String)> {
        self.here.system_header(name)
    }

    fn kernel_functions(&self, module: Option<&str>, name: &str) -> Result<Vec<KernelFunction>, TargetError> {
        self.here.kernel_functions(module, name)
    }

    fn may_call(&self, kind: ProgramKind, function: &KernelFunction) -> bool {
        self.here.may_call(kind, function)
    }

    fn described_functions(&self, module: &str, name: &str) -> Result<Vec<(String, String)>, TargetError> {
        self.here.described_functions(module, name)
    }
}
