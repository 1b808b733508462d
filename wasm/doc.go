// Package wasm reads, checks and rewrites WebAssembly modules, so that a
// program counts its own work, stops at a limit, and does the same on every
// engine.
//
// It is pure: every function is a function of its arguments alone. It does no
// I/O, starts no goroutine, keeps no state, and never runs a module. It takes
// any bytes: it does not panic, and what it allocates is in proportion to
// their number, whatever they claim.
//
//   - Inspect says what a module is made of.
//   - Check decides whether volunteers can run it, and says what to change.
//   - Strip drops what only tools read.
//   - Rewrite builds a meter into it.
//
// Check and Rewrite validate a module completely, by the rules of WebAssembly
// 2.0 (bulk memory, references, several results, 128-bit vectors, sign
// extension, saturating conversions) with at most one memory. So a module that
// is not valid never reaches an engine, and no index that was out of range
// before can reach what Rewrite adds.
//
// # The meter
//
// A rewritten module exports two mutable globals of type i64, unsigned:
// CountExport and LimitExport. Both are zero at first. A host
//
//  1. instantiates the module, without letting the engine call StartExport,
//  2. sets LimitExport to a limit below 1<<63,
//  3. calls StartExport,
//  4. reads CountExport, however the call ended.
//
// If the count is greater than the limit, then the limit was reached, and this
// is how the program ended, whatever else the engine reports: as a rule it is
// the trap unreachable. If it is not greater, the program ended by itself.
//
// The meter has numbered versions, and a version that was released never
// changes: not what it counts, nor when it stops a program, nor the bytes that
// Rewrite returns. Whatever makes counts differ becomes a new version.
//
// # Version 1: what is counted
//
// Each instruction that is executed costs 1, but these are free: unreachable,
// nop, drop, block, loop, else, end and return. The instructions if, br, br_if
// and br_table cost 1 whether they branch or not. To this are added, for
//
//   - memory.fill, memory.copy and memory.init on n bytes: n/8, rounded down,
//   - table.fill, table.copy and table.init on n elements: n,
//   - memory.grow by n pages: 8192·n if it succeeds, and nothing if it fails,
//   - table.grow by n elements: n if it succeeds, and nothing if it fails.
//
// So 8 bytes that are moved or cleared at once cost as much as one
// instruction. What a host function does costs nothing; but a host function
// may add to CountExport, and the program goes on from there. What happens
// before StartExport is called, such as filling memory from data segments,
// costs nothing: Check bounds it.
//
// When a program ends by returning from StartExport, in a host function such
// as proc_exit, by the instruction unreachable, or by a trap of call_indirect,
// the count is exactly the sum of this over the instructions that were
// executed, the last one included.
//
// # Version 1: when it is counted
//
// A function is cut into segments that are executed from front to back. A
// segment begins
//
//   - with the function's first instruction,
//   - behind every loop, if, else, end, br, br_if, br_table, return,
//     unreachable, call and call_indirect,
//   - behind the eight instructions above that have a length,
//
// and ends where the next one begins; else and end stand between segments.
// Entering a segment counts the costs of all its instructions at once. The
// length of a fill, copy or init is counted when its operands are known and
// before it is executed; that of a grow after it succeeded. A segment is first
// if it begins its function or a loop.
//
// The limit is compared with the total count, as unsigned numbers, after
// entering a first segment, and after counting the length of a fill, copy or
// init. A count that is greater ends the program there by unreachable. So every
// loop and every recursion ends, at the same instruction on every engine; and a
// program goes past its limit by no more than what lies between two
// comparisons.
//
// A function keeps the count in a local. CountExport is brought up to date
// when a first segment is entered; when a segment is entered that ends with
// call, call_indirect, return, unreachable, the end of the function, or a
// branch that may leave the function; and when the length of a fill, copy or
// init is counted. When the program ends by another trap, such as a division
// by zero, CountExport tells the last of these, which is the same on every
// engine; it can be less than what was executed since, and more by the rest of
// a segment. How deep calls may nest is the engine's to say, so after a stack
// overflow counts differ.
package wasm
