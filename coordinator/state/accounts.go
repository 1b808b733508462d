package state

import (
	"fmt"

	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// enrol makes a host known. Enrolling again under the same account renews its
// name and facts; a key that belongs to one account never moves to another.
func (s *State) enrol(c *Enrol) Answer {
	if id, ok := s.index.hosts[c.Request.Key]; ok {
		h := s.hosts.Edit(uint64(id))
		if owner := s.accounts.At(uint64(h.Account)); owner.Key != c.Account {
			return refusal(protocol.Refuse(protocol.CodeConflict, "this host is enrolled under another account (%s); use a new data folder for this one", owner.Key))
		}
		h.Name, h.Facts, h.Seen = c.HostName, c.Facts, s.cluster.Now
		return Answer{Existed: true}
	}
	if _, ok := s.index.accounts[c.Request.Key]; ok || c.Request.Key == c.Account {
		return refusal(protocol.Refuse(protocol.CodeConflict, "a host needs a key of its own, this one is an account's"))
	}
	account := s.account(c.Account, c.AccountName)
	id := task.HostID(s.hosts.Append(Host{
		Key: c.Request.Key, Account: account, Name: c.HostName,
		Created: s.cluster.Now, Seen: s.cluster.Now, Facts: c.Facts,
	}))
	s.index.hosts[c.Request.Key] = id
	s.index.open = append(s.index.open, nil)
	return Answer{}
}

// account is the account of a key, made when it is new.
func (s *State) account(key task.Key, name string) task.AccountID {
	if id, ok := s.index.accounts[key]; ok {
		return id
	}
	return s.newAccount(key, name)
}

func (s *State) newAccount(key task.Key, name string) task.AccountID {
	if name == "" {
		name = fmt.Sprintf("account-%x", key[:4])
	}
	id := task.AccountID(s.accounts.Append(Account{Key: key, Name: name, Created: s.cluster.Now}))
	s.index.accounts[key] = id
	return id
}
