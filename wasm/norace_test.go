//go:build !race

package wasm_test

const racing = false
