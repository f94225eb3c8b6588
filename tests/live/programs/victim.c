// A library with one function.
__attribute__((noinline)) int poked(int n)
{
    __asm__ volatile("");
    return n + 1;
}
