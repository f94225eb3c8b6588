// Writes five times to memory at a fixed address, which no randomisation moves, and reads it in between; with an argument
// it rests a while after each.
#include <sys/mman.h>
#include <unistd.h>

int main(int argc, char **argv) {
    (void)argv;
    volatile long *word = mmap((void *)0x10000000, 4096, PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (word == MAP_FAILED)
        return 1;
    long sum = 0;
    for (int i = 0; i < 5; i++) {
        *word = i;
        sum += *word;
        if (argc > 1)
            usleep(300000);
    }
    return sum == 10 ? 0 : 2;
}
