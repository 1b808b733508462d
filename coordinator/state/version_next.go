//go:build sheafnext

package state

// What follows makes a program that is one version ahead, to test upgrades with:
// it knows a version and a command that no release has.

// Newest is the newest version of a cluster that this program knows.
const Newest uint16 = 2

const kindHail uint16 = 65_000

// Hail changes nothing, and an older program cannot read it.
type Hail struct {
	Version uint16 `msgpack:"v"`
}

func (*Hail) kind() uint16 { return kindHail }

func nextCommand(kind uint16) (Command, uint16) {
	if kind == kindHail {
		return &Hail{}, 2
	}
	return nil, 0
}

func (s *State) applyNext(c Command) (Result, bool) {
	_, ok := c.(*Hail)
	return Result{}, ok
}

// Greeting is what a leader proposes right after it has raised the cluster.
func Greeting(version uint16) Command { return &Hail{version} }
