// Package peers is how the coordinators of a cluster meet: one port for all
// that they say to each other, encrypted, where both sides prove by
// certificate who they are.
//
// It promises:
//   - A certificate names a node, not an address. Whoever calls means a node by
//     its name, and gets that node or an error: an empty node at the address of
//     a dead one is never taken for it.
//   - Certificates come from the cluster's own authority. A node of another
//     cluster is turned away with an error that says so, on its side and here.
//   - A valid certificate alone makes nobody a member: Config.Vouch is asked,
//     again and again while a connection lasts, so that a node that was removed
//     is shut out though its certificate has not ended.
//   - Certificates live for 30 days and are made anew 10 days before, by the
//     node itself, without a restart and without closing a connection.
//
// The port carries raft's stream and HTTP side by side, told apart by what the
// caller asks for in the handshake (ALPN). A caller without a certificate may
// speak HTTP only, and it is for the handler to see to it (CallerOf) that such
// a caller can do no more than ask to join.
//
// Goroutines: Port.Run accepts, and starts one for each handshake, which ends
// within 5 s. It keeps nothing on disk.
package peers
