// MPI-IO of every kind: each rank writes and reads its part of shared files.
#include <mpi.h>
#include "truth.h"

static char buffer[1 << 20];
static int ranks;

static void checked(int code, const char *what) {
    must(code == MPI_SUCCESS, what);
}

static void done(const char *what, const char *name, MPI_Datatype type, int items) {
    int size;
    MPI_Type_size(type, &size);
    did(what, path_of(name), (long long)size * items, 0);
}

static MPI_File opened(const char *name) {
    MPI_File file;
    checked(MPI_File_open(MPI_COMM_WORLD, name, MPI_MODE_CREATE | MPI_MODE_RDWR, MPI_INFO_NULL, &file), name);
    return file;
}

// Ranks do not do equally much: the higher does more.
static void independent(void) {
    MPI_File file = opened("independent");
    for (int i = 0; i < 10 * (truth_rank + 1); i++) {
        MPI_Offset place = (MPI_Offset)truth_rank * (1 << 20) + i * 8000;
        checked(MPI_File_write_at(file, place, buffer, 1000, MPI_DOUBLE, MPI_STATUS_IGNORE), "write_at");
        done("independent-write", "independent", MPI_DOUBLE, 1000);
        checked(MPI_File_read_at(file, place, buffer, 500, MPI_INT, MPI_STATUS_IGNORE), "read_at");
        done("independent-read", "independent", MPI_INT, 500);
    }
    checked(MPI_File_seek(file, (MPI_Offset)truth_rank * 4096, MPI_SEEK_SET), "seek");
    checked(MPI_File_write(file, buffer, 77, MPI_BYTE, MPI_STATUS_IGNORE), "write");
    done("independent-write", "independent", MPI_BYTE, 77);
    checked(MPI_File_read(file, buffer, 33, MPI_SHORT, MPI_STATUS_IGNORE), "read");
    done("independent-read", "independent", MPI_SHORT, 33);
    checked(MPI_File_close(&file), "close");
}

static void collective(void) {
    MPI_File file = opened("collective");
    for (int i = 0; i < 8; i++) {
        MPI_Offset place = ((MPI_Offset)i * ranks + truth_rank) * 65536;
        checked(MPI_File_write_at_all(file, place, buffer, 16384, MPI_FLOAT, MPI_STATUS_IGNORE), "write_at_all");
        done("collective-write", "collective", MPI_FLOAT, 16384);
    }
    MPI_Offset view = (MPI_Offset)truth_rank * 65536;
    checked(MPI_File_set_view(file, view, MPI_BYTE, MPI_BYTE, "native", MPI_INFO_NULL), "set_view");
    did("view", path_of("collective"), view, 1);
    checked(MPI_File_read_all(file, buffer, 5000, MPI_INT, MPI_STATUS_IGNORE), "read_all");
    done("collective-read", "collective", MPI_INT, 5000);
    checked(MPI_File_write_at_all_begin(file, 0, buffer, 100, MPI_INT), "write_at_all_begin");
    done("split-write", "collective", MPI_INT, 100);
    checked(MPI_File_write_at_all_end(file, buffer, MPI_STATUS_IGNORE), "write_at_all_end");
    checked(MPI_File_close(&file), "close");
}

static void nonblocking(void) {
    MPI_File file = opened("nonblocking");
    for (int i = 0; i < 5; i++) {
        MPI_Request request;
        MPI_Offset place = (MPI_Offset)truth_rank * 100000 + i * 1000;
        checked(MPI_File_iwrite_at(file, place, buffer, 1000, MPI_CHAR, &request), "iwrite_at");
        done("nonblocking-write", "nonblocking", MPI_CHAR, 1000);
        checked(MPI_Wait(&request, MPI_STATUS_IGNORE), "wait");
    }
    // A type that the program made: MPICH's handles of such do not tell their size.
    MPI_Datatype row;
    MPI_Type_contiguous(100, MPI_DOUBLE, &row);
    MPI_Type_commit(&row);
    checked(MPI_File_write_at(file, (MPI_Offset)truth_rank * 100000, buffer, 2, row, MPI_STATUS_IGNORE), "write_at");
    done("derived-write", "nonblocking", row, 2);
    MPI_Type_free(&row);
    checked(MPI_File_close(&file), "close");
}

int main(int argc, char **argv) {
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &truth_rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    independent();
    collective();
    nonblocking();
    MPI_Finalize();
    truth_write();
    return 0;
}
