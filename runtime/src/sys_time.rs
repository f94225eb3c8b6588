//! The machine's clocks, as the C library gives them.
//!
//! `time()` promises strftime's format in the user's time zone and language, which only the C library knows.
#![expect(
    unsafe_code,
    reason = "clock_gettime, localtime_r and strftime of the C library"
)]

use crumbs_compiler::shown::EPOCH_FROM;
use std::ffi::CString;
use std::mem::MaybeUninit;
use std::sync::OnceLock;

/// Nanoseconds of the boot clock: what `nsecs` counts and `elapsed` is measured from.
pub fn boot_clock_ns() -> u64 {
    clock_ns(libc::CLOCK_BOOTTIME)
}

/// Nanoseconds since 1970.
pub fn wall_clock_ns() -> u64 {
    clock_ns(libc::CLOCK_REALTIME)
}

/// When the boot clock was 0, in nanoseconds since 1970, as the clocks are now.
pub fn booted_ns() -> u64 {
    wall_clock_ns().saturating_sub(boot_clock_ns())
}

fn clock_ns(clock: libc::clockid_t) -> u64 {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `now` is valid for writing. A failure (no kernel since 3.10 lacks these clocks) leaves it 0.
    unsafe { libc::clock_gettime(clock, &raw mut now) };
    u64::try_from(now.tv_sec)
        .unwrap_or(0)
        .saturating_mul(SECOND)
        .saturating_add(u64::try_from(now.tv_nsec).unwrap_or(0))
}

/// Nanoseconds.
const SECOND: u64 = 1_000_000_000;

/// A time that a program took, by a strftime format in which `%f` is the microseconds, in the local time zone: nanoseconds
/// of the boot clock or, from [`EPOCH_FROM`] on, of atomic time since 1970.
pub fn strftime_at(format: &str, nanos: u64) -> Vec<u8> {
    // The kernel does not keep what the clocks differed by when the program ran. It is taken once, so that times of one
    // run differ by what the clock did.
    static BOOTED: OnceLock<u64> = OnceLock::new();
    let since_1970 = if nanos >= EPOCH_FROM {
        wall_clock_of_tai(nanos)
    } else {
        let booted = || clock_ns(libc::CLOCK_REALTIME).saturating_sub(boot_clock_ns());
        nanos.saturating_add(*BOOTED.get_or_init(booted))
    };
    let micros = format!("{:06}", since_1970 % SECOND / 1000);
    strftime(
        &with_fraction(format, &micros),
        libc::time_t::try_from(since_1970 / SECOND).unwrap_or(0),
    )
}

/// The wall clock where the TAI clock shows this, both in nanoseconds.
fn wall_clock_of_tai(nanos: u64) -> u64 {
    let ahead = clock_ns(libc::CLOCK_TAI).saturating_sub(clock_ns(libc::CLOCK_REALTIME));
    // Whole seconds; the rest is the time between the two calls.
    nanos.saturating_sub(ahead / SECOND * SECOND)
}

/// A time of the TAI clock in nanoseconds, by a strftime format in the local time zone, and the nanoseconds of its second.
pub fn tai_at(format: &str, nanos: u64) -> (String, u64) {
    let since_1970 = wall_clock_of_tai(nanos);
    let text = strftime(format, libc::time_t::try_from(since_1970 / SECOND).unwrap_or(0));
    (String::from_utf8_lossy(&text).into_owned(), since_1970 % SECOND)
}

/// A strftime format with digits in the place of `%f`.
fn with_fraction(format: &str, micros: &str) -> String {
    let mut out = String::with_capacity(format.len());
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        let (before, conversion) = rest.split_at(at);
        out.push_str(before);
        rest = match conversion.strip_prefix("%f") {
            Some(rest) => {
                out.push_str(micros);
                rest
            }
            None => {
                // The character behind the sign belongs to it, `%%` included.
                let end = conversion
                    .char_indices()
                    .nth(2)
                    .map_or(conversion.len(), |(at, _)| at);
                out.push_str(&conversion[..end]);
                &conversion[end..]
            }
        };
    }
    out.push_str(rest);
    out
}

/// The wall-clock time now, by a strftime format, in the local time zone. Empty where the format cannot be used.
pub fn strftime_now(format: &str) -> Vec<u8> {
    // SAFETY: `time` accepts a null pointer and then only returns the time.
    let now = unsafe { libc::time(std::ptr::null_mut()) };
    strftime(format, now)
}

/// `now`, seconds since 1970, by a strftime format.
fn strftime(format: &str, now: libc::time_t) -> Vec<u8> {
    /// Longest result; what is longer is left out, as strftime itself does.
    const LONGEST: usize = 1 << 16;
    // A final character tells an empty result from one that did not fit: both give 0.
    let Ok(format) = CString::new(format!("{format}.")) else {
        return Vec::new();
    };
    let mut broken_down = MaybeUninit::<libc::tm>::uninit();
    // SAFETY: both pointers are valid; `localtime_r` fills `broken_down` unless it returns null.
    if unsafe { libc::localtime_r(&raw const now, broken_down.as_mut_ptr()) }.is_null() {
        return Vec::new();
    }
    // SAFETY: `localtime_r` succeeded and so has filled it.
    let broken_down = unsafe { broken_down.assume_init() };
    let mut size = 256;
    while size <= LONGEST {
        let mut text = vec![0u8; size];
        // SAFETY: `text` has `size` bytes; `format` is NUL-terminated; `broken_down` is initialised.
        let length = unsafe {
            libc::strftime(
                text.as_mut_ptr().cast(),
                size,
                format.as_ptr(),
                &raw const broken_down,
            )
        };
        if length > 0 {
            text.truncate(length - 1);
            return text;
        }
        size *= 4;
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats() {
        // Independent of the time zone: no zone is more than a day from UTC.
        assert_eq!(strftime("%Y\n", 86_400 * 200), b"1970\n");
        assert_eq!(strftime("", 0), b"");
        assert_eq!(strftime("%%", 0), b"%");
        assert_eq!(strftime("a\0b", 0), b"");
        assert_eq!(strftime(&"x".repeat(1000), 0).len(), 1000);
        assert_eq!(strftime(&"x".repeat(1 << 17), 0), b"");
    }

    #[test]
    fn fractions_of_a_second() {
        let filled = |format| with_fraction(format, "000042");
        assert_eq!(filled("%S.%f|%f"), "%S.000042|000042");
        assert_eq!(filled("%%f %"), "%%f %");
        assert_eq!(filled("é%é%f"), "é%é000042");
        // No zone is more than a day from UTC, and leap seconds are fewer than a day.
        assert_eq!(strftime_at("%Y %f", 1_750_000_000_123_456_789), b"2025 123456");
        let year = strftime_at("%Y", boot_clock_ns());
        assert_eq!(year, strftime_now("%Y"));
    }

    #[test]
    fn boot_clock_advances() {
        let before = boot_clock_ns();
        assert!(before > 0 && boot_clock_ns() >= before);
    }
}
