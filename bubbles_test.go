package grove_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// wallClockSleeps returns where the test files of a package sleep outside of testing/synctest's bubbles: such a test is
// slow, and fails on a busy machine. Inside is what stands in a call of synctest.Test, or of a helper that calls it,
// directly or through others, and in the functions that a test with a bubble makes. Where other helpers are called is
// not followed: they may sleep if the package has bubbles.
func wallClockSleeps(fset *token.FileSet, files []*ast.File) []string {
	makers := map[string]bool{"synctest.Test": true}
	var entries, helpers []*ast.FuncDecl
	for _, file := range files {
		for _, decl := range file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			switch {
			case !ok:
			case isEntry(f.Name.Name):
				entries = append(entries, f)
			default:
				helpers = append(helpers, f)
			}
		}
	}
	for known := 0; known < len(makers); { // a helper may call one that is found later
		known = len(makers)
		for _, f := range append(helpers, entries...) {
			ast.Inspect(f, func(n ast.Node) bool {
				if makers[callee(n)] {
					makers[f.Name.Name] = true
				}
				return true
			})
		}
	}
	suspects := entries
	if len(makers) == 1 {
		suspects = append(suspects, helpers...)
	}
	var sleeps []string
	for _, f := range suspects {
		ast.Inspect(f, func(n ast.Node) bool {
			if callee(n) == "time.Sleep" {
				sleeps = append(sleeps, fset.Position(n.Pos()).String())
			}
			_, literal := n.(*ast.FuncLit)
			inTable := literal && makers[f.Name.Name] // a table's functions run in the bubble
			return !inTable && !makers[callee(n)]
		})
	}
	return sleeps
}

// callee is what n calls, as f or pkg.f, and nothing if it is no such call.
func callee(n ast.Node) string {
	call, ok := n.(*ast.CallExpr)
	if !ok {
		return ""
	}
	switch f := call.Fun.(type) {
	case *ast.Ident:
		return f.Name
	case *ast.SelectorExpr:
		if pkg, ok := f.X.(*ast.Ident); ok {
			return pkg.Name + "." + f.Sel.Name
		}
	}
	return ""
}

// isEntry reports whether the testing package calls the function of that name.
func isEntry(name string) bool {
	for _, prefix := range []string{"Test", "Benchmark", "Fuzz", "Example"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

func TestTestsSleepOnTheFakeClock(t *testing.T) {
	for _, names := range goFiles(t) {
		fset := token.NewFileSet()
		var files []*ast.File
		for _, name := range names {
			if strings.HasSuffix(name, "_test.go") {
				file, err := parser.ParseFile(fset, name, nil, parser.SkipObjectResolution)
				require.NoError(t, err)
				files = append(files, file)
			}
		}
		require.Empty(t, wallClockSleeps(fset, files))
	}
}

func TestSleepsOnTheWallClockAreFound(t *testing.T) {
	const (
		bubble = "func bubble(t *testing.T, f func()) { synctest.Test(t, func(t *testing.T) { f() }) }\n"
		wait   = "func wait() { time.Sleep(1) }\n"
	)
	for _, c := range []struct {
		source string
		sleeps int
	}{
		{"func TestX(t *testing.T) { time.Sleep(1) }", 1},
		{bubble + "func TestX(t *testing.T) { time.Sleep(1) }", 1},
		{"func TestX(t *testing.T) { synctest.Test(t, func(t *testing.T) { go func() { time.Sleep(1) }() }) }", 0},
		{"func TestX(t *testing.T) { synctest.Test(t, func(t *testing.T) {}); time.Sleep(1) }", 1},
		{bubble + "func TestX(t *testing.T) { bubble(t, func() { time.Sleep(1) }) }", 0},
		{bubble + "func ExampleX() { time.Sleep(1) }", 1},
		{bubble + wait, 0},
		{wait, 1},
	} {
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, "x_test.go", "package x_test\n"+c.source, parser.SkipObjectResolution)
		require.NoError(t, err)
		require.Len(t, wallClockSleeps(fset, []*ast.File{file}), c.sleeps, c.source)
	}
}
