// Opens files of every kind and says how /proc names each, then lets a probe see the descriptor.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define TRACED __attribute__((noinline, noclone, noipa))

TRACED void noticed(long fd) { __asm__ volatile("" ::"r"(fd)); }

static void show(int fd) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    path[length < 0 ? 0 : length] = 0;
    printf("%s\n", path);
    noticed(fd);
}

// Its argument is a directory of its own.
int main(int argc, char **argv) {
    int ends[2];
    if (argc < 2 || chdir(argv[1]) != 0) return 1;
    show(open("plain", O_CREAT | O_RDWR, 0600));
    mkdir("deep", 0700);
    mkdir("deep/er", 0700);
    show(open("deep/er/name with spaces", O_CREAT | O_RDWR, 0600));
    show(open("deep", O_RDONLY | O_DIRECTORY));
    int gone = open("gone", O_CREAT | O_RDWR, 0600);
    unlink("gone");
    show(gone);
    mkfifo("fifo", 0600);
    show(open("fifo", O_RDWR));
    if (pipe(ends) != 0) return 1;
    show(ends[1]);
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) return 1;
    show(ends[0]);
    show(memfd_create("memory", 0));
    show(eventfd(0, 0));
    show(open("/dev/null", O_WRONLY));
    show(open("/", O_RDONLY | O_DIRECTORY));
    // Beyond the first table of descriptors.
    show(dup2(gone, 300));
    show(-1);
    show(250);
    show(1 << 20);
    return 0;
}
