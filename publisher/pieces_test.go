package publisher_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/sheafgrid/sheaf/publisher"
	"github.com/sheafgrid/sheaf/task"
)

// A large input comes with the list of its pieces, a small one without.
func TestPlanListsPieces(t *testing.T) {
	large := strings.Repeat("a line of the large file\n", task.PiecesFrom/25+1)
	p := mustPlan(t, jobFolder(t, map[string]string{
		"job.yaml": "project: p\nprogram: p.wasm\nsplit: {range: {from: 0, to: 2, step: 1}}\ninputs: [small, large]\n",
		"p.wasm":   string(program), "small": large[:task.PiecesFrom-1], "large": large,
	}))
	blobs := checkBlobs(t, p)
	small, in := p.Spec.Inputs[0], p.Spec.Inputs[1]
	if !small.Pieces.IsZero() || in.Pieces.IsZero() || in.Size != int64(len(large)) {
		t.Fatalf("inputs %+v", p.Spec.Inputs)
	}
	list := task.PieceList(blobs[in.Pieces])
	if err := publisher.CheckPieces(t.Context(), list, strings.NewReader(large), in.Size); err != nil {
		t.Error(err)
	}
	k, err := p.Spec.Task(task.JobID{1}, 0, 1, nil)
	if err != nil || k.Inputs[1].Pieces != in.Pieces || !k.Inputs[0].Pieces.IsZero() {
		t.Errorf("the task reads %+v, %v", k.Inputs, err)
	}
	wrong := bytes.Clone(list)
	wrong[40]++
	for name, err := range map[string]error{
		"a wrong digest":   publisher.CheckPieces(t.Context(), wrong, strings.NewReader(large), in.Size),
		"a short list":     publisher.CheckPieces(t.Context(), list[32:], strings.NewReader(large), in.Size),
		"a file too short": publisher.CheckPieces(t.Context(), list, strings.NewReader(large[1:]), in.Size),
		"a file too long":  publisher.CheckPieces(t.Context(), list, strings.NewReader(large+"x"), in.Size),
	} {
		if !errors.Is(err, task.ErrBadPieces) {
			t.Errorf("%s: %v, want ErrBadPieces", name, err)
		}
	}
}
