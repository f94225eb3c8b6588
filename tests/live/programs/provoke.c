// Makes things happen that the examples show: each argument is a command, run in order.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TRACED __attribute__((noinline, noclone, noipa))
#define PAGE 4096
#define NOWHERE "/nonexistent-crumbs"

static void *nothing(void *argument) { return argument; }

static void threads(void) {
    for (int i = 0; i < 4; i++) {
        pthread_t thread;
        pthread_create(&thread, NULL, nothing, NULL);
        pthread_join(thread, NULL);
    }
}

// A thread waits for a mutex, which is held until the kernel says that the thread sleeps.
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static volatile pid_t waiting;

TRACED void *wait_for_mutex(void *argument) {
    waiting = (pid_t)syscall(SYS_gettid);
    pthread_mutex_lock(&mutex);
    pthread_mutex_unlock(&mutex);
    return argument;
}

static int sleeps(pid_t thread) {
    char path[64], text[256] = "";
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", thread);
    int file = open(path, O_RDONLY);
    ssize_t length = read(file, text, sizeof text - 1);
    close(file);
    const char *name_end = length > 0 ? strrchr(text, ')') : NULL;
    return name_end != NULL && name_end[2] == 'S';
}

static void contend(void) {
    pthread_t thread;
    pthread_mutex_lock(&mutex);
    pthread_create(&thread, NULL, wait_for_mutex, NULL);
    while (waiting == 0 || !sleeps(waiting)) sched_yield();
    pthread_mutex_unlock(&mutex);
    pthread_join(thread, NULL);
}

struct node { struct node *next; char text[104]; };

TRACED struct node *keep(struct node *list) {
    struct node *node = malloc(sizeof *node);
    node->next = list;
    return node;
}

TRACED void pass(void) {
    char *memory = malloc(5000);
    __asm__ volatile("" : : "r"(memory) : "memory");
    free(memory);
}

static void *list_of_100;

static void leak(void) {
    for (int i = 0; i < 100; i++) { list_of_100 = keep(list_of_100); pass(); }
}

TRACED void touch(volatile char *memory, long pages) { for (long i = 0; i < pages; i++) memory[i * PAGE] = 1; }

static void touch_pages(void) {
    long pages = 1000;
    char *memory = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    madvise(memory, pages * PAGE, MADV_NOHUGEPAGE);
    touch(memory, pages);
}

TRACED void poke(volatile long *address) { (*address)++; }

static void poke_5(void) {
    long *address = mmap((void *)0x10000000, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    for (int i = 0; i < 5; i++) poke(address);
}

TRACED void spin(void) {
    struct timespec now = {0};
    while (now.tv_sec == 0 && now.tv_nsec < 400000000)
        for (int i = 0; i < 100; i++) clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
}

static void ping_pong(void) {
    int there[2], back[2];
    char byte = 0;
    if (pipe(there) || pipe(back)) abort();
    pid_t child = fork();
    for (int i = 0; i < 50; i++) {
        if (child == 0) { if (read(there[0], &byte, 1) + write(back[1], &byte, 1) != 2) abort(); }
        else if (write(there[1], &byte, 1) + read(back[0], &byte, 1) != 2) abort();
    }
    if (child == 0) _exit(0);
    waitpid(child, NULL, 0);
}

static void move_between_cpus(void) {
    for (int i = 0; i < 10; i++) {
        cpu_set_t cpus;
        CPU_ZERO(&cpus);
        CPU_SET(i % 2, &cpus);
        sched_setaffinity(0, sizeof cpus, &cpus);
    }
}

static int listener(struct sockaddr_in *address, int backlog) {
    socklen_t length = sizeof *address;
    *address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int listening = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listening, (void *)address, length) || listen(listening, backlog)) abort();
    getsockname(listening, (void *)address, &length);
    return listening;
}

