//! Where what was asked for goes: standard output or the file of `-o`, as often as `-B` says.

use crate::bpftrace_options::Buffering;
use crate::cli::{Args, Stop};
use crate::report;
use crumbs_runtime::backend::Error;
use crumbs_runtime::results::name;
use crumbs_runtime::show::screen::guarded;
use std::io::{self, ErrorKind, IsTerminal, Write};

/// Whether a terminal shows the results, and whether one shows what is said of the run.
pub(crate) fn screens(args: &Args) -> (bool, bool) {
    let results = args.output().is_none() && io::stdout().is_terminal();
    (results, io::stderr().is_terminal())
}

/// Writes all of something there; gives the exit code of success.
///
/// # Errors
/// When it cannot be written, which has been reported. A reader such as `head` may have had enough: that is none.
pub(crate) fn write(args: &Args, lines: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<u8, Stop> {
    if screens(args).0 {
        // Lists have names that others chose.
        let mut text = Vec::new();
        let written = lines(&mut text).and_then(|()| io::stdout().write_all(&guarded(&text)));
        return all(written);
    }
    let mut out = open(args).map_err(report::failed)?;
    all(lines(&mut out).and_then(|()| out.flush()))
}

/// Whether all was written, to whatever.
///
/// # Errors
/// As [`write`].
pub(crate) fn all(written: io::Result<()>) -> Result<u8, Stop> {
    match written {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(report::failed(Error::io("write the output", &error)))
        }
        _ => Ok(0),
    }
}

/// Where results go.
///
/// # Errors
/// When the file of `-o` cannot be named or made.
pub(crate) fn open(args: &Args) -> Result<Box<dyn Write>, Error> {
    let Some(path) = args.output() else {
        return Ok(buffered(io::stdout(), args));
    };
    let path = match args.is_run {
        true => name::filled(path)?,
        false => path.to_owned(),
    };
    let file = std::fs::File::create(&path)
        .map_err(|error| Error::io(format!("write to `{}`", path.display()), &error))?;
    Ok(buffered(file, args))
}

/// Results as often as -B says. Whatever it says, they are written out before the run waits for more.
fn buffered(to: impl Write + 'static, args: &Args) -> Box<dyn Write> {
    match args.bpftrace.buffering {
        Some(Buffering::Line) => Box::new(io::LineWriter::new(to)),
        Some(Buffering::None) => Box::new(Unbuffered(to)),
        Some(Buffering::Full) | None => Box::new(io::BufWriter::new(to)),
    }
}

/// Writes everything at once; standard output itself has a buffer.
struct Unbuffered<W>(W);

impl<W: Write> Write for Unbuffered<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.0.write(bytes)?;
        self.0.flush()?;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
