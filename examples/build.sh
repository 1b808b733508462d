#!/bin/sh
# build.sh rebuilds the examples' programs.
#
#   examples/build.sh          rebuilds every .wasm file in place
#   examples/build.sh --check  rebuilds into a temporary folder, and fails
#                              naming each file that differs
#
# It installs nothing. The committed files were made with Debian 12's packages
#
#   clang-14 1:14.0.6-12  lld-14 1:14.0.6-12  libclang-rt-14-dev-wasm32 1:14.0.6-12
#   wasi-libc 0.0~git20220510.9886d3d-2
#
# and with them a rebuild gives the same bytes, in whatever folder and whenever
# it runs. Other versions may build programs that compute the same but differ
# in their bytes, and so in the digests by which Sheaf knows a program.
# CC names another compiler.

set -eu

compiler=${CC:-clang-14}
examples=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
check=no
destination=$examples

case "$#,${1-}" in
0,) ;;
1,--check) check=yes ;;
*)
	echo "usage: $0 [--check]" >&2
	exit 2
	;;
esac

if ! command -v "$compiler" >/dev/null; then
	echo "$0: there is no $compiler; on Debian 12 it comes with: apt-get install clang-14 lld-14 wasi-libc libclang-rt-14-dev-wasm32" >&2
	exit 1
fi

if [ "$check" = yes ]; then
	destination=$(mktemp -d)
	trap 'rm -rf -- "$destination"' EXIT
	trap 'exit 1' HUP INT TERM
	mkdir "$destination/digits" "$destination/primes" "$destination/means"
fi

# The stack lies below all data, so that overflowing it stops the program
# instead of overwriting something. No option here depends on the machine.
build() {
	program=$1
	shift
	"$compiler" --target=wasm32-wasi --sysroot=/usr -std=c11 -msimd128 -Wall -Wextra -Wconversion -Wshadow -Werror \
		-Iguest -Wl,--strip-all -Wl,--stack-first -Wl,-z,stack-size=65536 \
		-o "$destination/$program" "$@"
}

# Relative paths, so that nothing of this machine's folders can get into a file.
cd "$examples"
guest='guest/file.c guest/inputs.c guest/text.c'
# shellcheck disable=SC2086 # $guest is a list
{
	build digits/train.wasm -O3 $guest digits/train.c digits/images.c digits/network.c
	build digits/rank.wasm -Oz $guest digits/rank.c
	build primes/count.wasm -O3 $guest primes/count.c
	build primes/sum.wasm -Oz $guest primes/sum.c
	build means/tally.wasm -O3 $guest means/tally.c means/sums.c
	build means/means.wasm -Oz $guest means/means.c means/sums.c
}

different=0
for program in digits/train.wasm digits/rank.wasm primes/count.wasm primes/sum.wasm means/tally.wasm means/means.wasm; do
	chmod 644 "$destination/$program"
	if [ "$check" = yes ] && ! cmp -s "$destination/$program" "$program"; then
		echo "$0: examples/$program is not what its sources give with $("$compiler" --version | head -n 1)" >&2
		different=1
	fi
done
exit $different
