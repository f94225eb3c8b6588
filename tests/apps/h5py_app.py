"""Writes and reads a dataset with h5py in pieces that HDF5 does not gather, and notes them as truth.h does."""
import os

import h5py
import numpy

PIECE = 65536
truth = []
with h5py.File("made.h5", "w") as file:
    dataset = file.create_dataset("numbers", (4 * PIECE,), dtype="float32")
    for i in range(4):
        dataset[i * PIECE:(i + 1) * PIECE] = numpy.full(PIECE, i, dtype="float32")
        truth.append(f"0 dwrite numbers 0 {PIECE * 4}")
with h5py.File("made.h5", "r") as file:
    for i in range(3):
        assert file["numbers"][i * PIECE] == i
        truth.append("0 dread numbers 0 4")
with open(os.environ["TRUTH"] + ".0", "w") as out:
    out.write("\n".join(truth) + "\n")
