titan-train --parallelism.tensor_parallel_degree 2 2>&1 | grep '^titan-train:'
