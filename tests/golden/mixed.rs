//! A machine with the running kernel and recorded places: for programs that are loaded here and attached nowhere.

use crumbs_compiler::ctype::{EnumType, Field, KernelFunction, StructId};
use crumbs_compiler::target::fixture::FixtureTarget;
use crumbs_compiler::target::{
    Arch, Binary, BinarySymbol, Feature, Function, KernelVersion, PidNamespace, SourceFile, Target,
    TargetError, TracepointFormat, UsdtProbe,
};
use crumbs_compiler::types::Type;
use crumbs_runtime::host::{HostOptions, HostTarget};
use std::sync::Arc;

/// What this machine's kernel can do, and the places of the recorded one.
pub struct Mixed {
    /// Where programs would be attached.
    pub places: FixtureTarget,
    /// Where they are loaded.
    pub host: HostTarget,
}

impl Mixed {
    /// This machine's kernel with the places of another.
    pub fn new(places: FixtureTarget) -> Self {
        Self {
            places,
            host: HostTarget::new(HostOptions::from_environment()),
        }
    }
}

impl Target for Mixed {
    fn arch(&self) -> Arch {
        self.host.arch()
    }

    fn kernel(&self) -> KernelVersion {
        self.host.kernel()
    }

    fn possible_cpus(&self) -> u32 {
        self.host.possible_cpus()
    }

    fn has(&self, feature: Feature) -> bool {
        self.host.has(feature)
    }

    fn pid_namespace(&self) -> Option<PidNamespace> {
        self.host.pid_namespace()
    }

    fn tracepoints(&self, category: &str, event: &str) -> Result<Vec<(String, String)>, TargetError> {
        self.places.tracepoints(category, event)
    }

    fn tracepoint(&self, category: &str, event: &str) -> Result<Arc<TracepointFormat>, TargetError> {
        self.places.tracepoint(category, event)
    }

    fn usdt_probes(&self, binary: &Binary) -> Result<Arc<[UsdtProbe]>, TargetError> {
        self.places.usdt_probes(binary)
    }

    fn traceable_functions(&self, module: &str, name: &str) -> Result<Vec<(String, String)>, TargetError> {
        self.places.traceable_functions(module, name)
    }

    fn kernel_address(&self, name: &str) -> Result<u64, TargetError> {
        self.places.kernel_address(name)
    }

    fn binaries(&self, spec: &str) -> Result<Vec<Binary>, TargetError> {
        self.places.binaries(spec)
    }

    fn functions(&self, binary: &Binary) -> Result<Arc<[Function]>, TargetError> {
        self.places.functions(binary)
    }

    fn import(&self, importer: &str, path: &str) -> Result<Vec<SourceFile>, TargetError> {
        self.places.import(importer, path)
    }

    // Programs are loaded for functions by their numbers in the types of the kernel that runs.
    fn kernel_functions(&self, module: Option<&str>, name: &str) -> Result<Vec<KernelFunction>, TargetError> {
        self.host.kernel_functions(module, name)
    }

    fn described_functions(&self, module: &str, name: &str) -> Result<Vec<(String, String)>, TargetError> {
        self.host.described_functions(module, name)
    }

    fn kernel_type(&self, keyword: &str, name: &str) -> Result<Type, TargetError> {
        self.host.kernel_type(keyword, name)
    }

    fn struct_fields(&self, id: StructId) -> Result<Arc<[Field]>, TargetError> {
        self.host.struct_fields(id)
    }

    fn kernel_constant(&self, name: &str) -> Option<(Arc<EnumType>, i64)> {
        self.host.kernel_constant(name)
    }

    fn file_offset(&self, binary: &Binary, address: u64) -> Result<u64, TargetError> {
        self.places.file_offset(binary, address)
    }

    fn virtual_address(&self, binary: &Binary, offset: u64) -> Result<u64, TargetError> {
        self.places.virtual_address(binary, offset)
    }

    fn binary_symbol(&self, binary: &Binary, name: &str) -> Result<BinarySymbol, TargetError> {
        self.places.binary_symbol(binary, name)
    }
}
