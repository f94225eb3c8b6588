// Functions whose code is put into others, for what stacks say of that.

volatile int seen;

static inline __attribute__((always_inline)) void inner(int n)
{
    seen = n;
    __asm__ volatile("nop" ::: "memory"); // in inner
    seen = n;
}

static inline __attribute__((always_inline)) void middle(int n)
{
    inner(n * 2); // in middle
}

__attribute__((noinline)) void outer(int n)
{
    middle(n + seen); // in outer
    seen = 0;
}

int main(void)
{
    outer(3);
    return 0;
}
