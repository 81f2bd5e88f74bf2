package pages

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"mime"
	"net/http"
	"path"
)

//go:embed assets
var assetFiles embed.FS

// assets are the files by name, each with a word that changes with its content, so that
// a browser may keep it for ever and has a new one at once.
var assets = readAssets()

type asset struct {
	text        []byte
	contentType string
	version     string
}

func readAssets() map[string]asset {
	files, err := assetFiles.ReadDir("assets")
	if err != nil {
		panic(err)
	}
	all := make(map[string]asset)
	for _, f := range files {
		text, err := assetFiles.ReadFile("assets/" + f.Name())
		if err != nil {
			panic(err)
		}
		sum := sha256.Sum256(text)
		all[f.Name()] = asset{text, contentTypes[path.Ext(f.Name())], hex.EncodeToString(sum[:6])}
	}
	return all
}

// contentTypes are not those that the machine has for an ending: it may have none.
var contentTypes = map[string]string{
	".css": mime.FormatMediaType("text/css", map[string]string{"charset": "utf-8"}),
	".js":  mime.FormatMediaType("text/javascript", map[string]string{"charset": "utf-8"}),
	".svg": "image/svg+xml",
}

func (p *Pages) asset(w http.ResponseWriter, r *http.Request) error {
	a, ok := assets[r.PathValue("file")]
	if !ok {
		return errNoPage
	}
	w.Header().Set("Content-Type", a.contentType)
	w.Header().Set("Cache-Control", "no-cache")
	if r.URL.Query().Get("v") == a.version {
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	w.Header().Set("ETag", `"`+a.version+`"`)
	if r.Header.Get("If-None-Match") == `"`+a.version+`"` {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	_, _ = w.Write(a.text)
	return nil
}

// assetURL is where a page finds a file.
func assetURL(name string) string {
	return fmt.Sprintf("/assets/%s?v=%s", name, assets[name].version)
}
