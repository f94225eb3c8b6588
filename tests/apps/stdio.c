// C streams: items of many sizes, a stream with a buffer of its own and one with none.
#include "truth.h"

static char buffer[1 << 20];

static FILE *opened(const char *name, const char *mode) {
    FILE *file = fopen(name, mode);
    must(file != NULL, name);
    did("fopen", path_of(name), 0, 0);
    return file;
}

static void written(FILE *file, const char *name, size_t size, size_t items) {
    size_t done = fwrite(buffer, size, items, file);
    must(done == items, name);
    did("fwrite", path_of(name), items, size * done);
}

static void got(FILE *file, const char *name, size_t size, size_t items) {
    size_t done = fread(buffer, size, items, file);
    did("fread", path_of(name), items, size * done);
}

static void closed(FILE *file, const char *name) {
    must(fclose(file) == 0, name);
    did("fclose", path_of(name), 0, 0);
}

// How many system calls of this process have read and written so far, as the kernel counts them, not counting this function's.
static void counters(long long *reads, long long *writes) {
    static long long own;
    char text[512];
    int fd = open("/proc/self/io", O_RDONLY);
    ssize_t length = read(fd, text, sizeof text - 1);
    must(fd >= 0 && length > 0 && close(fd) == 0, "/proc/self/io");
    text[length] = 0;
    must(sscanf(strstr(text, "syscr:"), "syscr: %lld syscw: %lld", reads, writes) == 2, "counters");
    *reads -= own++;
}

// Notes the system calls since `counters` was asked for these.
static void moved(const char *name, long long reads, long long writes) {
    long long now_reads, now_writes;
    counters(&now_reads, &now_writes);
    did("syscalls", path_of(name), now_reads - reads, now_writes - writes);
}

int main(void) {
    long long reads, writes;
    counters(&reads, &writes);
    FILE *file = opened("items", "w");
    for (int i = 1; i <= 300; i++)
        written(file, "items", i, i % 7);
    closed(file, "items");
    file = opened("items", "r");
    for (int i = 0; i < 50; i++)
        got(file, "items", 64, 100); // more than there is, at the end
    closed(file, "items");
    moved("items", reads, writes);

    counters(&reads, &writes);
    file = opened("large", "w");
    must(setvbuf(file, NULL, _IOFBF, 65536) == 0, "setvbuf");
    for (int i = 0; i < 1000; i++)
        written(file, "large", 1, 1024);
    written(file, "large", 4096, 200);
    closed(file, "large");
    moved("large", reads, writes);

    counters(&reads, &writes);
    file = opened("unbuffered", "w");
    must(setvbuf(file, NULL, _IONBF, 0) == 0, "setvbuf");
    for (int i = 0; i < 40; i++)
        written(file, "unbuffered", 10, 3);
    closed(file, "unbuffered");
    moved("unbuffered", reads, writes);

    file = opened("text", "w");
    for (int i = 0; i < 25; i++) {
        must(fputs("a line\n", file) >= 0, "fputs");
        did("fputs", path_of("text"), 0, 7);
    }
    closed(file, "text");
    truth_write();
    return 0;
}
