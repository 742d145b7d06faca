"""What people touch: the command line, the report, the picture.

The command runs its linear algebra on one thread unless told otherwise: the matrices are small, and several threads
that wait for each other make it slower, on a busy machine many times. This has to be said before NumPy is imported.
"""

import os

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")
