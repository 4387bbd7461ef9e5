// Command configdoc writes docs/configuration.md from the server's Config: go
// generate runs it in leaderboard-server/config.
package main

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"strconv"
	"strings"
)

const introduction = `# Configuration of leaderboard-server

Generated from leaderboard-server/config by ` + "`make generate`" + `: do not edit.

Every setting is an environment variable; one that is set to nothing counts as not set. Wrong values are refused at the start, all at once, each with its name. Under the operator these are rendered for each game, and [api.md](api.md) says what a manifest can change.

A duration is a number with its unit (ns, us, ms, s, m, h), such as ` + "`250ms` or `1h30m`" + `. A rate is a number of events per s, m or h and how many may come at once, such as ` + "`10/s burst 100`, or `off`" + `. A list is separated by commas. A secret is never logged.
`

// types are the words for the types of fields, with the unit where it is the type's.
var types = map[string]struct{ name, unit string }{
	"string":        {"text", "-"},
	"bool":          {"true or false", "-"},
	"int":           {"number", ""},
	"int64":         {"number", ""},
	"time.Duration": {"duration", "ns to h"},
	"[]string":      {"list", "-"},
	"[]uint16":      {"list of numbers", "-"},
	"Secret":        {"secret", "-"},
	"RedisMode":     {"text", "-"},
	"Prefixes":      {"list of networks", "-"},
	"Names":         {"list of names", "-"},
	"Issuers":       {"list of issuers", "JSON"},
	"Rate":          {"rate", "per s, m or h"},
}

func main() {
	source := flag.String("source", "config.go", "file with the type Config")
	out := flag.String("out", "", "file to write")
	flag.Parse()

	page, err := render(*source)
	if err == nil {
		err = os.WriteFile(*out, page, 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "configdoc:", err)
		os.Exit(1)
	}
}

// render makes the page from the source of Config: a table for the struct itself
// and one for each struct in it, in their order.
func render(source string) ([]byte, error) {
	file, err := parser.ParseFile(token.NewFileSet(), source, nil, parser.ParseComments)
	if err != nil {
		return nil, fmt.Errorf("read the configuration's source: %w", err)
	}

	structs, docs := structsOf(file)
	config := structs["Config"]
	if config == nil {
		return nil, fmt.Errorf("%s has no struct Config", source)
	}

	page := &strings.Builder{}
	page.WriteString(introduction)
	if err := section(page, "The game", config); err != nil {
		return nil, err
	}

	for _, field := range config.Fields.List {
		name := typeOf(field.Type)
		if structs[name] == nil {
			continue
		}
		if err := section(page, sentence(docs[name], name), structs[name]); err != nil {
			return nil, err
		}
	}

	return []byte(page.String()), nil
}

func structsOf(file *ast.File) (structs map[string]*ast.StructType, docs map[string]string) {
	structs, docs = map[string]*ast.StructType{}, map[string]string{}
	for _, declaration := range file.Decls {
		general, ok := declaration.(*ast.GenDecl)
		if !ok {
			continue
		}
		for _, spec := range general.Specs {
			named, ok := spec.(*ast.TypeSpec)
			if !ok {
				continue
			}
			if structure, ok := named.Type.(*ast.StructType); ok {
				structs[named.Name.Name], docs[named.Name.Name] = structure, general.Doc.Text()
			}
		}
	}

	return structs, docs
}

// section writes the variables of one struct.
func section(page *strings.Builder, title string, structure *ast.StructType) error {
	fmt.Fprintf(page, "\n## %s\n\n| variable | type | unit | default | meaning |\n|---|---|---|---|---|\n", strings.TrimSuffix(title, "."))
	for _, field := range structure.Fields.List {
		if field.Tag == nil {
			continue // a struct, with a section of its own
		}
		if err := row(page, field); err != nil {
			return err
		}
	}

	return nil
}

func row(page *strings.Builder, field *ast.Field) error {
	raw, err := strconv.Unquote(field.Tag.Value)
	if err != nil {
		return fmt.Errorf("read the tag %s: %w", field.Tag.Value, err)
	}

	tag := reflect.StructTag(raw)
	variable := tag.Get("env")
	kind, known := types[typeOf(field.Type)]
	unit := kind.unit
	if unit == "" {
		unit = tag.Get("unit")
	}

	switch {
	case len(field.Names) != 1 || field.Doc.Text() == "":
		return fmt.Errorf("%s: give the field a line and a comment of its own", variable)
	case !known:
		return fmt.Errorf("%s has the type %s, for which configdoc has no word", variable, typeOf(field.Type))
	case unit == "":
		return fmt.Errorf("%s is a number without a unit: add unit:\"...\" to its tag", variable)
	}

	value := "none"
	if text, set := tag.Lookup("envDefault"); set {
		value = "`" + text + "`"
	}

	meaning := strings.NewReplacer("|", "\\|", "<", "\\<").Replace(sentence(field.Doc.Text(), field.Names[0].Name))
	fmt.Fprintf(page, "| `%s` | %s | %s | %s | %s |\n", variable, kind.name, unit, value, meaning)
	return nil
}

// sentence is a Go comment without the Go name that it begins with.
func sentence(doc, name string) string {
	text := strings.Join(strings.Fields(doc), " ")
	text = strings.TrimPrefix(text, name+" ")
	text = strings.TrimPrefix(strings.TrimPrefix(text, "is "), "are ")
	return strings.ToUpper(text[:1]) + text[1:]
}

// typeOf is a type as the source has it.
func typeOf(expression ast.Expr) string {
	switch e := expression.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return typeOf(e.X) + "." + e.Sel.Name
	case *ast.ArrayType:
		return "[]" + typeOf(e.Elt)
	default:
		return fmt.Sprintf("%T", expression)
	}
}
