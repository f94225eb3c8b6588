/* Two functions that begin with an ordinary instruction and, between them, one that begins with an instruction which the
   kernel can neither emulate nor step over: a prefix `lock` in front of it. Says that it runs, waits for the end of its
   input, and calls the ordinary ones 3 and 2 times. */
#include <stdio.h>
#include <unistd.h>

__asm__(".text\n"
        ".globl part_locked\n"
        ".type part_locked, @function\n"
        "part_locked:\n"
        "    lock addl $1, -8(%rsp)\n"
        "    ret\n"
        ".size part_locked, . - part_locked\n");

int part_locked(void);

__attribute__((noinline)) int part_first(int n) { return n + 1; }
__attribute__((noinline)) int part_second(int n) { return n + 2; }

int main(void) {
    char byte;
    if (write(1, "r", 1) != 1) return 1;
    while (read(0, &byte, 1) > 0) {}
    volatile int sum = part_locked();
    for (int i = 0; i < 3; i++) sum += part_first(i);
    for (int i = 0; i < 2; i++) sum += part_second(i);
    return 0;
}
