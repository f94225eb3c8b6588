// System calls on files, of many kinds, sizes and places. Each is noted under the kernel's name of it.
#define _GNU_SOURCE
#include "truth.h"
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>

static char buffer[5 << 20];

static int opened(const char *name, int flags) {
    int fd = open(name, flags, 0644);
    must(fd >= 0, name);
    did("openat", path_of(name), 0, 0);
    return fd;
}

static void closed(int fd, const char *name) {
    must(close(fd) == 0, name);
    did("close", path_of(name), 0, 0);
}

static void done(const char *what, const char *name, long long place, ssize_t bytes) {
    must(bytes >= 0, what);
    did(what, path_of(name), place, bytes);
}

static long long place_of(int fd, const char *name) {
    off_t place = lseek(fd, 0, SEEK_CUR);
    must(place >= 0, name);
    did("lseek", path_of(name), place, 0);
    return place;
}

// One file in order, in pieces of every power of two and its neighbours, with plain and vector calls.
static void sizes(void) {
    int fd = opened("sizes", O_CREAT | O_RDWR | O_TRUNC);
    long long place = 0;
    for (int power = 0; power <= 22; power++)
        for (int more = -1; more <= 1; more++) {
            ssize_t bytes = write(fd, buffer, (1 << power) + more);
            done("write", "sizes", place, bytes);
            place += bytes;
        }
    struct iovec two[2] = {{buffer, 1000}, {buffer, 25}};
    done("writev", "sizes", place, writev(fd, two, 2));
    must(lseek(fd, 0, SEEK_SET) == 0, "lseek");
    did("lseek", path_of("sizes"), 0, 0);
    place = 0;
    for (int i = 0; i < 100; i++) {
        ssize_t bytes = read(fd, buffer, i * 37);
        done("read", "sizes", place, bytes);
        place += bytes;
    }
    done("readv", "sizes", place, readv(fd, two, 2));
    closed(fd, "sizes");
}

// Places here and there, some of them aligned, with calls that name theirs.
static void places(void) {
    int fd = opened("places", O_CREAT | O_RDWR | O_TRUNC);
    must(ftruncate(fd, 1 << 24) == 0, "ftruncate");
    did("ftruncate", path_of("places"), 0, 0);
    for (int i = 0; i < 200; i++) {
        long long place = i % 4 ? truth_random() : (truth_random() & ~4095);
        size_t bytes = i % 5 ? truth_random() % 9000 : 4096;
        if (i % 3)
            done("pwrite64", "places", place, pwrite(fd, buffer, bytes, place));
        else
            done("pread64", "places", place, pread(fd, buffer, bytes, place));
    }
    struct iovec two[2] = {{buffer, 4000}, {buffer, 96}};
    done("preadv", "places", 8192, preadv(fd, two, 2, 8192));
    done("pwritev", "places", 12288, pwritev(fd, two, 2, 12288));
    done("pwritev2", "places", 16384, pwritev2(fd, two, 2, 16384, 0));
    closed(fd, "places");
}

// A log that is appended to, and a file that is read and written in turns.
static void turns(void) {
    int fd = opened("log", O_CREAT | O_WRONLY | O_APPEND | O_TRUNC);
    for (int i = 0; i < 50; i++) {
        long long place = place_of(fd, "log");
        done("write", "log", place, write(fd, buffer, 80));
        if (i % 10 == 9) {
            must(fsync(fd) == 0, "fsync");
            did("fsync", path_of("log"), 0, 0);
        }
    }
    must(fdatasync(fd) == 0, "fdatasync");
    did("fdatasync", path_of("log"), 0, 0);
    closed(fd, "log");
    fd = opened("turns", O_CREAT | O_RDWR | O_TRUNC);
    for (int i = 0; i < 30; i++) {
        done("pwrite64", "turns", i * 512, pwrite(fd, buffer, 512, i * 512));
        if (i % 3 == 0)
            done("pread64", "turns", i * 256, pread(fd, buffer, 100, i * 256));
    }
    closed(fd, "turns");
}

static void mapped(void) {
    int fd = opened("sizes", O_RDWR);
    void *shared = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    void *copied = mmap(NULL, 12288, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 4096);
    must(shared != MAP_FAILED && copied != MAP_FAILED, "mmap");
    did("mmap", path_of("sizes"), 65536, 1);
    did("mmap", path_of("sizes"), 12288, 0);
    memset(shared, 1, 8192);
    must(msync(shared, 8192, MS_SYNC) == 0, "msync");
    did("msync", path_of("sizes"), 8192, 0);
    closed(fd, "sizes");
}

// Directories and names.
static void names(void) {
    struct stat about;
    char name[64], other[64];
    for (int i = 0; i < 12; i++) {
        sprintf(name, "directory%d", i);
        must(mkdir(name, 0755) == 0, name);
        did("mkdir", path_of(name), 0, 0);
        sprintf(name, "directory%d/file", i);
        closed(opened(name, O_CREAT | O_WRONLY), name);
        must(stat(name, &about) == 0, name);
        did("newfstatat", path_of(name), 0, 0);
        must(access(name, R_OK) == 0, name);
        did("access", path_of(name), 0, 0);
        sprintf(other, "directory%d/renamed", i);
        must(rename(name, other) == 0, name);
        did("rename", path_of(name), 0, 0);
        must(access(name, R_OK) != 0, name);
        did("access", path_of(name), 0, -1);
        must(unlink(other) == 0, other);
        did("unlink", path_of(other), 0, 0);
        sprintf(name, "directory%d", i);
        must(rmdir(name) == 0, name);
        did("rmdir", path_of(name), 0, 0);
    }
}

int main(void) {
    sizes();
    places();
    turns();
    mapped();
    names();
    truth_write();
    return 0;
}
