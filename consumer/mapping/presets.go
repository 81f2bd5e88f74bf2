package mapping

import (
	"embed"
	"strings"
)

//go:embed presets/*.cel
var presetFiles embed.FS

// Presets are the names of the mappings that come with signoff, in order. Each is
// a file that begins with what it takes and what must be set up at the vendor.
func Presets() []string {
	files, err := presetFiles.ReadDir("presets")
	if err != nil {
		panic(err) // it is within the program
	}
	names := make([]string, 0, len(files))
	for _, f := range files {
		names = append(names, strings.TrimSuffix(f.Name(), ".cel"))
	}
	return names
}

func preset(name string) (text string, ok bool) {
	read, err := presetFiles.ReadFile("presets/" + name + ".cel")
	return string(read), err == nil
}
