//go:build race

package wasm_test

// racing is true under the race detector, where nothing here can be found and
// everything takes ten times as long.
const racing = true
