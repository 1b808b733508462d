package main

import (
	"fmt"

	"github.com/sheafgrid/sheaf/protocol"
)

type operatorStorageCommand struct {
	serverFlags `embed:""`
}

// Help is printed below the flags.
func (*operatorStorageCommand) Help() string {
	return `Example:

    sheaf operator storage --server http://127.0.0.1:7711

It tells how the disk of the one coordinator that answers stands: name them one by one to see all.`
}

// Run prints how a node's disk stands.
func (c *operatorStorageCommand) Run(a *app) error {
	s, err := c.reader(a)
	if err != nil {
		return err
	}
	defer s.remote.Close()
	var v protocol.StorageView
	if err := s.remote.GetJSON(a.ctx, protocol.PathStorage, &v, nil); err != nil {
		return err
	}
	if a.json {
		a.print(v)
		return nil
	}
	a.say("Coordinator %s: %s free on its disk; below %s, uploads are refused.", v.Node, bytesText(v.Free), bytesText(v.Reserve))
	if v.Bucket != "" {
		a.say("Blobs are in the bucket %s; what follows is on this disk.", v.Bucket)
	}
	a.say("Programs, inputs, sheaves: %s in %s%s", bytesText(v.Public.Bytes), plural(uint64(v.Public.Blobs), "blob"), quotaText(v.Public.Quota))
	a.say("Outputs:                   %s in %s%s", bytesText(v.Outputs.Bytes), plural(uint64(v.Outputs.Blobs), "blob"), quotaText(v.Outputs.Quota))
	k := v.Scrub
	a.say("Read in search of damage:  %s in %s, at %s a second; %d damaged, %d of them repaired", bytesText(k.Bytes), plural(uint64(k.Blobs), "blob"), bytesText(k.Pace), k.Damaged, k.Repaired)
	for _, lost := range k.Lost {
		a.say("    not repaired: %s", lost)
	}
	a.say("Deleted as unused:         %s in %s", bytesText(v.Collect.Bytes), plural(uint64(v.Collect.Blobs), "blob"))
	if v.Bucket != "" {
		a.say("    from the bucket, while this coordinator led; %s in %s put aside, and %s of uploads removed", bytesText(v.Collect.AsideBytes), plural(uint64(v.Collect.Aside), "blob"), plural(uint64(v.Collect.Unfinished), "beginning"))
	}
	if v.Collect.Failed != "" {
		a.say("    nothing was deleted last time: %s", v.Collect.Failed)
	}
	return nil
}

func quotaText(quota int64) string {
	if quota == 0 {
		return ""
	}
	return fmt.Sprintf(", of a quota of %s", bytesText(quota))
}
