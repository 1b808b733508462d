#!/bin/sh
# Builds the programs that the tests run. The results are in the repository, so
# that testing needs no compiler for C; run this after changing a source.
# Needs clang 14 with wasi-libc, and wat2wasm.
set -eu
cd "$(dirname "$0")"
for f in guest places; do
	clang-14 --target=wasm32-wasi --sysroot=/usr -O1 -Wall -Werror -Wl,--strip-all "$f.c" -o "$f.wasm"
done
for f in traps/*.wat bad/*.wat; do
	wat2wasm "$f" -o "${f%.wat}.wasm"
done
chmod 644 ./*.wasm ./*/*.wasm
