# Each input is reported, the good ones are listed, and the exit status is 1 in the end.
cd "$ROOT/tests/golden" && titan-ckpt-inspect nowhere bad bad/system dialects/torch-2.13 pt/list.pt bad/cyclic bad/posix-system pt/many.ckpt.pt
