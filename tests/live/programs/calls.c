// A program of known behaviour: each argument is a command, run in order. Functions that tests probe have external
// linkage and are never inlined or cloned.
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TRACED __attribute__((noinline, noclone, noipa))
#define PAGE 4096

// A number in, twice the number out.
TRACED long value(long n) { return 2 * n; }

TRACED long six(long a, long b, long c, long d, long e, long f) { return a + 10 * b + 100 * c + 1000 * d + 10000 * e + 100000 * f; }

TRACED long pair(long a, long b) { return a - b; }

// The length of a string, or -1 for none.
TRACED long text(const char *s) { return s == NULL ? -1 : (long)strlen(s); }

// Takes an address of any quality and does not follow it.
TRACED const char *address(const char *s) { return s; }

TRACED long fibonacci(long n) { return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2); }

TRACED void alpha_one(void) { __asm__ volatile(""); }
TRACED void alpha_two(void) { __asm__ volatile(""); }
// As C++ and Rust compilers name `Meter::add(int, long)`, `Meter::add(long)` and `meter::reset`.
TRACED void add_two(void *meter, int a, long b) __asm__("_ZN5Meter3addEil");
TRACED void add_two(void *meter, int a, long b) { __asm__ volatile(""); }
TRACED void add_one(void *meter, long a) __asm__("_ZN5Meter3addEl");
TRACED void add_one(void *meter, long a) { __asm__ volatile(""); }
TRACED void reset(void) __asm__("_ZN5meter5reset17h0123456789abcdefE");
TRACED void reset(void) { __asm__ volatile(""); }
// An indirect function: what has its name chooses what calls reach.
static void *choose(void) { return (void *)value; }
long chosen(long n) __attribute__((ifunc("choose")));
TRACED void beta_one(void) { __asm__ volatile(""); }

// `inner` starts with a known number of one-byte instructions, so that every offset up to 8 is one.
TRACED void padded(long n) {
    __asm__ volatile("nop\n nop\n nop\n nop\n nop\n nop\n nop\n nop\n" ::"r"(n));
}

static long each;

static void *work(void *number) {
    char name[16];
    snprintf(name, sizeof name, "worker-%ld", (long)number);
    prctl(PR_SET_NAME, name);
    for (long i = 0; i < each; i++) value((long)number);
    return NULL;
}

static void threads(long count, long calls) {
    pthread_t all[64];
    each = calls;
    for (long i = 0; i < count; i++) pthread_create(&all[i], NULL, work, (void *)i);
    for (long i = 0; i < count; i++) pthread_join(all[i], NULL);
}

// A page of a file that is mapped and not in memory: a first access has to read the file.
static char *absent_page(const char *content) {
    char name[] = "absent-XXXXXX", page[PAGE] = {0};
    int fd = mkstemp(name);
    strcpy(page, content);
    if (fd < 0 || write(fd, page, PAGE) != PAGE || fsync(fd) != 0) exit(90);
    unlink(name);
    char *mapped = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
    if (mapped == MAP_FAILED || posix_fadvise(fd, 0, PAGE, POSIX_FADV_DONTNEED) != 0) exit(91);
    return mapped;
}

static char *forbidden_page(void) {
    return mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

// A string that ends right before a page that cannot be read, its NUL included.
static char *at_the_edge(const char *content) {
    char *pages = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(pages + PAGE, PAGE, PROT_NONE);
    return strcpy(pages + PAGE - strlen(content) - 1, content);
}

static void run(char *command) {
    char *word = strtok(command, " \n");
    long n[6] = {0};
    char *rest = strtok(NULL, "\n");
    if (rest != NULL)
        sscanf(rest, "%li %li %li %li %li %li", &n[0], &n[1], &n[2], &n[3], &n[4], &n[5]);
    if (word == NULL) return;
    else if (strcmp(word, "value") == 0) value(n[0]);
    else if (strcmp(word, "six") == 0) six(n[0], n[1], n[2], n[3], n[4], n[5]);
    else if (strcmp(word, "pair") == 0) pair(n[0], n[1]);
    else if (strcmp(word, "text") == 0) text(rest == NULL ? "" : rest);
    else if (strcmp(word, "null") == 0) text(NULL);
    else if (strcmp(word, "forbidden") == 0) address(forbidden_page());
    else if (strcmp(word, "absent") == 0) address(absent_page(rest));
    else if (strcmp(word, "edge") == 0) address(at_the_edge(rest));
    else if (strcmp(word, "fibonacci") == 0) fibonacci(n[0]);
    else if (strcmp(word, "padded") == 0) padded(n[0]);
    else if (strcmp(word, "mangled") == 0) { add_two(NULL, 7, 0); add_one(NULL, 8); reset(); }
    else if (strcmp(word, "alpha_one") == 0) alpha_one();
    else if (strcmp(word, "alpha_two") == 0) alpha_two();
    else if (strcmp(word, "beta_one") == 0) beta_one();
    else if (strcmp(word, "threads") == 0) threads(n[0], n[1]);
    // Every number from the first up to, and without, the second.
    else if (strcmp(word, "range") == 0) for (long i = n[0]; i < n[1]; i++) value(i);
    else if (strcmp(word, "repeat") == 0) for (long i = 0; i < n[0]; i++) value(n[1]);
    else if (strcmp(word, "write") == 0) {
        int fd = open("/dev/null", O_WRONLY);
        for (long i = 0; i < n[0]; i++) (void)!write(fd, "0123456789abcdef", (size_t)n[1]);
        close(fd);
    }
    else if (strcmp(word, "open") == 0) { int fd = open(rest, O_RDONLY); if (fd >= 0) close(fd); }
    else if (strcmp(word, "name") == 0) prctl(PR_SET_NAME, rest);
    else if (strcmp(word, "spin") == 0) for (volatile long i = 0; i < n[0] * 1000000; i++) {}
    else if (strcmp(word, "sleep") == 0) usleep((useconds_t)n[0] * 1000);
    else if (strcmp(word, "ids") == 0) printf("%d %ld\n", getpid(), syscall(SYS_gettid));
    else if (strcmp(word, "forever") == 0) for (;;) { value(1); usleep(1000); }
    else if (strcmp(word, "fast") == 0) for (;;) value(1);
    else if (strcmp(word, "ignore") == 0) signal(SIGTERM, SIG_IGN);
    else if (strcmp(word, "exit") == 0) exit((int)n[0]);
    else if (strcmp(word, "kill") == 0) raise((int)n[0]);
    else if (strcmp(word, "serve") == 0) {
        // Commands from standard input, each answered with a line once it is done.
        char line[256];
        while (fgets(line, sizeof line, stdin) != NULL) { run(line); puts("done"); fflush(stdout); }
    }
    else { fprintf(stderr, "no command %s\n", word); exit(92); }
    fflush(stdout);
}

int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) run(argv[i]);
    return 0;
}
