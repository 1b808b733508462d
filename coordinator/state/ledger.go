package state

import "github.com/sheafgrid/sheaf/task"

// The ledger is double-entry: whatever a host gains, the project that asked
// for the work owes. Every change to a balance is one of the two functions
// here, so that all balances together are zero at every index (C1).

// grant credits an attempt at its verdict, pending until its release.
func (s *State) grant(a *Attempt, job task.JobNumber) {
	credit := a.Credit()
	s.hosts.Edit(uint64(a.Host)).Pending += credit
	j := s.jobs.Edit(uint64(job))
	j.Credit += credit
	s.projects.Edit(uint64(j.Project)).Pending -= credit
}

// earn makes the credit of an attempt final.
func (s *State) earn(a *Attempt, job task.JobNumber) {
	h := s.hosts.Edit(uint64(a.Host))
	credit := a.Credit()
	h.Pending -= credit
	h.Earned += credit
	p := s.projects.Edit(uint64(s.jobs.At(uint64(job)).Project))
	p.Pending += credit
	p.Spent -= credit
}
