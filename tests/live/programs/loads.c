// Calls a shared library with each of its arguments.
#include <stdlib.h>

long library_value(long n);
long library_other(long n);

int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) library_other(library_value(atol(argv[i])));
    return 0;
}
