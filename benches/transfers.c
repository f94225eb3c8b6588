// Writes a dataset in so many transfers of so many bytes, and prints the seconds that took.
//
//   transfers BYTES TRANSFERS
#include <hdf5.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

int main(int argc, char **argv) {
    if (argc != 3)
        return 2;
    hsize_t piece = strtoull(argv[1], NULL, 10), pieces = strtoull(argv[2], NULL, 10), all = piece * pieces;
    char *data = calloc(1, piece);
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    // Each transfer goes to the file by itself.
    H5Pset_sieve_buf_size(access, 0);
    hid_t file = H5Fcreate("transfers.h5", H5F_ACC_TRUNC, H5P_DEFAULT, access);
    hid_t space = H5Screate_simple(1, &all, NULL), memory = H5Screate_simple(1, &piece, NULL);
    hid_t set = H5Dcreate2(file, "data", H5T_NATIVE_CHAR, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    // The file's blocks are there before the time is taken.
    for (int round = 0; round < 2; round++) {
        double start = now();
        for (hsize_t i = 0; i < pieces; i++) {
            hsize_t place = i * piece;
            H5Sselect_hyperslab(space, H5S_SELECT_SET, &place, NULL, &piece, NULL);
            if (H5Dwrite(set, H5T_NATIVE_CHAR, memory, space, H5P_DEFAULT, data) < 0)
                return 1;
        }
        if (round == 1)
            printf("%.6f\n", now() - start);
    }
    H5Dclose(set), H5Fclose(file);
    return remove("transfers.h5");
}
