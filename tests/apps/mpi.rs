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
        let mut parameters = parameters.to_vec();
        if let Some(at) = parameters.iter().position(|parameter| *parameter == "--under") {
            parameters[at] = &under;
        }
        let command = format!("mpirun.{suffix} -n {ranks} {}", app.display());
        support::run(script, &command, &parameters, &directory)
    }
}
