package main

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

func TestKnownClusters(t *testing.T) {
	pin := task.Sum([]byte("key")).String()
	members := []protocol.Member{{Node: "n1", URL: "https://one.example:7710/#sha256=" + pin}, {Node: "n2", URL: "https://two.example:7710/#sha256=" + pin}}
	var k knownClusters
	if !k.learn(task.ClusterID{1}, []string{"https://one.example:7710/#sha256=" + pin}, members) {
		t.Error("a new cluster is nothing new")
	}
	if k.learn(task.ClusterID{1}, []string{"https://one.example:7710"}, members) {
		t.Error("the same again is something new")
	}
	for url, want := range map[string]bool{
		"https://one.example:7710": true, "https://two.example:7710/": true, "https://ONE.example:7710#sha256=" + task.Sum(nil).String(): true,
		"https://one.example": false, "http://one.example:7710": false,
	} {
		if c, ok := k.find([]string{"https://elsewhere.example", url}); ok != want || ok && !reflect.DeepEqual(c.Members, members) {
			t.Errorf("%s belongs to %v, %t; want %t", url, c.Members, ok, want)
		}
	}
	for i := range 100 {
		k.learn(task.ClusterID{2, byte(i)}, []string{fmt.Sprintf("https://c%d.example", i)}, members[:1])
	}
	if _, ok := k.find([]string{"https://two.example:7710"}); ok || len(k.Clusters) != maxKnownClusters {
		t.Errorf("%d clusters are kept, the oldest still: %t; want %d without it", len(k.Clusters), ok, maxKnownClusters)
	}
}

// A file that somebody damaged is as good as none.
func TestKnownClustersThatAreDamaged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "clusters.json")
	for _, text := range []string{"", "{", `{"clusters":[{"cluster":"x"}]}`, `[1]`} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if k := readKnown(path); len(k.Clusters) != 0 {
			t.Errorf("%q: got %+v, want nothing", text, k)
		}
	}
}
