// Short-lived processes: `fork N` makes N children that end at once, `exec NAME VALUE` runs this program again with another
// environment. Each process is noticed twice.
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define TRACED __attribute__((noinline, noclone, noipa))

TRACED void noticed(void) { __asm__ volatile(""); }

static void *thread(void *nothing) {
    noticed();
    return nothing;
}

int main(int argc, char **argv) {
    noticed();
    noticed();
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "fork") == 0) {
            for (int n = atoi(argv[++i]); n > 0; n--) {
                if (fork() == 0) {
                    noticed();
                    noticed();
                    _exit(0);
                }
            }
            while (wait(NULL) > 0) {}
        } else if (strcmp(argv[i], "thread") == 0) {
            pthread_t id;
            pthread_create(&id, NULL, thread, NULL);
            pthread_join(id, NULL);
        } else if (strcmp(argv[i], "set") == 0) {
            setenv(argv[i + 1], argv[i + 2], 1);
            i += 2;
        } else if (strcmp(argv[i], "exec") == 0) {
            setenv(argv[i + 1], argv[i + 2], 1);
            execv("/proc/self/exe", argv + i + 2);
        }
    }
    return 0;
}
