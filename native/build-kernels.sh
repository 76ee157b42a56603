#!/bin/sh
# Compiles src/main/cuda/kernels.cu with nvcc 13.0 to the fat binary that is committed, and records the source's hash.
# With an argument: writes the fat binary there instead, and nothing else.
set -eu
cd "$(dirname "$0")/src/main/cuda"
target=../resources/obsprop/cuda/kernels.fatbin
out=${1:-$target}
nvcc -fatbin -O3 -compress-mode=size --threads 0 \
    -gencode arch=compute_75,code=compute_75 -gencode arch=compute_80,code=compute_80 \
    -gencode arch=compute_80,code=sm_80 -gencode arch=compute_90,code=sm_90 -gencode arch=compute_100,code=sm_100 \
    -o "$out.new" kernels.cu
mv "$out.new" "$out"
[ "$out" != "$target" ] || sha256sum kernels.cu > kernels.cu.sha256
