// Package protocol is what clients, publishers and coordinators say to each
// other: signed requests, exchanges, replies, error codes, and the JSON that
// anyone may read. docs/protocol.md describes it for other implementations.
//
// A request that changes something is an Envelope: a payload, numbered within
// a session of its sender's key (R2) and signed by it. Messages are msgpack in
// a frame of package wire; a reader skips fields it does not know, so a newer
// peer can add some.
//
// The package holds no connection, reads no clock and starts no goroutine.
package protocol

// Version is the version of the protocol that this program speaks. Each number
// stays in the list below, with what a peer of that version understands.
//
//   - 1: 2026-11: enrol, exchange, projects, app versions, jobs; replicate.
const Version uint16 = 1

// Kinds of frames on the network. They are never reused.
const (
	FrameEnvelope uint16 = 1
	FrameReply    uint16 = 2
)

// Limits in bytes of what is read before it is decoded.
const (
	MaxEnvelope = 4 << 20   // a signed request, exchanges with outputs included
	MaxReply    = 8 << 20   // an answer
	MaxInline   = 64 << 10  // outputs of one result that may travel inside an exchange
	MaxReports  = 256       // results in one exchange
	MaxWanted   = 256       // attempts asked for in one exchange
	MaxHeld     = 4096      // attempts that a host may hold
	MaxSpec     = 192 << 10 // a job's specification
)
