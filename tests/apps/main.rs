//! The probe library around real programs: what a script prints is what the program says that it did, number by number.
//!
//! The programs here write down each call that they make (`truth.h`); the tests work out from that what each script has to
//! print, without looking at how the script does it.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests; a skipped one says why"
)]

mod bad_input;
mod hdf5;
mod mpi;
mod mpiio;
mod netcdf;
mod posix;
mod scripts;
mod stdio;
mod support;
mod truth;
