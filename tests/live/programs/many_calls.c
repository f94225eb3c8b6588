// Waits for a line, then calls many functions of libc, some of which begin with instructions that a probe can leave behind.
// With HDF5 defined, also functions of libhdf5, on a file in memory.
#define _GNU_SOURCE
#include <argz.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <search.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>
#include <wchar.h>
#ifdef HDF5
#include <hdf5.h>
#endif

static void files(void)
{
    char name[] = "/tmp/crumbs-calls-XXXXXX", bytes[64];
    int fd = mkostemps(name, 0, O_CLOEXEC);
    struct iovec parts[2] = {{"some", 4}, {"thing", 5}};
    for (int i = 1; i <= 20; i++)
        if (write(fd, "0123456789", i % 10) < 0)
            return;
    writev(fd, parts, 2);
    lseek(fd, 0, SEEK_SET);
    for (int i = 1; i <= 20; i++)
        if (read(fd, bytes, i) < 0)
            return;
    readv(fd, parts, 0);
    pread(fd, bytes, 10, 3);
    fsync(fd);
    fdatasync(fd);
    close(fd);
    close(-1);
    fd = open(name, O_RDONLY);
    struct pollfd ready = {fd, POLLIN, 0};
    poll(&ready, 1, 0);
    close(fd);
    FILE *file = fopen(name, "r+");
    while (fgets(bytes, 8, file))
        continue;
    fflush(file);
    fputs("end\n", file);
    fclose(file);
    pathconf("/", _PC_NAME_MAX);
    unlink(name);
    fd = memfd_create("calls", 0);
    close_range(fd, fd, 0);
}

static void memory(void)
{
    void *blocks[16];
    for (int i = 0; i < 16; i++)
        blocks[i] = malloc(10 << i);
    for (int i = 0; i < 16; i++) {
        malloc_usable_size(blocks[i]);
        free(blocks[i]);
    }
    free(NULL);
    free(aligned_alloc(64, 128));
    free(valloc(10));
    void *block;
    if (!posix_memalign(&block, 32, 100))
        free(block);
    char *list = NULL;
    size_t length = 0;
    argz_add(&list, &length, "one");
    argz_add(&list, &length, "two");
    argz_delete(&list, &length, list);
    argz_stringify(list, length, ',');
    free(list);
    hcreate(10);
    hdestroy();
}

static void nothing(int number)
{
    (void)number;
}

static void others(void)
{
    struct sigaction action = {.sa_handler = nothing};
    sigset_t set;
    sigemptyset(&set);
    sigaction(SIGUSR1, &action, NULL);
    raise(SIGUSR1);
    kill(getpid(), 0);
    getuid();
    getegid();
    getpagesize();
    strverscmp("a1", "a10");
    wcswidth(L"abc", 3);
    sigdescr_np(SIGINT);
    struct termios terminal = {0};
    cfmakeraw(&terminal);
    cfsetspeed(&terminal, B9600);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, 7);
    pthread_attr_setstacksize(&attributes, 1);
    pthread_attr_setstacksize(&attributes, 1 << 20);
    pthread_mutexattr_t kind;
    pthread_mutexattr_init(&kind);
    pthread_mutexattr_settype(&kind, 99);
    pthread_mutexattr_setpshared(&kind, 0);
    pthread_key_t key;
    pthread_key_create(&key, NULL);
    pthread_getspecific(key);
    pthread_key_delete(key);
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    system("exit 3");
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    waitpid(child, NULL, 0);
}

#ifdef HDF5
static void hdf5(void)
{
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_fapl_core(access, 4096, 0);
    hid_t file = H5Fcreate("calls.h5", H5F_ACC_TRUNC, H5P_DEFAULT, access);
    hsize_t size[2] = {4, 6}, start[2] = {1, 1}, count[2] = {2, 2};
    hid_t space = H5Screate_simple(2, size, NULL);
    hid_t group = H5Gcreate2(file, "group", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    hid_t set = H5Dcreate2(group, "set", H5T_NATIVE_INT, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    int values[24] = {1, 2, 3};
    H5Dwrite(set, H5T_NATIVE_INT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values);
    H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, count, NULL);
    H5Sget_select_npoints(space);
    H5Dread(set, H5T_NATIVE_INT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values);
    hid_t scalar = H5Screate(H5S_SCALAR);
    hid_t attribute = H5Acreate2(set, "unit", H5T_NATIVE_INT, scalar, H5P_DEFAULT, H5P_DEFAULT);
    H5Awrite(attribute, H5T_NATIVE_INT, values);
    H5Aclose(attribute);
    H5Lexists(file, "group/set", H5P_DEFAULT);
    H5Tequal(H5T_NATIVE_INT, H5T_NATIVE_LONG);
    H5Tclose(H5Tcopy(H5T_NATIVE_DOUBLE));
    H5Fflush(file, H5F_SCOPE_GLOBAL);
    H5Dclose(set);
    H5Ldelete(file, "group/set", H5P_DEFAULT);
    H5Gclose(group);
    H5Sclose(scalar);
    H5Sclose(space);
    H5Fclose(file);
    H5Pclose(access);
}
#endif

int main(void)
{
    char line[8];
    if (read(0, line, 1) != 1)
        return 1;
    for (int i = 0; i < 2; i++) {
        files();
        memory();
        others();
    }
#ifdef HDF5
    hdf5();
#endif
    return 0;
}
