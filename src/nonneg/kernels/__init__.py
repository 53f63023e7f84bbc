"""Compiled inner loops: arrays in, arrays out, one row block at a time.

What a kernel knows: C-contiguous float32 or float64 blocks, int32 or int64 indices, plain scalars. What it does not
know: losses as objects, penalties, sources, threads. Every kernel releases the interpreter lock and runs on one
thread; the loop in ``solvers`` gives row blocks to a pool. The answer for a row never depends, bit for bit, on the
other rows of the call.

======================  =============================================================================================
module                  problem
======================  =============================================================================================
`hals`                  Frobenius rows and columns by coordinate descent on a shared Gram matrix; KKT residuals
`weighted`              the same with cell weights or missing cells: one Gram matrix per row
`bpp`                   exact non-negative least squares on a shared Gram matrix (block principal pivoting)
`scd`                   generalized Kullback–Leibler rows by sequential coordinate descent
`sampled`               products of sparse X with the factors, and WH at the stored cells only
`small`                 a whole Frobenius fit of a small dense matrix in one call
======================  =============================================================================================

The modules import numba at their top: import them inside the function that uses them.
"""
