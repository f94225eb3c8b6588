/* A library with two versions of a function, or, with -DPROGRAM, a program that calls each of them. */
#ifdef PROGRAM
int old_version(int x), new_version(int x);
__asm__(".symver old_version, version_of@FIRST_1");
__asm__(".symver new_version, version_of@SECOND_2");
int main(void) {
    for (int i = 0; i < 3; i++) old_version(i);
    for (int i = 0; i < 5; i++) new_version(i);
    return 0;
}
#else
__attribute__((noinline)) int old_version(int x) { return x + 1; }
__attribute__((noinline)) int new_version(int x) { return x + 2; }
__asm__(".symver old_version, version_of@FIRST_1");
__asm__(".symver new_version, version_of@@SECOND_2");
#endif
