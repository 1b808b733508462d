package main

import (
	"fmt"
	"time"

	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

type jobCommand struct {
	Submit jobSubmitCommand `cmd:"" help:"Submit a job file."`
	List   jobListCommand   `cmd:"" help:"List the cluster's jobs, the newest first."`
	Show   jobShowCommand   `cmd:"" help:"Show how a job stands."`
	Watch  jobWatchCommand  `cmd:"" help:"Follow a job until it ends."`
	Fetch  jobFetchCommand  `cmd:"" help:"Fetch a job's results into a folder."`
	Cancel jobCancelCommand `cmd:"" help:"Cancel a job of yours."`
}

type jobListCommand struct {
	Limit       int `help:"How many." default:"20"`
	serverFlags `embed:""`
}

// Help is printed below the flags.
func (*jobListCommand) Help() string {
	return "Example:\n\n    sheaf job list --server http://127.0.0.1:7710\n\nFINAL counts the tasks that are released, of all. Of them, errors are those whose program ended with an error, and failed are those of which the attempts ran out."
}

// Run lists jobs.
func (c *jobListCommand) Run(a *app) error {
	if err := inRange("--limit", int64(c.Limit), 1, 1e6, "jobs"); err != nil {
		return err
	}
	s, err := c.reader(a)
	if err != nil {
		return err
	}
	defer s.remote.Close()
	var jobs []protocol.JobView
	if err := s.remote.GetJSON(a.ctx, protocol.PathJobs, &jobs, s.key); err != nil {
		return err
	}
	jobs = jobs[:min(len(jobs), c.Limit)]
	if a.json {
		a.print(jobs)
		return nil
	}
	if len(jobs) == 0 {
		a.say("No job has been submitted to this cluster yet. Submit one with: sheaf job submit FILE")
		return nil
	}
	var rows [][]string
	for _, j := range jobs {
		l := j.Levels[0]
		final := fmt.Sprintf("%d/%d", l.Released, l.Tasks)
		if bad := badTasks(j); bad != "" {
			final += ", " + bad
		}
		rows = append(rows, []string{j.Job.String(), j.State, final, j.Project, j.Name})
	}
	a.table([]string{"JOB", "STATE", "FINAL", "PROJECT", "NAME"}, rows)
	return nil
}

type jobShowCommand struct {
	Job         task.JobID `arg:"" help:"The job's id."`
	serverFlags `embed:""`
}

// Help is printed below the flags.
func (*jobShowCommand) Help() string {
	return "Example:\n\n    sheaf job show k3j2q7xw5mznh4ta --server http://127.0.0.1:7710\n\nWhile a job runs, only its publisher sees what was accepted so far; anyone sees what is final. Of tasks that ended with an error, each error is shown with the number of its tasks and what the first of them wrote. The exit code is 0 however the job stands."
}

// Run shows a job.
func (c *jobShowCommand) Run(a *app) error {
	s, err := c.reader(a)
	if err != nil {
		return err
	}
	defer s.remote.Close()
	j, err := s.job(a.ctx, c.Job)
	if err != nil {
		return err
	}
	kinds, err := s.taskErrors(a.ctx, j)
	if err != nil {
		return err
	}
	if a.json {
		a.print(struct {
			protocol.JobView
			TaskErrors []taskError `json:"task_errors,omitempty"`
		}{j, kinds})
		return nil
	}
	showJob(a, j)
	showTaskErrors(a, j, kinds)
	return nil
}

func showJob(a *app, j protocol.JobView) {
	a.say("Job %s  %s", j.Job, j.Name)
	a.say("  project      %s", j.Project)
	a.say("  state        %s", j.State)
	a.say("  check        each task %s", checkText(j.Replicate))
	for _, l := range j.Levels {
		name := levelName(l.Level)
		text := fmt.Sprintf("%d of %d final, %d begun", l.Released, l.Tasks, l.Begun)
		if l.Failed > 0 {
			text += fmt.Sprintf(", %d failed", l.Failed)
		}
		if l.Errors > 0 {
			text += fmt.Sprintf(", %d ended with an error of the program", l.Errors)
		}
		a.say("  %-12s %s", name, text)
	}
	showDecided(a, j)
	if p := j.Progress; p != nil {
		a.say("  attempts     %d handed out, %d returned, %d of them wrong", p.Attempts, p.Returned, p.Wrong)
		a.say("  credit       %d", p.Credit)
	}
	if !j.ResultRoot.IsZero() {
		a.say("  result root  %s", j.ResultRoot)
	}
	if !j.ReduceRoot.IsZero() {
		a.say("  reduce root  %s", j.ReduceRoot)
	}
	if j.Finished > 0 {
		a.say("  took         %s", durationText(time.Duration(j.Finished-j.Submitted)*time.Millisecond))
	}
	if j.WaitsFor != "" {
		a.say("  %s", j.WaitsFor)
	}
	if j.State == "running" {
		a.say("Begun: handed out at least once. Accepted: enough equal results came back; only the publisher sees it. Final: released for all to fetch, in groups of up to 4,096 tasks.")
	}
}

// showDecided says what is known of tasks that are not final yet, or never
// will be.
func showDecided(a *app, j protocol.JobView) {
	decided, tasks := unreleased(j)
	p := j.Progress
	switch {
	case p != nil && j.State == "running":
		text := fmt.Sprintf("%d of %d", p.Accepted, tasks)
		if p.Failed > 0 {
			text += fmt.Sprintf(", and %d failed", p.Failed)
		}
		if decided > 0 {
			text += fmt.Sprintf("; %d of them not final yet", decided)
		}
		a.say("  accepted     %s (only the publisher sees this, while the job runs)", text)
	case j.State == "cancelled" && decided > 0:
		a.say("  lost         %d of %d were decided and not final, so they cannot be fetched", decided, tasks)
	}
}

// levelName is what a level of a job is called.
func levelName(level uint8) string {
	if level == 0 {
		return "tasks"
	}
	return fmt.Sprintf("reduction %d", level)
}

type jobCancelCommand struct {
	Job         task.JobID `arg:"" help:"The job's id."`
	serverFlags `embed:""`
}

// Help is printed below the flags.
func (*jobCancelCommand) Help() string {
	return "Example:\n\n    sheaf job cancel k3j2q7xw5mznh4ta --server http://127.0.0.1:7710\n\nVolunteers stop computing it at their next contact. What is released stays, and can be fetched. Results are released in groups of up to 4,096 tasks, when every task of the group is decided: accepted results of a group that is not complete cannot be fetched after a cancel, and how many there are is said."
}

// Run cancels a job.
func (c *jobCancelCommand) Run(a *app) error {
	s, err := c.connect(a)
	if err != nil {
		return err
	}
	defer s.remote.Close()
	before, err := s.job(a.ctx, c.Job)
	if err != nil {
		return err
	}
	done, err := s.call(a.ctx, protocol.PurposeCancel, protocol.Cancel{Job: c.Job})
	if err != nil {
		return ifNotFound(err, seeJobs)
	}
	decided, lost := uint64(0), ""
	if !done.Existed {
		after, err := s.job(a.ctx, c.Job)
		if err != nil || after.Progress == nil {
			after = before // a little early, and better than nothing
		}
		decided, _ = unreleased(after)
		lost = lostText(after)
	}
	switch {
	case a.json:
		a.print(map[string]any{"job": c.Job, "had_ended": done.Existed, "not_released": decided})
	case done.Existed:
		a.say("Job %s had ended already.", c.Job)
	default:
		a.say("Cancelled job %s.", c.Job)
		if lost != "" {
			a.say("%s", lost)
		}
	}
	return nil
}
