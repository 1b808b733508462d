package main

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/sheafgrid/sheaf/coordinator"
	"github.com/sheafgrid/sheaf/protocol"
)

type operatorTokenCommand struct {
	Data        string        `help:"Make it on a member's machine, with its data folder; the member may be running. Otherwise the cluster is asked, as its operator." type:"path" placeholder:"DIR"`
	Valid       time.Duration `help:"How long the token is good." default:"24h" placeholder:"TIME"`
	serverFlags `embed:""`
}

// Help is printed below the flags.
func (*operatorTokenCommand) Help() string {
	return `Examples:

    sheaf operator token --data n1
    sheaf operator token --account n1/operator.key --server http://127.0.0.1:7711

The token lets one more coordinator join, once, and shows the cluster to it: give it to nobody else. It is not needed while the whole cluster is on one machine's loopback.`
}

// Run makes a token and says how to use it.
func (c *operatorTokenCommand) Run(a *app) error {
	if c.Valid < protocol.MinTokenLife || c.Valid > protocol.MaxTokenLife {
		return failure{fmt.Errorf("--valid %s: want %s to %s", c.Valid, protocol.MinTokenLife, protocol.MaxTokenLife), exitUsage}
	}
	t, err := c.make(a)
	if err != nil {
		return err
	}
	if a.json {
		a.print(t)
		return nil
	}
	a.say("One more coordinator can join until %s, on its machine, with:", t.Until.Local().Format("2006-01-02 15:04 MST"))
	a.say("")
	a.say("    SHEAF_JOIN_TOKEN=%s sheaf coordinator --data DIR --name NAME --listen HOST:PORT --join %s", t.Token, shellWord(t.Join))
	a.say("")
	a.say("If it takes the place of a coordinator that is lost for good, add --replace and the name of that one.")
	a.say("To wait until it has its vote: sheaf operator add NAME")
	return nil
}

// make makes the token here, or asks for one.
func (c *operatorTokenCommand) make(a *app) (t protocol.JoinTokenView, err error) {
	if c.Data != "" {
		t, err = coordinator.Invite(c.Data, time.Now(), c.Valid)
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("%s is no data folder of a coordinator; name that of a member with --data", c.Data)
		}
		return t, err
	}
	s, err := c.operator(a)
	if err != nil {
		return t, err
	}
	defer s.remote.Close()
	err = s.remote.GetJSON(a.ctx, fmt.Sprintf("%s%d", protocol.PathJoinToken, int64(c.Valid/time.Second)), &t, s.key)
	return t, err
}
