# To Hugging Face's form and back; the direction may be said, and is otherwise what the input shows.
. "$ROOT/tests/cli/titan-convert-hf/tiny.inc"
convert --model_flavor tiny.yaml from-hf hf back
convert --model_flavor tiny.yaml hf/model.safetensors back1
convert --model_flavor tiny.yaml --export_dtype bfloat16 --dtype '*norm*=float32' to-hf seed bf16
for d in seed back back1; do mkdir -p pt/$d && titan-dcp2pt --quiet $d pt/$d/model.pt; done
cmp pt/seed/model.pt pt/back/model.pt && cmp pt/seed/model.pt pt/back1/model.pt && echo same
ls bf16 && grep -E 'dtype|tie' bf16/config.json
titan-ckpt-inspect bf16 | awk '{ print $2 }' | sort | uniq -c
