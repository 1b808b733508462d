// Package sheaves writes and reads sheaves: what is kept of a chunk of tasks once
// its records have left the coordinators' memory.
//
// A sheaf holds the result of each task and the evidence for it: who was given
// the task, how that attempt ended, and what was returned that differed. It has
// one canonical form, so its digest names it wherever it is kept, and anybody
// can compute the chunk's part of the result tree from it. Where some tasks of a
// chunk dragged on, they are in a second one, which is made later.
//
// The package is pure: no I/O, no clock, no randomness.
//
// # The form
//
// Integers are unsigned varints; the shortest form is the only one.
//
//	magic     "sheaf 1\n"
//	job       10 bytes
//	level     1 byte
//	first     number of the first task
//	hosts     how many, and 32 bytes for each, in the order of their first attempt
//	tasks     how many, and for each:
//	  verdict   1 byte: 0 accepted, 255 it is in the chunk's other sheaf, and nothing
//	            follows; otherwise why the task ended failed
//	  exit      \
//	  work       | of the accepted result; missing in a task that failed
//	  output    /  32 bytes
//	  attempts  how many, and for each, the latest first:
//	    id        as the host knew it
//	    host      place in the list of hosts
//	    end       1 byte
//	    exit      \
//	    work       | of a wrong result only: a valid one is the accepted one
//	    output    /
package sheaves
