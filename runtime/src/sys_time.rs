//! The machine's clocks, as the C library gives them.
//!
//! `time()` promises strftime's format in the user's time zone and language, which only the C library knows.
#![expect(
    unsafe_code,
    reason = "clock_gettime, localtime_r and strftime of the C library"
)]

use std::ffi::CString;
use std::mem::MaybeUninit;

/// Nanoseconds of the boot clock: what `nsecs` counts and `elapsed` is measured from.
pub fn boot_clock_ns() -> u64 {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `now` is valid for writing. A failure (no kernel since 2.6.39) leaves it 0.
    unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut now) };
    u64::try_from(now.tv_sec)
        .unwrap_or(0)
        .saturating_mul(1_000_000_000)
        .saturating_add(u64::try_from(now.tv_nsec).unwrap_or(0))
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
    fn boot_clock_advances() {
        let before = boot_clock_ns();
        assert!(before > 0 && boot_clock_ns() >= before);
    }
}
