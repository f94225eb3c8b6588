// netCDF files of both formats: whole variables, slices, single items and strides, written and read.
#include "truth.h"
#include <netcdf.h>

static double numbers[1 << 16];
static int whole[1 << 16];

static void checked(int code, const char *what) {
    if (code != NC_NOERR)
        fprintf(stderr, "%s\n", nc_strerror(code));
    must(code == NC_NOERR, what);
}

static void make(const char *name, int mode) {
    int file, dimensions[2], numbers_id, whole_id, again;
    const char *path = path_of(name);
    checked(nc_create(path, NC_CLOBBER | mode, &file), "create");
    did("open", path, 0, 0);
    checked(nc_def_dim(file, "rows", 64, &dimensions[0]), "rows");
    checked(nc_def_dim(file, "columns", 256, &dimensions[1]), "columns");
    checked(nc_def_var(file, "numbers", NC_DOUBLE, 2, dimensions, &numbers_id), "numbers");
    checked(nc_def_var(file, "whole", NC_INT, 1, dimensions, &whole_id), "whole");
    checked(nc_enddef(file), "enddef");
    for (size_t row = 0; row < 64; row++) {
        size_t start[2] = {row, 0}, count[2] = {1, 256};
        checked(nc_put_vara_double(file, numbers_id, start, count, numbers), "put_vara");
        did("put-numbers", path, row, 256 * 8);
    }
    for (size_t at = 0; at < 5; at++) {
        checked(nc_put_var1_int(file, whole_id, &at, whole), "put_var1");
        did("put-whole", path, at, 4);
    }
    checked(nc_put_var_int(file, whole_id, whole), "put_var");
    did("put-whole", path, 0, 64 * 4);
    // Converted: floats in memory, doubles in the file.
    size_t start[2] = {2, 0}, count[2] = {10, 100};
    checked(nc_put_vara_float(file, numbers_id, start, count, (float *)numbers), "put_vara_float");
    did("put-numbers", path, 0, 1000 * 4);
    checked(nc_close(file), "close");

    checked(nc_open(path, NC_NOWRITE, &file), "open");
    did("open", path, 0, 0);
    checked(nc_inq_varid(file, "numbers", &numbers_id), "inq_varid");
    checked(nc_inq_varndims(file, numbers_id, &again), "inq_varndims");
    for (size_t row = 0; row < 10; row++) {
        size_t start[2] = {row, 128}, count[2] = {2, 64};
        checked(nc_get_vara_double(file, numbers_id, start, count, numbers), "get_vara");
        did("get-numbers", path, row, 128 * 8);
    }
    checked(nc_get_var_double(file, numbers_id, numbers), "get_var");
    did("get-numbers", path, 0, 64 * 256 * 8);
    checked(nc_close(file), "close again");
}

int main(void) {
    make("new.nc", NC_NETCDF4);
    make("classic.nc", 0);
    truth_write();
    return 0;
}
