# What cannot be meant.
try() { titan-reshard "$@" 2>&1 | head -1; }
try
try one
try one two three
try --average one two
try one two --weights 1,2
try one -
try one two --like three --single
try one two --single --tensor_parallel_degree 2
try one two --rename layers
try one two --zstd=23
try one two --tensor_paralel_degree 2
cp -r "$ROOT/tests/golden/dcp-grid4" one
try one two --tensor_parallel_degree 2
try --average one one --weights 1,x two
try --average one one --weights 1,1,1 two
