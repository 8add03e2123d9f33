package errgroupshim_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	upstream = "golang.org/x/sync/errgroup"
	shim     = "github.com/grove-go/grove/internal/bench/errgroupshim"
)

// TestErrgroupsOwnTestsPass runs the tests of the errgroup that this module requires as tests of this package: an overlay
// puts them in the place of its own, with the import replaced. Nothing is written outside of a temporary folder.
func TestErrgroupsOwnTestsPass(t *testing.T) {
	module := strings.TrimSpace(goCommand(t, "list", "-m", "-f", "{{.Dir}}", "golang.org/x/sync"))
	require.NotEmpty(t, module, "golang.org/x/sync is not in the module cache")
	theirs := testFiles(t, filepath.Join(module, "errgroup"))
	here, err := filepath.Abs(".")
	require.NoError(t, err)

	var overlay struct{ Replace map[string]string }
	overlay.Replace = make(map[string]string)
	for _, name := range testFiles(t, here) {
		overlay.Replace[name] = "" // is not there
	}
	rewrite := strings.NewReplacer(
		"package errgroup_test\n", "package errgroupshim_test\n",
		`"`+upstream+`"`, `errgroup "`+shim+`"`,
	)
	tests := regexp.MustCompile(`(?m)^func (Test\w+)\(t \*testing\.T\)`)
	var names []string
	for _, path := range theirs {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		for _, match := range tests.FindAllSubmatch(text, -1) {
			names = append(names, string(match[1]))
		}
		copied := filepath.Join(t.TempDir(), filepath.Base(path))
		require.NoError(t, os.WriteFile(copied, []byte(rewrite.Replace(string(text))), 0o600))
		overlay.Replace[filepath.Join(here, "theirs_"+filepath.Base(path))] = copied
	}
	require.NotEmpty(t, names)
	list, err := json.Marshal(overlay)
	require.NoError(t, err)
	config := filepath.Join(t.TempDir(), "overlay.json")
	require.NoError(t, os.WriteFile(config, list, 0o600))

	out := goCommand(t, "test", "-race", "-count=1", "-timeout=60s", "-v", "-bench=.", "-benchtime=100x", "-overlay="+config, ".")
	for _, name := range names {
		require.Contains(t, out, "--- PASS: "+name+" ")
	}
	require.Contains(t, out, "BenchmarkGo")
}

// testFiles lists the test files of a folder by their full names.
func testFiles(t *testing.T, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	require.NoError(t, err)
	require.NotEmpty(t, names)
	return names
}

// goCommand returns what the go command prints.
func goCommand(t *testing.T, args ...string) string {
	t.Helper()
	var complaint strings.Builder
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	require.NoError(t, err, "%s%s", out, complaint.String())
	return string(out)
}
