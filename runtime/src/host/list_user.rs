//! What can be traced in programs and libraries: the part of `crumbs -l` about functions and static probes.
//!
//! In: a pattern behind its kind. Out: full probe names. Of several binaries, those that cannot be read are left out.

use super::HostTarget;
use crumbs_compiler::glob::Glob;
use crumbs_compiler::probe_kind::language::Language;
use crumbs_compiler::target::{Binary, Target, TargetError, UsdtProbe};

impl HostTarget {
    /// The functions that match `BINARY:FUNCTION` or `BINARY:LANGUAGE:NAME`, as `KIND:PATH:FUNCTION`; of the traced
    /// process without a binary.
    ///
    /// # Errors
    /// When the pattern means no binary, the only one cannot be read, or no function matches.
    pub fn list_functions(&self, kind: &str, pattern: &str) -> Result<Vec<String>, TargetError> {
        let (spec, function) = pattern.split_once(':').unwrap_or(("", pattern));
        let (language, function) = match function.split_once(':') {
            Some((language, name)) if Language::by_name(language).is_some() => {
                (Language::by_name(language), name)
            }
            _ => (None, function),
        };
        let function = function.trim_matches('"');
        let glob = Glob::new(function);
        let name = |symbol: &str| match language {
            Some(language) => {
                let name = language.matching(symbol, &glob)?;
                Some(format!("{}:\"{name}\"", language.name()))
            }
            None => glob.matches(symbol).then(|| symbol.to_owned()),
        };
        let binaries = self.listed(spec)?;
        let names = self.of_each(&binaries, |binary| {
            let functions = match function.contains('@') {
                true => self.versioned_functions(binary)?.into(),
                false => self.functions(binary)?,
            };
            let names = functions.iter().filter_map(|function| name(&function.name));
            Ok(names
                .map(|name| format!("{kind}:{}:{name}", binary.path))
                .collect())
        })?;
        match binaries.first() {
            Some(binary) if names.is_empty() => Err(self
                .functions_named(binary, function)
                .err()
                .unwrap_or_else(|| nothing(binary))),
            _ => Ok(names),
        }
    }

    /// The static probes that match `BINARY:[PROVIDER:]NAME`, as `usdt:PATH:PROVIDER:NAME`; of the traced process without a
    /// binary.
    ///
    /// # Errors
    /// As [`Self::list_functions`].
    pub fn list_static_probes(&self, pattern: &str) -> Result<Vec<String>, TargetError> {
        let (spec, wanted) = pattern.split_once(':').unwrap_or(("", pattern));
        let (provider, name) = wanted.split_once(':').unwrap_or(("", wanted));
        let provider = Some(provider).filter(|text| !text.is_empty()).map(Glob::new);
        let name = Glob::new(name.trim_matches('"'));
        let matches = |probe: &&UsdtProbe| {
            name.matches(&probe.name) && provider.as_ref().is_none_or(|glob| glob.matches(&probe.provider))
        };
        let binaries = self.listed(spec)?;
        let names = self.of_each(&binaries, |binary| {
            let probes = self.usdt_probes(binary)?;
            let names = probes.iter().filter(matches);
            Ok(names
                .map(|probe| format!("usdt:{}:{}:{}", binary.path, probe.provider, probe.name))
                .collect())
        })?;
        match binaries.first() {
            Some(binary) if names.is_empty() => Err(nothing(binary)),
            _ => Ok(names),
        }
    }

    /// The binaries that a pattern means: `*` for all that the traced process has loaded, or any process.
    fn listed(&self, spec: &str) -> Result<Vec<Binary>, TargetError> {
        let spec = spec.trim_matches('"');
        match spec {
            "" => self.loaded_binaries(),
            "*" => match self.loaded_binaries() {
                Err(TargetError::NotFound { .. }) => self.running_binaries(),
                loaded => loaded,
            },
            spec => self.binaries(spec),
        }
    }

    /// What `names` gives for each binary, sorted, each once.
    fn of_each(
        &self,
        binaries: &[Binary],
        names: impl Fn(&Binary) -> Result<Vec<String>, TargetError>,
    ) -> Result<Vec<String>, TargetError> {
        let mut all = Vec::new();
        for binary in binaries {
            match names(binary) {
                Ok(names) => all.extend(names),
                Err(error) if binaries.len() == 1 => return Err(error),
                Err(_) => {}
            }
        }
        all.sort_unstable();
        all.dedup();
        Ok(all)
    }
}

fn nothing(binary: &Binary) -> TargetError {
    TargetError::NotFound {
        similar: Vec::new(),
        searched: vec![binary.path.clone()],
    }
}
