// Package plan decides what a volunteer's machine does next: which accepted
// task to fetch, start, stop or give back, when to call a coordinator and what
// to ask for, and when to think again.
//
// It promises:
//   - V2: nothing of a project that the rules do not allow is fetched or begun,
//     and what was begun before the rules changed is stopped. What is not known
//     counts as no: of an unnamed project, of a machine whose number of
//     processors nobody could tell.
//   - No more tasks at once than the rules and the machine allow.
//   - Tasks begin in the order of their deadlines; none begins after its own.
//   - What is asked for begins small and at most doubles what is held; it
//     follows from how long tasks took here, and leaves deadlines room.
//   - A report waits for others for a second at most, and not at all where the
//     cores may soon have nothing to do.
//   - No call before the time that a coordinator asked for, none later than the
//     one it asked for.
//   - Every attempt, and the machine as a whole, has a reason in a sentence.
//   - When the actions are done and nothing else happened, the same question
//     has no further actions until Decision.Wake, which lies ahead.
//
// It is pure: it does no I/O, starts no goroutine, reads no clock and draws no
// random number. Rules and Machine grow with what owners want to say and what
// machines can sense; a new field's zero value means what its absence meant,
// and a sensor that says nothing is not good news.
package plan
