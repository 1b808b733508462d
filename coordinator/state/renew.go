package state

import (
	"errors"
	"fmt"

	"github.com/sheafgrid/sheaf/task"
)

// Renewal is what becomes different when a backup of a cluster is put back.
type Renewal struct {
	Cluster task.ClusterID // zero: it stays the same cluster
	Secret  []byte         // of 32 bytes: the old coordinators must not take part
	Now     task.Millis    // cluster time, if it is later than the backup's (R5)
}

// serialLeap is how far the serial numbers of attempts leap at a renewal. Between
// the backup and the end of the old cluster attempts were given away that the
// backup does not know. Their hosts still hold them, and must not be taken for
// the holders of attempts that are given away now.
const serialLeap = 1 << 31

// Renew turns a state read from a backup into the first one of the cluster that
// goes on from it. It is the one change that no entry of the log makes: a log
// begins behind it.
//
// The members are all gone; whoever joins is a new one. Accounts, hosts, jobs,
// attempts and sessions stay: hosts go on with the attempts that the backup
// knows, under their numbers, and are told that the others are gone.
func (s *State) Renew(r Renewal) error {
	if len(r.Secret) != 32 {
		return fmt.Errorf("a cluster's secret has 32 bytes, not %d", len(r.Secret))
	}
	if s.cluster.ID.IsZero() {
		return errors.New("the state is not that of a cluster: it was never initialised")
	}
	if !r.Cluster.IsZero() {
		s.cluster.ID = r.Cluster
	}
	s.cluster.Secret = r.Secret
	s.cluster.Now = max(s.cluster.Now, r.Now)
	s.cluster.Serials += serialLeap
	for i := uint64(1); i < s.members.Len(); i++ {
		s.members.Edit(i).Removed = true
	}
	return nil
}
