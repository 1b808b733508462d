package main

import (
	"errors"

	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

type operatorCommand struct {
	Members    operatorMembersCommand    `cmd:"" help:"See how each coordinator stands."`
	Health     operatorHealthCommand     `cmd:"" help:"Say whether all is well with the coordinators, by the exit code too."`
	Add        operatorAddCommand        `cmd:"" help:"Wait until a coordinator that joins has its vote, or keep one that was to go."`
	Remove     operatorRemoveCommand     `cmd:"" help:"Take a coordinator out for good, once its blobs are elsewhere."`
	Transfer   operatorTransferCommand   `cmd:"" help:"Let another coordinator lead."`
	Publishers operatorPublishersCommand `cmd:"" help:"Say who may publish."`
	Backup     operatorBackupCommand     `cmd:"" help:"Back a running cluster up into a file."`
	Fsck       operatorFsckCommand       `cmd:"" help:"Check a stopped node's data folder, or a backup, byte by byte."`
	Restore    operatorRestoreCommand    `cmd:"" help:"Make the first node of a new cluster from a backup."`
	Token      operatorTokenCommand      `cmd:"" help:"Get what one more coordinator is started with: a token that lets it join."`
	Storage    operatorStorageCommand    `cmd:"" help:"Show how the disk of a coordinator stands."`
}

type operatorPublishersCommand struct {
	Anyone      bool       `help:"Anyone may publish."`
	Only        []task.Key `help:"Only these accounts may publish." placeholder:"KEY"`
	serverFlags `embed:""`
}

// Help is printed below the flags.
func (*operatorPublishersCommand) Help() string {
	return `Example:

    sheaf operator publishers --only 9mj9D9YJg3g6knCXDNQoJV1i9c9XzOV99fSfq3T7Mps --account n1/operator.key --server http://127.0.0.1:7711
    sheaf operator publishers --anyone --account n1/operator.key --server http://127.0.0.1:7711

The operator's key is in the data folder of the node that made the cluster. A KEY is what the line "public" of somebody's account.key says, which they may tell everybody.`
}

// Run changes the setting.
func (c *operatorPublishersCommand) Run(a *app) error {
	if c.Anyone == (len(c.Only) > 0) {
		return failure{errors.New("give either --anyone or --only KEY"), exitUsage}
	}
	s, err := c.connect(a)
	if err != nil {
		return err
	}
	defer s.remote.Close()
	if _, err := s.call(a.ctx, protocol.PurposeSetPublishers, protocol.SetPublishers{Anyone: c.Anyone, Listed: c.Only}); err != nil {
		return err
	}
	if a.json {
		a.print(map[string]any{"anyone": c.Anyone, "only": c.Only})
	} else if c.Anyone {
		a.say("Anyone may publish now.")
	} else {
		a.say("%s may publish now, and nobody else. Jobs that run go on.", plural(uint64(len(c.Only)), "account"))
	}
	return nil
}
