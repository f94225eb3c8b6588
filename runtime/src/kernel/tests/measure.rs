//! What attaching, detaching and waiting cost here.

use super::*;
use crate::kernel::quiesce::Quiescer;

/// Not a test of time, which this machine has no promise of, but a report of it.
#[test]
#[ignore = "prints measurements"]
#[expect(clippy::print_stdout, reason = "its purpose")]
fn measure_attaching() {
    can_run().unwrap();
    let (fd, _mapping) = memory(64);
    let program = load(prog_type::KPROBE, multi(), 0, &counter(&fd, false));
    let (path, offset) = place_of(others as *const () as usize);
    for count in [1usize, 30, 100] {
        for _ in 0..3 {
            // One instruction, many consumers: as dear as different ones except for the page copies.
            let same: Vec<Attach> = (0..count)
                .map(|_| Attach::Uprobe {
                    path: path.clone(),
                    on_return: false,
                    places: vec![UprobePlace {
                        entry: None,
                        offset,
                        counter: 0,
                        cookie: 0,
                    }],
                })
                .collect();
            let plan = plan_of(same, ProgramKind::Kprobe, false);
            let start = Instant::now();
            let links = attach_all(&plan, &[program.try_clone().unwrap()], None)
                .unwrap()
                .links;
            let attached = start.elapsed();
            let start = Instant::now();
            close_all(links);
            println!("{count} links: attach {attached:?}, detach {:?}", start.elapsed());
        }
    }
    measure_blocks(&counter(&fd, false));
    let mut quiescer = Quiescer::new(&plan_of(Vec::new(), ProgramKind::Kprobe, false)).unwrap();
    let mut sleeping = Quiescer::new(&plan_of(
        vec![uprobe(others, false, 0)],
        ProgramKind::Kprobe,
        true,
    ))
    .unwrap();
    for _ in 0..3 {
        let start = Instant::now();
        quiescer.wait();
        let rcu = start.elapsed();
        let start = Instant::now();
        sleeping.wait();
        println!("quiesce: {rcu:?}, with sleepable programs {:?}", start.elapsed());
    }
}

/// 30 blocks of a script on 30 functions of libc, as all of this machine's processes have mapped it: a program and a
/// link each.
#[expect(clippy::print_stdout, reason = "its purpose")]
fn measure_blocks(code: &[u8]) {
    let functions: [*const (); 30] = [
        libc::read as _,
        libc::write as _,
        libc::open as _,
        libc::close as _,
        libc::lseek as _,
        libc::fsync as _,
        libc::getuid as _,
        libc::geteuid as _,
        libc::getgid as _,
        libc::getegid as _,
        libc::getppid as _,
        libc::dup as _,
        libc::dup2 as _,
        libc::pipe as _,
        libc::fcntl as _,
        libc::ioctl as _,
        libc::poll as _,
        libc::chdir as _,
        libc::mkdir as _,
        libc::rmdir as _,
        libc::unlink as _,
        libc::rename as _,
        libc::link as _,
        libc::symlink as _,
        libc::readlink as _,
        libc::chmod as _,
        libc::chown as _,
        libc::truncate as _,
        libc::ftruncate as _,
        libc::umask as _,
    ];
    for _ in 0..3 {
        let start = Instant::now();
        let mut programs = Vec::new();
        let mut links = Vec::new();
        for function in functions {
            let (path, offset) = place_of(function as usize);
            let places = vec![UprobePlace {
                entry: None,
                offset,
                counter: 0,
                cookie: 0,
            }];
            let attach = Attach::Uprobe {
                path,
                on_return: false,
                places,
            };
            programs.push(load(prog_type::KPROBE, multi(), 0, code));
            let plan = plan_of(vec![attach], ProgramKind::Kprobe, false);
            links.extend(
                attach_all(&plan, &programs[programs.len() - 1..], None)
                    .unwrap()
                    .links,
            );
        }
        let attached = start.elapsed();
        close_all(links);
        println!(
            "30 blocks: attach {attached:?}, start to end {:?}",
            start.elapsed()
        );
        std::thread::sleep(Duration::from_millis(300));
    }
}
