#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::host::scratch::Scratch;

const HERE: Arch = if cfg!(target_arch = "aarch64") {
    Arch::Aarch64
} else {
    Arch::X86_64
};

fn search(library_path: &[PathBuf]) -> SearchPath<'static> {
    SearchPath {
        arch: HERE,
        library_path: library_path.to_vec(),
        cache: Vec::new(),
    }
}

/// `app` needs liba.so, which is in `own/`; liba.so needs libb.so, which is in `deep/` and in `told/`.
fn build(scratch: &Scratch, app_tag: &str, lib_flags: &[&str]) -> Option<PathBuf> {
    for directory in ["own", "deep", "told"] {
        std::fs::create_dir_all(scratch.path(directory)).unwrap();
    }
    let (own, deep) = (
        format!("-L{}", scratch.path("own").display()),
        format!("-L{}", scratch.path("deep").display()),
    );
    scratch.compile("deep/libb.so", "int b(void) { return 1; }", &["-shared", "-fPIC"])?;
    scratch.compile("told/libb.so", "int b(void) { return 2; }", &["-shared", "-fPIC"])?;
    let flags = [
        &["-shared", "-fPIC", &deep, "-Wl,--no-as-needed", "-lb"],
        lib_flags,
    ]
    .concat();
    scratch.compile("own/liba.so", "int b(void); int a(void) { return b(); }", &flags)?;
    let link = format!("-Wl,-rpath-link={}", scratch.path("deep").display());
    let flags = [
        &own,
        "-Wl,--no-as-needed",
        "-la",
        "-Wl,-rpath=$ORIGIN/own",
        app_tag,
        &link,
    ];
    scratch.compile("app", "int a(void); int main(void) { return a(); }", &flags)
}

#[test]
fn runpath_origin_and_library_path() {
    let scratch = Scratch::new();
    let flags = ["-Wl,-rpath=${ORIGIN}/../deep", "-Wl,--enable-new-dtags"];
    let Some(app) = build(&scratch, "-Wl,--enable-new-dtags", &flags) else {
        return;
    };
    let loaded = search(&[]).loaded_by(&app);
    assert_eq!(loaded[0], app);
    assert_eq!(
        closest("liba", loaded.iter().cloned()),
        [scratch.path("own/liba.so")]
    );
    assert_eq!(
        closest("libb", loaded.iter().cloned()),
        [scratch.path("deep/libb.so")]
    );
    // LD_LIBRARY_PATH comes before RUNPATH …
    let loaded = search(&[scratch.path("told")]).loaded_by(&app);
    assert_eq!(
        closest("libb", loaded.into_iter()),
        [scratch.path("told/libb.so")]
    );
}

#[test]
fn rpath_comes_before_library_path_and_is_inherited() {
    let scratch = Scratch::new();
    let flags = ["-Wl,-rpath=$ORIGIN/../deep", "-Wl,--disable-new-dtags"];
    let Some(app) = build(&scratch, "-Wl,--disable-new-dtags", &flags) else {
        return;
    };
    let loaded = search(&[scratch.path("told")]).loaded_by(&app);
    assert_eq!(
        closest("libb", loaded.into_iter()),
        [scratch.path("deep/libb.so")]
    );
    // Without a path of its own, liba.so is searched with that of the program.
    let scratch = Scratch::new();
    let Some(app) = build(&scratch, "-Wl,--disable-new-dtags", &[]) else {
        return;
    };
    assert!(closest("libb", search(&[]).loaded_by(&app).into_iter()).is_empty());
    std::fs::copy(scratch.path("deep/libb.so"), scratch.path("own/libb.so")).unwrap();
    let loaded = search(&[]).loaded_by(&app);
    assert_eq!(closest("libb", loaded.into_iter()), [scratch.path("own/libb.so")]);
}

#[test]
fn runpath_is_not_inherited() {
    let scratch = Scratch::new();
    let Some(app) = build(&scratch, "-Wl,--enable-new-dtags", &[]) else {
        return;
    };
    std::fs::copy(scratch.path("deep/libb.so"), scratch.path("own/libb.so")).unwrap();
    let loaded = search(&[]).loaded_by(&app);
    assert!(loaded.contains(&scratch.path("own/liba.so")));
    assert!(closest("libb", loaded.into_iter()).is_empty());
}

#[test]
fn the_closest_name_wins_and_links_count_once() {
    let scratch = Scratch::new();
    let real = scratch.write("libhdf5_serial.so.103.3.0", "");
    let link = scratch.path("libhdf5_serial.so.103");
    std::os::unix::fs::symlink(&real, &link).unwrap();
    scratch.write("libhdf5_serial_hl.so.100", "");
    let files = || super::super::paths::files_in(scratch.root()).into_iter();
    assert_eq!(closest("libhdf5", files()), [link]);
    let plain = scratch.write("libhdf5.so.310", "");
    assert_eq!(closest("libhdf5", files()), [plain]);
}

#[test]
fn maps_lines() {
    let maps = b"55-56 r--p 00000000 fe:01 9 /usr/bin/a\n\
        56-57 r-xp 00001000 fe:01 9                  /usr/bin/a\n\
        60-61 r-xp 00001000 fe:01 9                  /opt/my lib/libx.so\n\
        62-63 r-xp 00001000 fe:01 9                  /tmp/gone.so (deleted)\n\
        64-65 r-xp 00000000 00:00 0                  [vdso]\n\
        66-67 rw-p 00000000 00:00 0 \n\xff\n";
    assert_eq!(
        parse_maps(maps),
        [PathBuf::from("/usr/bin/a"), PathBuf::from("/opt/my lib/libx.so")]
    );
}

#[test]
fn a_cycle_of_libraries_ends() {
    let scratch = Scratch::new();
    let Some(_) = scratch.compile("libx.so", "int x;", &["-shared", "-fPIC"]) else {
        return;
    };
    let here = format!("-L{}", scratch.root().display());
    let flags = [
        "-shared",
        "-fPIC",
        &here,
        "-Wl,--no-as-needed",
        "-lx",
        "-Wl,-rpath=$ORIGIN",
    ];
    scratch.compile("liby.so", "int y;", &flags).unwrap();
    let flags = [
        "-shared",
        "-fPIC",
        &here,
        "-Wl,--no-as-needed",
        "-ly",
        "-Wl,-rpath=$ORIGIN",
    ];
    scratch.compile("libx.so", "int x;", &flags).unwrap();
    let loaded = search(&[]).loaded_by(&scratch.path("libx.so"));
    let ours = loaded
        .iter()
        .filter(|path| path.starts_with(scratch.root()))
        .count();
    assert_eq!(ours, 2);
}
