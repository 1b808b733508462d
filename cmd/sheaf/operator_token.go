package main

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/sheafgrid/sheaf/coordinator"
)

type operatorTokenCommand struct {
	Data  string        `help:"Data folder of any member; it may be running." required:"" type:"path" placeholder:"DIR"`
	Valid time.Duration `help:"How long the token is good." default:"24h" placeholder:"TIME"`
}

// maxTokenLife is the longest that a token may be good: who finds an old one
// must not get in with it.
const maxTokenLife = 30 * 24 * time.Hour

// Help is printed below the flags.
func (*operatorTokenCommand) Help() string {
	return `Example:

    sheaf operator token --data n1

The token lets one more coordinator join, once, and shows the cluster to it: give it to nobody else. It is not needed while the whole cluster is on one machine's loopback.`
}

// Run makes a token and says how to use it.
func (c *operatorTokenCommand) Run(a *app) error {
	if c.Valid < time.Minute || c.Valid > maxTokenLife {
		return failure{fmt.Errorf("--valid %s: want 1m to %s", c.Valid, maxTokenLife), exitUsage}
	}
	until := time.Now().Add(c.Valid)
	i, err := coordinator.Invite(c.Data, time.Now(), c.Valid)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is no data folder of a coordinator; name that of a member with --data", c.Data)
	}
	if err != nil {
		return err
	}
	if a.json {
		a.print(map[string]any{"token": i.Token, "join": i.URL, "cluster": i.Cluster, "good_until": until.UTC().Format(time.RFC3339)})
		return nil
	}
	a.say("One more coordinator can join until %s, on its machine, with:", until.Format("2006-01-02 15:04 MST"))
	a.say("")
	a.say("    sheaf coordinator --data DIR --listen HOST:PORT --join '%s' --token %s", i.URL, i.Token)
	return nil
}
