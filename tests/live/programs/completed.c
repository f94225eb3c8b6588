// Calls that return and calls that do not: each argument is a command, run in order. `outer` and `inner` are what is probed.
#define _GNU_SOURCE
#include <pthread.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define TRACED __attribute__((noinline, noclone, noipa))

static jmp_buf back;

TRACED long inner(long n) { return n + 1; }

// Calls itself to a depth of n; at the bottom it leaves by longjmp where n is negative.
TRACED long outer(long n, long jumps) {
    if (n == 0) {
        if (jumps) longjmp(back, 1);
        return inner(0);
    }
    long result = outer(n - 1, jumps);
    __asm__ volatile("" ::: "memory");
    return result + 1;
}

// Ends with a jump to `inner`, at the same stack pointer as its own beginning.
TRACED long tail(long n) {
    __asm__ volatile("" ::"r"(n));
    return inner(n);
}

TRACED long ends(long n) {
    if (n == 1) pthread_exit(NULL);
    if (n == 2) execl("/proc/self/exe", "completed", "inner", "1", NULL);
    if (n == 3) _exit(0);
    return n;
}

// Returns twice: here and in a child.
TRACED long forks(void) {
    pid_t child = fork();
    if (child > 0) waitpid(child, NULL, 0);
    return child;
}

static void *work(void *count) {
    for (long i = 0; i < (long)count; i++) outer(3, 0);
    return NULL;
}

static void *leave(void *how) { return (void *)ends((long)how); }

static void on_threads(void *(*run)(void *), long threads, long argument) {
    pthread_t ids[64];
    for (long i = 0; i < threads; i++) pthread_create(&ids[i], NULL, run, (void *)argument);
    for (long i = 0; i < threads; i++) pthread_join(ids[i], NULL);
}

int main(int argc, char **argv) {
    for (int i = 1; i + 1 < argc; i += 2) {
        long n = atol(argv[i + 1]);
        if (strcmp(argv[i], "outer") == 0) outer(n, 0);
        else if (strcmp(argv[i], "inner") == 0) for (; n > 0; n--) inner(n);
        else if (strcmp(argv[i], "jump") == 0) { if (setjmp(back) == 0) outer(n, 1); }
        else if (strcmp(argv[i], "tail") == 0) for (; n > 0; n--) tail(n);
        else if (strcmp(argv[i], "threads") == 0) on_threads(work, 8, n);
        else if (strcmp(argv[i], "leave") == 0) on_threads(leave, n, 1);
        else if (strcmp(argv[i], "ends") == 0) ends(n);
        else if (strcmp(argv[i], "forks") == 0) for (; n > 0; n--) if (forks() == 0) _exit(0);
    }
    return 0;
}
