//! Building and running MPI programs with Open MPI and with MPICH.

use crate::support::{self, Directory, Printed};
use crate::truth::Call;

/// An implementation of MPI, by what its commands end in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mpi {
    OpenMpi,
    Mpich,
}

impl Mpi {
    pub const ALL: [Self; 2] = [Self::OpenMpi, Self::Mpich];

    fn suffix(self) -> &'static str {
        match self {
            Self::OpenMpi => "openmpi",
            Self::Mpich => "mpich",
        }
    }

    /// Runs a script around a program on so many ranks; nothing where that cannot be done here, which has been said.
    pub fn run(
        self,
        script: &str,
        (source, options): (&str, &[&str]),
        ranks: usize,
        parameters: &[&str],
    ) -> Option<(Printed, Vec<Call>)> {
        let (command, parameters, directory) = self.command(script, (source, options), ranks, parameters)?;
        let parameters: Vec<&str> = parameters.iter().map(String::as_str).collect();
        support::run(script, &command, &parameters, &directory)
    }

    /// The command and parameters of such a run, and where it works.
    pub fn command(
        self,
        script: &str,
        (source, options): (&str, &[&str]),
        ranks: usize,
        parameters: &[&str],
    ) -> Option<(String, Vec<String>, Directory)> {
        let suffix = self.suffix();
        let app = match support::build(source, &format!("mpicc.{suffix}"), options) {
            Ok(app) => app,
            Err(reason) => {
                println!("skipped: {reason}");
                return None;
            }
        };
        let directory = Directory::new(&format!("{}-{suffix}-{ranks}", script.replace('/', "-")));
        let under = format!("--under={}", directory.data().display());
        let with_place = |parameter: &&str| match *parameter {
            "--under" => under.clone(),
            parameter => parameter.to_owned(),
        };
        let parameters = parameters.iter().map(with_place).collect();
        let command = format!("mpirun.{suffix} -n {ranks} {}", app.display());
        Some((command, parameters, directory))
    }
}
