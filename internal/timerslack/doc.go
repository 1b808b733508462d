// Package timerslack has the system wake this process less often.
//
// The Go runtime keeps a thread that sleeps for 20 µs and then looks whether a
// goroutine hangs in a system call, for as long as the process does anything. Linux
// may let a thread sleep longer by its timer slack: 50 µs, if nobody says otherwise.
// A coordinator waits for its disk, its peers and its clients some thousand times a
// second, so that three of them woke 12,000 times a second for nothing else: at half
// of what they can do, a seventh of all the CPU that a task took.
//
// A thread has the slack of the thread that made it, and the runtime makes its own
// before main begins. So a process that wants another one starts itself again.
package timerslack
