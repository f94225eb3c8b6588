// Takes a directory for its root, in a mount namespace of its own, opens /lib/victim.so there, and calls its function once for each
// line of standard input.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    char line[16];
    if (argc < 2 || unshare(CLONE_NEWNS) || chroot(argv[1]) || chdir("/"))
        return 1;
    void *library = dlopen("/lib/victim.so", RTLD_NOW);
    int (*poked)(int) = library ? (int (*)(int))dlsym(library, "poked") : 0;
    if (!poked)
        return 2;
    puts("ready");
    fflush(stdout);
    for (int count = 0; fgets(line, sizeof line, stdin); count++)
        poked(40 + count);
    return 0;
}
