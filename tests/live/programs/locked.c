// Waits for a line, then calls functions, of which some begin with an instruction that the kernel places no probe on.
#include <unistd.h>

#ifdef __x86_64__
#define FUNCTION(name, first)                       \
    __asm__(".globl " #name "\n .type " #name ",@function\n" \
            #name ": " first "\n ret\n .size " #name ",.-" #name "\n"); \
    void name(void);
#else
#define FUNCTION(name, first) __attribute__((noinline)) void name(void) { __asm__ volatile(""); }
#endif

FUNCTION(step_a, "nop")
FUNCTION(step_b, "lock orl $0, -8(%rsp)")
FUNCTION(step_c, "nop")
FUNCTION(step_d, "lock orl $0, -8(%rsp)")
FUNCTION(step_e, "xor %eax, %eax")

int main(void)
{
    char line[1];
    if (read(0, line, 1) != 1)
        return 1;
    step_a();
    step_b();
    step_c();
    step_d();
    step_e();
    step_e();
    return 0;
}
