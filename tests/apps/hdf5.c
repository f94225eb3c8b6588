// HDF5 files of stated shape, serial or (with PARALLEL) on several ranks. What the library hands to its file drivers, or to MPI
// where it has a driver for that, is noted where it does so: this program's functions of those names come before the libraries'
// and call them.
#define _GNU_SOURCE
#ifdef PARALLEL
#include <mpi.h>
#endif
#include "truth.h"
#include <dlfcn.h>
#include <hdf5.h>

// The library's own function of a name.
static void *theirs(const char *name) {
    void *function = dlsym(RTLD_NEXT, name);
    must(function != NULL, name);
    return function;
}

// The dataset that is worked on.
static const char *current = "-";

// H5F_mem_t: 3 is raw data.
#ifdef PARALLEL
// What the driver has been asked for; it moves bytes by one call of MPI, whose types tell how many.
static int moves_raw = -1;

static void moved(const char *way, int items, MPI_Datatype type) {
    int size;
    char what[32];
    must(moves_raw >= 0, "a driver's call");
    MPI_Type_size(type, &size);
    sprintf(what, "fd-%s-%s", way, moves_raw ? "raw" : "metadata");
    did(what, current, 0, (long long)items * size);
}

int MPI_File_write_at(MPI_File file, MPI_Offset place, const void *from, int items, MPI_Datatype type, MPI_Status *status) {
    moved("write", items, type);
    return PMPI_File_write_at(file, place, from, items, type, status);
}

int MPI_File_write_at_all(MPI_File file, MPI_Offset place, const void *from, int items, MPI_Datatype type, MPI_Status *status) {
    moved("write", items, type);
    return PMPI_File_write_at_all(file, place, from, items, type, status);
}

int MPI_File_read_at(MPI_File file, MPI_Offset place, void *to, int items, MPI_Datatype type, MPI_Status *status) {
    moved("read", items, type);
    return PMPI_File_read_at(file, place, to, items, type, status);
}

int MPI_File_read_at_all(MPI_File file, MPI_Offset place, void *to, int items, MPI_Datatype type, MPI_Status *status) {
    moved("read", items, type);
    return PMPI_File_read_at_all(file, place, to, items, type, status);
}
#endif

static void asked(const char *what, int kind, haddr_t place, size_t bytes) {
#ifdef PARALLEL
    (void)what, (void)place, (void)bytes;
    moves_raw = kind == 3;
#else
    did(what, current, place, bytes);
#endif
}

herr_t H5FD_write(void *file, int kind, haddr_t place, size_t bytes, const void *from) {
    static herr_t (*function)(void *, int, haddr_t, size_t, const void *);
    if (!function)
        function = theirs("H5FD_write");
    asked(kind == 3 ? "fd-write-raw" : "fd-write-metadata", kind, place, bytes);
    return function(file, kind, place, bytes, from);
}

herr_t H5FD_read(void *file, int kind, haddr_t place, size_t bytes, void *to) {
    static herr_t (*function)(void *, int, haddr_t, size_t, void *);
    if (!function)
        function = theirs("H5FD_read");
    asked(kind == 3 ? "fd-read-raw" : "fd-read-metadata", kind, place, bytes);
    return function(file, kind, place, bytes, to);
}

static int ranks = 1;
static float values[1 << 18];

// A row of `each` floats for each rank, written in `pieces` calls and read again; `chunk` floats in a chunk, or 0 for one piece.
static void dataset(hid_t file, const char *name, hsize_t each, int pieces, hsize_t chunk, int collective, int deflate) {
    hsize_t all = each * ranks, piece = each / pieces;
    hid_t space = H5Screate_simple(1, &all, NULL), memory = H5Screate_simple(1, &piece, NULL);
    hid_t layout = H5Pcreate(H5P_DATASET_CREATE), transfer = H5Pcreate(H5P_DATASET_XFER);
    if (chunk) {
        H5Pset_chunk(layout, 1, &chunk);
        did("chunk", name, chunk, 0);
    }
    if (deflate) {
        H5Pset_deflate(layout, 6);
        did("deflate", name, 0, 0);
    }
#ifdef PARALLEL
    H5Pset_dxpl_mpio(transfer, collective ? H5FD_MPIO_COLLECTIVE : H5FD_MPIO_INDEPENDENT);
#endif
    // Nothing is written but what the program writes.
    H5Pset_fill_time(layout, H5D_FILL_TIME_NEVER);
    hid_t set = H5Dcreate2(file, name, H5T_NATIVE_FLOAT, space, H5P_DEFAULT, layout, H5P_DEFAULT);
    must(set >= 0, name);
    did("dataset", name, all * sizeof(float), chunk);
    current = name;
    for (int write = 1; write >= 0; write--)
        for (int i = 0; i < pieces; i++) {
            hsize_t start = each * truth_rank + piece * i;
            H5Sselect_hyperslab(space, H5S_SELECT_SET, &start, NULL, &piece, NULL);
            did(write ? "dwrite" : "dread", name, collective, piece * sizeof(float));
            must((write ? H5Dwrite(set, H5T_NATIVE_FLOAT, memory, space, transfer, values)
                        : H5Dread(set, H5T_NATIVE_FLOAT, memory, space, transfer, values)) >= 0, name);
        }
    must(H5Dclose(set) >= 0, name);
    current = "-";
    H5Pclose(layout), H5Pclose(transfer), H5Sclose(space), H5Sclose(memory);
}

static void attributes(hid_t file) {
    hid_t scalar = H5Screate(H5S_SCALAR), group = H5Gcreate2(file, "about", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    did("group", "about", 0, 0);
    char name[32];
    for (int i = 0; i < 5; i++) {
        sprintf(name, "attribute%d", i);
        hid_t attribute = H5Acreate2(group, name, H5T_NATIVE_INT, scalar, H5P_DEFAULT, H5P_DEFAULT);
        must(H5Awrite(attribute, H5T_NATIVE_INT, &i) >= 0, name);
        did("awrite", name, 0, 0);
        for (int again = 0; again < i; again++) {
            int value;
            must(H5Aread(attribute, H5T_NATIVE_INT, &value) >= 0, name);
            did("aread", name, 0, 0);
        }
        H5Aclose(attribute);
    }
    H5Gclose(group), H5Sclose(scalar);
}

int main(int argc, char **argv) {
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    (void)argc, (void)argv;
#ifdef PARALLEL
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &truth_rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    H5Pset_fapl_mpio(access, MPI_COMM_WORLD, MPI_INFO_NULL);
#endif
    const char *path = path_of("made.h5");
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, access);
    must(file >= 0, path);
    did("fcreate", path, 0, 0);
    dataset(file, "whole", 1 << 16, 1, 0, 1, 0);
    dataset(file, "pieces", 1 << 15, 16, 0, 0, 0);
    dataset(file, "chunked", 1 << 14, 4, 1 << 12, 1, 0);
#ifndef PARALLEL
    dataset(file, "compressed", 1 << 16, 4, 1 << 14, 0, 1);
#endif
    attributes(file);
    must(H5Fclose(file) >= 0, path);
    did("fclose", path, 0, 0);
    file = H5Fopen(path, H5F_ACC_RDONLY, access);
    did("fopen", path, 0, 0);
    H5Fclose(file);
    did("fclose", path, 0, 0);
    H5Pclose(access);
#ifdef PARALLEL
    MPI_Finalize();
#endif
    truth_write();
    return 0;
}
