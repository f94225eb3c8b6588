// Calls a function whose third instruction is the first that the kernel emulates.
#ifdef __x86_64__
__asm__(".globl fast\n .type fast,@function\n"
        "fast: xor %eax,%eax\n test %edi,%edi\n je 1f\n lea (%rdi,%rsi),%eax\n1: ret\n"
        ".size fast,.-fast\n");
int fast(int, int, int, int, int, int, int);
#else
__attribute__((noinline)) int fast(int a, int b, int c, int d, int e, int f, int g)
{
    return a + b + c + d + e + f + g;
}
#endif

int main(void)
{
    int sum = 0;
    for (int i = 0; i < 5; i++)
        sum += fast(i % 2, i, 2, 3, 4, 5, 6);
    return sum == 99;
}
