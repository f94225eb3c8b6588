// What a program did, written down by itself: a line `RANK WHAT PATH NUMBER NUMBER` for each call, in the file `$TRUTH.RANK`.
// Kept in memory until `truth_write`, so that noting a call is no call.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *truth_text;
static size_t truth_length, truth_room;
static int truth_rank;

// Notes a call.
static void did(const char *what, const char *path, long long first, long long second) {
    if (truth_room - truth_length < 4096) {
        truth_room = truth_room * 2 + 65536;
        truth_text = realloc(truth_text, truth_room);
    }
    truth_length += sprintf(truth_text + truth_length, "%d %s %s %lld %lld\n", truth_rank, what, path, first, second);
}

// Ends the program when a call fails: the truth would be none.
static void must(int holds, const char *what) {
    if (!holds) {
        fprintf(stderr, "%s: %s\n", what, strerror(errno));
        exit(9);
    }
}

// The path of a file in the working directory, which is the one that is looked at.
static const char *path_of(const char *name) {
    static char paths[16][4096];
    static int next;
    char *path = paths[next++ % 16];
    must(getcwd(path, 2048) != NULL, "getcwd");
    strcat(strcat(path, "/"), name);
    return path;
}

// Writes it all. These calls are noted, too; that the file is written is not, since it is in no directory that is looked at.
static void truth_write(void) {
    char path[4096];
    snprintf(path, sizeof path, "%s.%d", getenv("TRUTH"), truth_rank);
    did("openat", path, 0, 0);
    did("close", path, 0, 0);
    int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0644);
    must(fd >= 0, path);
    for (size_t at = 0; at < truth_length;) {
        ssize_t n = write(fd, truth_text + at, truth_length - at);
        must(n > 0, path);
        at += n;
    }
    must(close(fd) == 0, path);
}

// The next of a row of numbers that is the same in every run.
__attribute__((unused)) static unsigned truth_random(void) {
    static unsigned state = 12345;
    state = state * 1103515245u + 12345u;
    return state >> 8 & 0xffffff;
}
