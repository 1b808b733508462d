// Package sandbox runs one WebAssembly program once, in a child process of its
// own, and returns how it ended, what it left and how much work it did.
//
// It promises:
//   - The outcome is a function of the program, the meter's version, the
//     arguments, the inputs, the limits and the seed (contract "w1"). Whatever
//     depends on this machine (a limit on time, a lack of memory, a crash) is
//     an error instead, and the errors are typed.
//   - The program reaches nothing but its inputs and its outputs (V1): package
//     wasi serves it from memory. Its module is parsed, rewritten and compiled
//     in the child process only, which is limited by the operating system too
//     and may be killed at any moment. What comes back from the child is
//     checked as if a stranger had sent it.
//   - Once Run has returned, the child process is gone.
//
// Run owns the goroutines that it starts: one that waits for the child, one
// that sends it the request, one that gives it the pieces of inputs that the
// program reads, and one that keeps the end of its standard error. The child
// runs ChildMain in the same binary; there a heartbeat and a watcher of the
// parent, which takes pieces too, run beside the program.
//
// It never gives a program a file, a socket, a clock or an environment of the
// host, never uses an engine's own interruption (it slows hot loops eightfold;
// killing the process is free), and is the only package, with those under it,
// that imports a WebAssembly engine.
package sandbox
