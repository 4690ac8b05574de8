# Inputs that are not what they should be.
. "$ROOT/tests/cli/titan-convert-hf/tiny.inc"
convert --model_flavor tiny.yaml to-hf hf out
convert --model_flavor tiny.yaml from-hf seed out
convert --model_flavor tiny.yaml no-such-folder out
convert --model_flavor tiny.yaml --export_dtype like hf out
convert --model_flavor tiny.yaml --export_dtype like seed out
convert --model_flavor tiny.yaml --hf_assets_path hf/config.json seed out
convert --model_flavor tiny.yaml --hf_assets_path nowhere seed out
convert --quiet --model_flavor tiny.yaml --max_shard_size 300kB seed many || exit 9
mv many/model-00002-of-00003.safetensors away
convert --model_flavor tiny.yaml many out
sed -i 's,"model-00002-of-00003,"../away/model-00002-of-00003,' many/model.safetensors.index.json
convert --model_flavor tiny.yaml many out
convert --model_flavor tiny.yaml --hf_assets_path many seed out
head -c 3000 hf/model.safetensors >short.safetensors
convert --model_flavor tiny.yaml short.safetensors out
echo '{"hidden_size": 32' >hf/config.json
convert --model_flavor tiny.yaml hf out
mkdir other && echo text >other/text
convert --model_flavor tiny.yaml --force seed other
ls
