package grove_test

import (
	"encoding/json"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/grove-go/grove"

// An arrow is what a package may import, tests apart. All may import the standard library but net/http,
// golang.org/x/sync, and what stands below internal.
type arrow struct {
	why   string
	grove []string // packages of this repository
	other []string // beginnings of import paths outside of it
	http  bool     // net/http
	alone bool     // nothing of this repository, not even internal
	any   bool     // whatever it likes: no binary but its own grows
}

// arrows has every package of the repository. A name that ends in /... stands for the package and those below it that
// no longer name stands for. A package that is missing has no arrows yet: decide what it may import and write it down.
var arrows = map[string]arrow{
	".": {why: "is documentation", alone: true},

	"taskgroup":        {why: "is what the others stand on"},
	"taskgroup/flight": {why: "has one goroutine for a load, and needs no group"},

	"deadline":              {why: "is what the others stand on"},
	"deadline/httpdeadline": {why: "carries budgets over HTTP", grove: []string{"deadline"}, http: true},

	"executor":             {why: "runs tasks within budgets", grove: []string{"taskgroup", "deadline"}},
	"executor/job":         {why: "types a pool's calls", grove: []string{"taskgroup", "deadline", "executor"}},
	"executor/job/jobtest": {why: "is the suite that backends pass", grove: []string{"executor", "executor/job"}},
	"executor/procpool": {
		why:   "is a backend of job, and systems differ in signals and process groups",
		grove: []string{"taskgroup", "deadline", "executor", "executor/job"},
		other: []string{"golang.org/x/sys"},
	},
	"executor/natsjob/...": {
		why:   "is a backend of job, in a module of its own for the sake of NATS",
		grove: []string{"taskgroup", "deadline", "executor", "executor/job", "executor/natsjob"},
		other: []string{"github.com/nats-io"},
	},

	"shutdown": {
		why:   "runs phases as groups with budgets, and drains HTTP servers",
		grove: []string{"taskgroup", "deadline"}, http: true,
	},

	"looplag":      {why: "must not depend on what it measures"},
	"looplag/shed": {why: "is middleware that knows of a probe only how late it is", http: true},

	"observe": {
		why:   "watches all five, and is the only one that knows OpenTelemetry",
		grove: []string{"taskgroup", "deadline", "executor", "shutdown", "looplag", "looplag/shed"},
		other: []string{"go.opentelemetry.io/otel"}, http: true,
	},

	"internal/...":                           {why: "stands below everything"},
	"internal/load":                          {why: "is the clients of the examples' and the benchmarks' servers", http: true},
	"deadline/httpdeadline/internal/interop": {why: "meets the clients of RPC systems, in a module of its own", any: true},
	"shutdown/internal/interop":              {why: "meets the servers of gRPC, in a module of its own", any: true},

	"observe/internal/interop": {why: "meets OpenTelemetry's SDK, otelhttp and a browser, in a module of its own", any: true},

	"internal/bench/...": {why: "compares, in a module of its own", any: true},
	"examples/...":       {why: "is programs, in a module of its own", any: true},
	"vet/...":            {why: "knows Grove by name only, in a module of its own", other: []string{"golang.org/x/tools"}, alone: true},
}

// requirements are the only modules that the root may require directly, and what for.
var requirements = map[string]string{
	"github.com/stretchr/testify":     "tests",
	"go.opentelemetry.io/otel":        "observe",
	"go.opentelemetry.io/otel/metric": "observe",
	"go.opentelemetry.io/otel/trace":  "observe",
	"go.uber.org/goleak":              "tests",
	"golang.org/x/sync":               "semaphores",
	"golang.org/x/sys":                "executor/procpool",
}

// testOnly is what must not reach a user's binary, neither directly nor through others.
var testOnly = []string{
	"github.com/stretchr/testify",
	"go.opentelemetry.io/otel/exporters",
	"go.opentelemetry.io/otel/sdk",
	"go.uber.org/goleak",
}

// isOrBelow reports whether an import path is dir or stands below it.
func isOrBelow(dir, importPath string) bool {
	return importPath == dir || strings.HasPrefix(importPath, dir+"/")
}

// arrowOf finds the arrow of a package, which is given by its folder.
func arrowOf(pkg string) (arrow, bool) {
	if a, ok := arrows[pkg]; ok {
		return a, true
	}
	for dir := pkg; dir != "."; dir = path.Dir(dir) {
		if a, ok := arrows[dir+"/..."]; ok {
			return a, true
		}
	}
	return arrow{}, false
}

// allows reports whether a package with this arrow may import importPath.
func (a arrow) allows(importPath string) bool {
	below := func(dir string) bool { return isOrBelow(dir, importPath) }
	switch root, _, _ := strings.Cut(importPath, "/"); {
	case a.any:
		return true
	case below(module + "/internal/bench"):
		return false
	case below(module + "/internal"):
		return !a.alone
	case below(module):
		return slices.Contains(a.grove, strings.TrimPrefix(importPath, module+"/"))
	case slices.ContainsFunc(testOnly, below):
		return false
	case below("net/http"):
		return a.http
	case !strings.Contains(root, "."), below("golang.org/x/sync"):
		return true
	default:
		return slices.ContainsFunc(a.other, below)
	}
}

// check returns what is wrong with the imports of a package, which is given by its folder.
func check(pkg string, imports []string) []string {
	a, ok := arrowOf(pkg)
	if !ok {
		return []string{pkg + " has no arrow: add it to the table"}
	}
	var wrong []string
	for _, importPath := range imports {
		if !a.allows(importPath) {
			wrong = append(wrong, fmt.Sprintf("%s imports %s, but it %s", pkg, importPath, a.why))
		}
	}
	return wrong
}

// goFiles lists the Go files below the root, by folder, that the go command does not ignore on every system.
func goFiles(t *testing.T) map[string][]string {
	t.Helper()
	files := make(map[string][]string)
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		ignored := name != "." && strings.IndexAny(d.Name(), "._") == 0
		switch {
		case err != nil:
			return err
		case d.IsDir() && (ignored || d.Name() == "testdata"):
			return fs.SkipDir
		case !d.IsDir() && !ignored && strings.HasSuffix(name, ".go"):
			dir := filepath.ToSlash(filepath.Dir(name))
			files[dir] = append(files[dir], name)
		}
		return nil
	})
	require.NoError(t, err)
	require.Contains(t, files, "internal/fault", "not at the root of the repository")
	return files
}

