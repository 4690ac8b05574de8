# What is wrong on a command line is named before anything is read.
titan-convert-hf 2>&1
titan-convert-hf in 2>&1 | head -1
titan-convert-hf from_hf in out 2>&1 | head -1
titan-convert-hf from-hf in out more 2>&1 | head -1
titan-convert-hf to-hf in - 2>&1 | head -1
for o in --model_name=llama2 --model_flavor=debugmodle --export_dtype=bf16 --export_dtype=int8 --max_shard_size=5XB --export_dtyp=x; do
	titan-convert-hf in out "$o" 2>&1 | head -1
done | sed 's/ (looked for.*//'
titan-convert-hf --model_name llama3 --model_flavor debugmodel.yaml in out
