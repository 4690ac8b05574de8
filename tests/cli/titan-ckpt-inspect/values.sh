# Elements by numpy's rules, over the chunks of four ranks; every dtype; a value; what is wrong.
cd "$ROOT/tests/golden" || exit
v() { echo "$1"; titan-ckpt-inspect --values "$1" "$2"; }
v 'grid[1:4, ::2]' dcp-grid4
v 'rows[-1]' dcp-rows4
v 'one_row' dcp-rows4
for dtype in float32 float64 float16 bfloat16 int64 int32 int16 int8 uint8 bool uint16 uint32 uint64 complex64 complex128 \
	float8_e4m3fn float8_e5m2 float8_e4m3fnuz float8_e5m2fnuz; do
	v "t_${dtype}[...,1:]" dcp-types
done
v e8m0 hf/types.safetensors
v f4 hf/types.safetensors
v values.tuple dcp-types
v five dcp-types
v 'values.tuple[0]' dcp-types
v 'grid[9]' dcp-grid4
v 'gird' dcp-grid4