// goCommand returns what the go command prints.
func goCommand(t *testing.T, args ...string) string {
	t.Helper()
	var complaint strings.Builder
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	require.NoError(t, err, complaint.String())
	return string(out)
}

func TestPackagesImportOnlyWhatTheirArrowsAllow(t *testing.T) {
	for pkg, files := range goFiles(t) {
		imports := make(map[string]bool)
		products := 0
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			products++
			file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
			require.NoError(t, err)
			for _, spec := range file.Imports {
				importPath, err := strconv.Unquote(spec.Path.Value)
				require.NoError(t, err)
				imports[importPath] = true
			}
		}
		if products > 0 {
			require.Empty(t, check(pkg, slices.Sorted(maps.Keys(imports))))
		}
	}
}

func TestArrowsForbidTheRest(t *testing.T) {
	for _, c := range []struct {
		pkg, importPath string
		ok              bool
	}{
		{"taskgroup", "context", true},
		{"taskgroup", "golang.org/x/sync/semaphore", true},
		{"taskgroup", module + "/internal/fault", true},
		{"taskgroup", module + "/internal/bench", false},
		{"taskgroup", module + "/deadline", false},
		{"taskgroup", module, false},
		{"taskgroup", "net/http", false},
		{"taskgroup", "net/http/httptrace", false},
		{"taskgroup", "golang.org/x/syncx", false},
		{"deadline", module + "/taskgroup", false},
		{"looplag", module + "/looplag/shed", false},
		{"executor", module + "/taskgroup", true},
		{"executor", module + "/taskgroup/flight", false},
		{"executor", module + "/shutdown", false},
		{"executor/procpool", "golang.org/x/sys/unix", true},
		{"shutdown", "net/http", true},
		{"shutdown", "go.opentelemetry.io/otel", false},
		{"observe", "go.opentelemetry.io/otel/metric", true},
		{"observe", "go.opentelemetry.io/otel/sdk/metric", false},
		{"observe", "github.com/stretchr/testify/require", false},
		{"internal/fault", module + "/taskgroup", false},
		{"internal/fault", "net/http", false},
		{"internal/bench/cmd/table", "github.com/sourcegraph/conc/pool", true},
		{"vet/lostgroup", "golang.org/x/tools/go/analysis", true},
		{"vet/lostgroup", module + "/internal/fault", false},
		{"util", "context", false},
		{"taskgroup/util", "context", false},
	} {
		wrong := check(c.pkg, []string{c.importPath})
		require.Equal(t, c.ok, len(wrong) == 0, "%s imports %s: %v", c.pkg, c.importPath, wrong)
	}
}

func TestTestLibrariesReachNoProduct(t *testing.T) {
	packages := strings.Fields(goCommand(t, "list", "-deps", "./..."))
	require.Contains(t, packages, module+"/internal/fault")
	for _, dir := range testOnly {
		for _, p := range packages {
			require.False(t, isOrBelow(dir, p), "a package of the root module imports %s", p)
		}
	}
}

func TestRootRequiresOnlyWhatItsPackagesNeed(t *testing.T) {
	var mod struct {
		Module  struct{ Path string }
		Require []struct {
			Path     string
			Indirect bool
		}
		Replace []any
		Tool    []any
	}
	require.NoError(t, json.Unmarshal([]byte(goCommand(t, "mod", "edit", "-json", "go.mod")), &mod))
	require.Equal(t, module, mod.Module.Path)
	require.Empty(t, mod.Replace, "a replace does not hold for users")
	require.Empty(t, mod.Tool, "tools belong in .ci/tools.mod: here they would become everybody's requirements")
	for _, r := range mod.Require {
		if !r.Indirect {
			require.Contains(t, requirements, r.Path)
		}
	}
}
