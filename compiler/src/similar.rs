//! "Did you mean".
//!
//! In: what a user wrote and the names that there are. Out: the few names that may have been meant, best first; the
//! same for the same input in any order.

/// Longer texts are not compared: the time for one candidate stays bounded.
const MAX_LEN: usize = 256;

/// Shorter texts are part of too many names to be taken for an abbreviation.
const MIN_PART: usize = 3;

/// How a candidate resembles what was wanted, better first.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Likeness {
    /// That many characters inserted, removed, changed, or swapped with their neighbour, in any case.
    Edits(usize),
    /// One begins with the other; by how many characters the lengths differ.
    Prefix(usize),
    /// One is found inside the other; by how many characters the lengths differ.
    Part(usize),
}

/// At most `max` of `candidates` that resemble `wanted`, best first, each once. `wanted` itself is not among them.
pub fn similar<'a>(wanted: &str, candidates: impl Iterator<Item = &'a str>, max: usize) -> Vec<String> {
    let wanted_lower = wanted.to_lowercase();
    let mut found: Vec<(Likeness, &str)> = candidates
        .filter(|candidate| *candidate != wanted)
        .filter_map(|candidate| Some((likeness(&wanted_lower, &candidate.to_lowercase())?, candidate)))
        .collect();
    found.sort_unstable();
    found.dedup_by(|a, b| a.1 == b.1);
    found
        .into_iter()
        .take(max)
        .map(|(_, candidate)| candidate.to_owned())
        .collect()
}

fn likeness(wanted: &str, candidate: &str) -> Option<Likeness> {
    if wanted.is_empty() || candidate.is_empty() || wanted.len().max(candidate.len()) > MAX_LEN {
        return None;
    }
    let difference = wanted.len().abs_diff(candidate.len());
    // A third of the letters may be wrong: with more, names of another meaning are found.
    let limit = (wanted.chars().count() / 3).clamp(1, 5);
    if difference <= limit * 4 && least_edits(wanted, candidate) <= limit {
        let edits = strsim::osa_distance(wanted, candidate);
        // One letter for another says nothing where there are only one or two.
        if edits <= limit && edits < wanted.chars().count().max(candidate.chars().count()) {
            return Some(Likeness::Edits(edits));
        }
    }
    let (short, long) = if wanted.len() < candidate.len() {
        (wanted, candidate)
    } else {
        (candidate, wanted)
    };
    if short.len() < MIN_PART {
        None
    } else if long.starts_with(short) {
        Some(Likeness::Prefix(difference))
    } else if long.contains(short) {
        Some(Likeness::Part(difference))
    } else {
        None
    }
}

/// What the number of edits is not below: the letters that only one of two names has, wherever they stand. The kernel has so
/// many names that comparing each in full would take seconds.
fn least_edits(a: &str, b: &str) -> usize {
    if !a.is_ascii() || !b.is_ascii() {
        return 0;
    }
    let mut more = [0_i16; 32];
    a.bytes().for_each(|byte| more[usize::from(byte % 32)] += 1);
    b.bytes().for_each(|byte| more[usize::from(byte % 32)] -= 1);
    let sum = |of: fn(i16) -> i16| more.iter().map(|n| of(*n).unsigned_abs() as usize).sum::<usize>();
    sum(|n| n.max(0)).max(sum(|n| n.min(0)))
}

#[cfg(test)]
mod tests {
    use super::similar;

    #[test]
    fn swapped_letters_count_as_one_edit() {
        let names = ["read", "write", "writev", "wait"];
        assert_eq!(similar("wirte", names.into_iter(), 5), ["write"]);
    }

    #[test]
    fn case_does_not_count() {
        let names = ["H5Dwrite", "H5Dread", "H5Awrite"];
        assert_eq!(similar("h5dwrite", names.into_iter(), 1), ["H5Dwrite"]);
    }

    #[test]
    fn beginnings_come_before_parts() {
        let names = ["my_sys_enter_open", "sys_enter_open_by_handle_at_and_more"];
        assert_eq!(
            similar("sys_enter", names.into_iter(), 5),
            ["sys_enter_open_by_handle_at_and_more", "my_sys_enter_open"]
        );
    }

    #[test]
    fn names_unlike_it_are_not_found() {
        assert!(similar("foo", ["write", "read", "malloc"].into_iter(), 5).is_empty());
        assert!(similar("x", ["y", "z"].into_iter(), 5).is_empty());
        assert!(similar("", ["y", "z"].into_iter(), 5).is_empty());
    }

    #[test]
    fn the_cheap_test_leaves_out_nothing() {
        let names = [
            "read",
            "raed",
            "write",
            "writev",
            "wirtev",
            "vfs_read",
            "a",
            "",
            "äb",
            "process_counts",
        ];
        for a in names {
            for b in names {
                let edits = strsim::osa_distance(a, b);
                assert!(super::least_edits(a, b) <= edits, "{a} {b}");
            }
        }
        assert_eq!(super::least_edits("read", "write"), 3);
    }

    #[test]
    fn each_name_once_and_no_more_than_asked() {
        assert_eq!(
            similar("ope", ["open", "open", "openat", "open64"].into_iter(), 2),
            ["open", "open64"]
        );
    }
}
