// Opens the library of its first argument once there is a line of input, and calls it after another line as often as the
// second argument says.
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
    if (argc < 3 || getchar() == EOF)
        return 2;
    void *library = dlopen(argv[1], RTLD_NOW);
    if (library == NULL)
        return 3;
    long (*value)(long) = (long (*)(long))dlsym(library, "library_value");
    puts("opened");
    fflush(stdout);
    if (value == NULL || getchar() == EOF)
        return 4;
    for (long i = 0; i < atol(argv[2]); i++) value(i);
    return 0;
}
