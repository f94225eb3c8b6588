// A shared library that a program loads from beside it.
__attribute__((noinline)) long library_value(long n) { return n + 1; }
__attribute__((noinline)) long library_other(long n) { return n + 2; }
