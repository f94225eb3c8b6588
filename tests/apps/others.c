// What no script is made for: `forks`, streams of a process and of its child that calls no exec; `files N`, more files than maps
// have room for, of which every tenth of the first hundred is large.
#include "truth.h"
#include <sys/wait.h>

static void stream(const char *name, int times) {
    static char bytes[100];
    FILE *file = fopen(name, "w");
    must(file != NULL, name);
    for (int i = 0; i < times; i++) {
        must(fwrite(bytes, 1, sizeof bytes, file) == sizeof bytes, "fwrite");
        did("fwrite", path_of(name), 0, sizeof bytes);
    }
    must(fclose(file) == 0, name);
}

static void forks(void) {
    stream("parent", 3);
    pid_t child = fork();
    must(child >= 0, "fork");
    if (child == 0) {
        truth_rank = 1;
        truth_length = 0;
        stream("child", 5);
        truth_write();
        _exit(0);
    }
    must(waitpid(child, NULL, 0) == child, "waitpid");
}

static void files(int count) {
    static char bytes[50000];
    for (int i = 0; i < count; i++) {
        char name[32];
        sprintf(name, "file%d", i);
        size_t size = i < 100 && i % 10 == 0 ? sizeof bytes - i : 10;
        int fd = open(name, O_CREAT | O_WRONLY | O_TRUNC, 0644);
        must(fd >= 0, name);
        must(write(fd, bytes, size) == (ssize_t)size, "write");
        did("write", path_of(name), 0, size);
        must(close(fd) == 0, name);
        must(unlink(name) == 0, name);
    }
}

int main(int argc, char **argv) {
    must(argc > 1, "what to do");
    if (strcmp(argv[1], "forks") == 0)
        forks();
    else
        files(atoi(argv[2]));
    truth_write();
}
