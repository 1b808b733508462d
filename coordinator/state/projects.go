package state

import (
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// createProject makes a project of the sender's. Making it again changes
// nothing; a name that is somebody else's is refused.
func (s *State) createProject(c *CreateProject) Answer {
	if err := task.CheckHandle(c.Name); err != nil {
		return refusal(protocol.Refuse(protocol.CodeInvalid, "project: %v", err))
	}
	if id, ok := s.index.projects[c.Name]; ok {
		p := s.projects.At(uint64(id))
		if s.accounts.At(uint64(p.Owner)).Key != c.Request.Key {
			return refusal(protocol.Refuse(protocol.CodeConflict, "the project %q belongs to another account; choose another name", c.Name))
		}
		return Answer{Existed: true}
	}
	if !s.mayPublish(c.Request.Key) {
		return refusal(protocol.Refuse(protocol.CodeNotAllowed, "this cluster lists who may publish, and account %s is not on the list; ask its operator", c.Request.Key))
	}
	if _, host := s.index.hosts[c.Request.Key]; host {
		return refusal(protocol.Refuse(protocol.CodeConflict, "key %s is a host's; a project belongs to an account, which has a key of its own", c.Request.Key))
	}
	owner := s.account(c.Request.Key, c.AccountName)
	id := task.ProjectID(s.projects.Append(Project{
		Name: c.Name, Description: c.Description, Owner: owner, Created: s.cluster.Now,
	}))
	s.index.projects[c.Name] = id
	s.index.projectOpen = append(s.index.projectOpen, 0)
	return Answer{}
}

// publish adds a build of an app, and the app when it is new.
func (s *State) publish(c *Publish) Answer {
	project, err := s.ownProject(c.Request.Key, c.Project)
	if err != nil {
		return refusal(err)
	}
	if err := task.CheckHandle(c.App); err != nil {
		return refusal(protocol.Refuse(protocol.CodeInvalid, "app: %v", err))
	}
	appKey := appKey{project, c.App}
	app, ok := s.index.apps[appKey]
	versionKey := versionKey{project, c.Program, c.Meter}
	if id, known := s.index.versions[versionKey]; known {
		// A job names a program, not an app: it must be clear which one it is.
		if of := s.versions.At(uint64(id)).App; of != app {
			return refusal(protocol.Refuse(protocol.CodeConflict, "the program %s is published as app %q of project %q already; publish it under that name", c.Program.Short(), s.apps.At(uint64(of)).Name, c.Project))
		}
		return Answer{Existed: true}
	}
	if !ok {
		app = task.AppID(s.apps.Append(App{Project: project, Name: c.App}))
		s.index.apps[appKey] = app
	}
	s.index.versions[versionKey] = task.VersionID(s.versions.Append(Version{
		App: app, Program: c.Program, Meter: c.Meter, Signature: c.Signature, Published: s.cluster.Now,
	}))
	return Answer{}
}

// MaySubmit returns why a key may not submit to a project, or nil.
func (s *State) MaySubmit(key task.Key, project string) error {
	if _, refuse := s.ownProject(key, project); refuse != nil {
		return refuse
	}
	return nil
}

// ownProject is a project by name, if it is the key's.
func (s *State) ownProject(key task.Key, name string) (task.ProjectID, *protocol.Error) {
	id, ok := s.index.projects[name]
	if !ok {
		return 0, protocol.Refuse(protocol.CodeNotFound, "there is no project %q; create it first", name)
	}
	if s.accounts.At(uint64(s.projects.At(uint64(id)).Owner)).Key != key {
		return 0, protocol.Refuse(protocol.CodeNotAllowed, "the project %q belongs to another account", name)
	}
	if !s.mayPublish(key) {
		return 0, protocol.Refuse(protocol.CodeNotAllowed, "account %s may no longer publish in this cluster; ask its operator", key)
	}
	return id, nil
}