// A request and its answer over loopback, then a connection to a port that nobody listens at.
static void converse(void) {
    static const char request[] = "GET /crumbs HTTP/1.1\r\nHost: localhost\r\n\r\n";
    char text[256];
    struct sockaddr_in address;
    int listening = listener(&address, 1), client = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(client, (void *)&address, sizeof address)) abort();
    int server = accept(listening, NULL, NULL);
    if (send(client, request, sizeof request - 1, 0) < 0 || recv(server, text, sizeof text, 0) < 0) abort();
    if (write(server, "HTTP/1.1 204 No Content\r\n\r\n", 27) < 0 || read(client, text, sizeof text) < 0) abort();
    close(client);
    close(server);
    close(listening);
    client = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(client, (void *)&address, sizeof address) == 0) abort();
}

// More connections than the listener's queue takes: the rest is asked for again and again.
static void overflow(void) {
    struct sockaddr_in address;
    listener(&address, 0);
    for (int i = 0; i < 4; i++) {
        int client = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        connect(client, (void *)&address, sizeof address);
    }
    pause();
}

static void read_10(void) {
    char byte;
    int zero = open("/dev/zero", O_RDONLY);
    for (int i = 0; i < 10; i++) if (read(zero, &byte, 1) != 1) abort();
}

static void write_10(void) {
    char page[PAGE] = "";
    int null = open("/dev/null", O_WRONLY);
    for (int i = 0; i < 10; i++) if (write(null, page, PAGE) != PAGE) abort();
}

static void write_gib(void) {
    size_t size = 1 << 20;
    char *memory = mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int null = open("/dev/null", O_WRONLY);
    for (int i = 0; i < 1024; i++) if (write(null, memory, size) < 0) abort();
}

// Writes a file of the name, and waits until it is on the disk.
static void sync_file(const char *name) {
    char page[PAGE] = "text";
    int file = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    for (int i = 0; i < 16; i++) if (write(file, page, PAGE) != PAGE) abort();
    fsync(file);
    close(file);
    unlink(name);
}

static void environment(void) { for (int i = 0; i < 3; i++) getenv("CRUMBS_EXAMPLE"); }

static void resolve(void) {
    struct addrinfo *found;
    if (getaddrinfo("127.0.0.1", NULL, NULL, &found) == 0) freeaddrinfo(found);
}

static void fail_5000(void) { for (int i = 0; i < 5000; i++) kill(0x7ffffff0, 0); }

static void fail_3(void) { for (int i = 0; i < 3; i++) kill(0x7ffffff0, 0); }

static void nap(void) { usleep(1000); }

static void raise_usr1(void) { signal(SIGUSR1, SIG_IGN); kill(getpid(), SIGUSR1); }

static void ask_for_mount(void) { if (mount("none", NOWHERE, "tmpfs", 0, NULL) == 0) abort(); }

static void ask_for_priority(void) { setpriority(PRIO_PROCESS, 0, -1); }

static void become_nobody(void) { if (setuid(65534)) abort(); }

static void reserve(void) { mmap(NULL, 64L << 30, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0); }

static void open_library(void) { dlopen("libm.so.6", RTLD_NOW); }

static void open_nothing(void) { open(NOWHERE, O_RDONLY); }

static const struct { const char *name; void (*run)(void); } commands[] = {
    {"threads", threads}, {"contend", contend}, {"leak", leak}, {"touch", touch_pages}, {"poke", poke_5}, {"spin", spin},
    {"ping-pong", ping_pong}, {"move", move_between_cpus}, {"converse", converse}, {"overflow", overflow}, {"read", read_10},
    {"write", write_10}, {"write-gib", write_gib}, {"environment", environment}, {"resolve", resolve},
    {"fail-5000", fail_5000}, {"fail-3", fail_3}, {"nap", nap}, {"raise", raise_usr1}, {"mount", ask_for_mount},
    {"priority", ask_for_priority}, {"nobody", become_nobody}, {"reserve", reserve}, {"dlopen", open_library},
    {"open", open_nothing},
};

int main(int count, char **arguments) {
    for (int i = 1; i < count; i++) {
        size_t at = 0, all = sizeof commands / sizeof *commands;
        while (at < all && strcmp(commands[at].name, arguments[i]) != 0) at++;
        if (at < all) commands[at].run();
        else if (arguments[i][0] == '/') sync_file(arguments[i]);
        else abort();
    }
    return 0;
}
