//! Users, as the C library knows them: from files, LDAP or whatever the machine is set up to ask.
#![cfg_attr(
    not(target_feature = "crt-static"),
    expect(unsafe_code, reason = "getpwuid_r of the C library")
)]

/// The name of a user; `None` where there is none of this id. A static program has the file only: what else the machine
/// asks needs libraries of the very C library that is running.
pub(crate) fn user_name(uid: u32) -> Option<String> {
    let named = from_file(&std::fs::read_to_string("/etc/passwd").ok()?, uid);
    if named.is_some() || cfg!(target_feature = "crt-static") {
        return named;
    }
    from_library(uid)
}

/// The name in a file of users (passwd(5)).
fn from_file(users: &str, uid: u32) -> Option<String> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    })
}

#[cfg(target_feature = "crt-static")]
fn from_library(_: u32) -> Option<String> {
    None
}

/// The name as the C library finds it.
#[cfg(not(target_feature = "crt-static"))]
fn from_library(uid: u32) -> Option<String> {
    use std::ffi::CStr;
    use std::mem::MaybeUninit;
    use std::ptr;
    /// A longer entry is given up on.
    const LONGEST_ENTRY: usize = 1 << 20;
    let mut entry = MaybeUninit::<libc::passwd>::uninit();
    let mut found = ptr::null_mut();
    let mut buffer = vec![0u8; 1024];
    while buffer.len() <= LONGEST_ENTRY {
        // SAFETY: all pointers are valid for writing; `buffer` has the stated size.
        let error = unsafe {
            libc::getpwuid_r(
                uid,
                entry.as_mut_ptr(),
                buffer.as_mut_ptr().cast(),
                buffer.len(),
                &raw mut found,
            )
        };
        if error == libc::ERANGE {
            buffer.resize(buffer.len() * 4, 0);
            continue;
        }
        if error != 0 || found.is_null() {
            return None;
        }
        // SAFETY: `found` points to `entry`, which getpwuid_r has filled; the name is NUL-terminated text in `buffer`.
        let name = unsafe { CStr::from_ptr((*found).pw_name) };
        return Some(name.to_string_lossy().into_owned());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_has_a_name_and_nobody_has_this_id() {
        assert_eq!(user_name(0).as_deref(), Some("root"));
        assert_eq!(user_name(u32::MAX - 7), None);
        let users = "a:x:7:8::/:\nb:x:70:8::/:\n\nodd:\n";
        assert_eq!(from_file(users, 70).as_deref(), Some("b"));
        assert_eq!(from_file(users, 8), None);
    }

    #[cfg(not(target_feature = "crt-static"))]
    #[test]
    fn the_library_agrees_with_the_file() {
        assert_eq!(from_library(0), user_name(0));
    }
}
